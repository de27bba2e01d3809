"""A terminal to test with: a pseudo-terminal, and what would stand on its screen."""

import os
import pty
import re
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

CODES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\]8;[^\x1b]*\x1b\\|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """What was written to a terminal: `text` is everything, `lines` what stands there in the end."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.text = ""

    def lines(self) -> list[str]:
        """Return the lines on the screen, down to the last that is not blank."""
        rows, row, column = [""], 0, 0
        for number, code, end, plain in CODES.findall(self.text):
            if code == "A":
                row -= int(number or 1)
            elif code == "K":
                rows[row] = "" if number == "2" else rows[row][:column]
            elif end == "\r":
                column = 0
            elif end == "\n":
                row += 1
                rows += [""] * (row == len(rows))
            for character in plain:
                if column == self.columns:
                    row, column = row + 1, 0
                    rows += [""] * (row == len(rows))
                rows[row] = rows[row][:column].ljust(column) + character + rows[row][column + 1 :]
                column += 1
        return "\n".join(line.rstrip() for line in rows).rstrip("\n").split("\n")


@contextmanager
def pseudo_terminal(columns: int = 100) -> Iterator[Screen]:
    """Make stdout and stderr one pseudo-terminal; the screen is complete when the block has ended."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    screen = Screen(columns)
    written: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 65_536):
                written.append(part)
        except OSError:  # how Linux says that the other side was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with open(theirs, "w", encoding="utf-8") as terminal, redirect_stdout(terminal), redirect_stderr(terminal):
            yield screen
    finally:
        reader.join()
        os.close(ours)
        screen.text = b"".join(written).decode()
