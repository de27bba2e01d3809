"""Photos of a library that a model is calibrated to int8 on, and others on which that is measured. Computes nothing."""

from collections.abc import Iterator

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Pixels
from base.console import counted
from base.errors import PhotoError, QueryError
from base.files import PhotoFile
from base.progress import Progress, Step
from db.models import Photo
from db.photo_rows import embedded_rows, newest_photo_id
from embedding.decode import Preprocessing, decode

CALIBRATION_PHOTOS = 128  # the library's first
SAMPLE_PHOTOS = 256  # spread over the others
FEWEST_PHOTOS = 96  # of which half are calibrated on
SEED = 0


def calibration_photos(session: Session, preprocessing: Preprocessing, progress: Progress) -> tuple[Pixels, Pixels]:
    """Return photos to calibrate on, uint8 (n, s, s, 3), and others to measure on, (m, s, s, 3).

    The first that the library has embedded, by their ids, and then some of the others, drawn by a fixed seed; copies
    count once, and what cannot be read now is passed over.

    Raises: QueryError: there are too few.
    """
    seen: set[bytes] = set()
    reading = CalibrationReading(preprocessing, progress, seen)
    first = reading.squares(first_photos(session), CALIBRATION_PHOTOS)
    sample = reading.squares(drawn_photos(session, reading.last_id), SAMPLE_PHOTOS)
    refuse_few(len(first) + len(sample))
    half = min(len(first), (len(first) + len(sample)) // 2)
    return np.stack(first[:half]), np.stack(first[half:] + sample)


def refuse_few_photos(session: Session) -> None:
    """Raise QueryError where a library has embedded too few photos to calibrate on."""
    refuse_few(len(embedded_rows(session, limit=FEWEST_PHOTOS)))


def refuse_few(photos: int) -> None:
    """Raise QueryError where a library has too few photos to calibrate on, and to measure that."""
    if photos < FEWEST_PHOTOS:
        raise QueryError(
            f"int8 is calibrated on photos of the library and measured on others, {FEWEST_PHOTOS} at least, and "
            f"{counted(photos, 'different photo')} can be read here: add more by the model as it is, with "
            "`aliens add FOLDER`, then do this again"
        )


class CalibrationReading:
    """Photos read one by one; `seen`: hashes of those that were. last_id: of the last one that was asked for."""

    def __init__(self, preprocessing: Preprocessing, progress: Progress, seen: set[bytes]) -> None:
        self._preprocessing = preprocessing
        self._progress = progress
        self._seen = seen
        self.last_id = 0

    def squares(self, photos: Iterator[Photo], most: int) -> list[Pixels]:
        """Return up to `most` photos as the model sees them, (s, s, 3) each."""
        found: list[Pixels] = []
        for photo in photos:
            if len(found) == most:
                break
            self.last_id = photo.id
            sha256 = photo.content_sha256
            if sha256 is None or sha256 in self._seen:
                continue
            self._seen.add(sha256)
            try:
                data = PhotoFile(photo.path, photo.member).read()
                found.append(decode(data, self._preprocessing).pixels)
            except (OSError, PhotoError):
                continue
            self._progress(Step("calibrating", len(self._seen), CALIBRATION_PHOTOS + SAMPLE_PHOTOS))
        return found


def first_photos(session: Session) -> Iterator[Photo]:
    """Yield the embedded photos in the order of their ids."""
    last_id = 0
    while page := embedded_rows(session, last_id, CALIBRATION_PHOTOS):
        yield from page
        last_id = page[-1].id


def drawn_photos(session: Session, after_id: int) -> Iterator[Photo]:
    """Yield embedded photos behind an id: all where they are few, else drawn by chance, some perhaps more than once."""
    few = embedded_rows(session, after_id, 2 * SAMPLE_PHOTOS)
    if len(few) < 2 * SAMPLE_PHOTOS:
        yield from few
        return
    last_id, chance = newest_photo_id(session), np.random.default_rng(SEED)
    for drawn in chance.integers(after_id, last_id, 4 * SAMPLE_PHOTOS):
        yield from embedded_rows(session, int(drawn), 1)
