"""Options and helpers of the commands that talk to a board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.board.client import Board
    from tf_odl.board.messages import Step

port_option = click.option(
    "--port", help="Serial port of the board [where it was deployed to, else the only one on USB]."
)
baud_option = click.option(
    "--baud", type=int, default=115_200, show_default=True, help="Without meaning on USB."
)


@contextmanager
def board_at(
    port: str | None,
    baud: int,
    *,
    export_dir: Path | None = None,
    on_text: Callable[[str], None] | None = None,
    on_event: Callable[[Step], None] | None = None,
) -> Iterator[Board]:
    """Open the port and say hello.

    Without a port it is where `export_dir` was deployed to, else the only one on USB.

    Raises:
        UserError: no such port, or nobody there who speaks the protocol.
    """
    from tf_odl.board.client import Board
    from tf_odl.board.connection import Connection
    from tf_odl.board.serial_port import SerialLine, only_port

    if port is None and export_dir is not None:
        from tf_odl.deployment import deployed_port

        port = deployed_port(export_dir)
    with SerialLine(port or only_port(), baud) as line:
        yield Board(Connection(line, on_text=on_text, on_event=on_event))


def check_model(board: Board, export: dict[str, Any], export_dir: Path) -> None:
    """Raises UserError unless the board runs the model of this export."""
    wanted = layout_of(export, export_dir)["model_id"]
    if board.hello.model_id != wanted:
        raise UserError(
            f"the board runs another model (id {board.hello.model_id:08x}) than {export_dir} "
            f"({wanted:08x}): tf-odl deploy {export_dir}"
        )


def layout_of(export: dict[str, Any], export_dir: Path) -> dict[str, Any]:
    """What the state image of an export holds, see `converters.state_layout`."""
    if "state_image" not in export:
        raise UserError(f"{export_dir} was made by an older version: tf-odl export it again")
    layout: dict[str, Any] = export["state_image"]
    return layout
