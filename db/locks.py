"""A library's lock: a file that one thread of one process at a time has, and the note of who that is. No databases."""

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from filelock import FileLock, Timeout

from base.errors import LibraryBusyError
from base.records import parse_json
from base.settings import LibraryFolder

LOCK_TIMEOUT_S = 1.0  # long enough for `aliens verify` to have looked whether the lock is free
NAME = re.compile(r"aliens (\d+) (\d+) (.+)")
NAME_BYTES = 63  # that PostgreSQL keeps of a connection's name


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: a process on a machine; since: UTC, whole seconds."""

    process: int
    host: str
    since: datetime

    @classmethod
    def here(cls) -> Self:
        """Return this process, as the holder from now on."""
        return cls(os.getpid(), socket.gethostname(), datetime.now(UTC).replace(microsecond=0))

    @classmethod
    def named(cls, name: str | None) -> Self | None:
        """Return the holder of a `name`, or None where that is another name."""
        found = NAME.fullmatch(name or "")
        return cls(int(found[1]), found[3], datetime.fromtimestamp(int(found[2]), UTC)) if found else None

    @property
    def name(self) -> str:
        """The holder in one word, so to speak, for what takes a name alone."""
        return f"aliens {self.process} {int(self.since.timestamp())} {self.host}"[:NAME_BYTES]

    @property
    def is_gone(self) -> bool:
        """Whether the process was of this machine and has ended."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is somebody else's
            pass
        return False

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def busy(folder: LibraryFolder, holder: Holder | None) -> LibraryBusyError:
    """Return the error for a library that somebody else is changing, as far as is known who."""
    who = "" if holder is None else f"; it is {holder}"
    return LibraryBusyError(
        f"another process or thread is changing {folder.root}: wait for it to end (searching meanwhile is fine){who}"
    )


@contextmanager
def locked(folder: LibraryFolder) -> Iterator[None]:
    """Hold a library's lock. Raises: LibraryBusyError: another process or thread holds it."""
    try:
        with FileLock(folder.lock_file, timeout=LOCK_TIMEOUT_S), holder_told(folder):
            yield
    except Timeout as error:
        raise busy(folder, holder_noted(folder)) from error


@contextmanager
def holder_told(folder: LibraryFolder) -> Iterator[None]:
    """Leave a note of this process, for those who are refused meanwhile; no note is no reason to stop."""
    with suppress(OSError):
        folder.holder_file.write_text(json.dumps({"holder": Holder.here().name}) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            folder.holder_file.unlink()


def holder_noted(folder: LibraryFolder) -> Holder | None:
    """Return who left a note, None where nobody has, or a process that was killed."""
    try:
        holder = Holder.named(parse_json(folder.holder_file.read_text(encoding="utf-8"))["holder"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return None if holder is None or holder.is_gone else holder
