"""What the commands print: tables for people, tab-separated lines for pipes, JSON lines for machines.

Everything that is printed goes through here: names, tags and captions come from anywhere, and what a terminal would
obey in them is shown as an escape. Imports rich only where it draws, so that `aliens --help` stays quick. Knows nothing
of photos.
"""

import io
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# What a terminal or a page obeys and nobody sees: controls, ends of lines, directions that reach beyond a word; and
# what stands for bytes that are no UTF-8. Marks and joiners that scripts and emoji need (U+200C to U+200F) are text.
HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]")


def prepare_streams() -> None:
    """Have stdout and stderr write what their encoding lacks as escapes, where they would fail."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before we began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def one_line(value: object) -> str:
    r"""Return a value as one line of text that does nothing to a terminal or a page; empty for None.

    What is hidden in it is shown as an escape, such as \n, \x1b or \u202e; text of every script stays as it is.
    """
    return "" if value is None else HIDDEN.sub(escape_of, str(value))


def escape_of(found: re.Match[str]) -> str:
    r"""Return a character as shells and Python write it; what stands for a byte of a file's name as \xff."""
    code = ord(found[0])
    if code < 0x80:
        return repr(found[0])[1:-1]
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def shell_word(value: object) -> str:
    """Return a value as one word that can be pasted into a shell: quoted where that is needed."""
    text = str(value)
    if one_line(text) == text:
        return shlex.quote(text)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{one_line(quoted)}'"  # in which shells read the same escapes


def say(*lines: object) -> None:
    """Print lines on stdout."""
    sys.stdout.writelines(one_line(line) + "\n" for line in lines)


def note(*lines: object) -> None:
    """Print lines on stderr."""
    sys.stderr.writelines(one_line(line) + "\n" for line in lines)
    sys.stderr.flush()


def print_json(record: Mapping[str, Any]) -> None:
    """Print one object on one line of stdout, exactly: what is hidden, or lacks in the encoding, is escaped by JSON."""
    plain = without_nan(record)
    line = json.dumps(plain, ensure_ascii=False, default=str)
    try:
        line.encode(sys.stdout.encoding or "utf-8", "surrogateescape")
    except UnicodeEncodeError:
        line = json.dumps(plain, default=str)
    sys.stdout.write(HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")


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
        sys.stdout.writelines("\t".join(one_line(value) for value in row) + "\n" for row in rows)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    filled = [column for column in range(len(columns)) if any(row[column] is not None for row in rows)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in filled:
        table.add_column(Text(one_line(columns[column])), overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(row[column])) for column in filled))
    console = Console()
    with console.capture() as drawn:
        console.print(table)
    sys.stdout.write(drawn.get())  # above the bars, where there are any


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 photo, 2 photos."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"
