"""Files: where a photo's bytes lie, and writing that leaves no half file behind. Knows no image formats."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

TEMPORARY_SUFFIX = ".tmp"


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """Where a photo's bytes lie: a file, or a member of an uncompressed tar file (`member` is "" for a file)."""

    path: str
    member: str = ""

    def read(self) -> bytes:
        """Return the photo's bytes.

        Raises: OSError: the file or the tar member is gone or cannot be read.
        """
        if not self.member:
            with open(self.path, "rb") as file:
                return file.read()
        stat = os.stat(self.path)
        try:
            offset, size_bytes = tar_index(self.path, stat.st_mtime_ns).members[self.member]
        except KeyError:
            raise FileNotFoundError(f"{self.path} holds no member {self.member}") from None
        except tarfile.TarError as error:
            raise OSError(f"{self.path} cannot be read as an uncompressed tar file: {error}") from error
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    def __str__(self) -> str:
        return f"{self.path}!{self.member}" if self.member else self.path


class TarIndex(NamedTuple):
    """A tar's regular files: {name: (offset of its bytes, size in bytes)}, and whether it goes on unreadably."""

    members: dict[str, tuple[int, int]]
    damaged: bool


@lru_cache(maxsize=8)
def tar_index(path: str, mtime_ns: int) -> TarIndex:
    """Read the headers of an uncompressed tar.

    `mtime_ns` is the tar's time of change: it keeps a changed tar from being answered from the cache.

    Raises: OSError, tarfile.TarError: it cannot be read, is no tar, or is compressed.
    """
    with tarfile.open(path, "r:") as tar:
        members: dict[str, tuple[int, int]] = {}
        for member in tar:
            if member.isreg():
                members[member.name] = (member.offset_data, member.size)
            elif member.islnk() and member.linkname in members:  # a hard link to an earlier member
                members[member.name] = members[member.linkname]
        end = tar.offset
    with open(path, "rb") as file:  # tarfile takes a damaged header for the end; the real one is empty blocks
        file.seek(end)
        return TarIndex(members, damaged=any(file.read(tarfile.BLOCKSIZE)))


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success it is synced to disk and renamed to `path`.

    After an exception nothing is left; after a kill only `path` + ".tmp" may be.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power failure (a no-op where folders cannot be opened)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
