"""`tf-odl compile`: the sketch of an export to a program."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.output import emit_json, print_table, waiting

if TYPE_CHECKING:
    from tf_odl.board.arduino import Build

pinned_option = click.option(
    "--pinned", is_flag=True, help="Let arduino-cli fetch the versions of sketch.yaml."
)


@click.command(name="compile", short_help="Compile the sketch of an export with Arduino's tools.")
@click.argument("export_dir", type=click.Path(path_type=Path))
@pinned_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def compile_(export_dir: Path, pinned: bool, as_json: bool) -> None:
    """Compile into EXPORT_DIR/build, and show flash and RAM beside the plan.

    Uses arduino-cli (of the PATH, or what TF_ODL_ARDUINO_CLI names) with the installed core and
    libraries; says what to install if they are missing. For target qemu arduino-builder will do.
    """
    from tf_odl import deployment

    plan = deployment.read_plan(export_dir)
    with waiting("compiling", quiet=as_json):
        build = deployment.compile_export(export_dir, pinned=pinned)
    if as_json:
        emit_json(figures(build, plan))
    else:
        show(build, plan)


def figures(build: Build, plan: dict[str, Any]) -> dict[str, Any]:
    """The build beside the plan."""
    return asdict(build) | {
        "folder": str(build.folder),
        "planned_flash_bytes": plan["flash"]["total_bytes"],
        "arena_bytes": plan["training"]["arena_bytes"],
    }


def show(build: Build, plan: dict[str, Any]) -> None:
    """Print flash and RAM beside the plan."""
    arena = plan["training"]["arena_bytes"]
    from_heap = plan["target"]["name"] == "esp32"
    print_table(
        ["", "bytes", "planned", "available"],
        [
            [
                "flash",
                f"{build.flash_bytes:,}",
                f"{plan['flash']['total_bytes']:,}",
                f"{build.flash_limit:,}",
            ],
            ["RAM, static", f"{build.ram_bytes:,}", "", f"{build.ram_limit:,}"],
            [
                "  arena" + (", from the heap" if from_heap else " in it"),
                f"{arena:,}",
                f"{arena:,}",
                f"{plan['target']['arena_bytes']:,}",
            ],
        ],
        title=f"compiled by {build.compiler}",
    )
    click.echo(build.folder)
