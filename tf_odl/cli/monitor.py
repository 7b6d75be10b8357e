"""`tf-odl monitor`: what a board prints and what it learns by itself."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.board_options import baud_option, port_option

if TYPE_CHECKING:
    from tf_odl.board.messages import Step


@click.command(short_help="Show what a board prints and learns by itself.")
@port_option
@baud_option
@click.option("--seconds", type=float, help="Stop after so long [at Ctrl-C].")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
def monitor(port: str | None, baud: int, seconds: float | None, as_json: bool) -> None:
    """Print text of the sketch as it comes, and a line for every step it takes by itself."""
    from tf_odl.board.client import Board
    from tf_odl.board.connection import Connection, NoAnswer
    from tf_odl.board.serial_port import SerialLine, only_port

    with SerialLine(port or only_port(), baud) as line:
        connection = Connection(
            line,
            patience=1.0,
            on_text=lambda text: _show_text(text, as_json),
            on_event=lambda step: _show_step(step, as_json),
        )
        end = None if seconds is None else time.monotonic() + seconds
        with contextlib.suppress(KeyboardInterrupt):
            # A board tells of its steps once somebody has said hello; other sketches only print.
            with contextlib.suppress(NoAnswer):
                Board(connection)
            while end is None or time.monotonic() < end:
                connection.listen(0.2)


def _show_text(text: str, as_json: bool) -> None:
    if as_json:
        _emit({"text": text})
    else:
        click.echo(text, nl=False)


def _show_step(step: Step, as_json: bool) -> None:
    if as_json:
        _emit({"step": asdict(step)})
        return
    what = "trained" if step.trained else "not trained"
    if step.loss >= 0:
        what = f"loss {step.loss:.4f}, {what}"
    if step.prediction >= 0:
        what = f"class {step.prediction} ({step.probability:.0%}), {what}"
    click.echo(f"[{what}, {step.microseconds:,} us]")


def _emit(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value))
