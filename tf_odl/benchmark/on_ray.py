"""Workers of an existing Ray cluster (extra `tf-odl[ray]`).

tf-odl has to be installed on its nodes, and the folders of the results and of the data have to be
visible on all of them under the same path.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

from tf_odl.benchmark import work
from tf_odl.benchmark.work import FAILED, Job, Outcome
from tf_odl.errors import UserError


def _make(job: Job) -> Outcome:
    """`work.make` on a node of the cluster."""
    cells = Path(job.folder).parent
    if not cells.is_dir():
        return Outcome(FAILED, f"{cells} is not visible on every node of the cluster")
    work.set_up()
    return work.make(job)


def _check_reachable(address: str) -> None:
    """Ray itself goes on trying for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # a word, such as auto
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster at {address!r}: {error}") from error


class RayWorkers:
    """A Ray cluster: it gets all jobs at once and decides where and when they run.

    Args:
        address: as `ray.init` takes it: HOST:PORT, ray://HOST:PORT or auto.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise UserError('--ray needs Ray: pip install "tf-odl[ray]"') from None
        _check_reachable(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())[:200]
            raise UserError(f"no Ray cluster at {address!r}: {text}") from error
        self._ray = ray
        self._make = ray.remote(num_cpus=1, max_retries=0, max_calls=work.RUNS_PER_PROCESS)(_make)
        self._busy: dict[Any, Job] = {}

    @property
    def count(self) -> int:
        """How many runs are made at the same time, as far as the cluster has grown."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def free(self) -> bool:
        """Whether another job may be submitted now."""
        return True

    def submit(self, job: Job) -> None:
        self._busy[self._make.remote(job)] = job

    def finished(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """Jobs that have ended; waits up to `timeout` seconds for the first."""
        done, _ = self._ray.wait(list(self._busy), timeout=timeout)
        found = []
        for reference in done:
            try:
                outcome = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                text = " ".join(str(error).split())[:300]
                outcome = Outcome(FAILED, f"the worker died: {text}", str(error))
            found.append((self._busy.pop(reference), outcome))
        return found

    def stop(self) -> None:
        """Leave the cluster; it ends our jobs."""
        self._ray.shutdown()
