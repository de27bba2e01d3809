"""Where the photos of an order were taken: places on a map, near ones as one where there are many. Draws nothing."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Doubles, Longs
from embedding.photo_columns import PhotoColumns
from search.answers import Searcher
from search.facets import Counting, hotel_value
from search.masks import metres_between
from search.orders import PhotoOrder
from search.query import Filter, format_filter
from search.standing import CurrentStanding, Standing

MOST_PLACES = 400  # on a map
FINEST = 1e-4  # degrees that places may lie apart and be one
DOUBLINGS = 20  # of that, after which all places are one


@dataclass(frozen=True, slots=True)
class MappedPlace:
    """A place on the map, in degrees: how many photos of an order were taken there, and the best of them.

    title: the hotel's name; empty for several together. term: the filter that asks for it.
    """

    latitude: float
    longitude: float
    count: int
    title: str
    term: str
    photo_id: int


def places_of_order(
    searcher: Searcher, current: CurrentStanding, session: Session, order: PhotoOrder
) -> list[MappedPlace]:
    """Return the places of an order's photos above the line, or of all where there is none, the best photo's first."""
    if not searcher.has_photos(session):
        return []
    counting = Counting(searcher, current, session, order)
    standing, rows = counting.standing, counting.ranked
    rows = rows[standing.place_codes[rows] < len(standing.distinct_places)]
    spots = Spots.of(counting.columns, standing, rows)
    return [mapped_place(standing, spots, cell) for cell in spots.cells]


@dataclass(frozen=True, slots=True)
class Spots:
    """Places that photos have in common, s, the best photo's first.

    codes: of each, which it is. counts: its photos. best: the position of the best of these. cells: shown as one.
    """

    codes: Longs
    counts: Longs
    best: Longs
    cells: list[Longs]

    @classmethod
    def of(cls, columns: PhotoColumns, standing: Standing, rows: Longs) -> "Spots":
        """Return the places of photos by their positions, best first."""
        codes = standing.place_codes[rows]
        best = np.full(len(standing.distinct_places), -1, np.int64)
        best[codes[::-1]] = np.arange(len(rows))[::-1]  # of several the last stays, which is the first here
        counts = np.bincount(codes[~columns.twinned[rows]], minlength=len(best))
        twins = rows[columns.twinned[rows]]
        pairs = np.unique(np.stack([standing.place_codes[twins], columns.twins[twins]], axis=1), axis=0)
        counts += np.bincount(pairs[:, 0], minlength=len(best))
        there = np.flatnonzero(best >= 0)
        there = there[np.argsort(best[there])]
        return cls(there, counts[there], rows[best[there]], in_cells(standing.distinct_places[there]))


def in_cells(places: Doubles) -> list[Longs]:
    """Return which places (s, 2) are shown as one, in the order of the first of each: as fine as leaves few enough."""
    if not len(places):
        return []
    low, high = 0, DOUBLINGS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(np.unique(cells_of(places, middle))) <= MOST_PLACES else (middle + 1, high)
    _, first, which, counts = np.unique(
        cells_of(places, low), return_index=True, return_inverse=True, return_counts=True
    )
    parts = np.split(np.argsort(which, kind="stable"), np.cumsum(counts)[:-1])
    return [parts[cell] for cell in np.argsort(first)]


def cells_of(places: Doubles, doubled: int) -> Longs:
    """Return the number of each place's cell in a grid, (s,), whose side was doubled so often."""
    north, east = np.floor(places / (FINEST * 2**doubled)).astype(np.int64).T
    numbers: Longs = north * (1 << 32) + east
    return numbers


def mapped_place(standing: Standing, spots: Spots, cell: Longs) -> MappedPlace:
    """Return the place that several are shown as."""
    places, counts = standing.distinct_places[spots.codes[cell]], spots.counts[cell]
    latitude, longitude = np.average(places, axis=0, weights=counts).tolist()
    hotel_id = int(standing.columns.hotel_ids[spots.best[cell[0]]]) if len(cell) == 1 else 0
    own = hotel_id and not np.isnan(standing.columns.latitude[spots.best[cell[0]]])
    if hotel_id and not own and standing.is_alone(hotel_id):
        title, part = hotel_value(standing, hotel_id)
    else:
        radius_m = int(np.ceil(metres_between(places, latitude, longitude).max())) + 1
        title, part = "", Filter("near", f"{latitude:.5f},{longitude:.5f},{radius_m}m")
    best = int(standing.columns.ids[spots.best[cell[0]]])
    return MappedPlace(latitude, longitude, int(counts.sum()), title, format_filter(part), best)
