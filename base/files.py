"""Files: where a photo's bytes lie, and writing that leaves no half file behind. Knows no image formats."""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader, RawIOBase
from itertools import takewhile
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG
from typing import Any, BinaryIO

from base.errors import PhotoError
from base.memory import MemoryBudget
from base.remote import facts_at, read_at
from base.urls import url_of

TEMPORARY_SUFFIX = ".tmp"
OURS = {".faiss", ".npy", ".arrow", ".json", TEMPORARY_SUFFIX}  # what the folders of vectors, tags and indexes hold
RANDOM_BYTES = 8  # of a temporary name
MAX_PHOTO_BYTES = 1_000_000_000  # 100 megapixels of four 16-bit samples take 800 MB
BYTES_AT_ONCE = MemoryBudget(MAX_PHOTO_BYTES)  # of all photos that threads have read and not yet decoded
UNKNOWN_BYTES = 20_000_000  # taken for the size of what tells none
WEB_PAGE = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html[\s>])", re.IGNORECASE | re.DOTALL)
PAGE_START_BYTES = 2_000  # that tell a web page
NAME_KEPT = 56  # characters, of up to 4 bytes, that a temporary name begins with: a file system takes 255 bytes


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """Where a photo's bytes lie: a file or an address, or a member of a tar there (`member` is "" for none)."""

    path: str
    member: str = ""

    def read(self, *, pipe: bool = False) -> bytes:
        """Return the photo's bytes. `pipe`: see open_regular.

        Raises:
            OSError: the file or the tar member is gone, is no regular file, or cannot be read.
            PhotoError: it has more bytes than a photo can have, or than fit into memory.
        """
        if self.member or self.is_remote:
            return self._part(MAX_PHOTO_BYTES)
        with open_regular(self.path, pipe=pipe) as file:
            stat = os.fstat(file.fileno())
            size_bytes = stat.st_size
            if size_bytes > MAX_PHOTO_BYTES:
                raise too_large(size_bytes)
            try:
                data = file.read(MAX_PHOTO_BYTES + 1 if S_ISFIFO(stat.st_mode) or not size_bytes else size_bytes) or b""
            except MemoryError as error:
                raise PhotoError("too large", f"its {size_bytes / 1e6:,.0f} MB do not fit into memory") from error
        if len(data) > MAX_PHOTO_BYTES:  # a pipe, or a file in /proc, has no size before it is read
            raise too_large(len(data))
        return data

    def start(self, most_bytes: int) -> bytes:
        """Return how the photo begins. Raises: OSError: as `read`."""
        if self.member or self.is_remote:
            return self._part(most_bytes, whole=False)
        with open_regular(self.path) as file:
            return file.read(most_bytes) or b""

    @contextmanager
    def lent(self) -> Iterator[bytes]:
        """Lend the photo's bytes to one of several threads, which waits while together they have much in hand.

        Raises: OSError, PhotoError: as `read`.
        """
        _, size_bytes = self._place()
        with BYTES_AT_ONCE.holding(UNKNOWN_BYTES if size_bytes is None else size_bytes):
            yield self.read()

    @property
    def is_remote(self) -> bool:
        """Whether it lies at an address, which takes longer and may fail for a while."""
        return url_of(self.path) is not None

    def facts(self) -> tuple[int | None, int | None]:
        """Return how many bytes it has, and its file's time of change in ns since 1970. Raises: OSError: as `read`."""
        mtime_ns = facts_at(self.path).mtime_ns if self.is_remote else os.stat(self.path).st_mtime_ns
        return self._place()[1], mtime_ns

    def _part(self, most_bytes: int, *, whole: bool = True) -> bytes:
        """Return the bytes of a member, or of what lies at an address: all, which are at most so many, or the first."""
        offset, size_bytes = self._place()
        if whole and size_bytes is not None and size_bytes > most_bytes:
            raise too_large(size_bytes)
        try:
            if not self.member:
                data = read_at(self.path, most_bytes=most_bytes + 1 if whole else most_bytes)
            else:
                from base.tars import member_bytes, tar_stamp  # which reads files by what stands here

                data = member_bytes(self.path, tar_stamp(self.path), offset, min(size_bytes or 0, most_bytes))
        except MemoryError as error:
            raise PhotoError("too large", f"its {(size_bytes or 0) / 1e6:,.0f} MB do not fit into memory") from error
        except tarfile.TarError as error:
            raise OSError(f"{self.path} cannot be read as a tar file: {error}") from error
        if whole and len(data) > most_bytes:
            raise too_large(len(data))
        if whole and not self.member and WEB_PAGE.match(data[:PAGE_START_BYTES]):
            raise PhotoError("no picture", "the address gives a web page in place of a picture: is it still there?")
        return data

    def _place(self) -> tuple[int, int | None]:
        """Return where in its file the photo's bytes begin, and how many there are, None where that is not said.

        Raises: OSError: as `read`.
        """
        if not self.member:
            return 0, facts_at(self.path).size_bytes if self.is_remote else os.stat(self.path).st_size
        from base.tars import tar_index, tar_stamp

        try:
            return tar_index(self.path, tar_stamp(self.path)).members[self.member]
        except KeyError:
            raise FileNotFoundError(f"{self.path} holds no member {self.member}") from None
        except tarfile.TarError as error:
            raise OSError(f"{self.path} cannot be read as a tar file: {error}") from error

    def __str__(self) -> str:
        return f"{self.path}!{self.member}" if self.member else self.path


def too_large(size_bytes: int) -> PhotoError:
    """Return the error of a photo with more bytes than are read."""
    return PhotoError(
        "too large",
        f"{size_bytes / 1e6:,.0f} MB are over the cap of {MAX_PHOTO_BYTES / 1e6:,.0f} MB a photo: "
        "save it smaller, for instance as JPEG",
    )


def real_place(path: str | Path) -> str:
    """Return a path by which a file is known, whatever links lead to its folder; the file itself may be a link.

    An address is returned as it is.
    """
    if (url := url_of(path)) is not None:
        return url
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def storable(name: str) -> str:
    """Return the name itself where it is valid text, else with its bytes escaped, so that it can be stored."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", errors="backslashreplace")


def open_regular(path: str | Path, *, pipe: bool = False) -> BufferedReader:
    """Open what somebody found or named as a file, to be read; nothing waits for a pipe that nobody writes to.

    It is looked at once it is open: what a name leads to may change between two looks.

    Args:
        path: where it is.
        pipe: take a pipe as well, such as one that a shell hands over as /dev/stdin.

    Raises: OSError: it is no regular file, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if not (S_ISREG(mode) or (pipe and S_ISFIFO(mode))):
        os.close(descriptor)
        if S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "no regular file", str(path))
    if S_ISFIFO(mode):
        os.set_blocking(descriptor, True)
    return open(descriptor, "rb")


def read_regular(path: str | Path, *, pipe: bool = False) -> bytes:
    """Return the bytes of a regular file. Raises: OSError: as `open_regular`."""
    with open_regular(path, pipe=pipe) as file:
        return file.read() or b""  # None of a file in /proc that has nothing to say yet


@contextmanager
def rereadable(path: Path, *, pipe: bool = True) -> Iterator[Path]:
    """Yield where a file can be read several times: at its own path, or in a copy of what a pipe gives once.

    A pipe that somebody named is waited for, until somebody writes to it: it is meant.

    Raises: OSError: it is neither, or cannot be read.
    """
    is_pipe = pipe and S_ISFIFO(os.stat(path).st_mode)
    with open(path, "rb") if is_pipe else open_regular(path) as file:
        if not is_pipe:
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            with open(copy, "wb") as written:
                shutil.copyfileobj(file, written)
            yield copy


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentFile:
    """A segment of vectors, as the database knows it: the name, size and SHA-256 of its file, and its rows.

    alive: rows whose photos can be found. The others' photos have vanished, or have another vector in another segment.
    """

    name: str
    rows: int
    alive: int
    size_bytes: int
    sha256: str


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success it is synced to disk and renamed to `path`.

    Its folder is made where it is not there. The temporary name is new each time, so that of several who write to one
    path the last to end wins, and no file of anybody's is touched. After an exception nothing is left of it; after a
    kill only what `half_written` finds may be.
    """
    temporary, descriptor = temporary_beside(path)
    try:
        with open(descriptor, "wb") as file:
            yield file
            rename_written(file, temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def rename_written(file: BinaryIO, temporary: Path, path: Path) -> None:
    """Sync a file written under a temporary name, and rename it: a power failure leaves all of it or none."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def temporary_beside(path: Path) -> tuple[Path, int]:
    """Make a new, empty file in the same folder, made where it is not there, and return its path and descriptor.

    It is locked as long as the descriptor is open: by that it is told from what a killed process has left, which is
    removed where it was meant for the same path.

    Raises: OSError: the folder cannot be made or written; it names `path`.
    """
    for left in half_written(path.parent, path.name):
        is_left(left, remove=True)
    while True:
        temporary = temporary_name(path)
        try:
            make_folder(path.parent)
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            error.filename = str(path)  # which people know
            raise
        if is_locked(descriptor) is not False and temporary.exists():
            return temporary, descriptor
        os.close(descriptor)  # another process took it for left, in the moment before it was locked
        temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Return a name in the same folder that nobody has."""
    return path.with_name(f".{path.name[:NAME_KEPT]}.{secrets.token_hex(RANDOM_BYTES)}{TEMPORARY_SUFFIX}")


def files_of_ours(folder: Path) -> list[Path]:
    """Return the files in a folder of a library's that may be its own, by their endings: people's are left alone."""
    return [path for path in sorted(folder.glob("*")) if path.suffix in OURS and path.is_file()]


def half_written(folder: Path, name: str = "") -> list[Path]:
    """Return the files that killed processes have left under temporary names in a folder: of one file, or of all."""
    kept = re.escape(name[:NAME_KEPT]) if name else ".+"
    pattern = re.compile(rf"\.{kept}\.[0-9a-f]{{{2 * RANDOM_BYTES}}}{re.escape(TEMPORARY_SUFFIX)}")
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if pattern.fullmatch(entry.name))
    except OSError:
        return []
    return [folder / name for name in names if is_left(folder / name)]


def is_left(path: Path, *, remove: bool = False) -> bool:
    """Tell whether a temporary file is one that nobody has open, and remove it if so, before anybody else opens it."""
    try:
        file = open_regular(path)
    except OSError:
        return False
    with file:
        left = bool(is_locked(file.fileno()))
        if left and remove:
            path.unlink(missing_ok=True)
        return left


def is_locked(descriptor: int) -> bool | None:
    """Lock a file for as long as it is open; False where another has it, None where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Let one process or thread at a time rename files in a folder that belong together; waits, and leaves no file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal, reading it whole. Raises: OSError: it cannot be read."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_unchanged(path: Path, check: Callable[[Path], bool]) -> bool:
    """Tell whether a file is what was written, by a check that reads it whole: once, until it is written anew.

    False where it cannot be read.
    """
    try:
        stat = path.stat()
        return check_of(path, stat.st_ino, stat.st_mtime_ns, stat.st_size, check)
    except OSError:
        return False


@lru_cache(maxsize=4_096)
def check_of(path: Path, inode: int, mtime_ns: int, size_bytes: int, check: Callable[[Path], bool]) -> bool:
    """Return what a check says; all but the last tell one state of a file from another."""
    return check(path)


def size_problem(path: Path, size_bytes: int) -> str | None:
    """Return how a file differs from what was written, by its size alone, or None."""
    try:
        found = path.stat().st_size
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None if found == size_bytes else f"{path} has {found} bytes, {size_bytes} bytes were written"


def checksum_problem(path: Path, sha256: str) -> str | None:
    """Return how a file differs from what was written, by its SHA-256, or None; it is read whole."""
    try:
        same = sha256_of(path) == sha256
    except FileNotFoundError:
        return f"{path} is gone"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if same else f"{path} is not what was written: its checksum is another one"


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are not there; they survive a power failure, as what is synced in them.

    Raises: OSError: the disk is full or cannot be written; NotADirectoryError: something else is there.
    """
    new = list(takewhile(lambda place: not place.exists(), (folder, *folder.parents)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    for made in reversed(new):
        sync_folder(made.parent)


def sync_file(path: Path) -> None:
    """Make what was written to a file survive a power failure. Raises: OSError: the disk fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(root: Path) -> None:
    """Make renames inside a folder, and all folders in it, survive a power failure."""
    for folder, _, _ in os.walk(root):
        sync_folder(Path(folder))


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power failure (a no-op where it cannot be opened)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class HashedFile(RawIOBase):
    """A file that hashes what is written to it, for writers that only write."""

    def __init__(self, file: BinaryIO) -> None:
        self.size_bytes = 0
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        """Write and hash; return the number of bytes.

        After a failure the file is closed, and what Arrow's writer then adds as its file's end goes nowhere.
        """
        if self._file.closed:
            return memoryview(data).nbytes
        self._hash.update(data)
        written = self._file.write(data)
        self.size_bytes += written
        return written

    def flush(self) -> None:
        """Hand over to the system."""
        self._file.flush()

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size_bytes

    def hexdigest(self) -> str:
        """Return the SHA-256 of everything written."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Leave the file open: whoever opened it closes it."""

    def writable(self) -> bool:
        """Say yes."""
        return True
