"""`tf-odl pull`: what a board has learned, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tf_odl.cli.board_options import baud_option, board_at, check_model, layout_of, port_option
from tf_odl.cli.output import emit_json, print_table


@click.command(short_help="Fetch learned weights from a board into .keras and .tflite.")
@click.argument("export_dir", required=False, type=click.Path(path_type=Path))
@port_option
@baud_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("learned"), show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what an earlier pull left there.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def pull(
    export_dir: Path | None,
    port: str | None,
    baud: int,
    out: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write what the board at PORT has learned to the folder OUT.

    state.image is everything the board saves; push takes it. weights.npz has the learned arrays.
    With EXPORT_DIR also learned.tflite and learned.keras, as `simulate --save` writes them.
    """
    from tf_odl import learned
    from tf_odl.cli.tensorflow import load_tensorflow
    from tf_odl.errors import UserError
    from tf_odl.files import new_folder

    if out.exists() and not overwrite:
        raise UserError(f"{out} exists: choose another folder with --out, or use --overwrite")
    record: dict[str, Any] | None = None
    if export_dir is not None:
        from tf_odl.simulation import read_export

        record = read_export(export_dir)
        load_tensorflow()
    with new_folder(out, replaces=learned.IMAGE) as folder:
        with board_at(port, baud, export_dir=export_dir) as board:
            if export_dir is not None and record is not None:
                check_model(board, record, export_dir)
            data, hello, stats = board.read_image(), board.hello, board.stats()
        layout = None if record is None or export_dir is None else layout_of(record, export_dir)
        arrays = learned.write_state(folder, data, hello, export_dir, layout)
    figures = {
        "folder": str(out),
        "board": hello.board,
        "model_id": hello.model_id,
        "samples": stats.samples,
        "trained": stats.trained,
        "weights": {name: list(array.shape) for name, array in arrays.items()},
        "image_bytes": len(data),
    }
    if as_json:
        emit_json(figures)
        return
    print_table(
        ["", "value"],
        [
            ["samples learned from so far", f"{stats.samples:,}"],
            ["  back-propagated", f"{stats.trained:,}"],
            ["weights", f"{sum(a.size for a in arrays.values()):,}"],
            ["state image", f"{len(data):,} B"],
        ],
        title=f"from {hello.board}, {hello.firmware}",
    )
    for path in sorted(out.iterdir()):
        click.echo(path)
