"""What the commands print: tables for people, tab-separated lines for pipes, JSON lines for machines.

Imports rich only where it draws, so that `aliens --help` stays quick. Knows nothing of photos.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def print_json(record: Mapping[str, Any]) -> None:
    """Print one object on one line of stdout."""
    sys.stdout.write(json.dumps(without_nan(record), ensure_ascii=False, default=str) + "\n")


def without_nan(value: Any) -> Any:
    """Return a value with null where a number is not one, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value


def on_terminal() -> bool:
    """Tell whether stdout is a terminal."""
    return sys.stdout.isatty()


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on a terminal, without columns that are empty; tab-separated lines without a head in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(one_line(value) for value in row) + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    filled = [column for column in range(len(columns)) if any(row[column] is not None for row in rows)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in filled:
        table.add_column(columns[column], overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(row[column])) for column in filled))
    Console().print(table)


def one_line(value: object) -> str:
    """Return a value as text without tabs and line breaks; empty for None."""
    return "" if value is None else str(value).translate({9: " ", 10: " ", 13: " "})


def note(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 photo, 2 photos."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"
