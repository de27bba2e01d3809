"""What searching asks: the vectors on disk, with what was added or has vanished since they were written.

Combines the exact rows, rows that came later, and a mask of rows whose photos cannot be found any more; plans whether
all of them are compared, or the candidates that an approximate engine names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aliens.errors import LibraryError
from embedding.index.engine import CandidateEngine
from embedding.index.exact import SAMPLE_ROWS, Bools, FaissIndex, Scores, best
from embedding.store import Ids, Vectors16

BLOCK_ROWS = 8_192  # float32 at a time, when every score is computed
FLOAT16_BYTES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a search is answered: by what, over how many rows, what that reads, and why.

    recall: recall@10 as measured with text queries when an approximate index was built; None: exact.
    """

    engine: str
    rows: int
    bytes_read: int
    reason: str
    recall: float | None = None


class PhotoIndex:
    """All photos that can be found. Scores are cosines in float32 of the float16 vectors."""

    def __init__(
        self,
        base: FaissIndex,
        *,
        live: Bools | None = None,
        extra_ids: Ids | None = None,
        extra_vectors: Vectors16 | None = None,
        engine: CandidateEngine | None = None,
        rebuilt: bool = False,
        note: str = "",
    ) -> None:
        """`live`: (rows of base,), which may be found; None for all. Extra rows: (m,) int64 and (m, d) float16.

        engine: names candidates among the rows of `base`; None: all are compared. rebuilt: whether `base` was made
        anew from the shards, for want of a sound file.
        """
        self.base = base
        self.engine = engine
        self.rebuilt = rebuilt
        self.note = note
        self.dim = base.dim
        self._live = live
        self._extra_ids = np.empty(0, np.int64) if extra_ids is None else extra_ids
        self._extra = np.empty((0, base.dim), np.float16) if extra_vectors is None else extra_vectors

    @cached_property
    def ids(self) -> Ids:
        """The ids of all photos that can be found, (n,) int64."""
        here = self.base.ids if self._live is None else self.base.ids[self._live]
        return np.concatenate([here, self._extra_ids])

    def __len__(self) -> int:
        return self._findable + len(self._extra_ids)

    def search(
        self, queries: NDArray[np.floating], k: int, *, among: Ids | None = None, exact: bool = False
    ) -> tuple[Scores, Ids]:
        """Return the k best of each query: cosines (n, k) float32, best first, and photo ids (n, k) int64.

        Args:
            queries: unit vectors, (n, d) float32.
            k: where there are fewer photos, fewer columns come back.
            among: ascending photo ids; only these may be hits, and unknown ones are passed over. None for all.
            exact: compare every photo, even where an approximate index stands.

        Equal scores are ordered by photo id. Raises: LibraryError: the queries have another number of dimensions.
        """
        self.base.check_dimensions(queries)
        if self._compares_all(k, among, "as was asked for" if exact else None):
            scores, ids = self.base.search(queries, k, self._mask(among))
        else:
            scores, ids = self._compare_candidates(np.asarray(queries, np.float32), k, among)
        extra = slice(None) if among is None else np.isin(self._extra_ids, among)
        if len(extra_ids := self._extra_ids[extra]):
            more = products(np.asarray(queries, np.float32), self._extra[extra])
            scores = np.concatenate([scores, more], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(extra_ids, more.shape)], axis=1)
            scores, ids = best(scores, ids, k)
        return scores, ids

    def plan(self, k: int, *, among: Ids | None = None, exact: str | None = None) -> Plan:
        """Return how `search` answers; `exact`: why every photo has to be compared, None where it need not be."""
        rows = len(self) if among is None else len(among)
        if (reason := self._compares_all(k, among, exact)) or self.engine is None:
            size_bytes = rows * self.dim * FLOAT16_BYTES
            return Plan(engine="exact", rows=rows, bytes_read=size_bytes, reason=reason or "")
        cost = self.engine.cost(k, rows / max(len(self), 1))
        reason = f"{cost.how}, its candidates compared exactly"
        return Plan(
            engine=self.engine.kind,
            rows=cost.rows,
            bytes_read=cost.bytes_read,
            reason=reason,
            recall=self.engine.recall,
        )

    def with_engine(self, engine: CandidateEngine | None, note: str = "") -> "PhotoIndex":
        """Return the same photos, with candidates from another engine, and a note beside this one's."""
        return PhotoIndex(
            self.base,
            live=self._live,
            extra_ids=self._extra_ids,
            extra_vectors=self._extra,
            engine=engine,
            rebuilt=self.rebuilt,
            note="; ".join(filter(None, [self.note, note])),
        )

    def beside(self, ids: Ids, vectors: Vectors16) -> "PhotoIndex":
        """Return the same photos and others, ids (m,) and vectors (m, d), which are compared one by one."""
        return PhotoIndex(
            self.base,
            live=self._live,
            extra_ids=np.concatenate([self._extra_ids, ids]),
            extra_vectors=np.concatenate([self._extra, vectors]),
            engine=self.engine,
            rebuilt=self.rebuilt,
            note=self.note,
        )

    @property
    def extra(self) -> tuple[Ids, Vectors16]:
        """The photos that lie beside the base: ids (m,) and vectors (m, d)."""
        return self._extra_ids, self._extra

    def _compares_all(self, k: int, among: Ids | None, exact: str | None) -> str | None:
        """Return why every photo that may be a hit is compared, or None where an engine names candidates."""
        whole = "every photo is compared" if among is None else "the photos that the filter leaves are compared"
        if self.engine is None:
            return whole
        if exact is not None:
            return f"{whole}, {exact}"
        if k > self.engine.most_hits:
            return f"{whole}, since {k} hits are more than {self.engine.kind} is asked for"
        if among is not None and not self.engine.answers(among, len(self)):
            return f"{whole}, since it leaves {len(among) / max(len(self), 1):.1%} of them"
        return None

    def _compare_candidates(self, queries: Scores, k: int, among: Ids | None) -> tuple[Scores, Ids]:
        """Return what `search` does of the base's rows, by comparing the engine's candidates exactly."""
        assert self.engine is not None
        named = self.engine.candidates(queries, k, among, 1.0 if among is None else len(among) / max(len(self), 1))
        wanted = min(k, self._findable if among is None else len(among))
        parts = []
        for query, ids in zip(queries, named, strict=True):
            ids = np.unique(ids[ids >= 0])
            rows, known = self._rows(ids)
            rows = rows[known if self._live is None else known & self._live[rows]]
            if len(rows) < wanted:  # the engine named too few: nothing may be lost
                parts.append(self.base.search(query[np.newaxis], k, self._mask(among)))
            else:
                scores = self.base.decoded(rows) @ query
                parts.append(best(scores[np.newaxis], self.base.ids[rows][np.newaxis], k))
        if not parts:
            return self.base.search(queries, k, self._mask(among))
        scores, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return scores, ids

    @cached_property
    def _findable(self) -> int:
        """The number of rows of the base whose photos can be found."""
        return len(self.base) if self._live is None else int(self._live.sum())

    def scores(self, query: Scores, *, among: Ids | None = None) -> tuple[Scores, Ids]:
        """Return the cosine of every photo with a query (d,), (m,) float32, and photo ids (m,); in no order."""
        rows = np.arange(len(self.base)) if (mask := self._mask(among)) is None else np.flatnonzero(mask)
        extra = np.ones(len(self._extra_ids), bool) if among is None else np.isin(self._extra_ids, among)
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            part = self.base.vectors[block[0] : block[-1] + 1] if len(block) == block[-1] - block[0] + 1 else None
            part = self.base.vectors[block] if part is None else part
            found[start : start + len(block)] = part.astype(np.float32) @ query
        more = products(query[np.newaxis], self._extra[extra])[0]
        return np.concatenate([found, more]), np.concatenate([self.base.ids[rows], self._extra_ids[extra]])

    def vectors(self, ids: Ids) -> Scores:
        """Return the vectors of photos, (m, d) float32, in the order of the ids.

        Raises: LibraryError: one of them is not in the index.
        """
        vectors = np.empty((len(ids), self.dim), np.float32)
        rows, here = self._rows(ids)
        if self._live is not None:
            here &= self._live[rows]
        vectors[here] = self.base.vectors[rows[here]]
        for place in np.flatnonzero(~here):
            found = np.flatnonzero(self._extra_ids == ids[place])
            if not len(found):
                raise LibraryError(f"no photo {ids[place]} in the index: take an id that a search shows")
            vectors[place] = self._extra[found[0]]
        return vectors

    def parts(self) -> Iterator[tuple[Ids, Vectors16]]:
        """Yield all photos' ids (n,) and vectors (n, d), some thousands at a time."""
        for start in range(0, len(self.base), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            keep = slice(None) if self._live is None else self._live[block]
            yield self.base.ids[block][keep], self.base.vectors[block][keep]
        if len(self._extra_ids):
            yield self._extra_ids, self._extra

    def sample(self, count: int) -> Scores:
        """Return vectors (at most count, d) float32 spread evenly over the photos: the same ones at every call."""
        if count == SAMPLE_ROWS and self._live is None and not len(self._extra) and self.base.sample is not None:
            return self.base.sample.astype(np.float32)
        rows = np.arange(len(self.base)) if self._live is None else np.flatnonzero(self._live)
        total = len(rows) + len(self._extra)
        places = np.unique(np.linspace(0, total - 1, min(count, total)).astype(np.int64)) if total else rows[:0]
        here, later = places[places < len(rows)], places[places >= len(rows)] - len(rows)
        return np.concatenate([self.base.vectors[rows[here]], self._extra[later]]).astype(np.float32)

    def _mask(self, among: Ids | None) -> Bools | None:
        """Return which rows of the base may be found, or None for all."""
        if among is None:
            return self._live
        rows, known = self._rows(among)
        mask = np.zeros(len(self.base), bool)
        mask[rows[known]] = True
        return mask if self._live is None else mask & self._live

    def _rows(self, ids: Ids) -> tuple[NDArray[np.int64], Bools]:
        """Return the row of each photo id, and whether it has one; without one the row means nothing."""
        order, ascending = self._order
        places = np.minimum(np.searchsorted(ascending, ids), max(len(ascending) - 1, 0))
        if not len(ascending):
            return places, np.zeros(len(ids), bool)
        return places if order is None else order[places], ascending[places] == ids

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64] | None, Ids]:
        """The rows in ascending order of their ids, None where that is their order, and the ids so ordered."""
        ids = self.base.ids
        if bool((np.diff(ids) > 0).all()):
            return None, ids
        order = np.argsort(ids)
        return order, ids[order]


def products(queries: Scores, vectors: Vectors16) -> Scores:
    """Return the cosines of queries (n, d) with vectors (m, d), (n, m) float32, without a copy of all vectors."""
    scores = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        scores[:, block] = queries @ vectors[block].astype(np.float32).T
    return scores
