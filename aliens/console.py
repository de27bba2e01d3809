"""What the commands print: tables for people, tab-separated lines for pipes, JSON lines for machines.

Imports rich only where it draws, so that `aliens --help` stays quick. Knows nothing of photos.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self


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


class ProgressBars:
    """Progress on stderr, one bar for each label, with rate and time left.

    Shown on a terminal; elsewhere nothing is printed, so that logs stay short.
    """

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, label: str, done: int, total: int | None = None, extra: str = "", unit: str = "photos") -> None:
        """Show how many photos are done, of how many where that is known."""
        if not sys.stderr.isatty():
            return
        if label not in self._tasks:
            self._tasks[label] = self._bars().add_task(label, total=None, rate="", extra="")
        task = self._tasks[label]
        speed = self._progress.tasks[list(self._tasks).index(label)].speed
        rate = f"{speed:.1f} {unit}/s" if speed else ""
        self._progress.update(task, completed=done, total=total, rate=rate, extra=extra)

    def _bars(self) -> Any:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[extra]}"),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # or what is printed meanwhile would miss its pipe or file
            )
            self._progress.start()
        return self._progress


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 photo, 2 photos."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"
