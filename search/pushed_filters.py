"""Filters said to Milvus as an expression over the fields of a collection, where that says exactly what they mean.

Others become ids of photos: see search.filters. Names are resolved here in the same way, with the same errors.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import MAXYEAR, UTC, datetime, timedelta

from sqlalchemy.orm import Session

from base.arrays import Ids
from db.catalog import Catalog
from embedding.index.left import Left
from embedding.index.milvus import MilvusEngine
from embedding.index.milvus_fields import MOST_TAGS, NOTHING, quoted_text, tag_text
from embedding.index.milvus_filters import IDS_AT_ONCE
from embedding.index.photo_index import PhotoIndex
from embedding.segments import SegmentStore
from search.filters import Chosen, Conditions, OfHotels, chosen, group_of, kinds_of
from search.photo_fields import stamps_now
from search.query import Filter, read_date, read_year

MOST_HOTELS = 10_000  # named in one expression
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FILES_FROM, FILES_TO = datetime(1700, 1, 1), datetime(2262, 1, 1)  # times of files are known between these
NEEDS = {  # groups of fields whose values a filter is told by
    "hotel": ("photos",),
    "near": ("photos", "hotels"),
    "chain": ("photos", "hotels"),
    "source": ("photos",),
    "year": ("photos",),
    "after": ("photos",),
    "before": ("photos",),
    "tag": ("tags",),
}


class Unsayable(Exception):
    """A filter that no expression says exactly."""


def left_by_milvus(
    catalog: Catalog,
    session: Session,
    store: SegmentStore,
    index: PhotoIndex,
    filters: Sequence[Filter],
    of_hotels: OfHotels | None = None,
) -> tuple[Chosen, Left] | None:
    """Return what filters leave, said to the Milvus that names the index's candidates, with how they are understood.

    None where there is no Milvus, where the filters cannot be said exactly, or where what it knows of photos is not
    what the library says by now. Raises: QueryError: as search.filters.chosen.
    """
    parts = [part for part in filters if part.name != "kind"]
    kinds, engine = kinds_of(filters), index.engine
    if not isinstance(engine, MilvusEngine) or "photo" not in kinds or (not parts and of_hotels is None):
        return None
    needs = {group for part in parts for group in NEEDS.get(part.name, ("",))} | ({"photos"} if of_hotels else set())
    stamps, known = stamps_now(catalog, session), engine.about.stamps
    if any(group not in known or stamps.get(group) != known[group] for group in needs):
        return None
    if kinds != {"photo"} and "tags" in needs:  # restyled photos have none, and are counted apart
        return None
    try:
        expressions = Expressions(catalog, session, store).of(parts)
    except Unsayable:
        return None
    expressions += [of_hotels_said(of_hotels)] if of_hotels else []
    gone = engine.unremoved(index.covered)
    if len(gone) > IDS_AT_ONCE:
        return None
    expressions += [f"photo_id not in {gone.tolist()}"] if len(gone) else []
    expression = " and ".join(f"({each})" for each in expressions)
    count = engine.count(expression)
    if count is None:
        return None

    def find(ids: Ids | None) -> Ids:
        found = chosen(catalog, session, store, filters, of_hotels, ids).ids
        assert found is not None
        return found

    beside = len(find(index.beside_ids)) if len(index.beside_ids) else 0
    return tags_with_vocabularies(catalog, session, filters), Left(
        expression=expression, count=count + beside, find=find
    )


def tags_with_vocabularies(catalog: Catalog, session: Session, filters: Sequence[Filter]) -> Chosen:
    """Return filters as they are understood: where there are several vocabularies, tags are named with theirs."""
    if not any(part.name == "tag" for part in filters):
        return Chosen(None, filters=filters)
    from search.tags.tagging import vocabularies_of  # imports pyarrow, which other searches do without

    words = vocabularies_of(catalog, session)
    if len(words.newest) < 2:
        return Chosen(None, filters=filters)
    in_full = [replace(part, value=words.in_full(part.value)) if part.name == "tag" else part for part in filters]
    return Chosen(None, filters=in_full)


def of_hotels_said(of_hotels: OfHotels) -> str:
    """Return photos of hotels by their ids as an expression."""
    condition = f"hotel != {NOTHING}" if of_hotels.ids is None else f"hotel in {list(of_hotels.ids)}"
    return f"not ({condition})" if of_hotels.negated else condition


class Expressions:
    """Turns filters into expressions of Milvus."""

    def __init__(self, catalog: Catalog, session: Session, store: SegmentStore) -> None:
        self._catalog = catalog
        self._session = session
        self._store = store
        self._conditions = Conditions(session)

    def of(self, filters: Sequence[Filter]) -> list[str]:
        """Return expressions that all have to hold. Raises: Unsayable, QueryError."""
        groups: dict[str, list[str]] = defaultdict(list)
        refused = []
        tags = [part for part in filters if part.name == "tag"]
        said = dict(zip(map(id, tags), self._tags(tags), strict=True)) if tags else {}
        for place, part in enumerate(filters):
            expression = said[id(part)] if part.name == "tag" else self._one(part)
            if part.negated:
                refused.append(f"not ({expression})")
            else:
                groups[group_of(part, place)].append(f"({expression})")
        return [" or ".join(group) for group in groups.values()] + refused

    def _one(self, part: Filter) -> str:
        """Return one filter's expression, as if it were not negated."""
        makers: dict[str, Callable[[str], str]] = {
            "hotel": lambda value: numbered("hotel", self._conditions.hotel_ids(part)),
            "near": self._near,
            "chain": self._chain,
            "source": lambda value: f"source in [{', '.join(map(quoted_text, self._conditions.sources(value)))}]",
            "year": year,
            "after": lambda value: f"date_us >= {microseconds_of(read_date(value), files=True)}",
            "before": before,
        }
        if part.name not in makers:
            raise Unsayable(part.name)
        return makers[part.name](part.value)

    def _near(self, value: str) -> str:
        if self._conditions.own_places:
            raise Unsayable("near")
        return numbered("hotel", self._conditions.hotels_near(value))

    def _chain(self, value: str) -> str:
        chains = self._conditions.chains(value)
        return f"chain == {NOTHING}" if chains is None else numbered("chain", chains)

    def _tags(self, tags: Sequence[Filter]) -> list[str]:
        """Return the expressions of tags. Raises: Unsayable: by probabilities, or not all photos are tagged."""
        from search.tags.tagging import Tagging, vocabularies_of

        words = vocabularies_of(self._catalog, self._session)
        found = Tagging.of_tags(self._catalog, self._session, self._store, words, [part.value for part in tags])
        if sum(len(each.tags) for each in words.newest) > MOST_TAGS:
            raise Unsayable("tag")
        for part, (tagging, _) in zip(tags, found, strict=True):
            if part.number is not None or tagging.unscored or tagging.vocabulary not in words.newest:
                raise Unsayable("tag")
        texts = [tag_text(tagging.vocabulary.key, tagging.vocabulary.names[place]) for tagging, place in found]
        return [f"array_contains(tags, {quoted_text(text)})" for text in texts]


def numbered(name: str, ids: Sequence[int]) -> str:
    """Return that a field is one of some numbers. Raises: Unsayable: they are too many."""
    if len(ids) > MOST_HOTELS:
        raise Unsayable(name)
    return f"{name} in {list(ids)}"


def year(value: str) -> str:
    """Return that a photo is of a year, or that nothing says of which."""
    number = read_year(value)
    if not number:
        return "dated == false"
    begun = f"dated == true and date_us >= {microseconds_of(datetime(number, 1, 1))}"
    return begun if number == MAXYEAR else f"{begun} and date_us < {microseconds_of(datetime(number + 1, 1, 1))}"


def before(value: str) -> str:
    """Return that a photo is of an earlier time."""
    return f"date_us > {NOTHING} and date_us < {microseconds_of(read_date(value), files=True)}"


def microseconds_of(moment: datetime, *, files: bool = False) -> int:
    """Return a time in microseconds since 1970. Raises: Unsayable: it is too far off to be compared with `files`'."""
    if files and not FILES_FROM < moment < FILES_TO:
        raise Unsayable("date")
    return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
