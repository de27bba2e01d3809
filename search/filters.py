"""Filters become ids of photos: what the database can say by SQL, tags from their scores."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Select, or_
from sqlalchemy.orm import Session

from base.arrays import Floats, Ids
from base.console import counted
from base.errors import QueryError
from base.names import comparable, nearest
from db import conditions as sql
from db.catalog import Catalog
from db.detail_rows import columns_called, columns_known, compared_column, filled_column
from db.hotel_rows import FIRST_OWN_ID
from db.models import PhotoState
from embedding.segments import SegmentStore
from search.list_columns import read_column
from search.query import (
    Filter,
    format_filter,
    read_choice,
    read_date,
    read_near,
    read_size,
    read_size_class,
    read_year,
)

if TYPE_CHECKING:
    from search.tags.tagging import TaggedPhotos, Tagging


STATES = {"photo": PhotoState.EMBEDDED, "restyled": PhotoState.RESTYLED}
KINDS = frozenset(STATES)


def kinds_of(filters: Sequence[Filter]) -> frozenset[str]:
    """Return the kinds that filters leave; without a filter of a kind, photos alone.

    Several kinds mean any of them, those with a minus are left out of them, or of all.
    """
    said = [(part.negated, read_choice("kind", part.value)) for part in filters if part.name == "kind"]
    if not said:
        return frozenset({"photo"})
    wanted, refused = (frozenset(kind for negated, kind in said if negated is refusing) for refusing in (False, True))
    return (KINDS if not wanted or "any" in wanted else wanted) - refused


OWN_WORDS = (
    "`aliens add FOLDER --hotel-from folder` names hotels by folders, `--metadata TABLE` takes them from a table"
)
REMEDIES = {  # for what a library lacks altogether
    "hotel": f"no photo of this library has a hotel: {OWN_WORDS}",
    "chain": "no photo of this library has a hotel of a chain: `aliens add FOLDER --metadata TABLE` reads hotels and "
    "chains from a table",
    "place": "no photo of this library has a place: `aliens add FOLDER` reads those of cameras, "
    "`aliens add FOLDER --metadata TABLE` those of a table",
    "column": "no photo of this library has columns of a list: `aliens add --list FILE` takes them along",
    "date": "no photo of this library has a date of a camera, a table or an upload: files' own times were compared; "
    "`aliens add FOLDER --metadata TABLE` reads dates from a table",
}
EITHER = ("hotel", "chain", "source", "near", "year", "color", "orientation")  # given twice, one of them suffices
NAMING_HOTELS = ("hotel", "near")  # become ids of hotels, which may be many
OPERATORS = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
FEW = 50_000  # photos: of fewer the tags are read photo by photo


def group_of(part: Filter, place: int) -> str:
    """Return what filters have in common of which one suffices; `place`: of this one among all of them."""
    if part.name == "size" and read_size_class(part.value):
        return part.name
    return part.name if part.name in EITHER else str(place)


def describe(filters: Sequence[Filter]) -> str:
    """Return filters as a person would write them."""
    return " ".join(map(format_filter, filters))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The photos that meet all filters and can be found.

    ids: ascending, (n,) int64; None where no filter but that of kinds leaves anything out. untagged: how many more meet
    all but the filters of a vocabulary's tags, which nothing is known for, since they came after the last tagging with
    it; by the command that tags them. restyled: how many restyled photos meet all but those, which have no tags.
    filters: as they were understood: where there are several vocabularies, tags are named with theirs.
    """

    ids: Ids | None
    untagged: Mapping[str, int] = field(default_factory=dict)
    restyled: int = 0
    filters: Sequence[Filter] = ()

    @property
    def note(self) -> str:
        """What people should know of it, or nothing."""
        said = []
        for command, photos in self.untagged.items():
            meet = f"meet{'s' * (photos == 1)} no tag filter"
            said.append(f"{counted(photos, 'photo')} came after the last tagging and {meet}: run `{command}`")
        if self.restyled:
            have = "1 restyled photo has" if self.restyled == 1 else f"{self.restyled} restyled photos have"
            said.append(f"{have} no tags and meet{'s' * (self.restyled == 1)} no tag filter: search for what they show")
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class OfHotels:
    """Only photos of hotels that are meant by their ids, which no hotel's name can be taken for.

    ids: None for any hotel. negated: all photos but theirs.
    """

    ids: tuple[int, ...] | None = None
    negated: bool = False

    @property
    def condition(self) -> sql.Condition:
        """It as a condition of the database."""
        condition = sql.of_any_hotel() if self.ids is None else one_of(self.ids)
        return sql.negated(condition) if self.negated else condition

    def __str__(self) -> str:
        if self.ids is None:
            return "of any hotel"
        sign = "-" if self.negated else ""
        return " ".join(f"{sign}hotel:{hotel_id}" for hotel_id in self.ids)


def chosen(
    catalog: Catalog,
    session: Session,
    store: SegmentStore,
    filters: Sequence[Filter],
    of_hotels: OfHotels | None = None,
    within: Ids | None = None,
) -> Chosen:
    """Return the photos that meet all filters; of the kinds that these leave, by default photos alone.

    `within`: ids, ascending, of a few that are asked about; None for all.

    Raises: QueryError: a chain, hotel, source or tag is unknown (the message lists what is near), or the library is
        not tagged.
    """
    kinds = kinds_of(filters)
    tags = [part for part in filters if part.name == "tag"]
    rest = [part for part in filters if part.name not in ("tag", "kind")]
    if not tags and not rest and kinds and of_hotels is None and within is None:
        return Chosen(None, filters=filters)
    conditions, hotels = Conditions(session).of(rest)
    if of_hotels is not None and hotels is None and of_hotels.ids is not None and not of_hotels.negated:
        hotels = of_hotels.ids  # the database uses its index for them
    elif of_hotels is not None:
        conditions.append(of_hotels.condition)

    def meeting_rest(kinds: Iterable[str]) -> Ids:
        return sql.chosen_photos(session, catalog.model, conditions, hotels, [STATES[kind] for kind in kinds], within)

    if not tags:
        return Chosen(meeting_rest(kinds), filters=filters)
    every = kinds == {"photo"} and not rest and of_hotels is None and within is None
    ids = None if every else meeting_rest(kinds & {"photo"})
    choice = tagged(catalog, session, store, tags, ids)
    named = iter(choice.filters)
    return replace(
        choice,
        restyled=len(meeting_rest(kinds & {"restyled"})),
        filters=[next(named) if part.name == "tag" else part for part in filters],
    )


class Conditions:
    """Turns filters into conditions of the database."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def own_places(self) -> bool:
        """Whether photos have places of their own, beside those of their hotels."""
        return sql.any_with(self._session, "own place")

    def of(self, filters: Sequence[Filter]) -> tuple[list[sql.Condition], Sequence[int] | Select[Any] | None]:
        """Return conditions on photos, and the hotels they are narrowed to, which lets the database use its index."""
        conditions: list[sql.Condition] = []
        groups: dict[str, list[Filter]] = defaultdict(list)
        refused: list[Filter] = []
        for place, part in enumerate(filters):
            if part.negated:
                refused.append(part)
            else:
                groups[group_of(part, place)].append(part)
        ids: set[int] | None = None
        of_chains: Select[Any] | None = None
        for group in groups.values():
            hotels = self.hotels(group)
            if hotels is None:
                conditions.append(or_(*map(self.condition, group)))
            elif isinstance(hotels, Select):
                of_chains = hotels  # all chains are one group
            else:
                ids = set(hotels) if ids is None else ids.intersection(hotels)
        for part in refused:
            if ids is not None and part.name in NAMING_HOTELS and not (part.name == "near" and self.own_places):
                ids.difference_update(self.hotel_ids(part))
            else:
                conditions.append(sql.negated(self.condition(part)))
        if ids is None:
            return conditions, of_chains
        if of_chains is not None:
            ids &= sql.hotel_ids(self._session, of_chains)
        return conditions, sorted(ids)

    def hotels(self, group: Sequence[Filter]) -> Sequence[int] | Select[Any] | None:
        """Return the hotels that filters of one name allow, or None where they are not about hotels."""
        name = group[0].name
        if name == "chain":
            chains = [self.chains(part.value) for part in group]
            if None not in chains:
                return sql.hotels_of_chains([chain for found in chains for chain in found or ()])
        if name in NAMING_HOTELS and not (name == "near" and self.own_places):
            return sorted({hotel for part in group for hotel in self.hotel_ids(part)})
        return None

    def condition(self, part: Filter) -> sql.Condition:
        """Return one filter's condition, as if it were not negated."""
        makers: dict[str, Callable[[str], sql.Condition]] = {
            "hotel": lambda value: one_of(self.hotel_ids(part)),
            "near": self.near,
            "chain": self.chain,
            "source": self.source,
            "year": lambda value: sql.of_year(read_year(value)),
            "after": lambda value: sql.since(read_date(value)),
            "before": lambda value: sql.until(read_date(value)),
            "size": self.size,
            "color": lambda value: sql.colourless(read_choice("color", value) == "grey"),
            "orientation": lambda value: sql.oriented(read_choice("orientation", value)),
            "path": lambda value: sql.path_contains(self._session, value),
            "column": self.column,
        }
        return makers[part.name](part.value)

    def size(self, value: str) -> sql.Condition:
        """Return the condition of a size."""
        if (sides := read_size_class(value)) is not None:
            return sql.longer_side(*sides)
        size = read_size(value)
        return sql.sized(size.at_least, size.width_px, size.height_px)

    def column(self, value: str) -> sql.Condition:
        """Return the condition of what a list says in a column. Raises: QueryError: no list has such a column."""
        test = read_column(value)
        names = columns_called(self._session, test.column)
        if not names:
            known = columns_known(self._session)
            if not known:
                raise QueryError(f"no column {test.column!r}: {REMEDIES['column']}")
            raise unknown_name("column", test.column, known)
        if not test.op:
            return or_(*(filled_column(self._session, name) for name in names))
        return or_(*(compared_column(self._session, name, test.op, test.text, test.number) for name in names))

    def source(self, value: str) -> sql.Condition:
        """Return the condition of a source."""
        return sql.from_source(self.sources(value))

    def sources(self, value: str) -> list[str]:
        """Return the sources of a name. Raises: QueryError: no photo is of it."""
        known = sql.all_sources(self._session)
        meant = [name for name in known if comparable(name) == comparable(value)]
        if not meant:
            raise unknown_name("source", value, known)
        return meant

    def chain(self, value: str) -> sql.Condition:
        """Return the condition of a chain."""
        chains = self.chains(value)
        return sql.without_chain() if chains is None else sql.of_hotels(sql.hotels_of_chains(chains))

    def chains(self, value: str) -> list[int] | None:
        """Return the chains of a name or an id; None for no chain. Raises: QueryError: there is no such chain."""
        if comparable(value) == "none":
            return None
        known = sql.all_chains(self._session)
        if not known:
            raise QueryError(f"no chain {value!r}: {REMEDIES['chain']}")
        meant = [key for key, name in known.items() if comparable(name) == comparable(value) or str(key) == value]
        if not meant:
            raise unknown_name("chain", value, known.values())
        return meant

    def hotel_ids(self, part: Filter) -> list[int]:
        """Return the hotels of an id, of a part of a name, or in a circle. Raises: QueryError: no hotel is meant."""
        if part.name == "near":
            return self.hotels_near(part.value)
        rows = [(hotel_id, name, comparable(name or "")) for hotel_id, name in sql.all_hotels(self._session)]
        return hotels_called_so(part.value, rows)

    def hotels_near(self, value: str) -> list[int]:
        """Return the hotels in a circle on the earth. Raises: QueryError: nothing in the library has a place."""
        near = read_near(value)
        if not (self.own_places or sql.any_with(self._session, "hotel's place")):
            raise QueryError(f"near:{value} finds nothing: {REMEDIES['place']}")
        return sql.hotels_within(self._session, (near.latitude, near.longitude), near.radius_m)

    def near(self, value: str) -> sql.Condition:
        """Return the condition of a circle on the earth: by a photo's own place, else by its hotel's."""
        near, hotels = read_near(value), one_of(self.hotels_near(value))
        if not self.own_places:
            return hotels
        return sql.at_own_place(self._session, (near.latitude, near.longitude), near.radius_m, hotels)


def hotels_called_so(value: str, rows: Sequence[tuple[int, str | None, str]]) -> list[int]:
    """Return the hotels of an id or of a part of a name. rows: of all: id, name, and this as names are compared.

    Raises: QueryError: no hotel is meant.
    """
    asked = comparable(value)
    number = int(asked) if asked.isascii() and asked.isdigit() else None
    own = [row[0] for row in rows if row[0] >= FIRST_OWN_ID and row[1] and asked == row[2]]
    if number is not None:
        meant = [*own, *(row[0] for row in rows if row[0] == number)]
    else:  # jp1 is not jp10, where people have named their hotels so
        meant = own or [row[0] for row in rows if row[1] and asked in row[2]]
    if not rows:
        raise QueryError(f"no hotel {value!r}: {REMEDIES['hotel']}")
    if not meant:
        raise unknown_name("hotel", value, (row[1] for row in rows if row[1]))
    return meant


def one_of(hotels: Sequence[int]) -> sql.Condition:
    """Return the condition of photos of some hotels."""
    pages = [hotels[start : start + 500] for start in range(0, len(hotels), 500)] or [[]]
    return or_(*(sql.of_hotels(sql.hotels_named(page)) for page in pages))


def tagged(catalog: Catalog, session: Session, store: SegmentStore, tags: Sequence[Filter], ids: Ids | None) -> Chosen:
    """Return those of the photos (None: of all) that meet filters of tags, each of its own vocabulary.

    A photo without scores, which a person has not labelled either, meets neither a filter nor its opposite.

    Raises: QueryError: a tag is in none of the library's vocabularies, or in several, or the library is not tagged.
    """
    from search.tags.tagging import Tagging, vocabularies_of

    words = vocabularies_of(catalog, session)
    places = Tagging.of_tags(catalog, session, store, words, [part.value for part in tags])
    by_vocabulary: dict[Tagging, list[tuple[Filter, int]]] = defaultdict(list)
    for part, (tagging, place) in zip(tags, places, strict=True):
        by_vocabulary[tagging].append((part, place))
    found, untagged = [], {}
    for tagging, wanted in by_vocabulary.items():
        meeting, untold = told_apart(tagging, wanted, ids)
        found.append(meeting)
        if len(untold):
            untagged[tagging.command] = len(untold)
    if len(words.newest) > 1:
        tags = [replace(part, value=words.in_full(part.value)) for part in tags]
    return Chosen(reduce(np.intersect1d, found), untagged, filters=tags)


def told_apart(tagging: "Tagging", tags: Sequence[tuple[Filter, int]], ids: Ids | None) -> tuple[Ids, Ids]:
    """Return the photos that meet filters of tags, and those that nothing is known of: their ids, ascending.

    tags: each with the place of its tag in the vocabulary. ids: of the photos to choose from; None for all.
    """
    few = ids is not None and len(ids) <= FEW
    found, untold = [], []
    for photos in tagging.photos(ids=ids.tolist() if few and ids is not None else None):
        keep = np.ones(len(photos.photo_ids), bool)
        known = keep.copy()
        for part, place in tags:
            probabilities = known_probabilities(photos, place, tagging.vocabulary.names[place])
            known &= ~np.isnan(probabilities)
            meets = photos.decided[:, place] if part.number is None else OPERATORS[part.op](probabilities, part.number)
            keep &= ~meets if part.negated else meets
        found.append(photos.photo_ids[keep & known])
        untold.append(photos.photo_ids[~known])
    meeting, unknown = (np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64) for parts in (found, untold))
    if ids is not None and not few:
        meeting, unknown = (np.intersect1d(part, ids, assume_unique=True) for part in (meeting, unknown))
    return meeting, unknown


def known_probabilities(photos: "TaggedPhotos", place: int, name: str) -> Floats:
    """Return a tag's probabilities, (n,), 1 or 0 where people said so; NaN without scores, which meets nothing."""
    probabilities = photos.probabilities[:, place].astype(np.float32)
    said = {photo_id: tags[name] for photo_id, tags in photos.labels.items() if name in tags}
    for row in np.flatnonzero(np.isin(photos.photo_ids, list(said))) if said else ():
        probabilities[row] = said[int(photos.photo_ids[row])]
    return probabilities


def unknown_name(what: str, value: str, known: Iterable[str]) -> QueryError:
    """Return the error for a name that does not exist, with the names near it."""
    names = list(dict.fromkeys(known))
    near = nearest(value, names)
    choice = f"near it: {', '.join(near)}" if near else f"there are: {', '.join(names[:5]) or 'none'}"
    return QueryError(f"no {what} {value!r} of this library ({choice})")
