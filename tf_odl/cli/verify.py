"""`tf-odl verify`: an export in every runtime, bit against bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tf_odl.cli.export_data import data_of_export
from tf_odl.cli.output import emit_json, print_table, progress_bar, show_notes
from tf_odl.cli.tensorflow import load_tensorflow
from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.verification import Verification

DIFFERS = 1


@click.command(short_help="Run an export in every runtime there is, bit against bit.")
@click.argument("export_dir", type=click.Path(path_type=Path))
@click.option("--data", help="The data to run it on [the export's, else random samples].")
@click.option("--data-dir", help="The folder that holds the archives of a built-in data set.")
@click.option("--shift", help="The shift of the data, as in finetune [the export's].")
@click.option("--samples", type=int, default=200, show_default=True, help="Of the test samples.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.pass_context
def verify(
    context: click.Context,
    export_dir: Path,
    data: str | None,
    data_dir: str | None,
    shift: str | None,
    samples: int,
    as_json: bool,
) -> None:
    """Compare the outputs of model.tflite in tflite-runtime, ai-edge-litert and TensorFlow Lite
    Micro, and the arena used with the arena planned.

    Exits with 1 where bits differ that must not, or the arena was planned wrongly.
    """
    if samples < 1:
        raise UserError(f"--samples must be at least 1, got {samples}")
    load_tensorflow()
    import numpy as np

    from tf_odl import simulation, verification
    from tf_odl.converters import reference

    record = simulation.read_export(export_dir)
    provenance = record["provenance"]
    source = data or provenance.get("data")
    if source is None:
        shape = (samples, *record["input"]["shape"][1:])
        codes = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    else:
        dataset = data_of_export(record, data, data_dir, shift)
        show_notes(dataset.notes, quiet=as_json)
        model = simulation.read_model(export_dir, "model.tflite")
        codes = reference.quantize_input(model, dataset.x_test[:samples])
        codes = codes.reshape(len(codes), *record["input"]["shape"][1:])
    with progress_bar(quiet=as_json) as progress:
        result = verification.verify(export_dir, codes, progress)
    if as_json:
        emit_json(verification.to_dict(result))
    else:
        _print(result, source or "random codes")
    if not result.holds:
        context.exit(DIFFERS)


def _print(result: Verification, source: str) -> None:
    rows = []
    for parity in result.parities:
        if parity.differing is None:
            rows.append([parity.runtime, "", "", "", parity.skipped or ""])
            continue
        verdict = "same bits" if not parity.largest else "close" if parity.holds else "DIFFERS"
        same = "" if parity.same_class is None else f"{parity.same_class:.1%}"
        rows.append([parity.runtime, f"{parity.differing:.2%}", f"{parity.largest}", same, verdict])
    headers = ["against the reference kernels", "values differ", "most, LSB", "same class", ""]
    print_table(headers, rows, title=f"{result.samples} samples of {source}")
    rows = [
        [a.model, f"{a.planned:,}", f"{a.used:,}", "holds" if a.holds else "WRONG"]
        for a in result.arenas
    ]
    if rows:
        print_table(["arena on this machine", "planned", "used", ""], rows)
