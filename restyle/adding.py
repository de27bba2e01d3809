"""Adding results to the library: rows and vectors of their own kind, which only searches find that ask for it."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from aliens.errors import PhotoError
from aliens.settings import LibraryFolder
from db.models import Model, Photo, PhotoState
from db.photos import hotels_of
from db.restylings import put_result_photo, result_photos
from db.vectors import current_model, next_shard_number, record_shard, shard_counts
from db.writing import disk_errors, writing
from embedding.decode import Preprocessing, decode
from embedding.store import VectorStore
from restyle.results import Result

SHARD_RESULTS = 256  # recorded together: a kill loses at most the encoding of so many


class ImageEncoder(Protocol):
    """What adding results needs of the library's encoder."""

    preprocessing: Preprocessing
    batch_photos: int

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit vectors (n, d) of squares (n, s, s, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """A result's file as it was read: the columns of its photo row, and the encoder's square (s, s, 3)."""

    result: Result
    columns: dict[str, Any]
    pixels: NDArray[np.uint8]


def add_to_library(folder: LibraryFolder, session: Session, results: Sequence[Result], encoder: ImageEncoder) -> int:
    """Give results a row and a vector in the library, and return how many had none yet.

    Each belongs to the hotel of its photo. Those whose files have vanished are passed over. The library's lock is held
    only while a shard is written; a kill leaves results without rows, and the next call adds them.

    Raises: LibraryError: another process is changing the library, or the disk is full.
    """
    model = current_model(session)
    store = VectorStore(folder.vectors(model.key), model.dim)
    waiting, added = without_vector(session, model, results), 0
    for start in range(0, len(waiting), SHARD_RESULTS):
        found = [read for result in waiting[start : start + SHARD_RESULTS] if (read := read_result(result, encoder))]
        if found:
            vectors = encoded(found, encoder)
            with disk_errors(folder), writing(folder):
                record(session, model, store, found, vectors)
            added += len(found)
    return added


def without_vector(session: Session, model: Model, results: Sequence[Result]) -> list[Result]:
    """Return the results, each file once, that have no row with a vector, or had one when they looked otherwise."""
    known = result_photos(session, model, [result.id for result in results])
    by_place = {result.path: result for result in results if not is_of(known.get(result.id), result)}
    return list(by_place.values())


def is_of(photo: Photo | None, result: Result) -> bool:
    """Tell whether a row is of a result's file as it is now; a vanished file leaves nothing to be done."""
    if photo is None:
        return False
    try:
        stat = os.stat(result.path)
    except OSError:
        return True
    now = (os.path.realpath(result.path), stat.st_size, stat.st_mtime_ns)
    return (os.path.realpath(photo.path), photo.size_bytes, photo.mtime_ns) == now


def read_result(result: Result, encoder: ImageEncoder) -> Read | None:
    """Read and decode a result's file; None where it has vanished or is no picture any more."""
    try:
        stat, data = os.stat(result.path), result.path.read_bytes()
        decoded = decode(data, encoder.preprocessing)
    except (OSError, PhotoError):
        return None
    seen = decoded.facts
    columns = {
        "path": os.path.abspath(result.path),
        "size_bytes": len(data),
        "mtime_ns": stat.st_mtime_ns,
        "width_px": seen.width_px,
        "height_px": seen.height_px,
        "format": seen.format,
        "grey": seen.grey,
        "content_sha256": hashlib.sha256(data).digest(),
        "state": PhotoState.RESTYLED,
        "failure_kind": None,
        "failure_reason": None,
    }
    return Read(result, columns, decoded.pixels)


def encoded(found: Sequence[Read], encoder: ImageEncoder) -> NDArray[np.float32]:
    """Return the results' unit vectors, (n, d) float32."""
    squares = np.stack([read.pixels for read in found])
    batches = range(0, len(squares), encoder.batch_photos)
    return np.concatenate([encoder.encode_images(squares[at : at + encoder.batch_photos]) for at in batches])


def record(
    session: Session, model: Model, store: VectorStore, found: Sequence[Read], vectors: NDArray[np.float32]
) -> None:
    """Write the vectors as one shard, then record it and the results' rows in one transaction; needs the lock."""
    try:
        store.remove_strays(set(shard_counts(session, model)))
        hotels = hotels_of(session, [read.result.lineage.source_photo_id for read in found])
        ids = []
        for read in found:
            hotel_id, _ = hotels.get(read.result.lineage.source_photo_id, (None, None))
            ids.append(put_result_photo(session, read.result.id, read.columns | {"hotel_id": hotel_id}))
        number = next_shard_number(session, model)
        store.write(number, np.array(ids, np.int64), vectors)
        record_shard(session, model, number, ids, restyled=True)
        session.commit()
    except BaseException:
        session.rollback()
        raise
