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
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TextIO

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


@dataclass(frozen=True)
class FilePath:
    """A path to print: on a terminal a link that opens the file, and folded between its folders where it is long.

    text: as it is known, such as x.tar!a.jpg. file: what the link opens, where that is another path. most_lines: of a
    table that it takes, where something else says which file is meant; 0: it stands whole.
    """

    text: str
    file: str = ""
    most_lines: int = 0

    def __str__(self) -> str:
        return self.text

    @cached_property
    def near(self) -> str:
        """The path, relative to the working folder where that is shorter; an address as it is."""
        if SCHEME.match(self.text):
            return self.text
        try:
            relative = os.path.relpath(self.text)
        except (OSError, ValueError):  # the working folder is gone, or the path is none
            return self.text
        return relative if self.text and len(relative) < len(self.text) else self.text

    @property
    def uri(self) -> str:
        """Where a link leads, in ASCII without anything that would end it: the machine is named, as terminals ask."""
        from socket import gethostname
        from urllib.parse import quote

        if SCHEME.match(self.file or self.text):
            return quote(self.file or self.text, safe="/:?&=%+,;@~")
        return f"file://{quote(gethostname())}{quote(os.fsencode(os.path.abspath(self.file or self.text)))}"

    def folded(self, width: int) -> list[str]:
        """Return the path in lines of a terminal of this width, behind …/ where it would take too many of them."""
        parts = PARTS.findall(one_line(self.near))
        for first in range(max(len(parts), 1)):
            lines = list(folded_parts([ABOVE, *parts[first:]] if first else parts, width))
            if not self.most_lines or len(lines) <= self.most_lines:
                break
        return lines


def folded_parts(parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield lines of a terminal of this width with parts of a path; one is broken only where it is wider alone."""
    from rich.cells import cell_len, chop_cells

    line = ""
    for part in parts:
        if line and cell_len(line + part) > width:
            yield line
            line = ""
        *whole, line = chop_cells(part, width) if cell_len(part) > width else [line + part]
        yield from whole
    yield line


ABOVE = "…/"  # stands for the folders that a path begins with
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # of an address
PARTS = re.compile(r"[^/]*/|[^/]+")  # of a path


def takes_links(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that knows links: one that does not passes over them, but a dumb one."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def line_for(stream: TextIO, value: object) -> str:
    """Return a value, or a tuple of several, as one line for a stream; paths are links where it takes them."""
    if isinstance(value, tuple):
        return "".join(line_for(stream, part) for part in value)
    if isinstance(value, FilePath) and takes_links(stream):
        return f"\x1b]8;;{value.uri}\x1b\\{one_line(value)}\x1b]8;;\x1b\\"  # OSC 8
    return one_line(value)


def say(*lines: object) -> None:
    """Print lines on stdout; a tuple is a line of several parts."""
    sys.stdout.writelines(line_for(sys.stdout, line) + "\n" for line in lines)


def note(*lines: object) -> None:
    """Print lines on stderr; a tuple is a line of several parts."""
    sys.stderr.writelines(line_for(sys.stderr, line) + "\n" for line in lines)
    sys.stderr.flush()


def prompt(line: object, *, anew: bool = False) -> None:
    """Print what somebody is asked on stderr, where the answer stands behind it; `anew`: in place of the line there."""
    sys.stderr.write(("\r\x1b[K" if anew else "") + line_for(sys.stderr, line))
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


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], *, spare: Sequence[str] = ()) -> None:
    """Print a table on a terminal, without columns that are empty; tab-separated lines without a head in a pipe.

    On a terminal that is too narrow for all columns, those in spare are left out, the first first.
    """
    if not sys.stdout.isatty():
        sys.stdout.writelines("\t".join(one_line(value) for value in row) + "\n" for row in rows)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    width, height = shutil.get_terminal_size()
    console = Console(width=width, height=height)  # of a dumb terminal rich would not ask
    filled = [column for column in range(len(columns)) if any(row[column] is not None for row in rows)]
    for name in spare:
        if sum(widest(columns[column], [row[column] for row in rows]) + BETWEEN for column in filled) > width:
            filled = [column for column in filled if columns[column] != name]
    cells = [[row[column] for column in filled] for row in rows]
    widths = path_widths([columns[column] for column in filled], cells, width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, wide in zip(filled, widths, strict=True):
        table.add_column(Text(one_line(columns[column])), overflow="fold", width=wide)
    for row in cells:
        table.add_row(
            *(
                Text.assemble(("\n".join(value.folded(wide)), Style(link=value.uri)))  # the padding is no link
                if isinstance(value, FilePath) and wide
                else Text(one_line(value))
                for value, wide in zip(row, widths, strict=True)
            )
        )
    with console.capture() as drawn:
        console.print(table)
    sys.stdout.write(drawn.get())  # above the bars, where there are any


def path_widths(heads: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[int | None]:
    """Return how wide the columns of paths are in a table for a terminal of this width; None for other columns.

    A path gets what the others leave, and at least some room, and that for its last name: then the others are folded.
    """
    from rich.cells import cell_len

    wide = [widest(head, [row[at] for row in rows]) for at, head in enumerate(heads)]
    widths: list[int | None] = [None] * len(heads)
    for at in range(len(heads)):
        paths = [path for row in rows if isinstance(path := row[at], FilePath)]
        if not paths:
            continue
        others = wide[:at] + wide[at + 1 :]
        names = max(cell_len(os.path.basename(one_line(path.near))) for path in paths)
        most = width - len(heads) * BETWEEN - sum(min(other, NARROWEST) for other in others)
        left = width - len(heads) * BETWEEN - sum(others)
        widths[at] = max(min(wide[at], max(left, names, SHORTEST_PATH), most), len(heads[at]), 1)
    return widths


def widest(head: str, values: Sequence[object]) -> int:
    """Return how many columns of a terminal the widest of a table's cells would take, or its head."""
    from rich.cells import cell_len

    return max(
        map(cell_len, [head, *(one_line(value.near if isinstance(value, FilePath) else value) for value in values)])
    )


BETWEEN = 3  # columns of a terminal that a table's column takes beside its text
SHORTEST_PATH = 28  # columns that a path has where it is longer
NARROWEST = 8  # to which other columns are folded before the name of a file is


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 photo, 2 photos."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"


def size_in_words(size_bytes: int) -> str:
    """Return a size in the unit that suits it, of kB, MB and GB (powers of 10)."""
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:.0f} kB"
    return megabytes(size_bytes) if size_bytes < 1_000_000_000 else f"{size_bytes / 1e9:.1f} GB"
