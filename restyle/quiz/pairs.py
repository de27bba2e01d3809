"""Results beside the photos that they were made of, read once: pictures to show, vectors to compare. Judges nothing.

A pair of which a file is gone or was changed is left out, with the reason.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from aliens.errors import PhotoError
from aliens.files import PhotoFile
from restyle.judge import PhotoEncoder
from restyle.originals import original_of, why_lost
from restyle.pages import jpeg
from restyle.pixels import Pixels, encoder_square, read_pixels
from restyle.results import Result
from restyle.structure import hog_of

BATCH_PAIRS = 8  # embedded together
LONGEST_PX = 640  # of a picture in the quiz


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture as it is read. square: (s, s, 3), what the encoder takes. hog: see restyle.structure.hog_of."""

    name: str
    jpeg: bytes
    square: Pixels
    hog: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """One picture. vector: (d,) float32 of the encoder, norm 1. hog: see restyle.structure.hog_of."""

    name: str
    jpeg: bytes
    vector: NDArray[np.float32]
    hog: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A result and its original. wish: the digest of what the result was asked to be."""

    result_id: int
    source_id: int
    wish: str
    result: Exhibit
    original: Exhibit


@dataclass(slots=True)
class Reading:
    """What was read: pairs, and in words which results were left out."""

    pairs: list[Pair] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def newest(results: Iterable[Result]) -> list[Result]:
    """Return the newest result of each original, in the order of their ids; copies of a photo count as one."""
    kept: dict[str, Result] = {}
    sources: set[int] = set()
    for result in sorted(results, key=lambda result: (result.made_at, result.id), reverse=True):
        lineage = result.lineage
        if lineage.source_photo_id not in sources and lineage.source_sha256 not in kept:
            kept[lineage.source_sha256] = result
            sources.add(lineage.source_photo_id)
    return sorted(kept.values(), key=lambda result: result.id)


def read_pairs(
    session: Session,
    results: Sequence[Result],
    encoder: PhotoEncoder,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reading:
    """Read results and their originals; both are embedded in the same way, from the same size."""
    reading = Reading()
    for start in range(0, len(results), BATCH_PAIRS):
        read: list[tuple[Result, Picture, Picture]] = []
        for result in results[start : start + BATCH_PAIRS]:
            try:
                original = picture_of(original_of(session, result), encoder)
                read.append((result, picture_of(PhotoFile(str(result.path)), encoder), original))
            except (OSError, PhotoError) as error:
                reading.left_out.append(f"result {result.id}: {why_lost(error)}")
        reading.pairs += embedded(read, encoder)
        progress(min(start + BATCH_PAIRS, len(results)), len(results))
    return reading


def embedded(read: Sequence[tuple[Result, Picture, Picture]], encoder: PhotoEncoder) -> Iterator[Pair]:
    """Yield pairs of what was read, all embedded together."""
    if not read:
        return
    pictures = [picture for _, *both in read for picture in both]
    vectors = iter(encoder.encode_images(np.stack([picture.square for picture in pictures])))
    for result, made, original in read:
        yield Pair(
            result_id=result.id,
            source_id=result.lineage.source_photo_id,
            wish=result.lineage.wish,
            result=exhibit(made, next(vectors)),
            original=exhibit(original, next(vectors)),
        )


def exhibit(picture: Picture, vector: NDArray[np.float32]) -> Exhibit:
    """Return a picture with its vector (d,)."""
    return Exhibit(name=picture.name, jpeg=picture.jpeg, vector=vector, hog=picture.hog)


def picture_of(file: PhotoFile, encoder: PhotoEncoder) -> Picture:
    """Return a picture as it is read.

    Raises: OSError, PhotoError: it cannot be read.
    """
    pixels = read_pixels(file, LONGEST_PX)
    square = encoder_square(pixels, encoder.preprocessing)
    return Picture(name=file.member or file.path, jpeg=jpeg(pixels), square=square, hog=hog_of(pixels))
