"""What commands print: a table for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click


def emit_json(value: Any) -> None:
    """Print `value` to standard output, and nothing else should."""
    click.echo(json.dumps(value, indent=2))


def show_notes(notes: Sequence[str], quiet: bool) -> None:
    """What a user should know of how data were read, on standard error."""
    for note in () if quiet else notes:
        click.echo(note, err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows of texts; columns after the first are right-aligned if they hold numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for i, header in enumerate(headers):
        numeric = i > 0 and all(not row[i] or row[i][0] in "-0123456789" for row in rows)
        # In a narrow terminal the names in the first column are broken, words elsewhere are not.
        words = [word for row in rows for word in row[i].split()] if i > 0 else []
        table.add_column(
            header,
            justify="right" if numeric else "left",
            overflow="fold",
            min_width=min(12, max(map(len, words), default=0)),
        )
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=False).print(table)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A function to call with (what, done, total); draws on a terminal only, and then goes."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, quiet=quiet)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


@contextmanager
def waiting(what: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A sign of life beside what is being done; call the function with what comes next."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    with console.status(what) as status:
        yield status.update
