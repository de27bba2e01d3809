"""A library as it stands at one moment, for those who look around in it: photos, their columns, names and tags.

Put together once and kept until the library changes; threads share it. Answers nothing itself.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Bools, Doubles, Floats, Ids, Longs
from base.forks import fork_lock
from base.memory import give_memory_back
from base.names import comparable
from db.hotel_rows import FIRST_OWN_ID, hotel_places, hotels_stamp
from db.models import PhotoState
from db.photo_rows import columns_stamp, embedded_columns, hotels_and_chains
from db.tag_rows import labels_stamp, taggings_stamp
from db.vector_rows import segments_of
from embedding.index.photo_index import PhotoIndex
from embedding.photo_columns import COLUMNS_READ, Part, PhotoColumns
from search.answers import Searcher
from search.filters import STATES
from search.query import SIZES, Filter
from search.results import digest
from search.tags.tag_bits import VocabularyBits, bits_of_all
from search.tags.tagging import known_vocabularies
from search.tags.vocabulary import Vocabularies

Kinds = frozenset[str]
PHOTOS: Kinds = frozenset({"photo"})
MOST_ABOVE = 16  # queries whose photos above the line are kept: 0.3 MB of a million
MOST_SLOW = 16  # masks of filters that take long to answer


class HotelNames:
    """The hotels and chains that a library knows, by their ids: names, and where hotels are."""

    def __init__(self, session: Session, stamp: str) -> None:
        self.stamp = stamp
        self.hotels, self.chains = hotels_and_chains(session)
        self.places = hotel_places(session)

    def title(self, hotel_id: int) -> str:
        """Return a hotel's name, or else its number."""
        name, _ = self.hotels.get(hotel_id, (None, None))
        return name or f"hotel {hotel_id}"

    @cached_property
    def ids(self) -> Ids:
        """The hotels' ids, ascending, (h,)."""
        return np.array(sorted(self.hotels), np.int64)

    @cached_property
    def ranks(self) -> Longs:
        """Of each hotel, which place its name has among all, (h,): those of the same name stand side by side."""
        keys = [(name, hotel_id) for hotel_id, _, name in self.compared]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        ranks = np.empty(len(keys), np.int64)
        ranks[order] = np.arange(len(keys))
        return ranks

    @cached_property
    def chain_ids(self) -> Longs:
        """Of each hotel, its chain, (h,); 0 where it has none."""
        return np.array([self.hotels[hotel_id][1] or 0 for hotel_id in self.ids.tolist()], np.int64)

    def rows_of(self, hotel_ids: Longs) -> Longs:
        """Return where hotels stand among all, (n,); h, which is nowhere, for those that are none."""
        rows = np.minimum(np.searchsorted(self.ids, hotel_ids), max(len(self.ids) - 1, 0))
        here = self.ids[rows] == hotel_ids if len(self.ids) else np.zeros(len(hotel_ids), bool)
        return np.where(here, rows, len(self.ids))

    @cached_property
    def compared(self) -> list[tuple[int, str | None, str]]:
        """Every hotel's id, name, and this as names are compared, by id."""
        named = ((hotel_id, self.hotels[hotel_id][0]) for hotel_id in self.ids.tolist())
        return [(hotel_id, name, comparable(name or "")) for hotel_id, name in named]

    @cached_property
    def own(self) -> Mapping[str, int]:
        """{name as names are compared: id} of the hotels that people have named."""
        named = ((name, i) for i, (name, _) in self.hotels.items() if i >= FIRST_OWN_ID and name)
        return {comparable(name): i for name, i in named}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A library at one moment.

    state: tells it from what it was before and after. index, columns: of photos, of restyled ones, or of both, as
    `kinds` says; background: of photos. words: the vocabularies that the library was tagged with; tags: of the newest.
    slow: masks of filters that take long; kept_above: see `above`, by what was looked for; `keeping` is held for both.
    """

    state: str
    kinds: Kinds
    index: PhotoIndex
    background: PhotoIndex
    columns: PhotoColumns
    names: HotelNames
    words: Vocabularies
    tags: tuple[VocabularyBits, ...]
    slow: LRUCache[Filter, Bools] = field(default_factory=lambda: LRUCache(MOST_SLOW))
    kept_above: LRUCache[bytes, NDArray[np.int32]] = field(default_factory=lambda: LRUCache(MOST_ABOVE))
    keeping: AbstractContextManager[Any] = field(default_factory=fork_lock)

    def above(self, vector: Floats, line: float) -> NDArray[np.int32]:
        """Return the positions of all photos that score at least a query's stop line. vector: looked for, (d,)."""
        with self.keeping:
            known = self.kept_above.get(vector.tobytes())
        if known is None:
            share = float((self.background.background @ vector >= line).mean())
            rows, here = self.columns.positions(self.index.scores(vector, least=line, share=share)[1])
            known = self.keep_above(vector, rows[here])
        return known

    def keep_above(self, vector: Floats, rows: Longs) -> NDArray[np.int32]:
        """Keep, for a while, the positions of all photos above a query's line: filters that are tried have them."""
        kept = rows.astype(np.int32)
        with self.keeping:
            self.kept_above[vector.tobytes()] = kept
        return kept

    @cached_property
    def hotel_rows(self) -> NDArray[np.int32]:
        """Of each photo, where its hotel stands among `names`, (n,); as many as there are where it has none."""
        return self.names.rows_of(self.columns.hotel_ids).astype(np.int32)

    @cached_property
    def chains(self) -> Ids:
        """The chains that hotels belong to, ascending, (c,)."""
        return np.setdiff1d(self.names.chain_ids, [0])

    @cached_property
    def chain_codes(self) -> NDArray[np.int32]:
        """Of each photo, where its chain stands among `chains`, (n,); c where it has none."""
        of_hotels = np.where(
            self.names.chain_ids == 0, len(self.chains), np.searchsorted(self.chains, self.names.chain_ids)
        )
        found: NDArray[np.int32] = np.append(of_hotels, len(self.chains)).astype(np.int32)[self.hotel_rows]
        return found

    @cached_property
    def size_classes(self) -> NDArray[np.uint8]:
        """Of each photo, which of SIZES it is, counted from 1, (n,); 0 where its size is not known."""
        longer = np.maximum(self.columns.width_px, self.columns.height_px)
        known = np.minimum(self.columns.width_px, self.columns.height_px) > 0
        classes = np.searchsorted([least for least, _ in SIZES.values()], longer, side="right")
        return np.where(known, classes, 0).astype(np.uint8)

    @cached_property
    def hotel_places(self) -> Doubles:
        """Of each hotel its place, (h + 1, 2) degrees; NaN where it has none, as for no hotel at all."""
        found = np.full((len(self.names.ids) + 1, 2), np.nan)
        for row, hotel_id in enumerate(self.names.ids.tolist()):
            found[row] = self.names.places.get(hotel_id, (np.nan, np.nan))
        return found

    @cached_property
    def _placed(self) -> tuple[Doubles, NDArray[np.int32]]:
        """The different places, (p, 2) degrees, and which of them each photo has, (n,): its own, else its hotel's."""
        own = np.flatnonzero(~np.isnan(self.columns.latitude))
        places = np.stack([self.columns.latitude[own], self.columns.longitude[own]], axis=1)
        every = np.concatenate([self.hotel_places, places])
        there = ~np.isnan(every).any(axis=1)
        distinct, which = np.unique(every[there].view(np.complex128).ravel(), return_inverse=True)
        codes = np.full(len(every), len(distinct), np.int32)
        codes[there] = which
        of_photos = codes[self.hotel_rows]
        of_photos[own] = codes[len(self.hotel_places) :]
        return distinct.view(np.float64).reshape(-1, 2), of_photos

    @property
    def distinct_places(self) -> Doubles:
        """The different places of photos and hotels, (p, 2), in degrees."""
        return self._placed[0]

    @property
    def place_codes(self) -> NDArray[np.int32]:
        """Of each photo, which of these it has, (n,); p where it has none."""
        return self._placed[1]

    @cached_property
    def _hotels_at(self) -> dict[tuple[float, float], int]:
        """How many hotels have a place, by their places."""
        return Counter(self.names.places.values())

    def is_alone(self, hotel_id: int) -> bool:
        """Tell whether no other hotel has a hotel's place."""
        return self._hotels_at.get(self.names.places.get(hotel_id, (np.nan, np.nan))) == 1

    @cached_property
    def by_hotel(self) -> NDArray[np.int32]:
        """The photos' positions, hotel after hotel by their names, each with its newest first; those of none last."""
        ranks = np.append(self.names.ranks, len(self.names.ids))[self.hotel_rows]
        order = self.columns.newest_first
        return order[np.argsort(ranks[order], kind="stable")]


def library_state(session: Session, searcher: Searcher) -> str:
    """Return what changes whenever an answer may: photos come or go, or have other hotels, dates, tags or labels."""
    model = searcher.catalog.model
    files = [(file.name, file.alive) for file in segments_of(session, model)]
    stamps = (columns_stamp(session), hotels_stamp(session), labels_stamp(session))
    return digest(files, *stamps, taggings_stamp(session, model))


class CurrentStanding:
    """The library as it stands now: kept as long as it does not change, and what has stayed is taken over."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._known: dict[Kinds, Standing] = {}
        self._making = fork_lock()

    def at(self, session: Session, kinds: Kinds = PHOTOS) -> Standing:
        """Return the library as it stands; of photos for no kind. Raises: QueryError: there is none of these kinds."""
        kinds = kinds or PHOTOS
        state = library_state(session, self._searcher)
        known = self._known.get(kinds)
        if known is not None and known.state == state:
            return known
        with self._making:  # who comes meanwhile waits for it
            known = self._known.get(kinds)
            if known is None or known.state != state:
                known = self._known[kinds] = self._made(session, state, kinds)
            return known

    def _made(self, session: Session, state: str, kinds: Kinds) -> Standing:
        photos, index = self._searcher.indexes(session, kinds)
        before, stamp = self._known.get(kinds) or self._known.get(PHOTOS), hotels_stamp(session)
        states = [STATES[kind] for kind in sorted(kinds)]
        columns = PhotoColumns.of(
            index.base,
            columns_stamp(session),
            lambda ids: self._read(session, states, ids),
            before.columns if before else None,
        )
        names = before.names if before and before.names.stamp == stamp else HotelNames(session, stamp)
        catalog, store = self._searcher.catalog, self._searcher.store
        words = known_vocabularies(session, catalog.model)
        tags = bits_of_all(catalog, session, store, words, columns, before.tags if before else ())
        give_memory_back()
        return Standing(
            state=state,
            kinds=kinds,
            index=index,
            background=photos,
            columns=columns,
            names=names,
            words=words,
            tags=tags,
        )

    def _read(self, session: Session, states: list[PhotoState], ids: Ids | None) -> Iterable[Part]:
        numbers = None if ids is None else ids.tolist()
        return embedded_columns(session, self._searcher.catalog.model, COLUMNS_READ, numbers, states)
