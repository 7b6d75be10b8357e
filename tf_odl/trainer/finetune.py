"""A fine-tuning run: start or resume, train, record.

The run directory holds `run.json` (settings, versions, figures per epoch), `initial.keras`,
`checkpoints/`, and at the end `model.keras`, `masks.npz` and `curves.png`. It is complete enough
to continue at any time and to repeat the run elsewhere.
"""

from __future__ import annotations

import gc
import json
import math
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import tf_odl
from tf_odl import models
from tf_odl.data import Dataset, load, standardisation, uneven
from tf_odl.data.dataset import at_most
from tf_odl.errors import UserError
from tf_odl.figures import FIGURES, reconstruction_figures
from tf_odl.files import new_folder, write_file, write_json
from tf_odl.task import CLASSIFICATION, Loss, Task, recognise, recorded_loss
from tf_odl.trainer import batches, checkpoint, effort
from tf_odl.trainer.analysis import support_set
from tf_odl.trainer.loss import keras_loss, metrics, wanted
from tf_odl.trainer.model import OdlModel
from tf_odl.trainer.plot import plot_curves
from tf_odl.trainer.schedule import learning_rate
from tf_odl.trainer.settings import Settings
from tf_odl.trainer.strategy import strategy

SELECTION_SAMPLES = 20  # as good as 200 and a tenth of the cost
DEMO_SHIFT = "rotate:30"

Row = dict[str, Any]
OnEpoch = Callable[[Row], None]
OnBatch = Callable[[int, int, int, dict[str, float]], None]
Loader = Callable[[Settings, Task], Dataset]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; the message says how to continue."""


def load_data(settings: Settings, task: Task = CLASSIFICATION) -> Dataset:
    """The data these settings name, for what a model asks; of the training part at most `samples`,
    always the same.

    Raises:
        UserError: see the loaders.
    """
    data = load(
        settings.data or "digits",
        data_dir=Path(settings.data_dir) if settings.data_dir else None,
        shift=settings.shift,
        person=settings.person,
        person_split=settings.person_split,
        validation=settings.validation,
        size=settings.data_size,
        features=settings.features,
        standardise=settings.standardise,
        task=task,
    )
    if settings.samples is None or settings.samples >= len(data.x_train):
        return data
    return at_most(data, settings.samples)


class Prepared(NamedTuple):
    """What a run starts from."""

    settings: Settings
    model: keras.Model
    data: Dataset
    loss: Loss


def prepare(settings: Settings, loader: Loader = load_data) -> Prepared:
    """Load data and model; check that they fit before anything is written.

    Raises:
        UserError: see the loaders; or only one of model and data is named.
    """
    settings.check_names()
    built_in = settings.model is not None and models.is_built_in(settings.model)
    if settings.weights is not None and not built_in:
        raise UserError(
            "--weights are for a built-in model: "
            f"name one with --model ({', '.join(models.MODELS)})"
        )
    if settings.model is None:
        loss = Loss.CROSS_ENTROPY
        settings = replace(settings.resolved(loss), shift=settings.shift or DEMO_SHIFT)
        data = loader(settings, CLASSIFICATION)
        return Prepared(settings, models.pretrain_digits(settings.seed), data, loss)
    named = None if settings.loss is None else Loss(settings.loss)
    if built_in:
        data = loader(settings, Task(named))
        loss = named or (Loss.MSE if data.target_names else Loss.CROSS_ENTROPY)
        if loss not in (Loss.CROSS_ENTROPY, Loss.MSE):
            raise UserError(f"--loss {loss.value} needs a .keras model: {settings.model} has none")
        outputs = len(data.target_names) if loss is Loss.MSE else max(data.classes, 2)
        model = models.build(settings.model, data.x_train.shape[1:], outputs, settings.seed)
        if settings.weights is None:
            models.set_statistics(model, data.x_train)
            if loss is Loss.MSE:
                models.set_mean(model, data.y_train)
        else:
            model = models.load_weights(model, settings.weights)
        models.check_fits_data(model, data, loss)
    else:
        model = models.load(Path(settings.model))
        loss, data = recognise(models.form_of(model), named, lambda task: loader(settings, task))
    models.check_learns(model, data, loss)
    settings = settings.resolved(loss)
    method = settings.build_method(loss)
    if method.selector.needs_classes and loss is not Loss.CROSS_ENTROPY:
        raise UserError(
            f"{method.selector.name} measures accuracy, which a model trained by {loss.value} does "
            "not have: choose another selector"
        )
    return Prepared(settings, model, models.as_the_model_takes(model, data), loss)


def start(settings: Settings, run_dir: Path, *, loader: Loader = load_data) -> None:
    """Create the run directory with everything `resume` needs, whole or not at all.

    Args:
        settings: of the run.
        run_dir: where it shall be.
        loader: gives the data of some settings, for callers who have them at hand.

    Raises:
        UserError: the directory holds something, or model, data and settings do not fit.
    """
    run_dir = Path(run_dir)
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UserError(f"{run_dir} exists: continue it with --resume or choose another --out")
    settings, model, data, loss = prepare(settings, loader)
    keras.utils.set_random_seed(settings.seed)
    trainer = _wrap(model, data, settings, loss)  # refuses what cannot be trained
    with new_folder(run_dir) as folder:
        model.save(folder / "initial.keras")
        write_json(folder / "run.json", _record(settings, data, trainer, loss))


def resume(
    run_dir: Path,
    *,
    on_epoch: OnEpoch | None = None,
    on_batch: OnBatch | None = None,
    loader: Loader = load_data,
) -> dict[str, Any]:
    """Train until all epochs are done; returns the run record.

    Raises:
        UserError: no run there, or training diverged (the last good epoch is kept).
        Interrupted: Ctrl-C; everything up to the last whole epoch is kept.
    """
    run_dir = Path(run_dir)
    record = read_record(run_dir)
    if record["status"] == "complete":
        return record
    loss = recorded_loss(record)
    settings = settings_of(record).resolved(loss)
    assert settings.learning_rate is not None
    keras.utils.set_random_seed(settings.seed)
    data = loader(settings, task_of(record))
    size = settings.batch_size
    steps = batches.steps_per_epoch(len(data.x_train), size)
    per_call = batches.steps_per_call(data.x_train[0].nbytes, size)
    with strategy(settings.strategy).scope():
        model = models.load(run_dir / "initial.keras")
        data = models.as_the_model_takes(model, data)
        trainer = _wrap(model, data, settings, loss)
        trainer.compile(
            keras.optimizers.SGD(
                learning_rate(
                    settings.learning_rate,
                    schedule=settings.schedule,
                    steps=settings.epochs * steps,
                    warmup_steps=round(settings.warmup * steps),
                )
            ),
            loss=keras_loss(model, loss),
            metrics=metrics(model, loss),
            steps_per_execution=per_call,
        )
        trainer.optimizer.build(trainer.trained_variables)
        done, history = checkpoint.load_latest(trainer, run_dir / "checkpoints")
    if "before" not in record:
        record["before"] = _evaluate(trainer, data, loss)
        write_json(run_dir / "run.json", record)
    if done < settings.epochs:
        y, tested = wanted(model, data, loss)
        samples: dict[str, Any] = {"x": data.x_train, "y": y, "batch_size": size}
        calls = batches.calls_per_epoch(len(data.x_train), size, per_call)
        if settings.strategy != "none":  # single batches, of which every device takes a part
            calls = steps
        recorder = _Recorder(run_dir, record, history, on_epoch, on_batch, calls)
        try:
            trainer.fit(
                **samples,
                initial_epoch=done,
                epochs=settings.epochs,
                validation_data=tested,
                validation_batch_size=256,
                callbacks=[recorder],
                verbose=0,
            )
        except KeyboardInterrupt as error:
            # TensorFlow's iterators call Python from threads of their own: they must end before it.
            traceback.clear_frames(error.__traceback__)
            del trainer, recorder
            gc.collect()
            raise Interrupted(
                f"interrupted after {len(history)} of {settings.epochs} epochs; "
                f"continue with: tf-odl finetune --out {run_dir} --resume"
            ) from None
    else:
        trainer.select(settings.epochs - 1)
    return _finish(run_dir, record, history, trainer, data)


def read_record(run_dir: Path) -> dict[str, Any]:
    """The contents of run.json.

    Raises:
        UserError: no readable run in that folder.
    """
    path = Path(run_dir) / "run.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{run_dir} holds no run (run.json is missing)") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict) or "settings" not in record or "status" not in record:
        raise UserError(f"{path} is no run record of tf-odl")
    return record


def settings_of(record: dict[str, Any]) -> Settings:
    """The settings a run record was made with."""
    known = {f.name for f in fields(Settings)}
    return Settings(**{k: v for k, v in record["settings"].items() if k in known})


def task_of(record: dict[str, Any]) -> Task:
    """What the model of a run asks of its data."""
    return Task(recorded_loss(record), tuple(record["data"]["train"][1:]))


def _wrap(model: keras.Model, data: Dataset, settings: Settings, loss: Loss) -> OdlModel:
    rng = np.random.default_rng(settings.seed)
    count = min(SELECTION_SAMPLES, len(data.x_train))
    subset = data.x_train[rng.choice(len(data.x_train), count, replace=False)]
    method = settings.build_method(loss)
    support = None
    if method.selector.needs_analysis:
        count = method.selector.support_samples
        y, _ = wanted(model, data, loss)
        labels = data.y_train if data.classes else np.zeros(len(y))
        support = support_set(data.x_train, y, count, settings.seed, labels)
    return OdlModel(
        model,
        method,
        selection_data=subset,
        support_data=support,
        seed=settings.seed,
        name="finetune",
    )


def _evaluate(trainer: OdlModel, data: Dataset, loss: Loss) -> dict[str, float]:
    """Loss and metrics on the test samples, with what anomalies there are."""
    _, (x, y) = wanted(trainer.model, data, loss)
    logs = trainer.evaluate(x, y, batch_size=256, verbose=0, return_dict=True)
    return {k: float(v) for k, v in logs.items()} | _told_anomalies(trainer, data, loss)


def _told_anomalies(trainer: OdlModel, data: Dataset, loss: Loss) -> dict[str, float]:
    if loss is not Loss.RECONSTRUCTION or not data.y_test.any():
        return {}
    outputs = trainer.model.predict(data.x_test, batch_size=256, verbose=0)
    return {"auc": reconstruction_figures(outputs, data.x_test, data.y_test)["auc"]}


def _record(settings: Settings, data: Dataset, trainer: OdlModel, loss: Loss) -> dict[str, Any]:
    return {
        "status": "running",
        "tf_odl": tf_odl.__version__,
        "settings": settings.to_dict(),
        "method": settings.build_method(loss).to_dict(),
        "loss": loss.value,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("tensorflow", "keras", "numpy")},
        },
        "data": {
            "name": data.name,
            "source": data.source,
            "shift": data.shift,
            "person": data.person,
            "classes": data.classes,
            "targets": list(data.target_names),
            "pixels": data.pixels,
            **standardisation(data),
            "warning": uneven(data),
            "notes": list(data.notes),
            "train": list(data.x_train.shape),
            "test": list(data.x_test.shape),
        },
        "model": {
            "name": trainer.model.name,
            "parameters": int(trainer.model.count_params()),
            "forward_macs": effort.forward_macs(trainer.layers_in_order),
            "full_backward_macs": effort.full_backward_macs(trainer.layers_in_order),
            "pretrained": settings.weights is not None
            or settings.model is None
            or not models.is_built_in(settings.model),
        },
        "epochs": [],
    }


class _Recorder(keras.callbacks.Callback):
    """After every epoch: a row of figures, a checkpoint, run.json."""

    model: OdlModel

    def __init__(
        self,
        run_dir: Path,
        record: dict[str, Any],
        history: list[Row],
        on_epoch: OnEpoch | None,
        on_batch: OnBatch | None,
        steps: int,
    ) -> None:
        super().__init__()
        self.run_dir, self.record, self.history = run_dir, record, history
        self.on_epoch, self.on_batch, self.steps = on_epoch, on_batch, steps
        self.epoch, self.started = 0, 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Keep what a selector has found before the first epoch."""
        selector = self.model.method.selector
        if selector.needs_analysis and not self.history:
            checkpoint.save(self.model, self.run_dir / "checkpoints", 0, self.history)
        for name, text in selector.files(self.model.selector_state).items():
            _write_text(self.run_dir / name, text)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.started = epoch, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.on_batch is not None:
            self.on_batch(self.epoch, batch + 1, self.steps, logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {k: float(v) for k, v in (logs or {}).items()}
        if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
            scale = ""
            if recorded_loss(self.record) is Loss.MSE:
                scale = ", or scale the targets to numbers of about 1, because steps grow with them"
            raise UserError(
                f"the loss is not finite in epoch {epoch + 1}: lower --lr "
                f"(it was {self.record['settings']['learning_rate']}){scale}"
            )
        masks = self.model.masks
        counted = sum(r["selection_macs"] for r in self.history)
        row |= {
            "epoch": epoch + 1,
            "selection_macs": self.model.selection_macs - counted,
            "neurons_updated": int(sum(m.kernel.sum() for m in masks.values())),
            "seconds": time.perf_counter() - self.started,
        }
        self.history.append(row)
        checkpoint.save(self.model, self.run_dir / "checkpoints", epoch + 1, self.history)
        self.record["epochs"] = self.history
        write_json(self.run_dir / "run.json", self.record)
        if self.on_epoch is not None:
            self.on_epoch(row)


def _write_text(path: Path, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_file(path, write)


def _finish(
    run_dir: Path, record: dict[str, Any], history: list[Row], trainer: OdlModel, data: Dataset
) -> dict[str, Any]:
    write_file(run_dir / "model.keras", trainer.model.save)
    arrays = {
        f"{name}/{part}": array
        for name, mask in trainer.masks.items()
        for part, array in mask._asdict().items()
        if array is not None
    }
    write_file(run_dir / "masks.npz", lambda path: np.savez_compressed(path, **arrays))
    layers = trainer.layers_in_order
    record["epochs"] = history
    record["masks"] = {
        x.name: {"neurons": x.neurons, "updated": int(trainer.masks[x.name].kernel.sum())}
        for x in layers
    }
    record["result"] = summarize(record, effort.full_backward_macs(layers))
    record["result"] |= _told_anomalies(trainer, data, recorded_loss(record))
    write_file(run_dir / "curves.png", lambda path: plot_curves(record, path))
    record["status"] = "complete"
    write_json(run_dir / "run.json", record)
    return record


def summarize(record: dict[str, Any], full_backward_macs: int) -> dict[str, float]:
    """The figures of a whole run; effort is over all epochs, not the mean of the epochs."""
    rows = record["epochs"]
    samples = record["data"]["train"][0] * len(rows)
    full = samples * full_backward_macs
    full_forward = samples * record["model"]["forward_macs"]
    forward = sum(r["forward_macs"] for r in rows)
    backward = sum(r["backward_macs"] for r in rows)
    selection = sum(r["selection_macs"] for r in rows)
    figures = {}
    for figure in FIGURES[recorded_loss(record)]:
        if figure.key in record["before"]:
            figures[f"{figure.key}_before"] = record["before"][figure.key]
        if f"val_{figure.key}" in rows[-1]:
            figures[figure.key] = rows[-1][f"val_{figure.key}"]
    return {
        **figures,
        "loss": rows[-1]["val_loss"],
        "effort": backward / full,
        "effort_nonzero": sum(r["effort_nonzero"] for r in rows) / len(rows),
        "effort_total": (forward + backward + selection) / (full_forward + full),
        "skipped": sum(r["skipped"] for r in rows) / len(rows),
        "backward_macs": backward,
        "forward_macs": forward,
        "selection_macs": selection,
        "seconds": sum(r["seconds"] for r in rows),
    }
