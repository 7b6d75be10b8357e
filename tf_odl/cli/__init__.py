"""The command line. Commands import TensorFlow when they run, not before."""

from __future__ import annotations

import os
from typing import Any

import click

from tf_odl import __version__
from tf_odl.cli.benchmark import benchmark
from tf_odl.cli.compare import compare
from tf_odl.cli.compile import compile_
from tf_odl.cli.demo import demo
from tf_odl.cli.deploy import deploy
from tf_odl.cli.export import export
from tf_odl.cli.finetune import finetune
from tf_odl.cli.info import datasets, doctor, methods, targets
from tf_odl.cli.monitor import monitor
from tf_odl.cli.plan import plan
from tf_odl.cli.pull import pull
from tf_odl.cli.push import push
from tf_odl.cli.simulate import simulate
from tf_odl.cli.teach import teach
from tf_odl.cli.verify import verify
from tf_odl.errors import UserError

USER_ERROR, INTERRUPTED = 2, 130


class _Commands(click.Group):
    """Lists commands in the order of the work, and turns what goes wrong into one line."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            message, code = f"error: {error}", USER_ERROR
        except click.UsageError as error:
            hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            message, code = f"error: {error.format_message()}{hint}", USER_ERROR
        except (KeyboardInterrupt, click.Abort) as error:
            message, code = str(error) or "interrupted", INTERRUPTED
        click.echo(" ".join(message.split("\n")), err=True)
        context.exit(code)


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="tf-odl")
def main() -> None:
    """On-device learning for microcontrollers: from a Keras model to a board that keeps learning.

    \b
    tf-odl finetune --out runs/first              adapt a model, with no options a demonstration
    tf-odl export runs/first --target nano33      int8 models and a plan for a board
    tf-odl simulate runs/first/export-nano33      let it learn inside TensorFlow Lite Micro
    tf-odl deploy runs/first/export-nano33        compile and upload its Arduino sketch
    tf-odl teach runs/first/export-nano33         let the board learn over its serial port
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


for _command in (
    finetune,
    plan,
    export,
    simulate,
    verify,
    compile_,
    deploy,
    teach,
    pull,
    push,
    monitor,
    demo,
    benchmark,
    compare,
    methods,
    datasets,
    targets,
    doctor,
):
    main.add_command(_command)
