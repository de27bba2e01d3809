"""Where photos come from: a folder, a tar file or one photo, and what every source gives. Decodes nothing."""

import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any

from base.errors import SourceError
from base.files import tar_index
from base.settings import LibraryFolder

MISSING = "missing"
BAD_NAME = "its name is not valid UTF-8: rename it"


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """A photo that a source names; `size_bytes` is None where there is no such file.

    target: the file that the photo is a link to.
    """

    path: str
    member: str = ""
    size_bytes: int | None = None
    mtime_ns: int | None = None
    image_id: int | None = None
    hotel_id: int | None = None
    hotel_from: str | None = None  # this and what follows: see db.models.Photo
    image_source: str | None = None
    uploaded_at: datetime | None = None
    dated_at: datetime | None = None
    date_from: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    place_from: str | None = None
    failure_kind: str | None = None
    failure_reason: str | None = None
    target: str = ""


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
        self.path = os.path.realpath(root)  # one place, by whatever links it is reached
        self.root = storable(self.path)  # as the database keeps it
        typed = storable(os.path.abspath(root))
        stem, ending = os.path.splitext(os.path.basename(typed))
        self.typed_name = stem if ending.lower() == ".tar" and not os.path.isdir(root) else stem + ending  # a hotel's
        self.named = self.root if typed == self.root else f"{typed} (which is {self.root})"  # for messages
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


def found_at(path: str, member: str = "") -> FoundPhoto:
    """Return what is at a photo's place now: the photo itself, or why it cannot be read, `missing` where it is gone."""
    found = found_file(path)
    if not member or found.failure_kind is not None:
        return replace(found, member=member)
    try:
        size_bytes = tar_index(path, found.mtime_ns or 0).members[member][1]
    except KeyError:
        return FoundPhoto(path, member, failure_kind=MISSING, failure_reason="the tar file has no such member any more")
    except (OSError, tarfile.TarError) as error:
        return FoundPhoto(path, member, failure_kind="unreadable", failure_reason=str(error))
    return replace(found, member=member, size_bytes=size_bytes)


def storable(name: str) -> str:
    """Return the name itself where it is valid text, else with its bytes escaped, so that it can be stored."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


JPEG_SUFFIXES = (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo")
NETPBM_SUFFIXES = (".pbm", ".pgm", ".pnm", ".ppm")
OTHER_SUFFIXES = (".avif", ".bmp", ".gif", ".jp2", ".png", ".tga", ".tif", ".tiff", ".webp")
PHOTO_SUFFIXES = frozenset((*JPEG_SUFFIXES, *NETPBM_SUFFIXES, *OTHER_SUFFIXES))


class FolderSource(Source):
    """Every photo under a folder, sorted by path; hidden files, the library itself and results are left out.

    Links to files are followed, unless they lead to what is found anyway, or by another link; links to folders are not,
    so that no loop can be walked.
    """

    kind = "folder"

    def __init__(self, root: Path, library: Path, *, may_be_gone: bool = False) -> None:
        super().__init__(root)
        self._targets: set[str] = set()  # of links that were followed
        self._passed_over = {os.path.realpath(library), os.path.realpath(LibraryFolder(library).restyled)}
        self._is_gone = may_be_gone and not os.path.exists(self.path)
        if not os.path.isdir(self.path) and not self._is_gone:
            raise SourceError(f"no folder {self.named}: name a folder of photos, a photo or a .tar file")

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of their paths."""
        self._targets.clear()
        if not self._is_gone:
            yield from self._walk(self.path)

    def _walk(self, folder: str) -> Iterator[FoundPhoto]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._cannot_read(folder, str(error.strerror or error))
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if os.path.realpath(entry.path) not in self._passed_over and not holds_results(Path(entry.path)):
                    yield from self._walk(entry.path)
            elif (target := os.path.realpath(entry.path) if entry.is_symlink() else "") and self._finds(target):
                self.leftovers.other_files += 1
            elif has_photo_ending(entry.name):
                found = found_file(entry.path, target=target)
                if found.failure_kind is None:  # links that lead nowhere are told of one by one
                    self._targets.add(target)
                yield found
            elif entry.name.lower().endswith(".tar"):
                self._targets.add(target)
                yield from self._tar(entry.path)
            else:
                self.leftovers.other_files += 1

    def _finds(self, path: str) -> bool:
        """Tell whether a file, named by its real path, is one that the walk comes to by itself, or came to."""
        if path in self._targets:
            return True
        below = os.path.relpath(path, self.path)
        hidden = any(part.startswith(".") for part in below.split(os.sep))  # or not below at all: ".."
        passed_over = any(Path(path).is_relative_to(folder) for folder in self._passed_over)
        is_taken = has_photo_ending(path) or path.lower().endswith(".tar")
        return is_taken and not hidden and not passed_over and os.path.isfile(path)

    def _tar(self, path: str) -> Iterator[FoundPhoto]:
        tar = TarSource(Path(path))
        try:
            yield from tar.photos()
        except SourceError as error:
            self._cannot_read(path, str(error))
        self.leftovers.problems += tar.leftovers.problems
        self.leftovers.unread += tar.leftovers.unread
        self.leftovers.other_files += tar.leftovers.other_files

    def _cannot_read(self, path: str, reason: str) -> None:
        self.leftovers.problems.append(Problem(storable(path), reason))
        self.leftovers.unread.append(storable(path))


class TarSource(Source):
    """Every photo in an uncompressed tar file, such as a WebDataset shard, in the order of the file."""

    kind = "tar"

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos.

        Raises: SourceError: the file is no tar, is compressed, or has a name that cannot be stored.
        """
        if self.path != self.root:
            raise SourceError(f"{self.named} cannot be used: {BAD_NAME}")
        try:
            mtime_ns = os.stat(self.path).st_mtime_ns
            index = tar_index(self.path, mtime_ns)
        except (OSError, tarfile.TarError) as error:
            why = getattr(error, "strerror", None) or error
            raise SourceError(f"{self.named} cannot be read as an uncompressed tar file ({why})") from error
        if index.damaged:
            self.leftovers.problems.append(Problem(self.root, "is damaged: what lies behind the damage is not read"))
            self.leftovers.unread.append(self.root)
        for member, (_, size_bytes) in index.members.items():
            if not has_photo_ending(member) or Path(member).name.startswith("."):
                self.leftovers.other_files += 1
            elif storable(member) != member:
                yield FoundPhoto(self.root, storable(member), failure_kind="name", failure_reason=BAD_NAME)
            else:
                yield FoundPhoto(self.root, member, size_bytes, mtime_ns)
        for member, kind in index.others.items():
            if has_photo_ending(member) and not Path(member).name.startswith("."):
                yield FoundPhoto(self.root, storable(member), failure_kind="unreadable", failure_reason=kind)


class FileSource(Source):
    """One photo, named by its path."""

    kind = "file"
    whole = False

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photo, whatever its name ends in."""
        yield found_file(self.path)


def holds_results(folder: Path) -> bool:
    """Tell whether a folder holds the restyled photos of a library, be it a copy of this one or another."""
    library = LibraryFolder(folder.parent)
    return folder == library.restyled and (library.database_file.exists() or library.config_file.exists())


def has_photo_ending(name: str) -> bool:
    """Tell by its ending whether a file is a photo."""
    return os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES


def source_at(path: Path, library: Path, *, may_be_gone: bool = False) -> FolderSource | TarSource | FileSource:
    """Return the source for a path: a folder, a .tar file or a photo.

    Raises: SourceError: there is nothing at the path, and it may not be gone; or a restyled photo is, or all of them.
    """
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(LibraryFolder(library).restyled)):
        raise SourceError(
            f"{path} lies among the library's restyled photos, which are no photos of hotels: "
            "`aliens restyled --add` adds them as what they are"
        )
    if path.is_dir() or (may_be_gone and not path.exists()):
        return FolderSource(path, library, may_be_gone=may_be_gone)
    if not path.exists():
        raise SourceError(f"nothing is at {path}: name a folder of photos, a photo or a .tar file")
    return TarSource(path) if path.suffix.lower() == ".tar" else FileSource(path)
