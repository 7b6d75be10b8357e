"""`tf-odl push`: weights to a board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.board_options import baud_option, board_at, check_model, layout_of, port_option
from tf_odl.cli.output import emit_json
from tf_odl.errors import UserError
from tf_odl.files import read_bytes

if TYPE_CHECKING:
    import numpy as np

    from tf_odl.board.client import Board


@click.command(short_help="Send learned weights to a board.")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("export_dir", required=False, type=click.Path(path_type=Path))
@port_option
@baud_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def push(source: Path, export_dir: Path | None, port: str | None, baud: int, as_json: bool) -> None:
    """Replace the state of the board at PORT, in memory and in its storage.

    SOURCE is a folder that `pull` or `simulate --save` wrote, a state.image, or an .npz file with
    the arrays that weights.npz has. All but a state image need EXPORT_DIR (not for a
    LinearLearner's .npz); they replace the weights, and counters stay.
    """
    from tf_odl import learned
    from tf_odl.board import image

    record: dict[str, Any] | None = None
    if export_dir is not None:
        from tf_odl.simulation import read_export

        record = read_export(export_dir)
    path = _file(source)
    if path.name == learned.LEARNED_INT8 and export_dir is None:
        raise UserError(f"{path} alone does not say which weights train: name EXPORT_DIR, too")
    data = read_bytes(path)
    if path.suffix == ".image":
        image.parse(data)
    with board_at(port, baud, export_dir=export_dir) as board:
        if export_dir is not None and record is not None:
            check_model(board, record, export_dir)
        if path.suffix == ".image":
            new = data
            if image.parse(new).model_id != board.hello.model_id:
                raise UserError(f"{path} is of another model than the board's")
        else:
            hello = board.hello
            layout = learned.linear_layout(hello.input_bytes, hello.classes)
            if export_dir is not None and record is not None:
                layout = layout_of(record, export_dir)
            new = _replaced(board, layout, _arrays(path, data, layout))
        board.write_image(new)
        stats = board.stats()
    if as_json:
        emit_json({"bytes": len(new), "saved_sequence": stats.saved_sequence})
    else:
        click.echo(
            f"{path}: {len(new):,} B are the board's state now, saved as number "
            f"{stats.saved_sequence}"
        )


def _file(source: Path) -> Path:
    """The file to send; of a folder the image, if there is one."""
    from tf_odl import learned

    if not source.is_dir():
        if source.suffix not in (".image", ".npz") and source.name != learned.LEARNED_INT8:
            raise UserError(f"{source} is no folder with learned weights, no .image and no .npz")
        return source
    for name in (learned.IMAGE, learned.LEARNED_INT8):
        if (source / name).is_file():
            return source / name
    raise UserError(f"{source} has neither {learned.IMAGE} nor {learned.LEARNED_INT8}")


def _arrays(path: Path, data: bytes, layout: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    from tf_odl import learned

    if path.suffix == ".npz":
        return learned.load_arrays(path)
    from tf_odl.cli.tensorflow import load_tensorflow

    load_tensorflow()
    return learned.arrays_of_model(data, layout)


def _replaced(board: Board, layout: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The board's state image with other weights."""
    from tf_odl import learned
    from tf_odl.board import image

    now = image.parse(board.read_image())
    if len(now.body) != learned.body_bytes(layout):
        raise UserError("the board's model is no LinearLearner: name EXPORT_DIR, too")
    body = learned.with_arrays(now.body, layout, arrays)
    return image.build(image.Image(now.model_id, now.sequence, body))
