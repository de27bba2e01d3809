"""Folders that a page may name: those that were looked at before or are allowed by the settings, and what lies below.

Requests name a place by its root's key and a path below it, so that no path of this machine comes from outside.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aliens.library import Library
from base.errors import QueryError
from base.urls import url_of
from web.web_settings import WebSettings

KEY_DIGITS = 12
MOST_NAMES = 1_000  # folders that are listed of one


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedRoot:
    """A place below which photos may be added. key: names it in requests. kind: as `ScannedPlace`, or allowed."""

    key: str
    path: Path
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenFolder:
    """A folder as a page shows it: the names of the folders and tar files in it; more: how many were left out."""

    root: AllowedRoot
    inside: str
    folders: tuple[str, ...]
    tars: tuple[str, ...]
    more: int


class AllowedPlaces:
    """The places that one server lets its pages name."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self._library = library
        self._allowed = [Path(os.path.realpath(root)) for root in settings.roots]

    def roots(self) -> list[AllowedRoot]:
        """Return the roots that are there now: those of the settings, then those that were looked at before."""
        found = {path: AllowedRoot(key=key_of(path), path=path, kind="allowed") for path in self._allowed}
        for place in self._library.scanned_places():
            if place.kind == "list" or url_of(place.root) is not None:  # which are added where the server runs
                continue
            path = Path(place.root)
            found.setdefault(path, AllowedRoot(key=key_of(path), path=path, kind=place.kind))
        return [root for root in found.values() if os.path.exists(root.path)]

    def resolve(self, key: str, inside: str = "") -> tuple[Path, AllowedRoot]:
        """Return the path of a place, links followed, and its root.

        Raises: QueryError: it is not there, or not below the root; the two are not told apart.
        """
        root = next((root for root in self.roots() if root.key == key), None)
        if root is None:
            raise QueryError("that folder may not be added from a page: allow it where the server is started")
        try:
            real = Path(os.path.realpath(root.path / inside.lstrip("/"), strict=True))
        except (OSError, ValueError):
            real = Path()
        if real != root.path and root.path not in real.parents:
            raise QueryError(f"there is no {inside!r} in {root.path.name}")
        return real, root

    def look(self, key: str, inside: str = "") -> SeenFolder:
        """Return what a folder holds. Raises: QueryError: as `resolve`, or it cannot be read."""
        path, root = self.resolve(key, inside)
        folders, tars = [], []
        try:
            for entry in entries_of(path):
                if self._is_folder(entry, root):
                    folders.append(entry.name)
                elif entry.name.lower().endswith(".tar") and entry.is_file(follow_symlinks=False):
                    tars.append(entry.name)
        except OSError as error:
            raise QueryError(f"{inside or root.path.name} cannot be read: {error.strerror}") from error
        names = sorted(folders, key=str.casefold)
        relative = "" if path == root.path else str(path.relative_to(root.path))
        return SeenFolder(
            root=root,
            inside=relative,
            folders=tuple(names[:MOST_NAMES]),
            tars=tuple(sorted(tars, key=str.casefold)[:MOST_NAMES]),
            more=max(len(names) - MOST_NAMES, 0) + max(len(tars) - MOST_NAMES, 0),
        )

    def _is_folder(self, entry: os.DirEntry[str], root: AllowedRoot) -> bool:
        if not entry.is_dir():
            return False
        return not entry.is_symlink() or root.path in Path(os.path.realpath(entry.path)).parents


def entries_of(path: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what a folder holds and people see; of a file nothing, nor what has a name that is no UTF-8."""
    if not path.is_dir():
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.isprintable():
                yield entry


def key_of(path: Path) -> str:
    """Return the name of a root in requests."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:KEY_DIGITS]
