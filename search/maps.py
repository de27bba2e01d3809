"""Where the photos of an order were taken: places on a map, near ones as one where there are many. Draws nothing."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Doubles, Longs
from db.sqlite_files import EARTH_RADIUS_M
from search.answers import Searcher
from search.facets import Counting, hotel_value
from search.orders import PhotoOrder
from search.query import Filter, format_filter
from search.standing import CurrentStanding, Standing

MOST_PLACES = 400  # on a map
FINEST, COARSEST = 1e-4, 90.0  # degrees that places may lie apart and be one


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
    columns, standing = counting.columns, counting.standing
    rows = counting.ranked
    _, first = np.unique(columns.twins[rows], return_index=True)  # copies as one
    rows = rows[np.sort(first)]
    places = standing.places[rows]
    there = ~np.isnan(places).any(axis=1)
    rows, places = rows[there], places[there]
    if not len(rows):
        return []
    cells = in_cells(places)
    _, first, which, counts = np.unique(cells, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order_of_cells = np.argsort(first)
    by_cell = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(counts)
    return [
        place_of(standing, rows[by_cell[ends[cell] - counts[cell] : ends[cell]]]) for cell in order_of_cells.tolist()
    ]


def in_cells(places: Doubles) -> Longs:
    """Return cells of a grid, (n, 2), for places (n, 2): as fine as leaves few enough of them."""
    size = FINEST
    while True:
        cells = np.floor(places / size).astype(np.int64)
        if size >= COARSEST or len(np.unique(cells, axis=0)) <= MOST_PLACES:
            return cells
        size *= 2


def place_of(standing: Standing, rows: Longs) -> MappedPlace:
    """Return the place of photos that lie near each other, the best first."""
    places, hotels = standing.places[rows], np.unique(standing.columns.hotel_ids[rows])
    latitude, longitude = places.mean(axis=0).tolist()
    title, part = "", None
    if len(hotels) == 1 and hotels[0]:
        title, part = hotel_value(standing, int(hotels[0]))
    if part is None:
        radius_m = max(1, int(np.ceil(metres(places, latitude, longitude).max())) + 1)
        part = Filter("near", f"{latitude:.5f},{longitude:.5f},{radius_m}m")
    return MappedPlace(latitude, longitude, len(rows), title, format_filter(part), int(standing.columns.ids[rows[0]]))


def metres(places: Doubles, latitude: float, longitude: float) -> Doubles:
    """Return how far places, (n, 2) degrees, lie from another one, (n,)."""
    here, there = np.radians(places), np.radians([latitude, longitude])
    half = np.sin((here - there) / 2) ** 2
    distance: Doubles = np.sqrt(half[:, 0] + np.cos(here[:, 0]) * np.cos(there[0]) * half[:, 1])
    return 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(distance, 1))
