"""What a worker does: make one run, and say how it went. The only part that needs TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_odl.benchmark.kept_data import KeptData
from tf_odl.errors import UserError
from tf_odl.files import write_json
from tf_odl.task import CLASSIFYING, Task, recorded_loss
from tf_odl.trainer.settings import Settings

DONE, FAILED, MISSING = "done", "failed", "missing"

# After so many runs a process is replaced: TensorFlow keeps some 13 MB of every run.
RUNS_PER_PROCESS = 20

_data = KeptData()  # of this process


@dataclass(frozen=True)
class Job:
    """A run to make: its name, its folder, and settings whose model is a name or a file."""

    name: str
    folder: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a job ended: DONE, FAILED (message, details) or MISSING (the loader's message)."""

    status: str
    message: str = ""
    details: str = ""
    seconds: float = 0.0


def set_up() -> None:
    """Prepare this process: one thread for every operation, and no GPU.

    With more threads sums are split differently, and the last bits would depend on how many
    workers share the machine.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def die_with_parent() -> None:
    """End this process as soon as the one that started it is gone, however it went.

    A worker that outlived its master would write into a folder a new master has given to another.
    """
    from multiprocessing import connection, parent_process

    parent = parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make(job: Job) -> Outcome:
    """Make the run, or continue it where an earlier attempt was interrupted."""
    import keras

    keras.utils.clear_session()  # names and memory of the run before
    started = time.perf_counter()
    try:
        _train(Path(job.folder), Settings(**job.settings))
    except UserError as error:
        message = _loader_message(Settings(**job.settings))
        if message is not None:
            return Outcome(MISSING, message)
        return Outcome(FAILED, str(error), traceback.format_exc())
    except Exception as error:
        text = " ".join(str(error).split())
        return Outcome(FAILED, f"{type(error).__name__}: {text}"[:300], traceback.format_exc())
    return Outcome(DONE, seconds=time.perf_counter() - started)


def _train(folder: Path, settings: Settings) -> None:
    from tf_odl.trainer import finetune

    if (folder / "run.json").is_file():
        # The data may lie elsewhere today.
        record = json.loads((folder / "run.json").read_text())
        if record["settings"]["data_dir"] != settings.data_dir:
            record["settings"]["data_dir"] = settings.data_dir
            write_json(folder / "run.json", record)
    else:
        finetune.start(settings, folder, loader=_data.load)
    if recorded_loss(finetune.read_record(folder)) not in CLASSIFYING:
        raise UserError(
            "the tables of a benchmark hold accuracies, which this model does not have: make runs "
            "with tf-odl finetune and show them with tf-odl compare"
        )
    finetune.resume(folder, loader=_data.load)


def _loader_message(settings: Settings) -> str | None:
    """Why the data cannot be loaded; None if they can."""
    from tf_odl.trainer import finetune

    try:
        finetune.load_data(settings, Task(None))
    except UserError as error:
        return str(error)
    return None


def clean(folder: Path) -> None:
    """Remove what a killed worker left half-written in and beside a run's folder."""
    for path in (*folder.parent.glob(f".{folder.name}-*"), *folder.glob("**/.partial-*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
