"""The floors of a library: calibrated on its own photos, kept beside its results. Judges nothing."""

import json
from collections.abc import Callable, Sequence

import numpy as np

from aliens.errors import PhotoError
from aliens.files import PhotoFile, atomic_write
from aliens.settings import LibraryFolder
from db.writing import disk_errors
from restyle.floors import DEFAULT_FLOORS, FEWEST_PHOTOS, Floors, calibrate
from restyle.pixels import read_pixels
from restyle.structure import Structure, structure_of

FLOORS_FILE = "floors.json"
SAMPLE_PHOTOS = 150  # whose pairs with all the others are the null distribution
READ_PX = 512  # the longer side that they are read at: structure is measured at less
GROWN = 1.5  # how many times larger or smaller a library becomes before its floors are calibrated anew


def library_floors(
    folder: LibraryFolder,
    photo_ids: Sequence[int],
    file_of: Callable[[int], PhotoFile | None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Floors:
    """Return a library's floors: those that it keeps, or calibrated on a sample of its photos, and kept.

    Floors that are calibrated on nothing, since there are few photos or few that can be read now, are not kept.

    Args:
        folder: the library.
        photo_ids: all its photos.
        file_of: where a photo lies; None where it is gone.
        progress: called with photos read, and how many will be.

    Raises: LibraryError: the disk is full or cannot be written.
    """
    if len(photo_ids) < FEWEST_PHOTOS:  # what they show would not be used
        return DEFAULT_FLOORS
    kept = read_floors(folder, len(photo_ids))
    if kept is not None:
        return kept
    floors = calibrate(sample(photo_ids, file_of, progress))
    if floors.pairs:
        with disk_errors(folder):
            folder.restyled.mkdir(parents=True, exist_ok=True)
            with atomic_write(folder.restyled / FLOORS_FILE) as file:
                file.write(json.dumps({"photos": len(photo_ids), "floors": floors.as_json()}).encode())
    return floors


def read_floors(folder: LibraryFolder, photos: int) -> Floors | None:
    """Return the floors that a library keeps; None where there are none, or it was of another size then."""
    try:
        kept = json.loads((folder.restyled / FLOORS_FILE).read_text(encoding="utf-8"))
        if not 1 / GROWN <= photos / kept["photos"] <= GROWN:
            return None
        return Floors.from_json(kept["floors"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):  # absent, or not ours any more
        return None


def sample(
    photo_ids: Sequence[int], file_of: Callable[[int], PhotoFile | None], progress: Callable[[int, int], None]
) -> list[Structure]:
    """Return the structures of some photos, spread over all; those that cannot be read are passed over."""
    places = np.unique(np.linspace(0, len(photo_ids) - 1, min(SAMPLE_PHOTOS, len(photo_ids))).astype(int))
    structures = []
    for done, place in enumerate(places.tolist() if len(photo_ids) else (), start=1):
        file = file_of(int(photo_ids[place]))
        try:
            if file is not None:
                structures.append(structure_of(read_pixels(file, READ_PX)))
        except (OSError, PhotoError):
            pass
        progress(done, len(places))
    return structures
