"""Filters as masks over all photos of a library as it stands: the same photos as search.filters finds by SQL.

What the columns cannot say, places and parts of paths, is asked of the database.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Doubles
from db import conditions as sql
from db.catalog import Catalog
from db.sqlite_files import EARTH_RADIUS_M
from embedding.photo_columns import UNDATED
from embedding.segments import SegmentStore
from search.filters import STATES, Chosen, Conditions, group_of, hotels_called_so, kinds_of, tagged
from search.query import Filter, read_choice, read_date, read_near, read_size, read_size_class, read_year
from search.standing import Standing
from search.tags.tagging import not_tagged


@dataclass(frozen=True, slots=True)
class FilterMask:
    """Filters that hold together: one, or several of a name of which one suffices; and which photos meet them, (n,)."""

    filters: tuple[Filter, ...]
    photos: Bools

    @property
    def name(self) -> str:
        """The filters' name."""
        return self.filters[0].name

    @property
    def negated(self) -> bool:
        """Whether the others are meant; then it is one filter."""
        return self.filters[0].negated


@dataclass(frozen=True, kw_only=True)
class FilteredPhotos:
    """The photos that filters leave. chosen: how they are understood, what they leave out unasked."""

    standing: Standing
    masks: tuple[FilterMask, ...]
    chosen: Chosen = field(default_factory=lambda: Chosen(None))

    def photos(self, without: Callable[[FilterMask], bool] = lambda mask: False) -> Bools | None:
        """Return which photos are left, (n,), None for all; without the filters that are named so."""
        masks = [mask.photos for mask in self.masks if not without(mask)]
        return reduce(np.logical_and, masks) if masks else None


class Masks:
    """Turns filters into masks."""

    def __init__(self, catalog: Catalog, session: Session, store: SegmentStore, standing: Standing) -> None:
        self._catalog = catalog
        self._session = session
        self._store = store
        self._standing = standing
        self._columns = standing.columns
        self._conditions = Conditions(session)

    def selection(self, filters: Sequence[Filter]) -> FilteredPhotos:
        """Return what filters leave. Raises: QueryError: as search.filters.chosen."""
        tags = [part for part in filters if part.name == "tag"]
        rest = list(self._of_rest([part for part in filters if part.name not in ("tag", "kind")]))
        if not kinds_of(filters):
            refused = tuple(part for part in filters if part.name == "kind")
            rest.append(FilterMask(refused, np.zeros(len(self._columns), bool)))
        if not tags:
            return FilteredPhotos(standing=self._standing, masks=tuple(rest), chosen=Chosen(None, filters=filters))
        left = reduce(np.logical_and, [mask.photos for mask in rest], np.ones(len(self._columns), bool))
        masks, untagged = self._of_tags(tags, left)
        restyled = int((left & ~self._of_photos).sum())
        chosen = Chosen(None, untagged, restyled, filters)
        return FilteredPhotos(standing=self._standing, masks=(*rest, *masks), chosen=chosen)

    @property
    def _of_photos(self) -> Bools:
        """Which are photos, and not restyled ones, (n,)."""
        photos = self._standing.background.ids
        everything = "restyled" not in self._standing.kinds
        return np.ones(len(self._columns), bool) if everything else self._columns.mask_of(photos)

    def _of_rest(self, filters: Sequence[Filter]) -> Iterator[FilterMask]:
        groups: dict[str, list[Filter]] = defaultdict(list)
        for place, part in enumerate(filters):
            groups[str(place) if part.negated else group_of(part, place)].append(part)
        for group in groups.values():
            mask = reduce(np.logical_or, map(self._mask, group))
            yield FilterMask(tuple(group), ~mask if group[0].negated else mask)

    def _of_tags(self, tags: Sequence[Filter], left: Bools) -> tuple[list[FilterMask], dict[str, int]]:
        """Return the masks of tags, and how many of the photos left nothing is known of, by what tags them."""
        words = self._standing.words
        if not words.all:
            raise not_tagged(self._catalog, self._session, None)
        bits = {each.vocabulary.key: each for each in self._standing.tags}
        masks, untold, untagged = [], dict[str, Bools](), dict[str, int]()
        for part, (vocabulary, place) in zip(tags, [words.find(part.value) for part in tags], strict=True):
            known = bits.get(vocabulary.key)
            if part.number is None and known is not None:
                told, has = known.known_mask(place), known.mask(place)
                masks.append(FilterMask((part,), told & (~has if part.negated else has)))
                untold[known.command] = untold.get(known.command, False) | (self._of_photos & ~told)
            else:  # scores have to be looked at
                choice = tagged(self._catalog, self._session, self._store, [part], self._columns.ids[left])
                masks.append(FilterMask((part,), self._columns.mask_of(choice.ids) if choice.ids is not None else left))
                untagged |= choice.untagged
        counts = {command: int((mask & left).sum()) for command, mask in untold.items()}
        return masks, {command: count for command, count in (untagged | counts).items() if count}

    def _mask(self, part: Filter) -> Bools:
        """Return which photos meet one filter, as if it were not negated."""
        makers: dict[str, Callable[[Filter], Bools]] = {
            "hotel": self._hotel,
            "near": self._near,
            "chain": self._chain,
            "source": self._source,
            "after": lambda part: self._dated & (self._columns.taken_us >= microseconds(part)),
            "before": lambda part: self._dated & (self._columns.taken_us < microseconds(part)),
            "year": self._year,
            "size": self._size,
            "color": self._colour,
            "orientation": self._orientation,
        }
        return makers.get(part.name, self._by_sql)(part)

    def _by_sql(self, part: Filter) -> Bools:
        part = replace(part, negated=False)
        with self._standing.keeping:
            known = self._standing.slow.get(part)
        if known is None:
            known = self._asked(part)
            with self._standing.keeping:
                self._standing.slow[part] = known
        return known

    def _asked(self, part: Filter) -> Bools:
        condition = self._conditions.condition(part)
        states = [STATES[kind] for kind in self._standing.kinds]
        ids = sql.chosen_photos(self._session, self._catalog.model, [condition], None, states)
        return self._columns.mask_of(ids)

    def _hotel(self, part: Filter) -> Bools:
        names = self._standing.names
        meant = names.rows_of(np.array(hotels_called_so(part.value, names.compared), np.int64))
        wanted = np.zeros(len(names.ids) + 1, bool)
        wanted[meant] = True
        wanted[-1] = False
        found: Bools = wanted[self._standing.hotel_rows]
        return found

    def _near(self, part: Filter) -> Bools:
        near, standing = read_near(part.value), self._standing
        if not len(standing.distinct_places):
            self._conditions.hotel_ids(part)  # says what is lacking
        inside = metres_between(standing.distinct_places, near.latitude, near.longitude) <= near.radius_m
        found: Bools = np.append(inside, False)[standing.place_codes]
        return found

    def _chain(self, part: Filter) -> Bools:
        chains = self._conditions.chains(part.value)
        known = self._standing.chains
        wanted = np.isin(known, [] if chains is None else chains)
        meets: Bools = np.append(wanted, chains is None)[self._standing.chain_codes]
        return meets

    def _source(self, part: Filter) -> Bools:
        meant = self._conditions.sources(part.value)
        places = [place for place, name in enumerate(self._columns.sources) if name in meant]
        meets: Bools = np.isin(self._columns.source, places)
        return meets

    @property
    def _dated(self) -> Bools:
        meets: Bools = self._columns.taken_us != UNDATED
        return meets

    def _year(self, part: Filter) -> Bools:
        meets: Bools = self._columns.years == read_year(part.value)
        return meets

    def _size(self, part: Filter) -> Bools:
        width, height = self._columns.width_px, self._columns.height_px
        known: Bools = (width > 0) & (height > 0)
        if (sides := read_size_class(part.value)) is not None:
            longer = np.maximum(width, height)
            return known & (longer >= sides[0]) & (longer < sides[1])
        size = read_size(part.value)
        if size.at_least:
            return known & (width >= size.width_px) & (height >= size.height_px)
        return known & (width <= size.width_px) & (height <= size.height_px)

    def _colour(self, part: Filter) -> Bools:
        meets: Bools = self._columns.grey == (read_choice("color", part.value) == "grey")
        return meets

    def _orientation(self, part: Filter) -> Bools:
        width, height = self._columns.width_px, self._columns.height_px
        known: Bools = (width > 0) & (height > 0)
        meets: dict[str, Bools] = {"landscape": width > height, "portrait": width < height, "square": width == height}
        return known & meets[read_choice("orientation", part.value)]


def microseconds(part: Filter) -> np.int64:
    """Return the moment that a filter of dates names, in microseconds since 1970."""
    return np.datetime64(read_date(part.value), "us").astype(np.int64)


def metres_between(places: Doubles, latitude: float, longitude: float) -> Doubles:
    """Return how far places, (n, 2) degrees, lie from another one, (n,)."""
    here, there = np.radians(places), np.radians([latitude, longitude])
    half = np.sin((here - there) / 2) ** 2
    distance: Doubles = np.sqrt(half[:, 0] + np.cos(here[:, 0]) * np.cos(there[0]) * half[:, 1])
    return 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(distance, 1))
