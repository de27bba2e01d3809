"""Photos in a folder and its subfolders, or in an uncompressed tar file. Decodes nothing."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from aliens.errors import SourceError
from aliens.files import tar_index
from aliens.settings import LibraryFolder
from indexer.source import BAD_NAME, FoundPhoto, Problem, Source, found_file, storable

JPEG_SUFFIXES = (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo")
NETPBM_SUFFIXES = (".pbm", ".pgm", ".pnm", ".ppm")
OTHER_SUFFIXES = (".avif", ".bmp", ".gif", ".jp2", ".png", ".tga", ".tif", ".tiff", ".webp")
PHOTO_SUFFIXES = frozenset((*JPEG_SUFFIXES, *NETPBM_SUFFIXES, *OTHER_SUFFIXES))


class FolderSource(Source):
    """Every photo under a folder, sorted by path; hidden files, the library itself and results are left out.

    Links to files are followed, links to folders are not, so that no loop can be walked.
    """

    kind = "folder"

    def __init__(self, root: Path, library: Path, *, may_be_gone: bool = False) -> None:
        super().__init__(root)
        self._passed_over = {os.path.realpath(library), os.path.realpath(LibraryFolder(library).restyled)}
        self._is_gone = may_be_gone and not os.path.exists(self.path)
        if not os.path.isdir(self.path) and not self._is_gone:
            raise SourceError(f"no folder {self.root}: name a folder of photos, a photo or a .tar file")

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of their paths."""
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
            elif is_photo(entry.name):
                yield found_file(entry.path)
            elif entry.name.lower().endswith(".tar"):
                yield from self._tar(entry.path)
            else:
                self.leftovers.other_files += 1

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
            raise SourceError(f"{self.root} cannot be used: {BAD_NAME}")
        try:
            mtime_ns = os.stat(self.path).st_mtime_ns
            index = tar_index(self.path, mtime_ns)
        except (OSError, tarfile.TarError) as error:
            raise SourceError(f"{self.root} cannot be read as an uncompressed tar file ({error})") from error
        if index.damaged:
            self.leftovers.problems.append(Problem(self.root, "is damaged: what lies behind the damage is not read"))
            self.leftovers.unread.append(self.root)
        for member, (_, size_bytes) in index.members.items():
            if not is_photo(member) or Path(member).name.startswith("."):
                self.leftovers.other_files += 1
            elif storable(member) != member:
                yield FoundPhoto(self.root, storable(member), failure_kind="name", failure_reason=BAD_NAME)
            else:
                yield FoundPhoto(self.root, member, size_bytes, mtime_ns)


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


def is_photo(name: str) -> bool:
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
