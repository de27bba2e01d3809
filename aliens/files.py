"""Files: where a photo's bytes lie, and writing that leaves no half file behind. Knows no image formats."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

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
            offset, size_bytes = tar_members(self.path, stat.st_mtime_ns)[self.member]
        except KeyError:
            raise FileNotFoundError(f"{self.path} holds no member {self.member}") from None
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    def __str__(self) -> str:
        return f"{self.path}!{self.member}" if self.member else self.path


@lru_cache(maxsize=8)
def tar_members(path: str, mtime_ns: int) -> dict[str, tuple[int, int]]:
    """Return {member name: (offset of its bytes, size in bytes)} of an uncompressed tar's regular files.

    `mtime_ns` is the tar's time of change: it keeps a changed tar from being answered from the cache.
    """
    with tarfile.open(path, "r:") as tar:
        return {member.name: (member.offset_data, member.size) for member in tar if member.isreg()}


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
