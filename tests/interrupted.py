"""Runs of the command line that are ended from outside."""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def end_after_an_epoch(
    arguments: Sequence[str | Path], run_dir: Path, sent: signal.Signals, timeout: float
) -> tuple[int, str]:
    """Start a run, send it a signal when it has kept an epoch; its exit code and standard error."""
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background ignores Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + timeout
    while not list(run_dir.glob("checkpoints/epoch-*.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors
