"""Which process of this machine holds a file's lock, for whoever waits for it. Locks nothing."""

import os
from pathlib import Path

from base.console import one_line

COMMAND_SHOWN = 120  # characters


def lock_holder(path: Path) -> int | None:
    """Return the number of the process that has locked a file; None where that is not told.

    Source: proc_locks(5), which Linux has.
    """
    try:
        stat = os.stat(path)
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return None
    place = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    return next((int(row[4]) for row in rows if row[1] == "FLOCK" and row[5] == place and int(row[4]) > 0), None)


def holder_said(lock_file: Path) -> str:
    """Return which other process holds a lock, as the end of a sentence; nothing where that is not known."""
    holder = lock_holder(lock_file)
    if holder is None or holder == os.getpid():
        return ""
    try:
        words = Path(f"/proc/{holder}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:  # it has just ended
        return ""
    return f"; it is process {holder}: {one_line(' '.join(words))[:COMMAND_SHOWN]}"
