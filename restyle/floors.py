"""How alike a result must be to its photo to be recognised: floors, calibrated on photos that have nothing in common.

The null distribution is each photo of a library compared with all its others; the measures are those of
`restyle.structure`. Looks at no colours, and judges no style.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids
from base.errors import AliensError, PhotoError
from base.files import PhotoFile
from base.progress import Progress, Step, silent
from base.records import read_record, write_record
from base.settings import LibraryFolder
from db.catalog import Catalog, disk_errors
from db.photo_rows import photo_record
from db.vector_rows import embedded_ids
from embedding.colour import read_pixels
from restyle.structure import Likeness, Structure, structure_of, thick

FEWEST_PHOTOS = 50  # 1,225 pairs, one above the quantile; of 20 photos it is about half of what it is of 240
MOST_PHOTOS = 400  # 79,800 pairs, 80 above
NULL_QUANTILE = 0.999  # at most 0.1 % of strangers are as alike in both measures
SAME_PHOTO = 0.9  # correlation from which two photos are one photo, perhaps recoloured: such pairs are no strangers
WAY_FROM_NULL = 0.4  # of the way from the likest strangers to the photo itself
STRICTEST = 0.8  # recolourings reach 0.9 and more: no library's floors shall refuse them
BLOCK_PX = 4096  # pixels of all edge maps that are multiplied at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class Floors:
    """What a result must reach in every measure of `Likeness` to be recognised.

    hog, edge_f1: at least. shift: at most, a share of the longer side. pairs: the pairs of unrelated photos that these
    floors were calibrated on, 0 for floors that nobody calibrated.
    """

    hog: float
    edge_f1: float
    shift: float = 0.02
    pairs: int = 0

    @classmethod
    def at(cls, value: float) -> Self:
        """Return floors that a user has set: one least value for HOG correlation and for edge F1.

        Raises: AliensError: the value is not in 0..1.
        """
        if not 0 <= value <= 1:
            raise AliensError(f"a floor is a likeness from 0 (anything passes) to 1, not {value}: try 0.6")
        return cls(hog=value, edge_f1=value)

    def failures(self, likeness: Likeness) -> list[str]:
        """Return in words what a result this alike to its photo does not reach; empty where it is recognised."""
        said = [
            needed("shapes", likeness.hog, self.hog),
            needed("outlines", likeness.edge_f1, self.edge_f1),
            f"moved by {100 * likeness.shift:.1f} % of its longer side" if likeness.shift > self.shift else "",
        ]
        return [reason for reason in said if reason]

    @property
    def words(self) -> str:
        """What they ask for, in everyday words."""
        how = f"as {self.pairs} pairs of its photos suggest" if self.pairs else "as usual for few photos"
        return (
            f"a result is recognised where {100 * self.edge_f1:.0f} % of the outlines and {100 * self.hog:.0f} % of "
            f"the shapes are kept, {how}"
        )

    @property
    def origin(self) -> str:
        """What they are and where they come from, in figures."""
        how = f"calibrated on {self.pairs} pairs of its photos" if self.pairs else "the default for few photos"
        return f"floors: HOG correlation {self.hog:.2f}, edge F1 {self.edge_f1:.2f}, {how}"


def needed(what: str, kept: float, floor: float) -> str:
    """Return in words how much less is kept than must be; empty where it is enough."""
    return f"{what} kept {100 * max(kept, 0.0):.1f} %, {100 * floor:.1f} % are needed" if kept < floor else ""


@dataclass(frozen=True, slots=True)
class KeptFloors:
    """What the file of a library's floors says; photos: how many it held then."""

    photos: int
    floors: Floors


DEFAULT_FLOORS = Floors(hog=0.55, edge_f1=0.65)  # as `calibrate` finds them on photos of hotels and houses


def calibrate(structures: Sequence[Structure]) -> Floors:
    """Return the floors of a library from the structures of its photos, of which more than 400 add nothing.

    How near a pair is, is told from 0, what strangers have on average, to 1, one photo, and by the measure in which it
    is the farther: a pair passes the floors only if it does so in both. The floors stand two fifths of the way from the
    likest strangers (their 99.9 % quantile) to the photo itself, but never above 0.8. Fewer than 50 photos get the
    default floors.
    """
    if len(structures) < FEWEST_PHOTOS:
        return DEFAULT_FLOORS
    if len(structures) > MOST_PHOTOS:
        picked = np.random.default_rng(0).choice(len(structures), MOST_PHOTOS, replace=False)
        structures = [structures[i] for i in sorted(picked)]
    pairs = np.stack(null_of(structures))  # (2, pairs)
    pairs = pairs[:, pairs[0] < SAME_PHOTO]
    if not pairs.size:
        return DEFAULT_FLOORS
    average = pairs.mean(axis=1)
    nearness = ((pairs - average[:, None]) / (1 - average[:, None])).min(axis=0)
    strangers = float(np.quantile(nearness, NULL_QUANTILE))
    way = strangers + WAY_FROM_NULL * (1 - strangers)
    hog, edge_f1 = (round(min(float(level), STRICTEST), 3) for level in average + way * (1 - average))
    return Floors(hog=hog, edge_f1=edge_f1, pairs=pairs.shape[1])


def null_of(structures: Sequence[Structure]) -> tuple[Floats, Floats]:
    """Return HOG correlation and edge F1 of every pair of n photos, (n (n - 1) / 2,) each, in the order of triu.

    They equal those of `compare`, by matrix products: 79,800 pairs in about a second.
    """
    hogs = np.stack([structure.hog for structure in structures])
    edges = np.stack([structure.edges.ravel() for structure in structures])
    near = np.stack([thick(structure.edges).ravel() for structure in structures])
    flat = ~hogs.any(axis=1)
    correlations = hogs @ hogs.T + np.outer(flat, flat)
    pairs = np.triu_indices(len(structures), 1)
    return correlations[pairs], edge_f1s_of(edges, near)[pairs]


def edge_f1s_of(edges: Bools, near: Bools) -> Floats:
    """Return edge F1 of all pairs, (n, n), of edge maps (n, px) and of what lies near them (n, px)."""
    found = np.zeros((len(edges), len(edges)), np.float32)  # edges of row i that lie near edges of row j
    for start in range(0, edges.shape[1], BLOCK_PX):
        part = slice(start, start + BLOCK_PX)
        found += edges[:, part].astype(np.float32) @ near[:, part].astype(np.float32).T
    counts = edges.sum(axis=1)
    shares = found / np.maximum(counts, 1)[:, None]
    bare = counts == 0
    f1s: Floats = 2 * shares * shares.T / np.maximum(shares + shares.T, 1e-9) + np.outer(bare, bare)
    return f1s


SAMPLE_PHOTOS = 150  # whose pairs with all the others are the null distribution
READ_PX = 512  # the longer side that they are read at: structure is measured at less
GROWN = 1.5  # how many times larger or smaller a library becomes before its floors are calibrated anew


def library_floors(catalog: Catalog, session: Session, progress: Progress = silent) -> Floors:
    """Return a library's floors: those that it keeps, or calibrated on a sample of its photos, and kept.

    Floors that are calibrated on nothing, since there are few photos or few that can be read now, are not kept.

    Raises: LibraryError: the disk is full or cannot be written.
    """
    folder, photo_ids = catalog.folder, embedded_ids(session, catalog.model)
    if len(photo_ids) < FEWEST_PHOTOS:  # what they show would not be used
        return DEFAULT_FLOORS
    kept = read_floors(folder, len(photo_ids))
    if kept is not None:
        return kept
    floors = calibrate(sample(session, photo_ids, progress))
    if floors.pairs:
        with disk_errors(folder):
            write_record(folder.floors_file, KeptFloors(len(photo_ids), floors))
    return floors


def read_floors(folder: LibraryFolder, photos: int) -> Floors | None:
    """Return the floors that a library keeps; None where there are none, or it was of another size then."""
    kept = read_record(folder.floors_file, KeptFloors)
    if kept is None or kept.photos < 1 or not 1 / GROWN <= photos / kept.photos <= GROWN:
        return None
    values = (kept.floors.hog, kept.floors.edge_f1, kept.floors.shift)
    return kept.floors if all(0 <= value <= 1 for value in values) else None  # or they are none of ours


def sample(session: Session, photo_ids: Ids, progress: Progress) -> list[Structure]:
    """Return the structures of some photos, spread over all; those that cannot be read are passed over."""
    places = np.unique(np.linspace(0, len(photo_ids) - 1, min(SAMPLE_PHOTOS, len(photo_ids))).astype(int))
    structures = []
    for done, place in enumerate(places.tolist() if len(photo_ids) else (), start=1):
        record = photo_record(session, int(photo_ids[place]))
        try:
            if record is not None:
                structures.append(structure_of(read_pixels(PhotoFile(record.path, record.member), READ_PX)))
        except (OSError, PhotoError):
            pass
        progress(Step("comparing photos", done, len(places)))
    return structures
