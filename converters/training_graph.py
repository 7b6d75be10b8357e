"""From an int8 model to one that trains itself: the training graph (docs/training-graph.md)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_odl.contract import REPORT_FLOATS, STATE_WORDS, Flags
from tf_odl.converters.backward_path import (
    BOXES,
    PASS_THROUGH,
    REDUCTIONS,
    SUMS,
    BackwardPath,
    backward_path,
)
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.geometry import (
    NO_MAXIMUM,
    NO_MINIMUM,
    Window,
    activation_range,
    map_shape,
    one_to_one,
    reduction_window,
    sliding_window,
)
from tf_odl.converters.head import (
    FLOAT_HEAD_BWD_OP,
    Head,
    backward_scratch,
    check_head,
    make_float,
)
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.losses import default_loss, tensor_of
from tf_odl.converters.method_options import (
    SparsifierFields,
    loss_options,
    sparsifier_fields,
    xent_options,
)
from tf_odl.converters.options import (
    AccumulateOptions,
    AddOptions,
    CropOptions,
    LayerOptions,
    PoolOptions,
    SeedOptions,
    SparsifierCode,
    SummedLayer,
    SumRule,
    VersionOptions,
)
from tf_odl.converters.rate import CONSTANT_RATE, RateSettings
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.update_rule import (
    ACCUMULATED,
    UpdateRule,
    check_accumulation,
    residual_name,
    sums_name,
)
from tf_odl.converters.weight_changes import add_changes, load_and_store, load_for_forward
from tf_odl.errors import UserError
from tf_odl.methods import Mask, SkipRule, Sparsifier
from tf_odl.methods.interfaces import WeightedLayer
from tf_odl.task import Loss

LABEL = "tfodl/label"
REPORT = "tfodl/report"
TARGET = "tfodl/target"
STATE = "tfodl/state"
MASKS = "tfodl/masks"
VELOCITY = "tfodl/velocity"
OUTPUTS = "tfodl/outputs"
REFERENCES = "tfodl/references"
SEED_OP = "TFODL_SEED"
RATE_OP, RESELECT_OP, ACCUMULATE_OP = "TFODL_RATE", "TFODL_RESELECT", "TFODL_ACCUMULATE"

_ABSENT = -1
#: Of a fully connected layer, inputs whose sums become errors together (kInputsAtOnce).
INPUTS_AT_ONCE = 256


def make_trainable(
    flat: FlatModel,
    sites: Sequence[str],
    masks: Mapping[str, Mask],
    *,
    checksum: int,
    sparsifier: Sparsifier,
    skip_rule: SkipRule,
    learning_rate: float,
    seed: int,
    loss: Loss | None = None,
    update_rule: UpdateRule = UpdateRule.STOCHASTIC,
    variable_masks: bool = False,
    reselection: Reselection | None = None,
    references: np.ndarray | None = None,
    rate: RateSettings = CONSTANT_RATE,
    accumulate: int = 1,
    head: Head = Head.INT8,
    errors: ErrorType = ErrorType.FLOAT32,
) -> None:
    """Add the training ops to an int8 model whose layers' outputs are named like the layers.

    Args:
        flat: with batch 1, int8 input and output; edited in place.
        sites: the model's weighted layers in the order of the forward pass.
        masks: which neurons of which layer may update; a layer without a mask, or whose mask is
            all False, is frozen.
        checksum: of the model's file, by which a board tells what it learned from other models.
        sparsifier: which entries of a layer's error are kept.
        skip_rule: which samples train.
        learning_rate: of plain SGD, per sample.
        seed: of the stochastic rounding, any integer.
        loss: by default cross-entropy, behind a sigmoid binary cross-entropy.
        update_rule: how int8 weights take steps.
        variable_masks: the masks can be changed between steps.
        reselection: the board chooses the neurons of the layers that train, so their masks are
            variable and have to be all True.
        references: samples int8 [N, *input], of a reselection that observes.
        rate: the schedule of the learning rate, and clipping.
        accumulate: how many samples train until their gradients change the weights together.
        head: what the weights of the output layer are.
        errors: what errors are stored as.

    Raises:
        UserError: nothing to train, a mask of the wrong form, or a layer the error cannot cross.
    """
    trainable = {name: mask for name, mask in masks.items() if mask.kernel.any() or mask.bias.any()}
    if not trainable:
        raise UserError("no layer is left to train: every mask is empty")
    loss = loss or default_loss(flat)
    path = backward_path(flat, tensor_of(flat, loss), trainable, sites)
    check_accumulation(
        accumulate, update_rule, variable_masks=variable_masks or reselection is not None
    )
    builder = _Builder(flat, sites, trainable, sparsifier, update_rule, accumulate, errors)
    if head is Head.FLOAT32:
        if errors is not ErrorType.FLOAT32:
            raise UserError("--head float32 has float32 errors: leave out --errors bfloat16")
        if variable_masks or reselection is not None:
            raise UserError(
                "--head float32 has no variable mask: "
                "leave out --variable-masks, --selector and --reselect"
            )
        builder.choose_float_head(path.ops[0])
    if variable_masks or reselection is not None:
        builder.add_masks(path, reselection, references, seed)
    builder.build(loss, path, skip_rule, learning_rate, rate, seed, checksum)


@dataclass(frozen=True)
class _VariableMasks:
    """Masks that can change: `layers` and their `outputs` in the order of the forward pass."""

    tensor: int
    offsets: dict[str, int]  # bytes
    layers: list[WeightedLayer]
    outputs: list[int]
    reselection: Reselection | None
    references: np.ndarray | None

    @property
    def neurons(self) -> tuple[int, ...]:
        return tuple(layer.neurons for layer in self.layers)


class _Builder:
    """Appends the training ops; every method adds one kind of op."""

    def __init__(
        self,
        flat: FlatModel,
        sites: Sequence[str],
        masks: Mapping[str, Mask],
        sparsifier: Sparsifier,
        update_rule: UpdateRule,
        accumulate: int,
        errors: ErrorType,
    ) -> None:
        self.flat = flat
        self.sites = list(sites)
        self.masks = masks
        self.sparsifier = sparsifier
        self.update_rule = update_rule
        self.accumulate = accumulate
        self.error_type = errors
        self.summed: list[SummedLayer] = []
        self.sums: list[int] = []  # the tensors of `summed`, as TFODL_ACCUMULATE reads them
        self.state = _ABSENT
        self.errors: dict[int, int] = {}  # of tensors whose readers have been crossed
        self.variables: list[int] = []
        self.ops: list[Any] = []
        self.variable_masks: _VariableMasks | None = None
        self.float_head: Any = None
        self.seeds: dict[int, int] = {}  # of float32 variables

    def add_masks(
        self,
        path: BackwardPath,
        reselection: Reselection | None,
        references: np.ndarray | None,
        seed: int,
    ) -> None:
        """The variable with the masks of all layers that train."""
        flat = self.flat
        ops = [op for op in reversed(path.ops) if flat.name(int(op.outputs[0])) in self.masks]
        layers = [self._weighted_layer(op, depth) for depth, op in enumerate(reversed(ops))][::-1]
        first: Mapping[str, Mask] = self.masks
        if reselection is not None:
            if not all(mask.kernel.all() and mask.bias.all() for mask in self.masks.values()):
                raise UserError("masks and a selector on the board both choose neurons: give one")
            first = reselection.first_masks(layers, seed)
        offsets, start, bits = {}, 0, b""
        for layer in layers:
            offsets[layer.name] = start
            mask = np.asarray(first[layer.name].kernel | first[layer.name].bias, bool)
            bits += np.packbits(mask, bitorder="little").tobytes()
            start = len(bits)
        tensor = flat.add_tensor(
            MASKS,
            (start,),
            np.int8,
            values=np.frombuffer(bits, np.int8),
            quantization=flat.no_quantization(),
        )
        outputs = [int(op.outputs[0]) for op in ops]
        self.variable_masks = _VariableMasks(
            tensor, offsets, layers, outputs, reselection, references
        )

    def _weighted_layer(self, op: Any, depth: int) -> WeightedLayer:
        flat = self.flat
        code, window = self._code_and_window(op)
        depthwise = "DEPTHWISE" in code
        return WeightedLayer(
            name=flat.name(int(op.outputs[0])),
            kind="depthwise" if depthwise else "conv" if "CONV" in code else "dense",
            neurons=window.out_c,
            positions=window.out_h * window.out_w,
            fan_in=window.window_h * window.window_w * (1 if depthwise else window.in_c),
            has_bias=True,
            affine=0,
            input_size=window.in_h * window.in_w * window.in_c,
            depth=depth,
            in_channels=window.in_c,
        )

    def build(
        self,
        loss: Loss,
        path: BackwardPath,
        skip_rule: SkipRule,
        learning_rate: float,
        rate: RateSettings,
        seed: int,
        checksum: int,
    ) -> None:
        flat = self.flat
        layer = sum(flat.op_name(op) in WEIGHTED_OPS for op in path.ops)
        self.state = flat.add_tensor(STATE, (STATE_WORDS + layer,), np.int32, is_variable=True)
        label = flat.add_tensor(LABEL, (1,), np.int32)
        report = flat.add_tensor(REPORT, (REPORT_FLOATS,), np.float32)
        targets = self._loss(loss, label, report, skip_rule)
        changes = rate.options()
        if changes is not None:
            self._append(RATE_OP, [self.state, report], [], changes.pack())
        for op in path.ops:
            error = self.errors.pop(int(op.outputs[0]))
            below = [int(i) for i in op.inputs if int(i) in path.tensors]
            kind = flat.op_name(op)
            if kind in PASS_THROUGH:
                self._hand_on(error, below[0])
            elif kind in SUMS:
                self._sum(op, error, below)
            elif kind in BOXES:
                self._boxes(op, error, below)
            else:
                error_x = self._error(below[0]) if below else _ABSENT
                if kind in WEIGHTED_OPS:
                    layer -= 1
                    self._layer(op, error, error_x, layer)
                else:
                    self._pool(op, error, error_x)
                if below:
                    self._hand_on(error_x, below[0])
        if self.summed:
            self._accumulate()
        if self.variable_masks is not None:
            self._reselect(label)
            self.variables.append(self.variable_masks.tensor)
            first = flat.constant(self.variable_masks.tensor)
            assert first is not None
            checksum = zlib.crc32(first.tobytes(), checksum)
        for op in self.ops:
            checksum = zlib.crc32(op.customOptions.tobytes(), checksum)
        # The seed is spread over all bits: xorshift starts badly from a small number.
        length = max(16, seed.bit_length() // 8 + 1)
        rng_seed = zlib.crc32(seed.to_bytes(length, "little", signed=True)) or 1
        masks = () if self.variable_masks is None else self.variable_masks.neurons
        options = SeedOptions(
            checksum or 1, rng_seed, learning_rate, len(self.variables), len(masks), masks
        )
        seeds = [self._seed_of(variable) for variable in self.variables]
        inputs = [self.state, *self.variables, *seeds]
        for variable in self.variables:
            flat.tensors[variable].isVariable = True
            flat.tensors[variable].buffer = 0
        flat.operators.insert(0, flat.custom_op(SEED_OP, inputs, [], options.pack()))
        flat.operators.extend(self.ops)
        flat.graph.inputs = np.asarray([*flat.inputs, label, *targets], np.int32)
        flat.graph.outputs = np.asarray([*flat.outputs, report], np.int32)

    def _loss(self, loss: Loss, label: int, report: int, skip_rule: SkipRule) -> list[int]:
        """The loss op. Returns the model's inputs beside the label."""
        flat = self.flat
        start = tensor_of(flat, loss)
        error = self.errors[start] = self._error(start)
        inputs, outputs = [start, label, self.state], [error, report]
        scale, zero_point = float(flat.scales(start)[0]), flat.zero_point(start)
        if loss is Loss.CROSS_ENTROPY:
            options = xent_options(skip_rule, scale).pack()
            self._append_with_errors("TFODL_SOFTMAX_XENT", inputs, outputs, options)
            return []
        if loss is Loss.BINARY:
            options = loss_options(skip_rule, (scale, zero_point)).pack()
            self._append_with_errors("TFODL_LOGISTIC_XENT", inputs, outputs, options)
            return []
        if loss is Loss.RECONSTRUCTION:
            target = flat.inputs[0]
            given = (float(flat.scales(target)[0]), flat.zero_point(target))
            options = loss_options(skip_rule, (scale, zero_point), given).pack()
            self._append_with_errors("TFODL_SQUARED_ERROR", [*inputs, target], outputs, options)
            return []
        target = flat.add_tensor(TARGET, flat.shape(start), np.float32)
        options = loss_options(skip_rule, (scale, zero_point)).pack()
        self._append_with_errors("TFODL_SQUARED_ERROR", [*inputs, target], outputs, options)
        return [target]

    def _accumulate(self) -> None:
        """The op that changes the weights by the sums."""
        count = self.flat.add_tensor(ACCUMULATED, (1,), np.int32, is_variable=True)
        self.variables.append(count)
        keeps = self.update_rule is UpdateRule.RESIDUAL
        rule = SumRule.KEEP_REST if keeps else SumRule.ROUND_AT_RANDOM
        options = AccumulateOptions(
            self.accumulate, rule, len(self.summed), layers=tuple(self.summed)
        )
        self._append(ACCUMULATE_OP, [self.state, count, *self.sums], [], options.pack())

    def _sum_gradients(self, kernel: int, bias: int, options: LayerOptions) -> tuple[int, int]:
        """The sums of the weights and of the bias of a layer, as far as they train."""
        flat = self.flat
        # Of a depthwise layer [1, h, w, neurons], where a neuron is no row, all neurons have sums.
        depthwise = flat.shape(kernel)[0] != options.out_c
        mask = None if depthwise else options.mask
        rows = options.out_c if mask is None else sum(mask)
        fan_in = int(np.prod(flat.shape(kernel))) // options.out_c
        sums, bias_sums = _ABSENT, _ABSENT
        if options.flags & Flags.UPDATE_WEIGHTS:
            shape = (2, fan_in, rows) if depthwise else (2, rows, fan_in)
            sums = self._int8_variable(sums_name(flat.name(kernel)), shape)
        if options.flags & Flags.UPDATE_BIAS:
            name = sums_name(flat.name(bias))
            bias_sums = flat.add_tensor(name, (rows,), np.int32, is_variable=True)
            self.variables.append(bias_sums)
        self.summed.append(SummedLayer(options.out_c, fan_in, mask))
        self.sums += [
            kernel if sums != _ABSENT else _ABSENT,
            sums,
            bias if bias_sums != _ABSENT else _ABSENT,
            bias_sums,
        ]
        return sums, bias_sums

    def _int8_variable(self, name: str, shape: tuple[int, ...]) -> int:
        """A variable that starts at zero."""
        flat = self.flat
        variable = flat.add_tensor(
            name, shape, np.int8, quantization=flat.no_quantization(), is_variable=True
        )
        self.variables.append(variable)
        return variable

    def _reselect(self, label: int) -> None:
        """The op that chooses neurons, where one is wanted."""
        flat, masks = self.flat, self.variable_masks
        assert masks is not None
        if masks.reselection is None:
            return
        zero_points = [flat.zero_point(y) for y in masks.outputs]
        options = masks.reselection.options(masks.layers, zero_points)
        inputs = [self.state, masks.tensor, label]
        if masks.reselection.observes:
            wanted = (masks.reselection.references, *flat.shape(flat.inputs[0])[1:])
            samples = masks.references
            if samples is None or samples.shape != wanted:
                raise UserError(f"velocity needs reference samples of shape {list(wanted)}")
            neurons = sum(layer.neurons for layer in masks.layers)
            shape = (2, neurons, wanted[0])
            inputs += [
                flat.add_tensor(VELOCITY, (2 + 3 * neurons,), np.int32, is_variable=True),
                flat.add_tensor(
                    OUTPUTS,
                    shape,
                    np.int8,
                    quantization=flat.no_quantization(),
                    is_variable=True,
                ),
                flat.add_tensor(REFERENCES, wanted, np.int8, values=samples),
                *masks.outputs,
            ]
        self._append(RESELECT_OP, inputs, [], options.pack())

    def _append(self, code: str, inputs: list[int], outputs: list[int], options: bytes) -> None:
        self.ops.append(self.flat.custom_op(code, inputs, outputs, options))

    def _append_with_errors(
        self, code: str, inputs: list[int], outputs: list[int], options: bytes
    ) -> None:
        """An op that reads or writes errors."""
        self._append(self.error_type.op(code), inputs, outputs, options)

    def _error(self, tensor: int) -> int:
        """The error of an activation, of the same shape."""
        name = f"{self.flat.name(tensor)}/error"
        return self.flat.add_tensor(name, self.flat.shape(tensor), self.error_type.dtype)

    def _hand_on(self, error: int, tensor: int) -> None:
        """An error has arrived at a tensor: from one more of its readers."""
        if tensor in self.errors:
            inputs = [self.errors[tensor], self.state, error]
            self._append_with_errors("TFODL_ADD_ERRORS", inputs, [], VersionOptions().pack())
        else:
            self.errors[tensor] = error

    def _seed_of(self, variable: int) -> int:
        """A constant that shares the buffer of the variable's first values; none for zeros."""
        flat = self.flat
        if variable in self.seeds:
            return self.seeds[variable]
        if flat.constant(variable) is None:
            return _ABSENT
        dtype = np.int8 if flat.dtype(variable) == np.int8 else np.int32
        seed = flat.add_tensor(f"{flat.name(variable)}/seed", flat.shape(variable), dtype)
        flat.tensors[seed].buffer = flat.tensors[variable].buffer
        return seed

    def _layer(self, op: Any, error: int, below: int, layer: int) -> None:
        flat = self.flat
        x, kernel, y = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
        site = flat.name(y)
        code, window = self._code_and_window(op)
        flags, mask = self._flags(site, window.out_c, below != _ABSENT)
        is_float = op is self.float_head
        if is_float:
            flags &= ~(Flags.RESIDUAL | Flags.ACCUMULATE)
        offset = None
        if self.variable_masks is not None and site in self.variable_masks.offsets:
            offset, mask = self.variable_masks.offsets[site], None
            flags = flags & ~Flags.MASKED | Flags.VARIABLE_MASK
        low, high = activation_range(flat, op)
        method = self._method(site)
        scales = tuple(float(s) for s in flat.scales(kernel))
        options = LayerOptions(
            flags=flags,
            layer=layer,
            **window.fields("kernel"),
            x_scale=float(flat.scales(x)[0]),
            x_zero_point=flat.zero_point(x),
            act_min=low,
            act_max=high,
            sparsifier=method.code,
            s_min=method.s_min,
            s_max=method.s_max,
            damping=method.damping,
            n_scales=len(scales),
            scales=scales,
            mask=mask,
            mask_offset=offset,
        )
        if is_float:
            self._float_layer(op, error, below, options)
            return
        updates, updates_bias = flags & Flags.UPDATE_WEIGHTS, flags & Flags.UPDATE_BIAS
        residual, bias = _ABSENT, int(op.inputs[2]) if updates_bias else _ABSENT
        store = None
        if updates and self.update_rule is UpdateRule.CHANGES:
            changes = add_changes(flat, kernel)
            self.variables.append(changes)
            load_for_forward(flat, op, changes)
            kernel, load, store = load_and_store(flat, self.state, kernel, changes)
            self.ops.append(load)
        elif updates:
            self.variables.append(kernel)
        if flags & Flags.RESIDUAL:
            name = residual_name(flat.name(kernel))
            residual = self._int8_variable(name, flat.shape(kernel))
        if updates_bias:
            self.variables.append(bias)
        if flags & Flags.ACCUMULATE:
            residual, bias = self._sum_gradients(kernel, bias, options)
        outputs = [] if below == _ABSENT else [below]
        words = self._scratch_words(code, window, flags)
        if words:
            outputs.append(flat.add_tensor(f"{site}/scratch", (words,), np.float32))
        inputs = [
            error,
            self.state,
            x if updates else _ABSENT,
            y,
            kernel if updates or flags & Flags.PROPAGATE else _ABSENT,
            bias,
            residual,
        ]
        if offset is not None:
            assert self.variable_masks is not None
            inputs.append(self.variable_masks.tensor)
        self._append_with_errors(code, inputs, outputs, options.pack())
        if store is not None:
            self.ops.append(store)

    def _scratch_words(self, code: str, window: Window, flags: Flags) -> int:
        """The gradient of a neuron of a convolution, and before that sums that become an error."""
        dense = code == "TFODL_FULLY_CONNECTED_BWD"
        gradient, sums = 0, 0
        if flags & Flags.UPDATE_WEIGHTS and not dense:
            depthwise = code == "TFODL_DEPTHWISE_CONV_2D_BWD"
            gradient = window.window_h * window.window_w * (1 if depthwise else window.in_c)
        if flags & Flags.PROPAGATE and self.error_type is not ErrorType.FLOAT32:
            rows = min(window.window_h, window.in_h) * window.in_w
            sums = min(window.in_c, INPUTS_AT_ONCE) if dense else rows * window.in_c
        return max(gradient, sums)

    def choose_float_head(self, op: Any) -> None:
        """The output layer has float32 weights."""
        flat = self.flat
        site, neurons = flat.name(int(op.outputs[0])), flat.shape(int(op.outputs[0]))[-1]
        check_head(flat, op, self._flags(site, neurons, False)[0])
        self.float_head = op

    def _float_layer(self, op: Any, error: int, below: int, options: LayerOptions) -> None:
        flat = self.flat
        seeds = make_float(flat, op)
        self.seeds |= seeds
        self.variables += seeds
        inputs = [error, self.state, int(op.inputs[0]), int(op.outputs[0]), *seeds]
        outputs = [] if below == _ABSENT else [below]
        outputs.append(backward_scratch(flat, op))
        self._append(FLOAT_HEAD_BWD_OP, inputs, outputs, options.pack())

    def _code_and_window(self, op: Any) -> tuple[str, Window]:
        flat = self.flat
        kind = flat.op_name(op)
        kernel_shape = flat.shape(int(op.inputs[1]))
        if kind != "FULLY_CONNECTED":
            return f"TFODL_{kind}_BWD", sliding_window(flat, op, *kernel_shape[1:3])
        out_c, in_c = kernel_shape
        rows = int(np.prod(flat.shape(int(op.outputs[0])))) // out_c
        code = "TFODL_FULLY_CONNECTED_BWD" if rows == 1 else "TFODL_CONV_2D_BWD"
        return code, one_to_one(rows, in_c, out_c)

    def _flags(
        self, site: str, neurons: int, propagates: bool
    ) -> tuple[Flags, tuple[bool, ...] | None]:
        flags = Flags.PROPAGATE if propagates else Flags(0)
        if site not in self.masks:
            return flags, None
        if self.masks[site].inputs is not None:
            raise UserError(
                f"layer {site!r}: the mask chooses input channels, which a training op cannot do; "
                "choose neurons (sparse-update: --set channels=output)"
            )
        kernel, bias = (np.asarray(m, bool) for m in self.masks[site][:2])
        for mask in (kernel, bias):
            if mask.shape != (neurons,):
                raise UserError(
                    f"the mask of layer {site!r} has the shape {list(mask.shape)}, "
                    f"the layer has {neurons} neurons"
                )
        if kernel.any() and bias.any() and not np.array_equal(kernel, bias):
            raise UserError(
                f"layer {site!r}: the masks of the weights and of the bias choose different "
                "neurons, which a training op cannot do"
            )
        if kernel.any():
            flags |= Flags.UPDATE_WEIGHTS
            if self.update_rule is UpdateRule.RESIDUAL and self.accumulate == 1:
                flags |= Flags.RESIDUAL
        if bias.any():
            flags |= Flags.UPDATE_BIAS
        if self.accumulate > 1:
            flags |= Flags.ACCUMULATE
        allowed = kernel | bias
        if allowed.all():
            return flags, None
        return flags | Flags.MASKED, tuple(bool(b) for b in allowed)

    def _method(self, site: str) -> SparsifierFields:
        """A layer that only stands for a batch normalization is no layer of the method's."""
        if site not in self.sites:
            return SparsifierFields(SparsifierCode.DENSE)
        return sparsifier_fields(self.sparsifier, len(self.sites) - 1 - self.sites.index(site))

    def _sum(self, op: Any, error: int, below: list[int]) -> None:
        """The summands share the error: where both have none yet, the second gets a copy."""
        flat = self.flat
        y = int(op.outputs[0])
        options = AddOptions(int(np.prod(flat.shape(y))), *activation_range(flat, op))
        fresh = [t for t in dict.fromkeys(below) if t not in self.errors]
        copies = [self._error(t) for t in fresh[1:]]
        self._append_with_errors("TFODL_ADD_BWD", [error, self.state, y], copies, options.pack())
        # First what is added to an error that exists: the error itself is handed on last.
        for tensor in below:
            if tensor not in fresh:
                self._hand_on(error, tensor)
        for tensor, own in zip(fresh, [error, *copies], strict=False):
            self._hand_on(own, tensor)
            if below.count(tensor) == 2:  # x + x
                self._hand_on(own, tensor)

    def _boxes(self, op: Any, error: int, below: list[int]) -> None:
        flat = self.flat
        y = int(op.outputs[0])
        whole = map_shape(flat.shape(y))
        for tensor, first in self._box_origins(op):
            if tensor not in below:
                continue
            options = CropOptions(*map_shape(flat.shape(tensor)), *whole, *first)
            error_x = self._error(tensor)
            self._append_with_errors(
                "TFODL_CROP_BWD", [error, self.state], [error_x], options.pack()
            )
            self._hand_on(error_x, tensor)

    def _box_origins(self, op: Any) -> list[tuple[int, tuple[int, int, int]]]:
        """Every input with the row, column and channel of the output where it starts."""
        flat = self.flat
        rank = len(flat.shape(int(op.outputs[0])))
        if flat.op_name(op) != "CONCATENATION":
            margins = flat.constant(int(op.inputs[1]))
            assert margins is not None
            return [(int(op.inputs[0]), _origin(margins[:, 0].tolist()))]
        axis = int(op.builtinOptions.axis) % rank
        found, start = [], 0
        for tensor in (int(i) for i in op.inputs):
            found.append((tensor, _origin([start if i == axis else 0 for i in range(rank)])))
            start += flat.shape(tensor)[axis]
        return found

    def _pool(self, op: Any, error: int, below: int) -> None:
        flat = self.flat
        kind = flat.op_name(op)
        x, y = int(op.inputs[0]), int(op.outputs[0])
        reduced = reduction_window(flat, op) if kind in REDUCTIONS else None
        if reduced is not None:
            window = reduced
            low, high = NO_MINIMUM, NO_MAXIMUM
        else:
            options = op.builtinOptions
            window = sliding_window(flat, op, int(options.filterHeight), int(options.filterWidth))
            low, high = activation_range(flat, op)
        packed = PoolOptions(
            window.in_h,
            window.in_w,
            window.in_c,
            window.out_h,
            window.out_w,
            window.window_h,
            window.window_w,
            window.stride_h,
            window.stride_w,
            window.pad_top,
            window.pad_left,
            low,
            high,
        ).pack()
        is_max = kind in ("MAX_POOL_2D", "REDUCE_MAX")
        code = "TFODL_MAX_POOL_2D_BWD" if is_max else "TFODL_AVERAGE_POOL_2D_BWD"
        inputs = [
            error,
            self.state,
            x if is_max else _ABSENT,
            y if _has_activation(low, high) else _ABSENT,
        ]
        self._append_with_errors(code, inputs, [below], packed)


def _origin(starts: list[int]) -> tuple[int, int, int]:
    """Of a box in a tensor with batch 1: as `map_shape` orders the axes."""
    padded = [0, 0, 0, *starts[1:]]
    return padded[-3], padded[-2], padded[-1]


def _has_activation(low: int, high: int) -> bool:
    return (low, high) != (NO_MINIMUM, NO_MAXIMUM)
