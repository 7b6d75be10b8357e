"""`tf-odl methods`, `datasets`, `targets` and `doctor`: what can be chosen, what is there."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from tf_odl.cli.output import emit_json, print_table
from tf_odl.errors import UserError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(short_help="The methods and the parts they can be combined from.")
@json_option
def methods(as_json: bool) -> None:
    """List methods, selectors, sparsifiers and skip rules with their settings."""
    from tf_odl.methods.registry import METHODS, SELECTORS, SKIP_RULES, SPARSIFIERS

    parts: dict[str, dict[str, Any]] = {
        kind: {
            name: {
                "summary": part.summary,
                "settings": {f.name: f.default for f in fields(part.build)},
            }
            for name, part in table.items()
        }
        for kind, table in (
            ("selector", SELECTORS),
            ("sparsifier", SPARSIFIERS),
            ("skip", SKIP_RULES),
        )
    }
    if as_json:
        emit_json({"methods": {n: asdict(p) for n, p in METHODS.items()}, **parts})
        return
    print_table(
        ["method", "selector", "sparsifier", "skip", ""],
        [[m.name, m.selector, m.sparsifier, m.skip, m.summary] for m in METHODS.values()],
        title="--method",
    )
    for kind, table in parts.items():
        print_table(
            [kind, "settings (--set)", ""],
            [
                [
                    name,
                    ", ".join(f"{k}={v}" for k, v in part["settings"].items()),
                    part["summary"],
                ]
                for name, part in table.items()
            ],
            title=f"--{kind}",
        )


@click.command(short_help="The built-in data sets.")
@click.argument("name", required=False)
@json_option
def datasets(name: str | None, as_json: bool) -> None:
    """List the data sets `--data` knows by name; it also takes .npz files and folders.

    With NAME, say which files have to be in --data-dir and where they come from.
    """
    from tf_odl.data import DATASETS
    from tf_odl.data.tfds import SETS

    if name is not None and name not in DATASETS:
        raise UserError(f"no data set {name!r}: there are {', '.join(DATASETS)}")
    about = {
        key: {
            "summary": entry.summary,
            "shape": entry.shape,
            "classes": entry.classes,
            "samples": entry.samples,
            "persons": entry.persons,
            "files": entry.files,
            "source": entry.source,
            "tensorflow_datasets": key in SETS,
        }
        for key, entry in DATASETS.items()
        if name in (None, key)
    }
    if as_json:
        emit_json(about)
        return
    if name is not None:
        for what in ("files", "source"):
            click.echo(f"{what}: {about[name][what]}")
        if name in SETS:
            click.echo("or: pip install 'tf-odl[datasets]', and tensorflow-datasets fetches it")
        return
    rows = [
        [
            key,
            entry.summary,
            entry.shape,
            entry.classes,
            entry.samples,
            entry.persons or "",
        ]
        for key, entry in DATASETS.items()
    ]
    print_table(["--data", "", "sample", "classes", "train + test", "persons"], rows)
    click.echo("or FILE.npz with x_train, y_train, x_test, y_test, or with x and y")
    click.echo("or FOLDER with a sub-folder of images or .npy files per class")
    click.echo("files and sources: tf-odl datasets NAME")


@click.command(short_help="The boards an export can be made for.")
@json_option
def targets(as_json: bool) -> None:
    """List the boards with the memory that is assumed to be free."""
    from tf_odl.converters.targets import TARGETS

    if as_json:
        emit_json({name: asdict(target) for name, target in TARGETS.items()})
        return
    print_table(
        ["--target", "board", "arena", "flash"],
        [
            [t.name, t.board, f"{t.arena_bytes:,} B", f"{t.flash_bytes:,} B"]
            for t in TARGETS.values()
        ],
    )
    for target in TARGETS.values():
        click.echo(f"{target.name} assumes that")
        for assumption in target.assumptions:
            click.echo(f"  - {assumption}")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _package(name: str, purpose: str) -> dict[str, Any]:
    found = _installed(name)
    return {
        "what": name,
        "found": found,
        "purpose": purpose,
        "remedy": None if found else f"pip install {name}",
    }


def _program(names: tuple[str, ...], purpose: str, remedy: str) -> dict[str, Any]:
    found = next((path for path in map(shutil.which, names) if path), None)
    return {
        "what": " or ".join(names),
        "found": found,
        "purpose": purpose,
        "remedy": None if found else remedy,
    }


def _board_checks() -> list[dict[str, Any]]:
    """What only boards need: nobody has to have it."""
    from tf_odl.board.arduino import INSTALLATION, PROGRAM_VARIABLE

    named = os.environ.get(PROGRAM_VARIABLE, "arduino-cli")
    tools = (
        _package("pyserial", "teach, pull, push, monitor, deploy"),
        _program((named,), "compile, deploy", INSTALLATION),
        _program(
            ("arduino-builder",),
            "compile for qemu where arduino-cli is missing",
            "apt install arduino-builder",
        ),
        _program(
            ("arm-none-eabi-g++",),
            "compile for qemu",
            "apt install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
        ),
        _program(
            ("qemu-system-arm",),
            "deploy for qemu, simulate --board qemu",
            "apt install qemu-system-arm",
        ),
    )
    return [tool | {"optional": True} for tool in tools]


def _checks() -> list[dict[str, Any]]:
    from tf_odl.tflm_port import interpreter

    oracle = "tflite-runtime" if _installed("tflite-runtime") else "ai-edge-litert"
    missing = interpreter.available()
    simulation = {
        "what": "training in TFLM",
        "found": None if missing else f"tflite-micro {interpreter.WHEEL_VERSION}, ops compiled",
        "purpose": "simulate",
        "remedy": missing,
    }
    return [
        *(_package(n, "finetune, export") for n in ("tensorflow", "keras", "numpy")),
        _package(oracle, "export: accuracy of the int8 model"),
        simulation,
        _program(("c++", "g++", "clang++"), "compiling the training ops", "apt install g++"),
        *_board_checks(),
    ]


@click.command(short_help="What this machine has and lacks.")
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check what every command needs; exit code 1 if something is missing.

    What only boards need may be missing.
    """
    checks = _checks()
    complete = all(check["found"] or check.get("optional") for check in checks)
    if as_json:
        machine = {"system": platform.system(), "machine": platform.machine()}
        emit_json({"python": platform.python_version(), **machine, "checks": checks})
    else:
        print_table(
            ["", "", "needed for"],
            [[c["what"], c["found"] or f"missing: {c['remedy']}", c["purpose"]] for c in checks],
            title=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        )
    if not complete:
        context.exit(1)
