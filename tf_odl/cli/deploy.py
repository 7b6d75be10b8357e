"""`tf-odl deploy`: an export onto a board."""

from __future__ import annotations

from pathlib import Path

import click

from tf_odl.cli.board_options import port_option
from tf_odl.cli.compile import pinned_option, show
from tf_odl.cli.output import emit_json, waiting


@click.command(short_help="Put an export onto a board and check that it runs.")
@click.argument("export_dir", type=click.Path(path_type=Path))
@port_option
@pinned_option
@click.option("--stop", is_flag=True, help="Only end the QEMU of this export.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def deploy(export_dir: Path, port: str | None, pinned: bool, stop: bool, as_json: bool) -> None:
    """Compile, upload, wait for the board, and verify that it runs this model.

    An export for qemu is started in QEMU, where it runs on until --stop or the next deploy; what it
    saves is in EXPORT_DIR/flash.img. `teach` and `pull` with EXPORT_DIR then find the port.
    """
    from tf_odl import deployment

    if stop:
        stopped = deployment.stop(export_dir)
        if as_json:
            emit_json({"stopped": stopped})
        else:
            click.echo("stopped" if stopped else "no QEMU of this export is running")
        return
    plan = deployment.read_plan(export_dir)
    with waiting("compiling", quiet=as_json) as tell:
        done = deployment.deploy(export_dir, port, pinned=pinned, tell=tell)
    if as_json:
        emit_json(done.to_dict())
        return
    show(done.build, plan)
    hello = done.hello
    state = "with what it had learned" if hello.loaded else "as exported"
    click.echo(f"{hello.board} at {done.port} runs this model, {state} ({hello.firmware})")
    click.echo(f"\nnext: tf-odl teach {export_dir}")
    if done.pid is not None:
        click.echo(f"QEMU keeps running; tf-odl deploy {export_dir} --stop ends it")
