"""A whole answer at once, for those who scroll: every photo in its order as arrays. Reads no photo's row.

Filters become masks, scores are computed for what these leave, copies of a photo come as one: the photos, and the
order, that `search.answers` gives page by page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, Longs
from base.errors import QueryError
from db.photo_names import photos_known
from db.photo_rows import first_scan, hashes_of
from embedding.photo_columns import UNDATED, PhotoColumns
from search.answers import PLAIN, Feedback, Question, Searcher, photos_in
from search.copies import SAME, Copies
from search.filters import kinds_of
from search.masks import FilteredPhotos, Masks
from search.query import Query, parse
from search.query_vectors import moved
from search.ranking import Shape, nonsense_line, percentiles, stop_line
from search.results import NOTHING, digest
from search.standing import CurrentStanding, Standing

LONGEST = 100_000  # photos of an order: a browser scrolls no further, and says so
SORTED_BY = ("score", "newest", "oldest", "hotel")
MANY = 300_000  # photos of which not all scores are ordered
WIDER = 1.25  # as many are looked for as should be needed
NEARLY = 1e-4  # below SAME, from which a photo may be a copy

OrderSort = Literal["score", "newest", "oldest", "hotel"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoOrder:
    """The photos of an answer, best first, or newest first where nothing is looked for; copies of a photo come as one.

    text: what was asked. photo_ids: (n,) int64, at most LONGEST. scores: (n,) float32 cosines; None where nothing was
    looked for. beats: (n,) float32, percent of a sample of the library that score lower; None as for scores. above: how
    many photos stand above the suggested stop line, which may be more than n; None where it cannot be told. total: how
    many photos the filters leave, the n among them. photos: how many the library has. In another order than by score
    the photos above the line come first, in that order, then the others by score.

    vector: what was looked for, (d,), or None. left_out: ids of photos that are no hits, since they were named, or are
    copies of those. copies: (c, 2), of photos shown and of their copies, ids. library, question: digests of both, for
    cursors; newest: the highest photo id there was; state: of the library then.
    """

    text: str
    photo_ids: Ids
    sort: OrderSort = "score"
    scores: Floats | None = None
    beats: Floats | None = None
    above: int | None = None
    stop_line: float | None = None
    stands_out: bool | None = None
    total: int = 0
    photos: int = 0
    note: str = ""
    vector: Floats | None = None
    left_out: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    copies: Longs = field(default_factory=lambda: np.empty((0, 2), np.int64))
    library: str = ""
    question: str = ""
    newest: int = 0
    state: str = ""

    def __len__(self) -> int:
        return len(self.photo_ids)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes, in bytes."""
        arrays = (self.photo_ids, self.scores, self.beats, self.vector, self.left_out, self.copies)
        return 1_000 + len(self.text) + sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True, slots=True)
class Rows:
    """Photos by their positions in a library's columns, ascending, each for its copies too.

    copies: (c, 2), of photos and their copies that are left out, positions.
    """

    at: Longs
    copies: Longs


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What an order is asked by. uploads: unit vectors (d,) by the names that a query has for them."""

    text: str
    more_like: tuple[int, ...] = ()
    less_like: tuple[int, ...] = ()
    uploads: Mapping[str, Floats] = field(default_factory=dict)
    sort: OrderSort = "score"

    def __post_init__(self) -> None:
        if self.sort not in SORTED_BY:
            raise QueryError(f"sort is {self.sort!r}: choose one of {', '.join(SORTED_BY)}")


def order_of(searcher: Searcher, current: CurrentStanding, session: Session, wanted: Wanted) -> PhotoOrder:
    """Return every photo in the order of a query. Raises: QueryError: it cannot be read, or asks for the impossible."""
    query = without_files(session, wanted.text, wanted.uploads)
    if not searcher.has_photos(session):
        return PhotoOrder(text=wanted.text, photo_ids=np.empty(0, np.int64), sort=wanted.sort)
    standing = current.at(session, kinds_of(query.filters))
    selection = Masks(searcher.catalog, session, searcher.store, standing).selection(query.filters)
    question = Question(query, PLAIN, Feedback(wanted.more_like, wanted.less_like), Shape())
    order = PhotoOrder(
        text=wanted.text,
        photo_ids=np.empty(0, np.int64),
        sort=wanted.sort,
        photos=len(standing.background),
        library=digest(searcher.catalog.model.key, first_scan(session)),
        question=digest(question.digest(query, question.feedback), wanted.sort),
        newest=int(standing.columns.ids[-1]),
        state=standing.state,
    )
    if query.terms or wanted.more_like or wanted.less_like:
        return Ranking(searcher, session, standing, selection, question, wanted.uploads).order(order)
    return unranked(order, selection)


def without_files(session: Session, text: str, uploads: Mapping[str, Any]) -> Query:
    """Return a query of a stranger, photos by their numbers.

    Raises: QueryError: it names a file of this machine, which nobody is told of, or an upload that is gone.
    """
    query = parse(text)
    for term in query.terms:
        if term.kind == "image" and term.value not in uploads:
            raise QueryError(
                f"there is no uploaded photo {str(term.value)[:80]!r} (any more): drop or paste it again; files of "
                "this machine are not read from here"
            )
    paths = [str(term.value) for term in query.terms if term.kind == "photo" and isinstance(term.value, str)]
    known = photos_known(session, paths)
    if unknown := [path for path in paths if path not in known]:
        raise QueryError(
            f"no photo of this library is {unknown[0][:80]!r}: name it by its number, as its page shows it"
        )
    terms = tuple(
        replace(term, value=known[term.value]) if term.kind == "photo" and isinstance(term.value, str) else term
        for term in query.terms
    )
    return replace(query, terms=terms)


def distinct_rows(columns: PhotoColumns, rows: Longs) -> Rows:
    """Return photos by their positions, ascending, without those whose vector an earlier one has."""
    twins = rows[columns.twinned[rows]]
    classes = columns.twins[twins]
    _, first, which = np.unique(classes, return_index=True, return_inverse=True)
    spare = np.ones(len(twins), bool)
    spare[first] = False
    pairs = np.stack([twins[first][which[spare]], twins[spare]], axis=1)
    return Rows(np.setdiff1d(rows, twins[spare], assume_unique=True) if len(pairs) else rows, pairs)


def unranked(order: PhotoOrder, selection: FilteredPhotos) -> PhotoOrder:
    """Return what filters leave, the newest first, or in the order that is asked for."""
    standing, mask = selection.standing, selection.photos()
    columns = standing.columns
    rows = distinct_rows(columns, np.arange(len(columns)) if mask is None else np.flatnonzero(mask))
    sequence = standing.by_hotel if order.sort == "hotel" else columns.newest_first
    if order.sort == "oldest":
        dated = columns.taken_us[sequence] != UNDATED
        sequence = np.concatenate([sequence[dated][::-1], sequence[~dated]])
    if mask is not None or len(rows.copies):
        chosen = np.zeros(len(columns), bool)
        chosen[rows.at] = True
        sequence = sequence[chosen[sequence]]
    return replace(
        order,
        photo_ids=columns.ids[sequence[:LONGEST]],
        total=len(rows.at),
        copies=columns.ids[rows.copies],
        note=selection.chosen.note,
    )


class Ranking:
    """One query by which photos are ranked."""

    def __init__(
        self,
        searcher: Searcher,
        session: Session,
        standing: Standing,
        selection: FilteredPhotos,
        question: Question,
        uploads: Mapping[str, Floats],
    ) -> None:
        self._session = session
        self._standing = standing
        self._columns = standing.columns
        self._selection = selection
        query, clicks = question.query, question.feedback
        named = dict.fromkeys([*photos_in(query), *map(int, clicks.more_like), *map(int, clicks.less_like)])
        self._named = list(named)
        self._named_vectors = searcher.stored_vectors(session, self._named)
        self._vector, self._nonsense = self._asked(searcher, question, uploads)
        self._background: Floats = standing.background.background @ self._vector

    def _asked(
        self, searcher: Searcher, question: Question, uploads: Mapping[str, Floats]
    ) -> tuple[Floats, Floats | None]:
        """Return the unit vector that is looked for, and those of nonsense in its place: see Searcher.asked_vector."""
        clicks = question.feedback
        if question.query.terms or not clicks.more_like:
            return searcher.asked_vector(self._session, question, uploads)
        more, less = (searcher.stored_vectors(self._session, ids) for ids in (clicks.more_like, clicks.less_like))
        return moved(np.zeros_like(more[0]), more, less), None

    def order(self, order: PhotoOrder) -> PhotoOrder:
        """Return the photos best first."""
        mask, line = self._selection.photos(), stop_line(self._background)
        left_out, everything = self._left_out(), mask is None
        photos = len(self._columns) if mask is None else int(mask.sum())
        scores, rows = self._scored(mask, photos, line)
        if everything and line is not None:
            self._standing.keep_above(self._vector, rows[scores >= line])
        if len(left_out):
            keep = ~np.isin(rows, left_out)
            scores, rows = scores[keep], rows[keep]
        best = float(scores.max()) if len(scores) else None
        scores, rows, copies = self._distinct(scores, rows)
        above = None if line is None else int((scores >= line).sum())
        top = best_first(scores, LONGEST)
        scores, rows = scores[top], rows[top]
        if len(left_out):
            mask = np.ones(len(self._columns), bool) if mask is None else mask.copy()
            mask[left_out] = False
        stands_out = None
        if self._nonsense is not None and best is not None:
            sample = self._standing.background.background
            stands_out = best >= nonsense_line(sample @ self._nonsense.T, photos)
        if order.sort != "score":
            rows, scores = self._sorted(order.sort, rows, scores, len(rows) if above is None else above)
        return replace(
            order,
            photo_ids=self._columns.ids[rows],
            scores=scores,
            beats=percentiles(self._background, scores),
            above=above,
            stop_line=line,
            stands_out=stands_out,
            total=max(self._columns.distinct(mask), len(rows)),
            note="; ".join(filter(None, [NOTHING if stands_out is False else "", self._selection.chosen.note])),
            vector=self._vector,
            left_out=self._columns.ids[left_out],
            copies=self._columns.ids[copies],
        )

    def _left_out(self) -> Longs:
        """Return the positions of the photos that are named, and of their copies, ascending."""
        ids = [np.array(self._named, np.int64)]
        for vector in self._named_vectors:
            near = self._standing.index.scores(vector, least=SAME - NEARLY, share=0.0)[1]
            alike = self._standing.index.vectors(near) @ vector >= SAME
            ids.append(near[alike])
        hashes = hashes_of(self._session, self._named).values()
        content = np.array([int.from_bytes(digest[:8], "little") for digest in hashes], np.uint64)
        rows, here = self._columns.positions(np.unique(np.concatenate(ids)))
        same = np.flatnonzero(np.isin(self._columns.content, content)) if len(content) else rows[:0]
        return np.union1d(rows[here], same)

    def _scored(self, mask: Bools | None, photos: int, line: float | None) -> tuple[Floats, Longs]:
        """Return scores and positions, those ascending, of the best LONGEST at least, and of all above the line."""
        index, among = self._standing.index, None if mask is None else self._columns.ids[mask]
        least, share = -np.inf, 1.0
        if photos > MANY and line is not None:
            share = max(WIDER * LONGEST / photos, float((self._background >= line).mean()))
            least = min(line, float(np.quantile(self._background, max(1 - share, 0))))
        scores, ids = index.scores(self._vector, among=among, least=least, share=share)
        if len(ids) < min(photos, LONGEST + len(self._named) + photos // 100) and least > -np.inf:
            scores, ids = index.scores(self._vector, among=among)
        rows, here = self._columns.positions(ids)
        whole = np.full(len(self._columns), -np.inf, np.float32)
        whole[rows[here]] = scores[here]
        rows = np.flatnonzero(whole > -np.inf)  # quicker than sorting
        return whole[rows], rows

    def _distinct(self, scores: Floats, rows: Longs) -> tuple[Floats, Longs, Longs]:
        """Return scores and positions, ascending, each photo for its copies too; and pairs of these."""
        if not len(self._columns.odd) and not self._columns.twinned[rows].any():
            return scores, rows, np.empty((0, 2), np.int64)
        odd = np.isin(rows, self._columns.odd)
        plain = distinct_rows(self._columns, rows[~odd])
        kept, pairs = np.isin(rows, plain.at), [plain.copies]
        if odd.any():  # compared one by one
            top = best_first(scores[odd], int(odd.sum()))
            ranked = list(zip(self._columns.ids[rows[odd][top]].tolist(), scores[odd][top].tolist(), strict=True))
            for photo in Copies(self._session, self._standing.index).distinct([ranked]):
                shown, *copies = self._columns.positions(np.array(sorted(photo.photo_ids)))[0].tolist()
                place = np.searchsorted(rows, shown)
                kept[place], scores[place] = True, photo.score
                pairs.append(np.array([(shown, copy) for copy in copies], np.int64).reshape(-1, 2))
        return scores[kept], rows[kept], np.concatenate(pairs)

    def _sorted(self, sort: OrderSort, rows: Longs, scores: Floats, above: int) -> tuple[Longs, Floats]:
        """Return photos that come best first in another order, as far as the line; those below it as they were."""
        head = rows[:above]
        if sort == "hotel":
            names = self._standing.names
            keys = np.append(names.ranks, len(names.ids))[self._standing.hotel_rows[head]]
        else:
            taken = self._columns.taken_us[head].astype(np.float64)
            keys = np.where(self._columns.taken_us[head] == UNDATED, np.inf, -taken if sort == "newest" else taken)
        order = np.argsort(keys, kind="stable")
        return np.concatenate([head[order], rows[above:]]), np.concatenate([scores[:above][order], scores[above:]])


def best_first(scores: Floats, most: int) -> Longs:
    """Return the places of the best of scores (m,), best first; equal ones as they stand."""
    if len(scores) > most:
        least = np.partition(scores, len(scores) - most)[len(scores) - most]
        places = np.flatnonzero(scores >= least)
        return places[np.argsort(-scores[places], kind="stable")][:most]
    return np.argsort(-scores, kind="stable")
