"""Picking: the strongest photos of each kind, spread over hotels and over the embedding. Opens no photo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restyle.candidates.gates import Looked, Rejection, rejected, same_shot
from restyle.candidates.measures import Measures

Kind = Literal["detailed", "opposite-palette", "minimal"]
Strategy = Literal["mixed", "detailed", "opposite-palette", "minimal"]
KINDS: tuple[Kind, ...] = ("detailed", "opposite-palette", "minimal")

SHORTLIST_SHARE = 0.1  # of the photos that are left: picks are spread among the strongest tenth,
SHORTLIST_LEAST = 4  # or among so many
LEAST_WARM = 0.1  # of a photo whose palette is opposed: a red cushion makes none

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Picked:
    """A photo to restyle: the kind that it was picked as, and the reasons in words."""

    looked: Looked
    kind: Kind
    reasons: tuple[str, ...]

    @property
    def why(self) -> str:
        """The reasons as one text."""
        return "; ".join(self.reasons)


class Picker:
    """Picks among photos that passed the gates; deterministic.

    The next photo of a kind is, among the strongest tenth of the photos left, the one with the greatest product of
    strength and distance to what is picked: a weighted k-centre (farthest-first) traversal of the unit vectors.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance", weighted by strength.
    """

    def __init__(self, photos: Sequence[Looked], vectors: Vectors, palette: str) -> None:
        """`photos`: m of them, with unit vectors (m, d). palette: its name, for the reasons."""
        self._photos = photos
        self._vectors = vectors
        self._palette = palette
        self._strengths = {kind: np.array([strength(kind, photo.measures) for photo in photos]) for kind in KINDS}
        self._left = np.ones(len(photos), bool)
        self._nearest = np.full(len(photos), -1.0, np.float32)  # cosine with the nearest photo that is picked
        self._places: list[int] = []
        self.picked: list[Picked] = []
        self.rejected: list[Rejection] = []

    def pick(self, kind: Kind) -> Picked | None:
        """Pick one more photo of a kind; None where none is left. Near-duplicates of picked ones are rejected."""
        while (place := self._best(kind)) is not None:
            self._left[place] = False
            photo = self._photos[place]
            if reason := self._repeats(place):
                self.rejected.append(rejected(photo.record, "near-duplicate", reason))
                continue
            self._nearest = np.maximum(self._nearest, self._vectors @ self._vectors[place])
            self._places.append(place)
            pick = Picked(photo, kind, self._reasons(kind, photo.measures))
            self.picked.append(pick)
            return pick
        return None

    def _best(self, kind: Kind) -> int | None:
        """Return the place of the photo to pick next, or None; photos of hotels that have none go first."""
        strengths = self._strengths[kind]
        left = self._left & (strengths > 0)
        hotels = {photo.looked.record.hotel_id for photo in self.picked} - {None}
        fresh = np.array([photo.record.hotel_id not in hotels for photo in self._photos])
        candidates = np.flatnonzero(left & fresh if (left & fresh).any() else left)
        if not len(candidates):
            return None
        strongest = sorted(candidates.tolist(), key=lambda i: (-strengths[i], self._photos[i].record.photo_id))
        shortlist = strongest[: max(SHORTLIST_LEAST, round(len(strongest) * SHORTLIST_SHARE))]
        if not self.picked:
            return int(shortlist[0])
        value = strengths[shortlist] * (1 - self._nearest[shortlist])
        return int(shortlist[int(np.argmax(value))])

    def _repeats(self, place: int) -> str | None:
        for other in self._places:
            cosine = float(self._vectors[place] @ self._vectors[other])
            if reason := same_shot(self._photos[place], self._photos[other], cosine):
                return reason
        return None

    def _reasons(self, kind: Kind, m: Measures) -> tuple[str, ...]:
        """Return in words, with numbers, why a photo is of a kind."""
        if kind == "detailed":
            return (
                f"edge density {m.edge_density:.2f}, denser than {self._beaten('edge_density', m)}",
                f"lightness of {m.entropy_bits:.1f} bits, more than {self._beaten('entropy_bits', m)}",
            )
        if kind == "opposite-palette":
            return (
                f"{m.warm:.0%} of it peach, pink, red or orange, more than {self._beaten('warm', m)}",
                f"without red {m.palette_distance:.0f} from the palette {self._palette}, "
                f"farther than {self._beaten('palette_distance', m)}",
            )
        return (
            f"{m.flat:.0%} of it flat, more than {self._beaten('flat', m)}",
            f"edge density {m.edge_density:.2f}, less than {self._beaten('edge_density', m, below=True)}",
            f"about {m.colours:.0f} colours, fewer than {self._beaten('colours', m, below=True)}",
        )

    def _beaten(self, name: str, measures: Measures, below: bool = False) -> str:
        """Return the share of the photos with lower, or higher, values: "96 % of 240 photos"."""
        values = np.array([getattr(photo.measures, name) for photo in self._photos])
        value = getattr(measures, name)
        share = float((values > value).mean() if below else (values < value).mean())
        return f"{100 * share:.0f} % of {len(values)} photos"


def strength(kind: Kind, measures: Measures) -> float:
    """Return how strongly a photo is of a kind, 0 where it is none; only photos of one kind compare."""
    if kind == "detailed":
        return measures.detail
    if kind == "opposite-palette":
        return measures.opposition if measures.warm >= LEAST_WARM else 0.0
    return measures.minimalism


def in_turn(strategy: Strategy) -> Iterator[tuple[Kind, ...]]:
    """Yield, for each pick, the kinds to try: one, or all three, of which each goes first in turn."""
    if strategy != "mixed":
        yield from repeat((strategy,))
    for first in cycle(range(len(KINDS))):
        yield KINDS[first:] + KINDS[:first]
