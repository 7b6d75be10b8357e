"""Workers on this machine: processes that import TensorFlow once and make many runs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tf_odl.benchmark import work
from tf_odl.benchmark.work import FAILED, Job, Outcome


def _begin(log: str) -> None:
    """First thing in a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the master's to handle
    work.die_with_parent()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    work.set_up()


@dataclass
class _Worker:
    """A process, behind an executor that has no other."""

    executor: ProcessPoolExecutor
    runs: int = 0


class LocalWorkers:
    """A fixed number of worker processes.

    Every worker is an executor of its own: when one crashes, the others know nothing of it.

    Args:
        count: workers.
        log: file that gets what the workers print.
    """

    def __init__(self, count: int, log: Path) -> None:
        self.count, self._log = count, log
        self._idle = [self._new() for _ in range(count)]
        self._busy: dict[Future[Outcome], tuple[_Worker, Job]] = {}

    def _new(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        arguments = (str(self._log),)
        return _Worker(ProcessPoolExecutor(1, context, initializer=_begin, initargs=arguments))

    @property
    def free(self) -> bool:
        """Whether another job may be submitted now."""
        return bool(self._idle)

    def submit(self, job: Job) -> None:
        worker = self._idle.pop()
        worker.runs += 1
        self._busy[worker.executor.submit(work.make, job)] = worker, job

    def finished(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """Jobs that have ended; waits up to `timeout` seconds for the first."""
        done, _ = wait(self._busy, timeout, FIRST_COMPLETED)
        found = []
        for future in done:
            worker, job = self._busy.pop(future)
            died = False
            try:
                outcome = future.result()
            except BrokenProcessPool:
                outcome = Outcome(FAILED, f"the worker process died; see {self._log}")
                died = True
            if died or worker.runs >= work.RUNS_PER_PROCESS:
                worker.executor.shutdown(wait=False)
                worker = self._new()
            self._idle.append(worker)
            found.append((job, outcome))
        return found

    def stop(self) -> None:
        """End all workers at once; runs under way keep their last whole epoch."""
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            for process in list((worker.executor._processes or {}).values()):
                process.terminate()
            worker.executor.shutdown(wait=False, cancel_futures=True)
