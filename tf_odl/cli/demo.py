"""`tf-odl demo`: the whole path on embedded data, with the commands it consists of."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

FURTHER_SHIFT = "rotate:50"


@click.command(short_help="The whole path on embedded data: finetune, export, simulate.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True
)
@click.option("--target", default="nano33", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print summary.json at the end only.")
@click.pass_context
def demo(context: click.Context, out: Path, target: str, as_json: bool) -> None:
    """Adapt a small CNN to rotated digits, export it, let it go on learning inside TFLM.

    Leaves OUT/summary.json and OUT/demo.png.
    """
    from tf_odl.cli.export import export
    from tf_odl.cli.finetune import finetune
    from tf_odl.cli.output import emit_json, print_table
    from tf_odl.cli.simulate import simulate
    from tf_odl.files import write_file, write_json

    run_dir, export_dir = out / "finetuned", out / f"export-{target}"

    def step(command: click.Command, line: str, **options: Any) -> None:
        click.echo(f"\n$ tf-odl {command.name} {line}\n", err=True)
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            context.invoke(command, as_json=False, **options)

    again = (run_dir / "run.json").exists()
    step(finetune, f"--out {run_dir}{' --resume' * again}", out=run_dir, resume=again)
    step(
        export,
        f"{run_dir} --target {target} --out {export_dir} --overwrite",
        source=run_dir,
        target=target,
        out=export_dir,
        overwrite=True,
    )
    learned = out / "learned"
    step(
        simulate,
        f"{export_dir} --shift {FURTHER_SHIFT} --save {learned} --overwrite",
        export_dir=export_dir,
        shift=FURTHER_SHIFT,
        save=learned,
        overwrite=True,
    )
    record, exported, plan, board = (
        json.loads(path.read_text())
        for path in (
            run_dir / "run.json",
            export_dir / "export.json",
            export_dir / "plan.json",
            export_dir / "simulation" / "simulation.json",
        )
    )
    summary = {
        "accuracy_before": record["result"]["accuracy_before"],
        "accuracy_finetuned": record["result"]["accuracy"],
        "accuracy_int8": exported["accuracy"]["int8"],
        "accuracy_on_device_before": board["accuracy_before"],
        "accuracy_on_device_after": board["accuracy_after"],
        "effort": record["result"]["effort"],
        "skipped": record["result"]["skipped"],
        "effort_on_device": board["effort"],
        "skipped_on_device": board["skipped"],
        "arena_bytes": plan["training"]["arena_bytes"],
        "flash_bytes": plan["flash"]["total_bytes"],
        "shift": record["data"]["shift"],
        "shift_on_device": board["shift"],
    }
    write_json(out / "summary.json", summary)
    write_file(out / "demo.png", lambda p: _plot(summary, record, p))
    if as_json:
        emit_json(summary)
        return
    print_table(
        ["", ""],
        [
            [k, f"{v:.2%}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v]
            for k, v in summary.items()
        ],
        title="the whole path",
    )
    click.echo(f"\n{out / 'summary.json'}\n{out / 'demo.png'}")


def _plot(summary: dict[str, Any], record: dict[str, Any], path: Path) -> None:
    """Accuracy along the path, and what the fine-tuning epochs cost."""
    from matplotlib.figure import Figure

    from tf_odl.trainer.plot import ACCURACY, EFFORT, SKIPPED

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    stages = [
        (f"digits\n{summary['shift']}", "accuracy_before", SKIPPED),
        ("fine-tuned\n(Keras)", "accuracy_finetuned", ACCURACY),
        ("exported\n(int8)", "accuracy_int8", ACCURACY),
        (f"on the device\n{summary['shift_on_device']}", "accuracy_on_device_before", SKIPPED),
        ("after learning\nthere (TFLM)", "accuracy_on_device_after", ACCURACY),
    ]
    values = [100 * summary[key] for _, key, _ in stages]
    bars = left.bar([s[0] for s in stages], values, color=[s[2] for s in stages], width=0.65)
    left.bar_label(bars, fmt="%.1f", fontsize=9)
    left.set(ylim=(0, 108), ylabel="test accuracy (%)")
    left.tick_params(axis="x", labelsize=8)
    rows = record["epochs"]
    epochs = [r["epoch"] for r in rows]
    right.plot(epochs, [100 * r["effort"] for r in rows], color=EFFORT, marker=".", label="effort")
    right.plot(
        epochs, [100 * r["skipped"] for r in rows], color=SKIPPED, marker=".", label="skipped"
    )
    right.set(ylim=(0, 103), xlabel="epoch of fine-tuning", ylabel="%")
    right.set_title("backward MACs (% of full), samples skipped", fontsize=9)
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.25, axis="y")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
