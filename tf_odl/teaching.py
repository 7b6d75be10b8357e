"""A board learns from a data set over its serial port, sample by sample."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tf_odl.board.client import Board
from tf_odl.board.lesson import Account, Lesson
from tf_odl.board.messages import Setting
from tf_odl.board.samples import to_bytes
from tf_odl.data import Dataset
from tf_odl.errors import UserError
from tf_odl.stream import Stream

_RECENT = 100  # samples in the figures of the live view

Progress = Callable[[str, int, int], None]
Figures = Callable[[bytes, Dataset], dict[str, float]]


@dataclass(frozen=True)
class Teaching(Stream):
    """What a board made of the samples; arrays have one entry per answered sample.

    before, after: the figures of `tf_odl.figures` on the test samples, where measured.
    """

    before: dict[str, float]
    after: dict[str, float]
    test_samples: int
    account: Account
    interrupted: bool
    saved_sequence: int | None  # None: nothing was saved
    trained: int
    samples_per_second: float
    microseconds_per_step: float | None
    repeats: int  # requests sent again
    saturated: int  # weight updates that met a bound
    non_finite: int  # steps abandoned because of a loss or an error that is not finite
    clipped: int  # samples that trained with a clipped error
    seedings: int  # how often the weights became those of the export again


def teach(
    board: Board,
    data: Dataset,
    *,
    samples: int | None = None,
    passes: int = 1,
    test_samples: int = 0,
    learning_rate: float | None = None,
    save: bool = True,
    figures: Figures | None = None,
    progress: Progress | None = None,
) -> Teaching:
    """Teach the training samples of `data` in order.

    Ctrl-C ends the lesson early: what was learned is saved and accounted for.

    Args:
        samples: how many training samples; all by default.
        passes: how often.
        test_samples: of the test samples, how many are predicted before and after.
        learning_rate: instead of the board's.
        save: save at the end, if the board can.
        figures: tests a model without classes, which the board does not do: from a state image and
            the data to figures.
        progress: called with (what, done, total).

    Raises:
        UserError: the data do not fit the model, or the board has gone.
    """
    check_fits(board, data)
    tell = progress or (lambda what, done, total: None)
    count = min(samples or len(data.x_train), len(data.x_train))
    x_train = to_bytes(data.x_train[:count], board.hello)
    labels, targets = _wanted(board, data.y_train[:count])
    rows = _test_rows(data, test_samples if board.hello.classes or figures else 0)
    tested = replace(data, x_test=data.x_test[rows], y_test=data.y_test[rows])
    before = _test(board, tested, figures, tell, "testing")
    if learning_rate is not None:
        board.set(Setting.LEARNING_RATE, learning_rate)
    lesson = Lesson(board)
    at_first = board.stats()
    steps, interrupted, started = [], False, time.perf_counter()
    try:
        for turn in range(passes):
            taught = zip(x_train, labels, targets, strict=True)
            for i, (sample, label, target) in enumerate(taught):
                step = lesson.learn(sample, label, target)
                if step is not None:
                    steps.append((step, label))
                rate = (turn * count + i + 1) / (time.perf_counter() - started)
                done = turn * count + i + 1
                tell(_figures(steps, rate, bool(board.hello.classes)), done, passes * count)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - started
    account = lesson.account()
    at_last = board.stats()

    def counted(name: str) -> int:
        """Since the lesson began; a board that has restarted counts from 0 again."""
        before, now = getattr(at_first, name), getattr(at_last, name)
        return now if account.restarts else now - before

    sequence = board.save() if save and board.hello.has_storage else None
    after = {} if interrupted else _test(board, tested, figures, tell, "testing again")
    times = [step.microseconds for step, _ in steps]
    return Teaching(
        accuracy_before=before.get("accuracy"),
        accuracy_after=after.get("accuracy"),
        before=before,
        after=after,
        test_samples=len(tested.x_test),
        account=account,
        interrupted=interrupted,
        saved_sequence=sequence,
        trained=sum(step.trained for step, _ in steps),
        samples_per_second=len(steps) / seconds if seconds > 0 else 0.0,
        microseconds_per_step=float(np.mean(times)) if times else None,
        repeats=board.repeats,
        saturated=counted("saturated"),
        non_finite=counted("non_finite"),
        clipped=counted("clipped"),
        seedings=counted("seedings"),
        correct=np.array([step.prediction == label for step, label in steps], bool)
        if board.hello.classes
        else None,
        was_trained=np.array([step.trained for step, _ in steps], bool),
        losses=np.array([step.loss for step, _ in steps], np.float32),
    )


def check_fits(board: Board, data: Dataset) -> None:
    """Whether the board can learn from these data.

    Raises:
        UserError: it cannot.
    """
    to_bytes(data.x_train[:1], board.hello)
    targets = board.hello.target_bytes // 4
    if targets and len(data.target_names) != targets:
        raise UserError(
            f"the board's model learns {targets} target{'s' if targets > 1 else ''}, {data.name} "
            f"has {len(data.target_names)}"
        )
    if board.hello.classes and not data.classes:
        raise UserError(f"the board's model learns classes, {data.name} has targets")
    if board.hello.classes and data.classes > board.hello.classes:
        raise UserError(
            f"the board's model has {board.hello.classes} classes, {data.name} has {data.classes}"
        )


def _wanted(board: Board, y: np.ndarray) -> tuple[list[int], list[bytes | None]]:
    """The label and the bytes of the target of each sample."""
    if board.hello.classes:
        return [int(label) for label in y], [None] * len(y)
    if board.hello.target_bytes:
        return [0] * len(y), [row.astype("<f4").tobytes() for row in y]
    return [0] * len(y), [None] * len(y)


def _test_rows(data: Dataset, samples: int) -> np.ndarray:
    """Rows of the test samples, the same ones for the same number."""
    return np.random.default_rng(0).permutation(len(data.x_test))[:samples]


def _test(
    board: Board, data: Dataset, figures: Figures | None, tell: Progress, what: str
) -> dict[str, float]:
    """Figures on the test samples; none without samples."""
    count = len(data.x_test)
    if not count:
        return {}
    if not board.hello.classes:
        assert figures is not None
        tell(what, 0, 1)
        return figures(board.read_image(), data)
    right = 0
    samples = to_bytes(data.x_test, board.hello)
    for i, (sample, label) in enumerate(zip(samples, data.y_test, strict=True)):
        right += board.predict(sample).prediction == label
        tell(what, i + 1, count)
    return {"accuracy": right / count}


def _figures(steps: list[tuple[Any, int]], rate: float, classifies: bool) -> str:
    recent = steps[-_RECENT:]
    if not recent:
        return "learning"
    skipped = sum(not step.trained for step, _ in recent) / len(recent)
    if classifies:
        right = sum(step.prediction == label for step, label in recent) / len(recent)
        figure = f"{right:.0%} right"
    else:
        figure = f"loss {np.mean([step.loss for step, _ in recent]):.4f}"
    return f"learning: {figure}, {skipped:.0%} skipped (last {len(recent)}), {rate:.0f}/s"
