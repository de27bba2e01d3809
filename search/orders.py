"""A whole answer at once, for those who scroll: every photo in its order as arrays. Reads no photo's row."""

from collections.abc import Sequence
from dataclasses import dataclass

from base.arrays import Floats, Longs

LONGEST = 100_000  # photos of an order: a browser scrolls no further, and says so


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoOrder:
    """The photos of an answer, best first, or newest first where nothing is looked for.

    text: what was asked. photo_ids: (n,) int64, at most LONGEST. scores: (n,) float32 cosines; None where nothing was
    looked for. beats: (n,) float32, percent of a sample of the library that score lower; None as for scores. above: how
    many of the n stand above the suggested stop line; None where it cannot be told. total: how many photos the filters
    leave, the n among them. photos: how many the library has.
    """

    text: str
    photo_ids: Longs
    scores: Floats | None = None
    beats: Floats | None = None
    above: int | None = None
    stop_line: float | None = None
    stands_out: bool | None = None
    total: int = 0
    photos: int = 0
    note: str = ""

    def __len__(self) -> int:
        return len(self.photo_ids)


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value that photos of an order have: how it reads, the filter that asks for it, and how many have it."""

    value: str
    term: str  # as in a query: chain:"Best Western"
    count: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """A property of photos with its most frequent values; `others`: how many further values there are."""

    name: str  # tag, chain, hotel, source, size, colour, year
    values: Sequence[FacetValue] = ()
    others: int = 0


@dataclass(frozen=True, slots=True)
class SuggestedTerm:
    """What may be typed next: the whole query with it, where the caret stands then, what it is, and a word about it."""

    text: str
    caret: int
    kind: str  # tag, hotel, chain, operator, saved
    label: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class MappedPlace:
    """A place on the map, in degrees: how many photos of an order were taken there, and the best of them."""

    latitude: float
    longitude: float
    count: int
    title: str
    term: str  # the filter that asks for it
    photo_id: int
