"""A power cut, replayed: of a recorded sequence of changes to files, what a disk may hold after each of them.

The disk keeps what POSIX promises and no more: a file's bytes as of its last sync, a folder's names as of the last sync
of the folder. What was not synced is dropped, or kept in part: see `Loss`.
"""

import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePath

RECORD = struct.Struct("<cBHHHQQ")  # of faults.c
PAGE_BYTES = 4096  # a disk writes so many bytes whole or not at all
UNSEEN = "-shm"  # SQLite's, which it makes anew


class Loss(Enum):
    """What becomes of changes that were not synced."""

    ALL = "all that was not synced is lost"
    BYTES = "names are kept, bytes are lost"
    SOME = "names are kept up to one, and pages here and there"


@dataclass(frozen=True, slots=True)
class Change:
    """What was done: w write, s sync, r rename, u unlink, m mkdir, l link, y symbolic link, c create, t truncate."""

    what: str
    path: str
    to: str
    offset: int
    data: bytes


def read_changes(log: Path) -> list[Change]:
    """Return what was recorded, in its order."""
    raw, at, found = log.read_bytes(), 0, []
    while at < len(raw):
        what, _, length, second, _, offset, size = RECORD.unpack_from(raw, at)
        at += RECORD.size
        path, to = raw[at : at + length], raw[at + length : at + length + second]
        at += length + second
        size = size if what == b"w" else 0
        found.append(Change(what.decode(), path.decode(), to.decode(), offset, raw[at : at + size]))
        at += size
    return [change for change in found if not change.path.endswith(UNSEEN)]


@dataclass(slots=True)
class File:
    """A file: its bytes now, and those that are synced; or a folder, with the names that are synced, or a link."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    names: dict[str, "File"] | None = None  # of a folder
    kept_names: dict[str, "File"] = field(default_factory=dict)
    link: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.names is not None


class Disk:
    """A folder and all in it, as it is and as a power cut would leave it."""

    def __init__(self, root: Path, at: Path) -> None:
        """Begin with a folder whose files all are synced. `at`: the path that changes call it by."""
        self._at = str(at)
        self.root = self._read(root)

    def _read(self, path: Path) -> File:
        if path.is_symlink():
            return File(link=str(path.readlink()))
        if not path.is_dir():
            data = path.read_bytes()
            return File(bytearray(data), data)
        names = {each.name: self._read(each) for each in path.iterdir() if not each.name.endswith(UNSEEN)}
        return File(names=names, kept_names=dict(names))

    def _holder(self, path: str) -> tuple[File, str]:
        """Return the folder that a path lies in, and its name there."""
        *folders, name = PurePath(path).relative_to(self._at).parts
        place = self.root
        for folder in folders:
            place = place.names[folder]
        return place, name

    def _find(self, path: str) -> File | None:
        if path == self._at:
            return self.root
        holder, name = self._holder(path)
        return (holder.names or {}).get(name)

    def do(self, change: Change) -> None:
        """Do what was done."""
        if change.what in "ws" or change.what == "t":
            file = self._find(change.path)
            if file is None:  # it has lost its name meanwhile
                return
            if change.what == "w":
                file.now.extend(bytes(max(change.offset - len(file.now), 0)))
                file.now[change.offset : change.offset + len(change.data)] = change.data
            elif change.what == "t":
                file.now.extend(bytes(max(change.offset - len(file.now), 0)))
                del file.now[change.offset :]
            elif file.is_folder:
                file.kept_names = dict(file.names or {})
            else:
                file.kept = bytes(file.now)
            return
        holder, name = self._holder(change.path)
        assert holder.names is not None
        if change.what == "c":
            file = holder.names.setdefault(name, File())
            if change.offset:
                del file.now[:]
        elif change.what == "m":
            holder.names[name] = File(names={})
        elif change.what == "u":
            del holder.names[name]
        elif change.what == "y":
            holder.names[name] = File(link=change.to)
        else:
            into, new = self._holder(change.to)
            into.names[new] = holder.names[name] if change.what == "l" else holder.names.pop(name)

    def write(self, to: Path, loss: Loss | None, chosen: random.Random) -> None:
        """Write what is left after a power cut; `loss` None: as it is now, as after a kill."""
        shutil.rmtree(to, ignore_errors=True)
        self._write(self.root, to, loss, chosen)

    def _write(self, file: File, to: Path, loss: Loss | None, chosen: random.Random) -> None:
        if file.link is not None:
            to.symlink_to(file.link)
        elif file.is_folder:
            to.mkdir()
            names = file.kept_names if loss is Loss.ALL else file.names or {}
            if loss is Loss.SOME and chosen.random() < 0.5:
                names = file.kept_names
            for name, below in names.items():
                self._write(below, to / name, loss, chosen)
        else:
            to.write_bytes(self._bytes(file, loss, chosen))

    def _bytes(self, file: File, loss: Loss | None, chosen: random.Random) -> bytes:
        if loss is None or file.now == file.kept:
            return bytes(file.now)
        if loss is not Loss.SOME:
            return file.kept
        size = chosen.choice((len(file.now), len(file.kept)))
        pages = []
        for start in range(0, size, PAGE_BYTES):
            page = (file.now if chosen.random() < 0.5 else file.kept)[start : start + PAGE_BYTES]
            pages.append(bytes(page).ljust(min(PAGE_BYTES, size - start), b"\0")[: size - start])
        return b"".join(pages)

    def tells(self) -> tuple[object, ...]:
        """Return what tells one state after a power cut from another."""

        def told(file: File, kept: bool) -> object:
            if not file.is_folder:
                return file.link or hash(file.kept)
            names = file.kept_names if kept else file.names or {}
            return tuple(sorted((name, str(told(below, kept))) for name, below in names.items()))

        return told(self.root, True), told(self.root, False)


def prefixes(disk: Disk, changes: list[Change]) -> Iterator[int]:
    """Do changes one by one, and yield how many were done whenever a power cut would leave another disk than before."""
    seen = {disk.tells()}
    yield 0
    for done, change in enumerate(changes, start=1):
        disk.do(change)
        if (state := disk.tells()) not in seen:
            seen.add(state)
            yield done
