"""Workers on this machine: processes that import TensorFlow once and make many runs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
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
        self._busy: dict[Future[Outcome], tuple[ProcessPoolExecutor, Job]] = {}

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=_begin, initargs=(str(self._log),))

    @property
    def free(self) -> bool:
        """Whether another job may be submitted now."""
        return bool(self._idle)

    def submit(self, job: Job) -> None:
        worker = self._idle.pop()
        self._busy[worker.submit(work.make, job)] = worker, job

    def finished(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """Jobs that have ended; waits up to `timeout` seconds for the first."""
        done, _ = wait(self._busy, timeout, FIRST_COMPLETED)
        found = []
        for future in done:
            worker, job = self._busy.pop(future)
            try:
                outcome = future.result()
            except BrokenProcessPool:
                worker.shutdown(wait=False)
                worker = self._new()
                outcome = Outcome(FAILED, f"the worker process died; see {self._log}")
            self._idle.append(worker)
            found.append((job, outcome))
        return found

    def stop(self) -> None:
        """End all workers at once; runs under way keep their last whole epoch."""
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            for process in list((worker._processes or {}).values()):
                process.terminate()
            worker.shutdown(wait=False, cancel_futures=True)
