"""Copies of photos in folders that people chose: whole or not at all, under names that say what they are.

Nothing that lies in such a folder is ever written over. Decides nothing about which photos these are.
"""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from base.console import HIDDEN, counted
from base.errors import OutputError, PhotoError, QueryError
from base.files import PhotoFile, make_folder, open_regular, sync_file, temporary_name
from base.progress import Progress, Step, silent

UNWELCOME = re.compile(r'[<>:"/\\|?*]')  # in names on the disks that cameras and Windows read
LONGEST_NAME_BYTES = 200  # file systems take 255, some that encrypt take fewer
FEW = 3  # photos that a note names
MANY_DIGITS = 6  # of the numbers of photos of which nobody knows beforehand how many there are


class SourceGone(Exception):
    """A photo's file cannot be read any more."""


def place_photo(source: PhotoFile, target: Path, *, link: bool = False) -> None:
    """Copy a photo, or link to its file, under a name that appears when it is complete.

    A member of a tar is always copied, and what lies at an address. A copy has the time of change of its photo's file.

    Raises:
        SourceGone: the photo cannot be read any more.
        OSError: the copy cannot be written.
    """
    link = link and not source.member and not source.is_remote
    with ExitStack() as held:
        try:
            if not source.is_remote:
                open_regular(source.path).close()  # a pipe, which nothing waits for
            _, mtime_ns = source.facts()
            content = b"" if link else held.enter_context(source.lent())
        except (OSError, PhotoError) as error:
            raise SourceGone(f"{source}: {getattr(error, 'strerror', None) or error}") from error
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(target)
        try:
            if link:
                temporary.symlink_to(source.path)
            else:
                temporary.write_bytes(content)
                if mtime_ns is not None:
                    os.utime(temporary, ns=(mtime_ns, mtime_ns))
                sync_file(temporary)  # or a power failure could leave a copy that is taken for whole
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@dataclass(kw_only=True, slots=True)
class CopyReport:
    """What was copied, or linked to, and the photos that were left out, each with its reason."""

    folder: Path
    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{counted(len(self.files), 'photo')} in {self.folder}"

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        more = ", ..." if len(self.left_out) > FEW else ""
        gone = f"left out {counted(len(self.left_out), 'photo')} that cannot be read: "
        return [gone + ", ".join(self.left_out[:FEW]) + more] * bool(self.left_out)

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)


def refuse_filled(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that holds something. Raises: QueryError: it does; OutputError: it cannot be looked into."""
    try:
        there = min(os.listdir(folder), default=None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    if there is not None:
        raise QueryError(f"{folder} holds {there} already: name a new folder for the photos, or empty this one")


class CopyFolder:
    """A folder that copies of photos are put into, one by one; it is made where it is not there."""

    def __init__(self, path: str | os.PathLike[str], *, link: bool = False, only_ours: bool = False) -> None:
        """`link`: to the photos' files, in place of copies. `only_ours`: refuse a folder that holds something already.

        Raises:
            QueryError: the path is empty, or the folder holds something.
            OutputError: it cannot be made.
        """
        if not os.fspath(path):
            raise QueryError("the folder's name is empty: name a folder to copy photos to")
        self.report = CopyReport(folder=Path(path))
        self._link = link
        try:
            make_folder(self.report.folder)
            there = sorted(os.listdir(path))
        except OSError as error:
            raise self._unwritable(error) from error
        if only_ours:
            refuse_filled(path)
        self._taken = set(map(str.casefold, there))

    def add(self, name: str, source: PhotoFile) -> None:
        """Put a photo there under a name, or one with a number behind it where that is taken.

        One that cannot be read any more is left out. What was put there already stays as it is.

        Raises: OutputError: the disk is full or cannot be written; what is there stays.
        """
        target = self._target(portable(name), source)
        if target is None:
            return
        try:
            place_photo(source, target, link=self._link)
        except SourceGone as error:
            self.report.left_out.append(str(error))
        except OSError as error:
            raise self._unwritable(error) from error
        else:
            self._taken.add(target.name.casefold())
            self.report.files.append(target)

    def _target(self, name: str, source: PhotoFile) -> Path | None:
        """Return a path that nothing has, or None where the photo itself lies under the name already."""
        stem, ending = os.path.splitext(name)
        number = 1
        while name.casefold() in self._taken:
            target = self.report.folder / name
            if target not in self.report.files and is_same(source, target):
                self.report.files.append(target)
                return None
            number += 1
            name = f"{stem}-{number}{ending}"
        return self.report.folder / name

    def _unwritable(self, error: OSError) -> OutputError:
        there = counted(len(self.report.files), "photo") if self.report.files else "no photo"
        return OutputError(
            f"{self.report.folder} cannot be written: {error.strerror or error}; {there} copied before that"
        )


def is_same(source: PhotoFile, target: Path) -> bool:
    """Tell whether a file is the copy of a photo, or the link to it, that was made before."""
    try:
        if target.is_symlink():
            return os.readlink(target) == source.path
        return source.read() == PhotoFile(str(target)).read()
    except (OSError, PhotoError):
        return False


def portable(name: str) -> str:
    """Return a file's name that every disk takes, in whatever script, with its ending; a long one is cut."""
    plain = UNWELCOME.sub("_", HIDDEN.sub("_", name))
    stem, ending = os.path.splitext(plain)
    if len(ending.encode()) > LONGEST_NAME_BYTES // 4:  # a long name that happens to have a dot
        stem, ending = plain, ""
    kept = stem.encode()[: LONGEST_NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    return kept.rstrip(" .") + ending.rstrip(" .") or "_"


def stem_of(photo: PhotoFile) -> str:
    """Return the name of a photo's file, or of its member of a tar, without the ending."""
    return os.path.splitext(os.path.basename(photo.member or photo.path))[0]


def copy_ranked(
    photos: Iterable[PhotoFile],
    folder: str | os.PathLike[str],
    *,
    name_of: Callable[[PhotoFile], str] = stem_of,
    first: int = 1,
    total: int | None = None,
    link: bool = False,
    progress: Progress = silent,
) -> CopyReport:
    """Copy photos into a new or empty folder, named by their rank: 01_pool.jpg, 02_beach.jpg and so on.

    What was copied before an error, or before Ctrl-C, stays and is whole.

    Args:
        photos: in order; may be a stream.
        folder: it is made where it is not there.
        name_of: gives what stands behind a photo's rank, without an ending; by default its file's name.
        first: the rank of the first photo.
        total: how many photos there are, where that is known.
        link: link to the photos' files instead; members of tars are copied all the same.
        progress: told of the photos.

    Raises:
        QueryError: the folder holds something already.
        OutputError: it cannot be written, or no photo can be read any more.
    """
    copies = CopyFolder(folder, link=link, only_ours=True)
    digits = MANY_DIGITS if total is None else max(2, len(str(first + total - 1)))
    for rank, photo in enumerate(photos, start=first):
        ending = os.path.splitext(photo.member or photo.path)[1]
        copies.add(f"{rank:0{digits}d}_{name_of(photo)}{ending}", photo)
        progress(Step("copying", rank - first + 1, total))
    if copies.report.left_out and not copies.report.files:
        raise OutputError(f"nothing was copied to {folder}: {copies.report.notes[0]}")
    return copies.report
