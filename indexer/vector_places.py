"""Where the photos of imported vectors lie: paths as others wrote them become places as the library keeps them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from base.console import counted
from base.errors import SourceError
from base.files import storable
from base.names import spellings
from indexer.metadata import with_slashes
from indexer.sources import found_at
from indexer.vector_files import VectorFiles

PLAIN = re.compile(r"(?:/(?!\.)[^/\\!]+){2,}")  # an absolute path, in no tar, without . or .. in it
URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
TAR = ".tar"


@dataclass(frozen=True, slots=True)
class PhotoPlace:
    """A photo's place; size in bytes and time of change, of its file or of the tar that it lies in, if it is there."""

    path: str
    member: str = ""
    size_bytes: int | None = None
    mtime_ns: int | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is such a file."""
        return self.size_bytes is not None


class PlaceReader:
    """Makes places of written paths. Folders are looked up once: a million photos lie in a few thousand."""

    def __init__(self, base: Path) -> None:
        """`base`: the folder that relative paths are below."""
        self.base = os.path.abspath(base)
        self._real: dict[str, str] = {}
        self._there: dict[str, bool] = {}

    def named(self, written: str) -> tuple[str, str]:
        """Return path and member of a photo, links in its folders followed, as `aliens add` would know it."""
        member = ""
        if PLAIN.fullmatch(written):  # as most are: a million of them are quicker without looking for all that may be
            folder, _, name = written.rpartition("/")
        elif URL.match(written):
            return storable(written), ""
        else:
            path = with_slashes(written)
            at = path.lower().find(f"{TAR}!")
            if at >= 0:
                path, member = path[: at + len(TAR)], storable(path[at + len(TAR) + 1 :])
            folder, name = os.path.split(os.path.normpath(os.path.join(self.base, path)))
        if folder not in self._real:
            self._real[folder] = storable(os.path.realpath(folder)).rstrip("/") + "/"
        return self._real[folder] + storable(name), member

    def looked_up(self, path: str, member: str) -> PhotoPlace:
        """Return a place with what is there now; a name of another program may have its letters composed or not."""
        folder, _, name = path.rpartition("/")
        if not self._is_folder(folder or "/"):
            return PhotoPlace(path, member)
        for spelt in [name] if name.isascii() else dict.fromkeys([name, *spellings(name)]):
            found = found_at(f"{folder}/{spelt}", member)
            if found.failure_kind is None:
                return PhotoPlace(found.path, member, found.size_bytes, found.mtime_ns)
        return PhotoPlace(path, member)

    def _is_folder(self, folder: str) -> bool:
        if folder not in self._there:
            self._there[folder] = not URL.match(folder) and os.path.isdir(folder)
        return self._there[folder]


def checked_name(written: str | None, files: VectorFiles, row: int) -> str:
    """Return a path as it was written, in a row from 0. Raises: SourceError: it is none."""
    if not written or not written.strip():
        raise SourceError(f"{files.where(row)} names no photo: its path is empty; nothing was changed")
    if "\0" in written:
        raise SourceError(
            f"{files.where(row)} is {written[:60]!r}: no file's name holds a character of code 0; nothing was changed"
        )
    return written


def named_twice(where: str, place: tuple[str, str], first: str, others: int) -> SourceError:
    """Return the error for rows that are of one photo: `where` is the later one, `others` how many more there are."""
    more = f" ({counted(others, 'more row')} are of photos that were named before)" if others else ""
    return SourceError(
        f"{where} is of the same photo as {first}, {'!'.join(filter(None, place))[:200]!r}{more}: keep one row of each "
        "photo; nothing was changed"
    )
