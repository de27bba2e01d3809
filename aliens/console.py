"""What the commands print: tables for people, tab-separated lines for pipes, JSON lines for machines.

Imports rich only where it draws, so that `aliens --help` stays quick. Knows nothing of photos.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def print_json(record: Mapping[str, Any]) -> None:
    """Print one object on one line of stdout."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on a terminal, tab-separated lines without a head in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(one_line(value) for value in row) + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(value)) for value in row))
    Console().print(table)


def one_line(value: object) -> str:
    """Return a value as text without tabs and line breaks; empty for None."""
    return "" if value is None else str(value).translate({9: " ", 10: " ", 13: " "})


def note(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Show progress on stderr; yields update(done, total or None, extra text).

    A bar with rate and time left on a terminal; elsewhere nothing, so that logs stay short.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, extra: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[extra]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None, rate="", extra="")

        def update(done: int, total: int | None, extra: str) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:.1f} {unit}/s" if speed else ""
            progress.update(task, completed=done, total=total, rate=rate, extra=extra)

        yield update


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 photo, 2 photos."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"
