"""Makes the runs of a grid: what is done stays, what fails is set aside, the rest goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tf_odl.benchmark import work
from tf_odl.benchmark.cell import Run, difference
from tf_odl.benchmark.work import DONE, FAILED, MISSING, Job, Outcome

POLL_SECONDS = 0.5


class Workers(Protocol):
    """Processes that make runs, here or elsewhere."""

    @property
    def count(self) -> int:
        """How many runs are made at the same time."""

    @property
    def free(self) -> bool:
        """Whether another job may be submitted now."""

    def submit(self, job: Job) -> None: ...

    def finished(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """Jobs that have ended; waits up to `timeout` seconds for the first."""

    def stop(self) -> None:
        """End all workers at once."""


@dataclass
class Progress:
    """How far a grid is, told after every change and every POLL_SECONDS."""

    total: int
    done: int = 0  # runs that need no more work, for whatever reason
    running: list[str] = field(default_factory=list)
    failed: int = 0
    missing: int = 0
    seconds_left: float | None = None


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run, complete or not; None if there is none."""
    try:
        record = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return None
    return record if {"settings", "status"} <= set(record) else None


class Runner:
    """The runs of a grid in a folder.

    Args:
        runs: what to make; the runs they start from are made first, once each.
        cells_dir: gets a run directory per run.
        errors_dir: gets a text file per failure.
        report: called with the progress.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        cells_dir: Path,
        errors_dir: Path,
        report: Callable[[Progress], None],
    ) -> None:
        self.cells_dir, self.errors_dir, self.report = cells_dir, errors_dir, report
        self.runs: dict[str, Run] = {}
        for run in runs:
            for each in (run.pretrain, run):
                if each is not None:
                    self.runs.setdefault(each.name, each)
        self.outcomes: dict[str, Outcome] = {}
        self._started: dict[str, float] = {}
        self._seconds: dict[str, list[float]] = {}  # of the runs made here, by kind

    def find_finished(self) -> None:
        """Notice the runs that are there already, and those that are not what they should be."""
        for name, run in self.runs.items():
            folder = self.cells_dir / name
            record = read_record(folder)
            if record is None:
                continue
            other = difference(run.settings, record)
            if other is not None:
                message = f"{folder} was made with {other}: remove it to make it again"
                self.outcomes[name] = Outcome(FAILED, message)
            elif record["status"] == "complete":
                self.outcomes[name] = Outcome(DONE)

    def make_all(self, workers: Workers) -> None:
        """Make what is not there. After Ctrl-C or a kill, another call continues."""
        waiting = [n for n in self.runs if n not in self.outcomes]
        for name in waiting:
            work.clean(self.cells_dir / name)
        while waiting or self._started:
            for name in list(waiting):
                if not workers.free:
                    break
                ready = self._ready(name)
                if ready is None:
                    continue
                waiting.remove(name)
                if isinstance(ready, Outcome):
                    self._end(name, ready)
                else:
                    self._started[name] = time.monotonic()
                    workers.submit(ready)
            self._tell(workers.count)
            if self._started:
                for job, outcome in workers.finished(POLL_SECONDS):
                    del self._started[job.name]
                    if outcome.status == DONE:
                        kind = _kind(self.runs[job.name])
                        self._seconds.setdefault(kind, []).append(outcome.seconds)
                    self._end(job.name, outcome)
        self._tell(workers.count)

    def _ready(self, name: str) -> Job | Outcome | None:
        """The job of a run; its outcome if it cannot be made; None if it has to wait."""
        run = self.runs[name]
        settings = run.settings
        if run.pretrain is not None:
            start = self.outcomes.get(run.pretrain.name)
            if start is None:
                return None
            if start.status == MISSING:
                return start
            if start.status == FAILED:
                return Outcome(FAILED, f"its starting model failed: {start.message}")
            model = self.cells_dir / run.pretrain.name / "model.keras"
            settings = replace(settings, model=str(model))
        return Job(name, str(self.cells_dir / name), settings.to_dict())

    def _end(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome
        path = self.errors_dir / f"{name}.txt"
        if outcome.status == FAILED:
            self.errors_dir.mkdir(exist_ok=True)
            path.write_text(f"{outcome.message}\n\n{outcome.details}".strip() + "\n")
        else:
            path.unlink(missing_ok=True)

    def _tell(self, workers: int) -> None:
        statuses = [outcome.status for outcome in self.outcomes.values()]
        self.report(
            Progress(
                total=len(self.runs),
                done=len(statuses),
                running=list(self._started)[:workers],  # Ray queues the others
                failed=statuses.count(FAILED),
                missing=statuses.count(MISSING),
                seconds_left=self._seconds_left(workers),
            )
        )

    def _seconds_left(self, workers: int) -> float | None:
        """From the time runs of the same kind took here; None before the first has ended."""
        every = [s for seconds in self._seconds.values() for s in seconds]
        if not every:
            return None
        now, left = time.monotonic(), 0.0
        for name, run in self.runs.items():
            if name not in self.outcomes:
                seconds = self._seconds.get(_kind(run), every)
                gone = now - self._started.get(name, now)
                mean = sum(seconds) / len(seconds)
                left += max(mean - gone, mean / 10)
        return left / workers


def _kind(run: Run) -> str:
    """Runs of a kind take about the same time."""
    return f"{run.settings.data} {run.settings.model}"
