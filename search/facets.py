"""What the photos of an order have in common: how many of them have each tag, hotel, year and so on.

Counted are the photos above the stop line, or all where there is none, each once with its copies; and each property
without its own filter, so that every count is what choosing the value would leave.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Bools, Longs
from base.names import comparable
from db.hotel_rows import FIRST_OWN_ID
from search.answers import Searcher
from search.masks import FilterMask, Masks
from search.orders import PhotoOrder
from search.query import SIZES, Filter, format_filter, parse
from search.query_edits import alike
from search.standing import CurrentStanding, Standing
from search.tags.tag_bits import VocabularyBits, packed, unpacked
from search.windows import standing_of

SHOWN = {"tag": 30, "hotel": 20, "chain": 20, "year": 40}  # values of a property
NONE = "none"  # as the language has it, for photos of no chain, and of no date


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value that photos of an order have: how it reads, the filter that asks for it, and how many have it."""

    value: str
    term: str  # as in a query: chain:"Best Western"
    count: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """A property of photos with its most frequent values.

    others: how many further values there are. unknown: of how many of the photos the property is not known, which no
    filter asks for: they have no hotel, no source, no tags yet. vocabulary: of tags.
    """

    name: str  # tag, chain, hotel, source, size, colour, year
    values: Sequence[FacetValue] = ()
    others: int = 0
    unknown: int = 0
    vocabulary: str = ""


class Counting:
    """The photos of an order, to be counted: those above its line, as filters leave them."""

    def __init__(self, searcher: Searcher, current: CurrentStanding, session: Session, order: PhotoOrder) -> None:
        self.standing: Standing = standing_of(current, session, order)
        self.columns = self.standing.columns
        self.filters = parse(order.text).filters
        self._order = order
        self._selection = Masks(searcher.catalog, session, searcher.store, self.standing).selection(self.filters)
        self._wanted = {alike(part) for part in self.filters}

    @cached_property
    def _above(self) -> NDArray[np.integer[Any]]:
        """The positions of all photos above the line, whatever the filters; of all photos where there is no line."""
        order, columns = self._order, self.columns
        rows: NDArray[np.integer[Any]] = np.arange(len(columns))
        if order.vector is not None and order.stop_line is not None:
            rows = self.standing.above(order.vector, order.stop_line)
        return rows[~columns.mask_of(order.left_out)[rows]] if len(order.left_out) else rows

    @cached_property
    def _is_above(self) -> Bools:
        mask = np.zeros(len(self.columns), bool)
        mask[self._above] = True
        return mask

    def photos(self, without: Callable[[FilterMask], bool] = lambda mask: False) -> Bools:
        """Return which photos are counted, (n,), without the filters that are named so."""
        left = self._selection.photos(without)
        return self._is_above if left is None else self._is_above & left

    @cached_property
    def _everything(self) -> Bools:
        return self.photos()

    @property
    def ranked(self) -> Longs:
        """The positions of the photos that are counted, in the order's order, those beyond its end last."""
        first, here = self.columns.positions(self._order.photo_ids)
        counted = self._everything.copy()
        first = first[here & counted[first]]
        counted[first] = False
        return np.concatenate([first, np.flatnonzero(counted)])

    def of(self, name: str) -> Bools:
        """Return which photos are counted by the values of a property: without the filters that choose among them."""

        def own(mask: FilterMask) -> bool:
            return mask.name == name and not mask.negated and (name != "size" or mask.filters[0].value.lower() in SIZES)

        return self.photos(own) if any(own(mask) for mask in self._selection.masks) else self._everything

    def counts(self, name: str, codes: NDArray[np.integer], most: int) -> Longs:
        """Return how many photos have each code, (most,); copies of one code count once."""
        rows = np.flatnonzero(self.of(name))
        twinned = self.columns.twinned[rows]
        counts = np.bincount(codes[rows[~twinned]], minlength=most)
        twins = rows[twinned]
        if len(twins):
            pairs = np.unique(np.stack([self.columns.twins[twins], codes[twins]], axis=1), axis=0)
            counts += np.bincount(pairs[:, 1], minlength=most)
        return counts

    def is_chosen(self, part: Filter) -> bool:
        """Tell whether the query has this filter."""
        return alike(part) in self._wanted

    def facet(self, name: str, counted: Iterable[tuple[str, Filter, int]], unknown: int = 0) -> Facet:
        """Return a property with its most frequent values, and all that are chosen. counted: with their filters."""
        values = [
            FacetValue(value, format_filter(part), int(count), self.is_chosen(part)) for value, part, count in counted
        ]
        values = sorted((v for v in values if v.count or v.chosen), key=lambda v: (-v.count, comparable(v.value)))
        most = SHOWN.get(name, len(values))
        shown = [value for place, value in enumerate(values) if place < most or value.chosen]
        if name == "year":
            shown.sort(key=lambda v: (v.value == NONE, v.value), reverse=False)
        return Facet(name, tuple(shown), len(values) - len(shown), unknown)


def facets_of(searcher: Searcher, current: CurrentStanding, session: Session, order: PhotoOrder) -> list[Facet]:
    """Return the properties of an order's photos; those of which nothing is known are left out."""
    if not searcher.has_photos(session):
        return []
    counting = Counting(searcher, current, session, order)
    facets = [*(tag_facet(counting, bits) for bits in counting.standing.tags)]
    facets += [
        make(counting) for make in (chain_facet, hotel_facet, source_facet, size_facet, colour_facet, year_facet)
    ]
    return [facet for facet in facets if facet.values]


def tag_facet(counting: Counting, bits: VocabularyBits) -> Facet:
    """Count the tags of a vocabulary; a chosen tag is counted with the others, since all of them have to hold."""
    columns, photos = counting.columns, counting.of("nothing")
    twins = np.flatnonzero(photos & columns.twinned)
    counts = np.array(bits.counts(packed(photos & ~columns.twinned)))
    unscored = np.flatnonzero(photos & ~unpacked(bits.scored, len(columns)))
    if len(twins):
        which = columns.twins[twins]
        for place in range(len(counts)):
            counts[place] += len(np.unique(which[bits.mask(place)[twins]]))
    words = counting.standing.words
    counted = []
    for place, name in enumerate(bits.vocabulary.names):
        if place not in bits.muted or counts[place]:
            counted.append((name, Filter("tag", tag_called(words.with_tag(name), bits, place)), int(counts[place])))
    facet = counting.facet("tag", counted)
    return Facet("tag", facet.values, facet.others, len(np.unique(columns.twins[unscored])), bits.vocabulary.name)


def tag_called(found: Sequence[object], bits: VocabularyBits, place: int) -> str:
    """Return how a query names a tag: with its vocabulary where several have one of its name."""
    name = bits.vocabulary.names[place]
    return f"{bits.vocabulary.name}/{name}" if len(found) > 1 else name


def chain_facet(counting: Counting) -> Facet:
    """Count the chains."""
    standing = counting.standing
    counts = counting.counts("chain", standing.chain_codes, len(standing.chains) + 1)
    names = standing.names.chains
    called: dict[str, int] = {}
    for name in names.values():
        called[comparable(name)] = called.get(comparable(name), 0) + 1
    counted = [(NONE, Filter("chain", NONE), counts[-1])]
    for chain_id, count in zip(standing.chains.tolist(), counts.tolist(), strict=False):
        name = names.get(chain_id) or str(chain_id)
        plain = called.get(comparable(name)) == 1 and comparable(name) != NONE and not name.isdigit()
        counted.append((name, Filter("chain", name if plain else str(chain_id)), count))
    known = any(count for _, _, count in counted[1:]) or any(counting.is_chosen(part) for _, part, _ in counted)
    return counting.facet("chain", counted if known else ())


def hotel_facet(counting: Counting) -> Facet:
    """Count the hotels."""
    counts = hotel_counts(counting)
    chosen = {part.value for part in counting.filters if part.name == "hotel"}
    most = np.argsort(-counts[:-1], kind="stable")[: SHOWN["hotel"]]
    rows = [int(row) for row in most if counts[row]]
    ids = counting.standing.names.ids
    rows += [row for row in rows_chosen(counting, chosen) if row not in rows]
    values = [(*hotel_value(counting.standing, int(ids[row])), int(counts[row])) for row in rows]
    facet = counting.facet("hotel", values)
    others = int(np.count_nonzero(counts[:-1])) - sum(value.count > 0 for value in facet.values)
    return Facet("hotel", facet.values, others, int(counts[-1]))


def rows_chosen(counting: Counting, values: Iterable[str]) -> list[int]:
    """Return where the hotels stand that a query names just as their values do."""
    names = counting.standing.names
    ids = [
        int(value) if value.isascii() and value.isdigit() else names.own.get(comparable(value), 0) for value in values
    ]
    rows = names.rows_of(np.array([i for i in ids if i < 2**63], np.int64)).tolist()
    return [row for row in rows if row < len(names.ids)]


def hotel_counts(counting: Counting) -> Longs:
    """Return how many photos each hotel has, (h + 1,), those of no hotel last."""
    standing = counting.standing
    return counting.counts("hotel", standing.hotel_rows, len(standing.names.ids) + 1)


def hotel_value(standing: Standing, hotel_id: int) -> tuple[str, Filter]:
    """Return how a hotel reads, and the filter that asks for it alone: its name where people gave it, else its number.

    A part of a name may be that of several hotels.
    """
    name, _ = standing.names.hotels.get(hotel_id, (None, None))
    own = hotel_id >= FIRST_OWN_ID and name and not comparable(name).isdigit()
    return standing.names.title(hotel_id), Filter("hotel", name if own and name else str(hotel_id))


def hotels_called(
    searcher: Searcher, current: CurrentStanding, session: Session, order: PhotoOrder, typed: str, k: int
) -> list[FacetValue]:
    """Return the hotels with these letters in their names: see `Library.hotels_like`."""
    if not searcher.has_photos(session):
        return []
    counting = Counting(searcher, current, session, order)
    counts, wanted = hotel_counts(counting), comparable(typed)
    names = counting.standing.names
    found = [row for row, (_, _, name) in enumerate(names.compared) if wanted in name and counts[row]]
    found = sorted(found, key=lambda row: -counts[row])[:k]
    values = [(*hotel_value(counting.standing, int(names.ids[row])), int(counts[row])) for row in found]
    return [FacetValue(value, format_filter(part), n, counting.is_chosen(part)) for value, part, n in values]


def source_facet(counting: Counting) -> Facet:
    """Count where photos come from."""
    columns = counting.columns
    counts = counting.counts("source", columns.source + 1, len(columns.sources) + 1)
    values = [(name, Filter("source", name), counts[place]) for place, name in enumerate(columns.sources, start=1)]
    return counting.facet("source", values, int(counts[0]))


def size_facet(counting: Counting) -> Facet:
    """Count small, medium and large photos, in this order."""
    counts = counting.counts("size", counting.standing.size_classes, len(SIZES) + 1)
    values = [(name, Filter("size", name), counts[place]) for place, name in enumerate(SIZES, start=1)]
    facet = counting.facet("size", values, int(counts[0]))
    return Facet("size", sorted(facet.values, key=lambda v: list(SIZES).index(v.value)), 0, facet.unknown)


def colour_facet(counting: Counting) -> Facet:
    """Count photos without any colour, and with some."""
    counts = counting.counts("color", counting.columns.grey + 1, 3)
    values: Mapping[str, int] = {"colour": counts[1], "grey": counts[2]}
    facet = counting.facet("color", [(v, Filter("color", v), n) for v, n in values.items()], int(counts[0]))
    return Facet("colour", facet.values, 0, facet.unknown)


def year_facet(counting: Counting) -> Facet:
    """Count the years of photos whose date a camera, a table or an upload says, the earliest first."""
    years = counting.columns.years
    counts = counting.counts("year", years, int(years.max(initial=0)) + 1)
    values = [(f"{year:04}", Filter("year", f"{year:04}"), counts[year]) for year in np.flatnonzero(counts) if year]
    values += [
        (part.value, part, 0) for part in counting.filters if part.name == "year" and int(counts_at(counts, part)) == 0
    ]
    if not values:
        return Facet("year")
    return counting.facet("year", [*values, (NONE, Filter("year", NONE), counts[0])])


def counts_at(counts: Longs, part: Filter) -> int:
    """Return how many photos have the year that a filter names."""
    year = 0 if part.value.lower() == NONE else int(part.value)
    return int(counts[year]) if year < len(counts) else 0
