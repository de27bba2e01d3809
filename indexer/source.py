"""What every source of photos gives: photos that were found, and what could not be used. Reads nothing itself."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any

MISSING = "missing"
BAD_NAME = "its name is not valid UTF-8: rename it"


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """A photo that a source names; `size_bytes` is None where there is no such file."""

    path: str
    member: str = ""
    size_bytes: int | None = None
    mtime_ns: int | None = None
    image_id: int | None = None
    hotel_id: int | None = None
    image_source: str | None = None
    uploaded_at: datetime | None = None
    failure_kind: str | None = None
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that could not be used; `where` is a file, or a file and its line."""

    where: str
    reason: str


@dataclass(slots=True)
class Leftovers:
    """What a source met besides photos; complete once its photos have been read."""

    problems: list[Problem] = field(default_factory=list)
    other_files: int = 0
    unread: list[str] = field(default_factory=list)  # folders and tars whose photos nobody can tell


class Source(ABC):
    """A folder, a tar file, a photo or a Hotels-50K tree.

    `chains` is {id: name} and `hotels` {id: columns of the hotel table}: empty for most sources.
    """

    kind: str
    whole = True  # whether it names every photo below its root, so that others there have vanished

    def __init__(self, root: Path) -> None:
        self.path = os.path.abspath(root)
        self.root = storable(self.path)  # as the database keeps it
        self.leftovers = Leftovers()
        self.chains: dict[int, str] = {}
        self.hotels: dict[int, dict[str, Any]] = {}

    @abstractmethod
    def photos(self) -> Iterator[FoundPhoto]:
        """Yield every photo in a stable order.

        Raises: SourceError: the source cannot be read at all.
        """


def found_file(path: str, **columns: Any) -> FoundPhoto:
    """Return the photo at a path: with size and time of change, or as missing or unreadable."""
    text = storable(path)
    if text != path:
        return FoundPhoto(text, **columns, failure_kind="name", failure_reason=BAD_NAME)
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return FoundPhoto(path, **columns, failure_kind=MISSING, failure_reason="there is no such file")
    except OSError as error:
        return FoundPhoto(path, **columns, failure_kind="unreadable", failure_reason=str(error.strerror or error))
    if not S_ISREG(stat.st_mode):  # reading a pipe would never end
        return FoundPhoto(path, **columns, failure_kind="unreadable", failure_reason="no regular file")
    return FoundPhoto(path, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, **columns)


def storable(name: str) -> str:
    """Return the name itself where it is valid text, else with its bytes escaped, so that it can be stored."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")
