"""The numpy reference of the training graph with the losses beside softmax and cross-entropy."""

from typing import Any

import numpy as np
from branching_reference import BranchingReference
from training_reference import exponential, logarithm

from tf_odl.converters.options import LossOptions

f32 = np.float32


class LossReference(BranchingReference):
    """A training graph that ends in TFODL_LOGISTIC_XENT or TFODL_SQUARED_ERROR."""

    def learn(self, sample: np.ndarray, label: int, target: np.ndarray | None = None) -> np.ndarray:
        """The report for one sample."""
        flat = self.flat
        self.data[flat.inputs[0]] = sample.reshape(flat.shape(flat.inputs[0]))
        if target is not None:
            self.data[flat.inputs[2]] = target.astype(f32)
        report = np.array([-1, 0, 0, 0, -1, 0], f32)
        for op in flat.operators[1:]:
            name = self._op_name(op)
            if name == "LOGISTIC":
                continue  # nothing reads it
            if not name.startswith("TFODL"):
                self.data[int(op.outputs[0])] = self._forward(op, name)
            elif name in ("TFODL_LOGISTIC_XENT", "TFODL_SQUARED_ERROR"):
                report = self._report(
                    op, label, *self._loss(op, name, label), *self._predict(op, name)
                )
            elif self.active and name.endswith(("CONNECTED_BWD", "CONV_2D_BWD")):
                self._layer(op, name)
            elif self.active:
                self._pool(op, name)
        return report

    def _loss(self, op: Any, name: str, label: int) -> tuple[np.float32, np.ndarray]:
        """Loss and error."""
        o = LossOptions.unpack(self._blob(op))
        codes = self.data[int(op.inputs[0])].ravel().astype(np.int32)
        values = f32(o.scale) * (codes - o.zero_point).astype(f32)
        if name == "TFODL_LOGISTIC_XENT":
            (z,) = values
            sign = f32(-1 if label else 1)
            small = exponential(-abs(z))
            total = f32(1) + small
            wrong = sign * z
            p = f32(1) / total
            if not wrong > 0:
                p = small * p
            return logarithm(total) + max(wrong, f32(0)), np.array([sign * p], f32)
        target = self.data[int(op.inputs[3])].ravel()
        if target.dtype == np.int8:
            centered = (target.astype(np.int32) - o.target_zero_point).astype(f32)
            target = f32(o.target_scale) * centered
        difference = values - target
        loss = f32(0)
        for d in difference:
            loss += d * d
        count = f32(len(values))
        return loss / count, f32(2) / count * difference

    def _predict(self, op: Any, name: str) -> tuple[np.float32, np.float32]:
        """Class and probability."""
        if name != "TFODL_LOGISTIC_XENT":
            return f32(-1), f32(0)
        o = LossOptions.unpack(self._blob(op))
        z = f32(o.scale) * f32(int(self.data[int(op.inputs[0])].ravel()[0]) - o.zero_point)
        return f32(z > 0), f32(1) / (f32(1) + exponential(-abs(z)))

    def _report(
        self,
        op: Any,
        label: int,
        loss: np.float32,
        error: np.ndarray,
        prediction: np.float32,
        probability: np.float32,
    ) -> np.ndarray:
        o = LossOptions.unpack(self._blob(op))
        self.active = False
        if label < 0:
            return np.array([-1, 0, 0, 0, prediction, probability], f32)
        alpha = f32(0)
        for entry in error:
            alpha += abs(entry)
        decision = self._decide(o, alpha)
        self.data[int(op.outputs[0])] = self._rounded(int(op.outputs[0]), error.astype(f32))
        return np.array([loss, decision, self.active, alpha, prediction, probability], f32)
