"""Runs exported models in the real TensorFlow Lite Micro, learning like a board."""

import contextlib
import functools
import importlib.metadata
import importlib.util
import pickle
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from tf_odl.errors import UserError
from tf_odl.tflm_port import host
from tf_odl.tflm_port.state import Counts, State

WHEEL = "tflite-micro"
WHEEL_VERSION = "0.dev20261023182759"
INSTALL = "pip install 'tf-odl[simulate]'"
DEFAULT_ARENA_BYTES = 32 << 20

Progress = Callable[[int, int], None]


def _missing() -> str | None:
    """What can be said without starting a process."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "the simulation needs Linux on x86-64: the tflite-micro wheel exists for it only"
    if host.library_path() is None:
        return (
            "the C++ training ops were not compiled during installation; "
            "install a C++ compiler and install tf-odl again"
        )
    if importlib.util.find_spec("tflite_micro") is None:
        return f"the tflite-micro wheel is not installed; run {INSTALL}"
    return None


def _wheel_advice() -> str:
    installed = importlib.metadata.version(WHEEL)
    if installed == WHEEL_VERSION:
        return f"{WHEEL} {installed} is the tested version; install it again with {INSTALL}"
    return f"{WHEEL} {installed} is installed, {WHEEL_VERSION} is tested; run {INSTALL}"


class _Worker:
    """A worker process that has passed the smoke test."""

    def __init__(self) -> None:
        missing = _missing()
        if missing is not None:
            raise UserError(missing)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tf_odl.tflm_port.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        try:
            self.call("check")
        except (UserError, RuntimeError) as error:
            self.close()
            raise UserError(
                f"this tflite-micro wheel cannot run the training ops ({error}); {_wheel_advice()}"
            ) from error

    def call(
        self, command: str, *arguments: object, progress: Callable[[int], None] | None = None
    ) -> Any:
        """Run a command of worker.py.

        Raises:
            UserError: TFLM refused the model or gave a step up.
            RuntimeError: the process died.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            pickle.dump((command, arguments), stdin)
            stdin.flush()
            while True:
                kind, value = pickle.load(stdout)
                if kind != "progress":
                    break
                if progress is not None:
                    progress(value)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise RuntimeError(self._obituary()) from error
        if kind == "result":
            return value
        message = f"TensorFlow Lite Micro refused the model: {value}"
        raise UserError(message if kind == "refused" else f"the step failed: {value}")

    def _obituary(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return "; ".join([f"TensorFlow Lite Micro died with {reason}", *lines[-1:]])

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@functools.cache
def available() -> str | None:
    """None when models can be run here, else what is missing and how to get it.

    Runs a smoke test in a process of its own: the version of the wheel alone proves nothing.
    """
    try:
        _Worker().close()
    except UserError as error:
        return str(error)
    return None


class TrainingInterpreter:
    """A model in the TensorFlow Lite Micro of the pinned wheel, in a process of its own.

    Takes training graphs (docs/training-graph.md) and plain int8 models; the latter can only infer.
    Use it as a context manager, or call close().

    Args:
        model: the bytes of a .tflite file.
        arena_bytes: size of the tensor arena; by default more than any small board has.

    Raises:
        UserError: the simulation is not available here, or TFLM refuses the model.
    """

    def __init__(self, model: bytes, *, arena_bytes: int | None = None) -> None:
        if bytes(model[4:8]) != b"TFL3":
            raise UserError("this is not a .tflite model: the file identifier TFL3 is missing")
        self._worker = _Worker()
        self._seconds_per_step: float | None = None
        try:
            arguments = (bytes(model), arena_bytes or DEFAULT_ARENA_BYTES)
            description = self._call("load", *arguments)
        except UserError:
            self.close()
            raise
        self._in_shape: tuple[int, ...] = description.in_shape
        self._out_shape: tuple[int, ...] = description.out_shape
        self._trains: bool = description.trains
        self._classes: int | None = description.classes
        self._target_shape: tuple[int, ...] | None = description.target_shape
        self._masked: tuple[str, ...] = description.masked

    def _call(self, command: str, *arguments: object, **options: Any) -> Any:
        try:
            return self._worker.call(command, *arguments, **options)
        except RuntimeError as error:
            raise UserError(f"{error}; the model is broken or uses an op TFLM lacks") from error

    def __enter__(self) -> "TrainingInterpreter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the model's input, batch 1 included."""
        return self._in_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the model's output, batch 1 included."""
        return self._out_shape

    @property
    def trains(self) -> bool:
        """Whether the model is a training graph."""
        return self._trains

    def _run(
        self,
        samples: np.ndarray,
        labels: np.ndarray,
        progress: Progress | None,
        targets: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        samples = np.ascontiguousarray(samples)
        if samples.dtype != np.int8 or samples.shape[1:] != self._in_shape[1:]:
            raise UserError(
                f"expected int8 samples of shape {['N', *self._in_shape[1:]]}, "
                f"got {samples.dtype} {list(samples.shape)}"
            )
        total = len(samples)

        def report(done: int) -> None:
            if progress is not None:
                progress(done, total)

        outputs, reports, seconds = self._call("run", samples, labels, targets, progress=report)
        self._seconds_per_step = seconds
        report(total)
        return outputs, reports

    def infer(self, samples: np.ndarray) -> np.ndarray:
        """Outputs int8 [N, ...] of samples int8 [N, ...]; the weights stay as they are.

        Raises:
            UserError: wrong shape or dtype, or TFLM failed.
        """
        return self._run(samples, np.full(len(samples), -1, np.int32), None)[0]

    def train(
        self,
        samples: np.ndarray,
        labels: Sequence[int] | np.ndarray,
        progress: Progress | None = None,
        *,
        targets: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Learn from samples int8 [N, ...] with labels [N], one at a time and in order.

        Args:
            labels: class numbers; of a model without classes 0 to learn and -1 to only infer.
            progress: called with (samples done, samples in all) every now and then.
            targets: the wanted outputs, float [N, ...] in real units, of a model trained for mean
                squared error.

        Returns:
            The outputs int8 [N, ...] before each update, and the reports float32 [N, 6]:
            loss, decision D, trained (1 or 0), alpha, the class with the largest probability (-1
            without classes) and that probability. A negative label only infers.

        Raises:
            UserError: not a training graph, wrong shapes, an unknown label, or TFLM failed.
        """
        self._require_training()
        wanted = np.asarray(labels)
        if wanted.shape != (len(samples),) or wanted.dtype.kind not in "iu":
            raise UserError(f"expected {len(samples)} integer labels, got shape {wanted.shape}")
        if self._classes is not None and len(wanted) and wanted.max() >= self._classes:
            raise UserError(
                f"label {wanted.max()} is not one of the model's {self._classes} classes"
            )
        wanted = np.where(wanted < 0, -1, wanted).astype(np.int32)
        return self._run(samples, wanted, progress, self._checked_targets(targets, len(samples)))

    def _checked_targets(self, targets: np.ndarray | None, count: int) -> np.ndarray | None:
        if self._target_shape is None:
            if targets is not None:
                raise UserError("this model has no targets: it learns from labels or its input")
            return None
        wanted = (count, *self._target_shape[1:])
        if targets is None or np.shape(targets) != wanted:
            found = "none" if targets is None else list(np.shape(targets))
            raise UserError(f"expected targets of shape {list(wanted)}, got {found}")
        return np.ascontiguousarray(targets, np.float32)

    def _require_training(self) -> None:
        if not self._trains:
            raise UserError("this model has no training ops; use the exported model_train.tflite")

    def state(self) -> State:
        """The counters of the training ops."""
        self._require_training()
        return self._call("state")

    def counts(self) -> Counts:
        """How often the weights were those of the export again, and errors were clipped."""
        self._require_training()
        return self._call("counts")

    def set_learning_rate(self, value: float) -> None:
        """Change the learning rate for the steps that follow."""
        self._require_training()
        if not 0 <= value <= np.finfo(np.float32).max:
            raise UserError(f"the learning rate must be finite and not negative, got {value}")
        self._call("set_learning_rate", float(value))

    def variables(self) -> list[np.ndarray]:
        """Copies of the variables, int8 weights, int32 biases and int8 masks, as in TFODL_SEED."""
        self._require_training()
        return self._call("variables")

    def set_variables(self, values: Sequence[np.ndarray]) -> None:
        """Write back what variables() returned.

        Raises:
            UserError: number, shapes or dtypes differ from the model's.
        """
        current = self.variables()
        given = [np.asarray(value) for value in values]
        if [(v.shape, v.dtype) for v in given] != [(v.shape, v.dtype) for v in current]:
            raise UserError("the variables do not fit this model: number, shape or dtype differs")
        self._call("set_variables", given)

    def masks(self) -> dict[str, np.ndarray]:
        """Which neurons may update, bool [neurons], of the layers whose masks can be changed."""
        self._require_training()
        return dict(zip(self._masked, self._call("masks"), strict=True))

    def set_masks(self, masks: Mapping[str, np.ndarray]) -> None:
        """Change masks for the steps that follow; layers that are not named keep theirs.

        Raises:
            UserError: a layer whose mask cannot be changed, or a mask of another form.
        """
        current = self.masks()
        for name, mask in masks.items():
            if name not in current:
                known = ", ".join(current) or "none; export with --variable-masks or --selector"
                raise UserError(f"layer {name!r} has no mask that can be changed, only: {known}")
            if np.shape(mask) != current[name].shape or np.asarray(mask).dtype != np.bool_:
                raise UserError(
                    f"the mask of {name!r} must be {len(current[name])} times true or false"
                )
        for name, mask in masks.items():
            self._call("set_mask", self._masked.index(name), np.asarray(mask))

    def reset(self) -> None:
        """Back to the exported weights, settings and counters."""
        self._call("reset")

    @property
    def arena_used_bytes(self) -> int:
        """Arena bytes used, as TFLM's recording allocator reports them.

        Pointers have 8 bytes here: a 32-bit board needs less.
        """
        return self._call("arena_used_bytes")

    @property
    def seconds_per_step(self) -> float | None:
        """Mean wall time of a step in the last infer() or train(); None before the first."""
        return self._seconds_per_step
