"""FAISS's files: written whole or not at all, with a checksum; read where they lie."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import faiss

from base.files import atomic_write

WRITTEN_BYTES = 1 << 24  # at a time


class Written(NamedTuple):
    """What a file holds, for its manifest."""

    size_bytes: int
    sha256: str


def write_faiss(index: Any, path: Path) -> Written:
    """Write an index; readers keep the old file until the new one is complete.

    Raises: OSError: the disk is full or cannot be written.
    """
    digest, size_bytes = hashlib.sha256(), 0
    errors: list[BaseException] = []
    with atomic_write(path) as file:

        def write(data: bytes) -> int:
            nonlocal size_bytes
            try:
                file.write(data)
            except BaseException as error:  # FAISS would turn it into one of its own, or into nothing
                errors.append(error)
                return 0
            digest.update(data)
            size_bytes += len(data)
            return len(data)

        try:
            writer = faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(write), WRITTEN_BYTES)
            faiss.write_index(index, writer)
        except RuntimeError:
            raise (errors or [OSError("FAISS could not write the index")])[0] from None
        del writer  # writes what it has kept; what fails then, FAISS does not say
        if errors:
            raise errors[0]
    return Written(size_bytes, digest.hexdigest())


def read_faiss(path: Path, size_bytes: int, *, writable: bool = False) -> Any:
    """Return the index in a file, or None where there is no sound one.

    Memory-mapped where its kind allows it, unless it is to be written to: FAISS ends the process where a mapped one is.
    """
    try:
        if path.stat().st_size != size_bytes:
            return None
        return faiss.read_index(str(path), 0 if writable else faiss.IO_FLAG_MMAP_IFC)
    except (OSError, RuntimeError, MemoryError):  # FAISS's words for a file that is no index
        return None
