"""`tf-odl simulate`: let an export learn inside TensorFlow Lite Micro on this machine."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tf_odl.cli.export_data import check_stream, data_of_export, stream_options
from tf_odl.cli.output import emit_json, print_table, progress_bar, show_notes
from tf_odl.cli.tensorflow import load_tensorflow
from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.data import Dataset


@click.command(short_help="Let an export learn inside TensorFlow Lite Micro on this machine.")
@click.argument("export_dir", type=click.Path(path_type=Path))
@stream_options
@click.option("--lr", type=float, help="Learning rate per sample [the export's].")
@click.option(
    "--board",
    type=click.Choice(["qemu"]),
    help="Not in this process: the sketch, compiled by Arduino's tools, on QEMU's Cortex-M4.",
)
@click.option("--save", type=click.Path(path_type=Path), help="Folder for learned.keras, .tflite.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier simulation saved.")
@click.option("--out", type=click.Path(path_type=Path), help="[EXPORT_DIR/simulation]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def simulate(
    export_dir: Path,
    data: str | None,
    data_dir: str | None,
    shift: str | None,
    samples: int | None,
    passes: int,
    lr: float | None,
    board: str | None,
    save: Path | None,
    overwrite: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Feed labelled samples one by one to the exported training graph, as a board would see them.

    Writes simulation.json and simulation.png; with --board qemu teach.json and teach.png.
    """
    check_stream(samples, passes, lr)
    load_tensorflow()
    from tf_odl import simulation
    from tf_odl.figures import tested
    from tf_odl.files import make_folder, write_file, write_json
    from tf_odl.stream_plot import plot_stream

    record = simulation.read_export(export_dir)
    dataset = data_of_export(record, data, data_dir, shift)
    show_notes(dataset.notes, quiet=as_json)
    if board == "qemu":
        _in_qemu(
            export_dir,
            dataset,
            as_json=as_json,
            samples=samples,
            passes=passes,
            lr=lr,
            save=save,
            overwrite=overwrite,
            out=out or export_dir / "simulation-qemu",
        )
        return
    out = out or export_dir / "simulation"
    with progress_bar(quiet=as_json) as progress:
        result = simulation.simulate(
            export_dir,
            dataset,
            samples=samples,
            passes=passes,
            learning_rate=lr,
            save=save,
            overwrite=overwrite,
            progress=progress,
        )
    figures = result.to_dict() | {"data": dataset.name, "shift": dataset.shift}
    make_folder(out)
    write_json(out / "simulation.json", figures)
    title = f"learning inside TFLM: {dataset.name}, {dataset.shift or 'no shift'}"
    write_file(out / "simulation.png", lambda p: plot_stream(p, title, result))
    if as_json:
        emit_json(figures)
        return
    print_table(
        ["", "value"],
        [
            *tested(result.before, result.after),
            ["samples seen", f"{result.samples:,}"],
            ["skipped", f"{result.skipped:.2%}"],
            ["effort: backward MACs of full training", f"{result.effort:.2%}"],
            ["saturated weight updates", f"{result.saturated:,}"],
            ["abandoned steps (not finite)", f"{result.non_finite:,}"],
            *([] if result.clipped is None else [["clipped errors", f"{result.clipped:.2%}"]]),
            ["neurons chosen anew", f"{result.reselections:,} times"],
            ["arena used (64-bit PC)", f"{result.arena_used_bytes:,} B"],
            ["time per step (PC)", f"{1e6 * result.seconds_per_step:.0f} us"],
        ],
        title=title,
    )
    click.echo(f"\n{out / 'simulation.png'}\n{out / 'simulation.json'}")
    if save:
        for name in ("learned.keras", "learned.tflite"):
            if (save / name).is_file():
                click.echo(save / name)


def _in_qemu(
    export_dir: Path,
    data: Dataset,
    *,
    as_json: bool,
    samples: int | None,
    passes: int,
    lr: float | None,
    save: Path | None,
    overwrite: bool,
    out: Path,
) -> None:
    """`compile`, `deploy`, `teach` and `pull` in one, with a flash that is gone afterwards."""
    from tf_odl import deployment, learned, simulation
    from tf_odl.cli import teaching
    from tf_odl.cli.board_options import layout_of
    from tf_odl.cli.output import waiting
    from tf_odl.files import new_folder

    if save is not None and save.exists() and not overwrite:
        raise UserError(f"{save} exists: choose another folder for --save, or use --overwrite")
    place = nullcontext() if save is None else new_folder(save, replaces=learned.IMAGE)
    with place as folder, ExitStack() as stack:
        with waiting("writing the sketch", quiet=as_json) as tell:
            board = stack.enter_context(deployment.in_qemu(export_dir, tell))
        result = teaching.run(
            board,
            data,
            export_dir=export_dir,
            quiet=as_json,
            samples=samples,
            passes=passes,
            test_share=None,
            lr=lr,
            save=False,
        )
        if folder is not None:
            layout = layout_of(simulation.read_export(export_dir), export_dir)
            learned.write_state(folder, board.read_image(), board.hello, export_dir, layout)
    figures = teaching.write(result, data, "qemu", out)
    if as_json:
        emit_json(figures)
    else:
        teaching.show(result, data, "qemu", out)
    if result.interrupted:
        click.get_current_context().exit(teaching.INTERRUPTED)
