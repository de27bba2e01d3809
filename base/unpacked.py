"""Compressed tars, unpacked into files that nobody else can open: one pass, and their members are read in place.

Such a file has no name, so that the system frees it when the process ends, however it ends. Knows no members.
"""

import errno
import gzip
import os
import shutil
import tarfile
import tempfile
import weakref
import zlib
from bz2 import BZ2Decompressor
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader, RawIOBase
from lzma import LZMADecompressor, LZMAError
from typing import Any, BinaryIO

from base.forks import fork_lock

PACKED_ENDINGS = {".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tbz": "bz2", ".tbz2": "bz2"}
PACKED_ENDINGS |= {".tar.xz": "xz", ".txz": "xz"}
BLOCK_BYTES = 1 << 20
MOST_BYTES = 200_000_000_000  # of one tar, unpacked
KEPT_BYTES = 20_000_000_000  # of several unpacked ones together; the one in hand may be larger
SPARED_BYTES = 1_000_000_000  # of the disk, which are left to others
SMALL_BYTES, MOST_TIMES = 1_000_000_000, 100  # photos hardly shrink: what grows so much beyond this is a trap
XZ_MEMORY_BYTES = 1 << 29  # xz itself asks for 65 MB at most
Tell = Callable[[int], object]  # hears how many bytes were unpacked so far


class UnpackError(tarfile.TarError):
    """A compressed tar that cannot be unpacked here."""


class UnpackedTar:
    """A tar in a file without a name, which is freed when nobody needs it any more.

    cut: whether its compressed bytes end too early, or are damaged.
    """

    def __init__(self, file: Any, size_bytes: int, *, cut: bool = False) -> None:
        """`file`: holds the bytes; it is closed, and its descriptor taken over."""
        file.flush()
        self.descriptor = os.dup(file.fileno())
        file.close()
        weakref.finalize(self, os.close, self.descriptor)
        self.size_bytes, self.cut = size_bytes, cut

    def opened(self) -> BinaryIO:
        """Return it as a file with a place of its own, for one thread."""
        return BufferedReader(PlacedReader(self))


class PlacedReader(RawIOBase):
    """Reads a file that others read as well."""

    def __init__(self, unpacked: UnpackedTar) -> None:
        self._unpacked = unpacked  # holds the file open, also when others no longer need it
        self._place = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as there are bytes."""
        data = os.pread(self._unpacked.descriptor, len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence, self._unpacked.size_bytes)
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place


@dataclass(slots=True)
class UnpackedTars:
    """The tars that a process has unpacked, the last used last; those that are too much are unpacked again."""

    _kept: OrderedDict[tuple[str, object], UnpackedTar] = field(default_factory=OrderedDict)
    _lock: Any = field(default_factory=fork_lock)

    def get(self, key: tuple[str, object], packed: Callable[[], BinaryIO], tell: Tell | None = None) -> UnpackedTar:
        """Return a tar unpacked: one thread unpacks it, others wait.

        Args:
            key: its place, and what tells its bytes from others.
            packed: opens it.
            tell: hears how far it is.

        Raises: OSError, tarfile.TarError: it cannot be read, is damaged from its start, or is larger than may be.
        """
        with self._lock:
            if key not in self._kept:
                self._make_room(KEPT_BYTES)
                with packed() as file:
                    self._kept[key] = unpack(file, key[0], self._room, tell)
            self._kept.move_to_end(key)
            return self._kept[key]

    def _room(self) -> int:
        """Return how many bytes may still be written, once others were let go for them."""
        folder = tempfile.gettempdir()
        if shutil.disk_usage(folder).free < SPARED_BYTES:
            self._make_room(0)
        return shutil.disk_usage(folder).free - SPARED_BYTES

    def _make_room(self, left_bytes: int) -> None:
        while self._kept and sum(each.size_bytes for each in self._kept.values()) > left_bytes:
            self._kept.popitem(last=False)


UNPACKED = UnpackedTars()


def packing_of(name: str) -> str | None:
    """Return how a tar is compressed, by its ending: gz, bz2 or xz; None where it is none of these."""
    lower = name.lower()
    return next((kind for ending, kind in PACKED_ENDINGS.items() if lower.endswith(ending)), None)


def unpack(packed: BinaryIO, name: str, room: Callable[[], int], tell: Tell | None) -> UnpackedTar:
    """Unpack a compressed tar into a file without a name.

    Args:
        packed: its bytes.
        name: of it, whose ending says how it is compressed.
        room: returns how many bytes the disk still takes.
        tell: hears how many were written.

    Raises: OSError, tarfile.TarError: as UnpackedTars.get.
    """
    counted = CountedReads(packed)
    blocks = BLOCKS[packing_of(name)](counted)
    written = 0
    file = tempfile.TemporaryFile(prefix="aliens-")  # noqa: SIM115 - stays open as long as it is of use
    try:
        for block in blocks:
            written += len(block)
            refuse_trap(written, counted.read_bytes)
            if room() < len(block):
                raise UnpackError(no_room(written))
            file.write(block)
            if tell is not None:
                tell(written)
        return UnpackedTar(file, written)
    except (EOFError, zlib.error, LZMAError, gzip.BadGzipFile) as error:
        if not written:
            raise UnpackError(f"it is damaged, or not compressed as its ending says ({error})") from error
        return UnpackedTar(file, written, cut=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UnpackError(no_room(written)) from error
        if error.errno is None and written:  # bz2's, of damaged bytes
            return UnpackedTar(file, written, cut=True)
        raise UnpackError(f"it cannot be unpacked ({error.strerror or error})") from error
    finally:
        file.close()


def no_room(written_bytes: int) -> str:
    """Return what is wrong where the disk of temporary files takes no more."""
    return (
        f"unpacked it has more than {written_bytes / 1e9:.1f} GB, and {tempfile.gettempdir()} has no room for it: "
        "set TMPDIR to a folder on a larger disk, or unpack it yourself and add the .tar"
    )


def refuse_trap(unpacked_bytes: int, packed_bytes: int) -> None:
    """Refuse what grows as no photos do. Raises: UnpackError."""
    too_much = unpacked_bytes > SMALL_BYTES and unpacked_bytes > MOST_TIMES * packed_bytes
    if unpacked_bytes > MOST_BYTES or too_much:
        raise UnpackError(
            f"it becomes {unpacked_bytes / 1e9:.1f} GB of {packed_bytes / 1e6:,.1f} MB, which no photos do: "
            "unpack it yourself if it is meant"
        )


class CountedReads:
    """A file that counts what was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._file.read(size) or b""
        self.read_bytes += len(data)
        return data


def gzip_blocks(packed: CountedReads) -> Iterator[bytes]:
    """Yield what gzip made small. Raises: EOFError, zlib.error, gzip.BadGzipFile: it is damaged."""
    with gzip.GzipFile(fileobj=packed) as file:  # type: ignore[call-overload]  # it asks for read alone
        while block := file.read1(BLOCK_BYTES):  # and not what is sound, with what is not, in one
            yield block


def plain_blocks(packed: CountedReads) -> Iterator[bytes]:
    """Yield what is not compressed."""
    while block := packed.read(BLOCK_BYTES):
        yield block


def stream_blocks(packed: CountedReads, new: Callable[[], Any]) -> Iterator[bytes]:
    """Yield what streams one behind another hold, each read by a new decompressor.

    Raises: EOFError, OSError (bzip2's), LZMAError: they are damaged, or ask for too much memory.
    """
    data = packed.read(BLOCK_BYTES)
    while data.strip(b"\0"):  # zeros may stand behind a stream
        decompressor = new()
        while not decompressor.eof:
            if block := decompressor.decompress(data, BLOCK_BYTES):
                yield block
            data = packed.read(BLOCK_BYTES) if decompressor.needs_input and not decompressor.eof else b""
            if decompressor.needs_input and not data and not decompressor.eof:
                raise EOFError("it ends too early")
        data = decompressor.unused_data.lstrip(b"\0") or packed.read(BLOCK_BYTES)


BLOCKS: dict[str | None, Callable[[CountedReads], Iterator[bytes]]] = {
    "gz": gzip_blocks,
    "bz2": lambda packed: stream_blocks(packed, BZ2Decompressor),
    "xz": lambda packed: stream_blocks(packed, lambda: LZMADecompressor(memlimit=XZ_MEMORY_BYTES)),
    None: plain_blocks,
}
