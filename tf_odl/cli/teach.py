"""`tf-odl teach`: a board learns from labelled samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tf_odl.cli.board_options import baud_option, board_at, check_model, port_option
from tf_odl.cli.export_data import check_stream, data_of_export, stream_options
from tf_odl.cli.output import emit_json, show_notes
from tf_odl.cli.teaching import INTERRUPTED, run, show, write
from tf_odl.errors import UserError


@click.command(short_help="Let a board learn from labelled samples.")
@click.argument("export_dir", required=False, type=click.Path(path_type=Path))
@port_option
@baud_option
@stream_options
@click.option("--lr", type=float, help="Learning rate per sample [the board's].")
@click.option(
    "--test",
    "test_share",
    type=float,
    help="Share of the test samples to predict before and after [what makes 200].",
)
@click.option("--no-save", is_flag=True, help="Do not save on the board at the end.")
@click.option("--out", type=click.Path(path_type=Path), help="[EXPORT_DIR/teach, else ./teach]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.pass_context
def teach(
    context: click.Context,
    export_dir: Path | None,
    port: str | None,
    baud: int,
    data: str | None,
    data_dir: str | None,
    shift: str | None,
    samples: int | None,
    passes: int,
    lr: float | None,
    test_share: float | None,
    no_save: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Send labelled samples to the board at PORT; it predicts, decides, and learns from them.

    With EXPORT_DIR the data default to the export's, and the board has to run that model. Ctrl-C
    ends the lesson and keeps what was learned. Writes teach.json and teach.png.
    """
    check_stream(samples, passes, lr)
    if test_share is not None and not 0 <= test_share <= 1:
        raise UserError(f"--test is a share from 0 to 1, got {test_share}")
    if export_dir is None and data is None:
        raise UserError("name the data to learn from with --data, or the export with EXPORT_DIR")
    record: dict[str, Any] = {"provenance": {}}
    if export_dir is not None:
        from tf_odl.simulation import read_export

        record = read_export(export_dir)
    dataset = data_of_export(record, data, data_dir, shift)
    show_notes(dataset.notes, quiet=as_json)
    out = out or (Path("teach") if export_dir is None else export_dir / "teach")
    with board_at(port, baud, export_dir=export_dir) as board:
        if export_dir is not None:
            check_model(board, record, export_dir)
        result = run(
            board,
            dataset,
            export_dir=export_dir,
            quiet=as_json,
            samples=samples,
            passes=passes,
            test_share=test_share,
            lr=lr,
            save=not no_save,
        )
        name = board.hello.board
    figures = write(result, dataset, name, out)
    if as_json:
        emit_json(figures)
    else:
        show(result, dataset, name, out)
    if result.interrupted:
        context.exit(INTERRUPTED)
