"""Reading: photos' bytes are read, hashed and decoded, many at a time. Knows no library, and embeds nothing."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from base.errors import PhotoError
from base.files import PhotoFile
from base.remote import Unreachable
from db.models import Photo
from embedding.decode import MAX_PIXELS, Facts, Preprocessing, decode, read_camera
from embedding.exif import SILENT, Camera
from indexer.mounts import UNREACHABLE
from indexer.sources import MISSING

DECODE_THREADS = max(2, min(8, os.cpu_count() or 2))
FEEDING_THREADS = max(DECODE_THREADS, min(64, os.cpu_count() or 2))  # where something else than the CPU encodes


class Decoded(Protocol):
    """A photo that is ready to be embedded: its pixels are at hand, or with whoever embeds it."""

    @property
    def facts(self) -> Facts:
        """What was learned of the whole photo."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """A photo's bytes, read: their SHA-256 and size, and what the camera says of them.

    `decoded` is None where the vector is known already.
    """

    sha256: bytes
    size_bytes: int
    decoded: Decoded | None
    camera: Camera = SILENT


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo could not be read or decoded."""

    kind: str
    reason: str


Outcome = Content | Failure


def read_photo(
    file: PhotoFile,
    preprocessing: Preprocessing,
    is_known: Callable[[bytes], bool],
    may_decode: threading.Event,
    max_pixels: int = MAX_PIXELS,
) -> Outcome:
    """Read and hash one photo, wait until it may be decoded, decode it; anything wrong becomes a Failure."""
    try:
        with file.lent() as data:
            sha256 = hashlib.sha256(data).digest()
            if is_known(sha256):
                return Content(sha256, len(data), None, read_camera(data))
            may_decode.wait()
            decoded = decode(data, preprocessing, max_pixels)
            return Content(sha256, len(data), decoded, decoded.camera)
    except FileNotFoundError:
        return Failure(MISSING, "the file vanished before it was read")
    except Unreachable as error:
        return Failure(UNREACHABLE, error.strerror or str(error))
    except OSError as error:
        return Failure("unreadable", str(error.strerror or error))
    except PhotoError as error:
        return Failure(error.kind, error.reason)


def decode_ahead(
    photos: Iterable[Photo],
    read: Callable[[PhotoFile], Outcome],
    *,
    threads: int,
    ahead: int,
    in_bursts: bool = False,
) -> Generator[tuple[Photo, Outcome]]:
    """Yield every photo with its outcome, in the order given.

    Args:
        photos: what to read; taken one by one, in the caller's thread.
        read: run in `threads` threads.
        threads: how many photos are read at once.
        ahead: how many photos may be read before they are asked for; bounds the memory.
        in_bursts: where the next photo is not ready, wait for all those ahead; for a caller that lets the threads
            decode only while it waits.
    """
    waiting: deque[tuple[Photo, Future[Outcome]]] = deque()

    def next_outcome() -> tuple[Photo, Outcome]:
        if in_bursts and not waiting[0][1].done():
            wait([future for _, future in waiting])
        photo, future = waiting.popleft()
        return photo, future.result()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for photo in photos:
            waiting.append((photo, pool.submit(read, PhotoFile(photo.path, photo.member))))
            if len(waiting) > ahead:
                yield next_outcome()
        while waiting:
            yield next_outcome()
    finally:
        pool.shutdown(cancel_futures=True)


def never(sha256: bytes) -> bool:
    """Know no bytes."""
    return False
