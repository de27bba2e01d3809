"""Where the photos of imported vectors lie: paths as others wrote them become places as the library keeps them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from base.console import counted
from base.errors import SourceError
from base.files import storable
from base.names import spellings
from base.urls import checked_place, url_of
from indexer.metadata import end_of_tar, with_slashes
from indexer.sources import found_at
from indexer.vector_files import VectorFiles

PLAIN = re.compile(r"(?:/(?!\.)[^/\\!]+){2,}")  # an absolute path, in no tar, without . or .. in it


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
        """Return path and member of a photo, links in its folders followed, as `aliens add` would know it.

        Raises: SourceError: it is an address that cannot be read, or holds a key, which would be kept.
        """
        member = ""
        if PLAIN.fullmatch(written):  # as most are: a million of them are quicker without looking for all that may be
            folder, _, name = written.rpartition("/")
        else:
            place = checked_place(written)
            local = os.fspath(place) if lies_elsewhere(written) else written  # of file:// the path
            path = place if isinstance(place, str) else with_slashes(local)
            if (end := end_of_tar(path, "!")) is not None:
                path, member = path[:end], storable(path[end + 1 :])
            if lies_elsewhere(path):
                return storable(path), member
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
            self._there[folder] = not lies_elsewhere(folder) and os.path.isdir(folder)
        return self._there[folder]


def lies_elsewhere(place: str) -> bool:
    """Tell whether a place is an address, and no path of this machine."""
    return url_of(place) is not None


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
