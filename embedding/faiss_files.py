"""FAISS's files: written whole or not at all, with a checksum; read where they lie."""

import hashlib
import os
import struct
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from base.arrays import Ids
from base.files import atomic_write

WRITTEN_BYTES = 1 << 24  # at a time
COUNT = struct.Struct("<q")
ROWS_AT = (8, 45)  # where the number of rows stands in a segment's file, of ids and of codes


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


def write_segment(path: Path, dim: int, parts: Iterable[tuple[Ids, NDArray[np.floating]]]) -> tuple[Written, int]:
    """Write ids over float16 codes as FAISS writes such an index, and return what the file holds, and how many rows.

    FAISS itself would hold all rows in memory, twice while it adds them; here they pass by in parts, ids (n,) and
    vectors (n, dim). A version of FAISS that lays such files out otherwise writes them itself.

    Raises: OSError: the disk is full or cannot be written.
    """
    head, ids = segment_head(dim), [np.empty(0, np.int64)]
    if head is None:
        index = empty_segment(dim)
        for some, vectors in parts:
            index.add_with_ids(np.ascontiguousarray(vectors, np.float32), some.astype(np.int64))
        return write_faiss(index, path), int(index.ntotal)
    with atomic_write(path) as file:
        file.write(head + bytes(COUNT.size))
        for some, vectors in parts:
            file.write(np.ascontiguousarray(vectors, np.float16).data)
            ids.append(some.astype(np.int64))
        rows = sum(map(len, ids))
        file.write(COUNT.pack(rows))
        for some in ids:
            file.write(some.data)
        size_bytes = file.tell()
        for place in ROWS_AT:
            file.seek(place)
            file.write(COUNT.pack(rows))
        file.seek(len(head))
        file.write(COUNT.pack(2 * dim * rows))
        file.flush()
        return Written(size_bytes, sha256_of_open(file.fileno())), rows


def sha256_of_open(descriptor: int) -> str:
    """Return the SHA-256 of an open file in hexadecimal."""
    digest, at = hashlib.sha256(), 0
    while data := os.pread(descriptor, WRITTEN_BYTES, at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()


def empty_segment(dim: int) -> Any:
    """Return FAISS's index of ids over float16 codes, without any."""
    codes = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap(codes)


@lru_cache
def segment_head(dim: int) -> bytes | None:
    """Return what FAISS writes before the codes of such an index, for one row; None where it is not as known here.

    A kind, the dimensions, the rows, and so on for the ids (37 bytes), the same for the codes, the codes' own facts;
    then the codes and the ids, each after their size. See faiss/impl/index_write.cpp, "IxMp" and "IxSQ".
    """
    index = empty_segment(dim)
    index.add_with_ids(np.zeros((1, dim), np.float32), np.array([0], np.int64))
    written: bytes = faiss.serialize_index(index).tobytes()
    body = COUNT.pack(2 * dim) + bytes(2 * dim) + COUNT.pack(1) + COUNT.pack(0)
    head = written.removesuffix(body)
    known = len(head) + len(body) == len(written) and all(head[at : at + 8] == COUNT.pack(1) for at in ROWS_AT)
    return head if known else None


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
