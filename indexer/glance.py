"""A glance at files: most are as they were, and a look at a hundred thousand of those should cost what `find` takes.

Only where nobody says anything of photos but that they are there. Whatever is not told at a glance is not told here.
"""

import os
from collections.abc import Callable
from operator import attrgetter
from stat import S_IFMT, S_IFREG

from sqlalchemy.orm import Session

from base.files import storable
from db.known_files import KnownFile, known_files, known_files_from
from indexer.sources import FoundPhoto


class Glance:
    """Tells which files are known and unchanged, and keeps the ids of their photos.

    A walk comes to files nearly in the order of their paths, so rows are read ahead in that order, some thousand at
    once; where the walk leaves them, they are read anew from there.
    """

    def __init__(self, session: Session, tell: Callable[[int], None]) -> None:
        """`tell`: hears after each folder how many files were unchanged so far."""
        self.ids: list[int] = []
        self._session = session
        self._tell = tell
        self._first, self._last = "", ""
        self._rows: dict[str, KnownFile] = {}

    def changed(self, folder: str, entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        """Return what a folder holds, in the order of the names, but for photos that are known and as they were.

        Links, and what cannot be looked at, are left for a closer look.
        """
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return entries
        others: list[os.DirEntry[str]] = []
        before, ids, prefix = len(self.ids), self.ids, os.path.join(folder, "")
        rows, first, last = self._rows, self._first, self._last
        lstat, keep = os.lstat, self.ids.append
        try:
            for entry in entries:  # a hundred thousand times: by an opened folder the system is quicker
                name = entry.name
                path = prefix + name
                row = rows.get(path)
                if row is None and not first <= path <= last and entry.is_file(follow_symlinks=False):
                    rows, first, last = self._read(path)
                    row = rows.get(path)
                if row is not None:
                    try:
                        stat = lstat(name, dir_fd=opened)
                    except OSError:
                        others.append(entry)
                        continue
                    if row[2] == stat.st_size and row[3] == stat.st_mtime_ns and stat.st_mode & FORMAT == S_IFREG:
                        keep(row[1])
                        continue
                others.append(entry)
        finally:
            os.close(opened)
        if len(ids) > before:
            self._tell(len(ids))
        return others

    def _read(self, path: str) -> "tuple[dict[str, KnownFile], str, str]":
        if storable(path) == path:  # others have no rows of their own
            self._rows, self._last = known_files_from(self._session, path)
            self._first = path
        return self._rows, self._first, self._last


FORMAT = S_IFMT(0o777777)  # of a mode, the bits that say what a file is

# What a found photo may have besides its file's facts and its hotel by its folder.
said_of = attrgetter("image_id", "date_from", "place_from", "failure_kind", "etag", "details")
NOTHING = (None,) * 6


def changed(session: Session, told: list[FoundPhoto]) -> tuple[list[FoundPhoto], list[int]]:
    """Return the found photos that are to be compared with all that is known, and the ids of the others.

    Of these nothing is to be written: their files are as they were, and nobody says anything new of them.
    """
    known = known_files(session, [found.path for found in told if not found.member])
    rest: list[FoundPhoto] = []
    ids: list[int] = []
    for found in told:
        row = known.get(found.path)
        if (
            row is not None
            and not found.member
            and row[2] == found.size_bytes
            and row[3] == found.mtime_ns
            and (found.hotel_from is None or row[4:] == (found.hotel_id, found.hotel_from))
            and said_of(found) == NOTHING
        ):
            ids.append(row[1])
        else:
            rest.append(found)
    return rest, ids
