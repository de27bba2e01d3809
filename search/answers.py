"""Queries become one unit vector, the index gives hits. Writes nothing."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from base.console import counted
from base.errors import QueryError
from db.catalog import Catalog
from db.conditions import any_with
from db.photo_names import Named, no_vector, number_or_path, photo_ids, photos_called, unknown_photo
from db.photo_rows import first_scan, hotels_of
from db.vector_rows import EmbeddedRows, any_vector, segment_with
from embedding.encoder import Encoder
from embedding.index.left import Among
from embedding.index.photo_index import PhotoIndex
from embedding.segments import SegmentStore
from search.filters import OWN_WORDS, REMEDIES, Chosen, OfHotels, chosen, describe, kinds_of
from search.pushed_filters import left_by_milvus
from search.query import Filter, Query, Term, format_query, parse, whole_paths
from search.query_vectors import QUERIES_OF_NOTHING, compose, kept_nonsense, moved, nonsense_in_place, term_vectors
from search.ranking import Answer, ReadyQuery, Shape, Sort, in_shown_order
from search.results import Explanation, Hit, Results, digest, read_cursor

PLAIN = ("{}",)  # the text as it stands: on the sample and on real hotels, prompts around it find less


@dataclass(frozen=True, slots=True)
class Feedback:
    """Photos that are what was meant, and photos that are not: the query moves towards the ones, from the others."""

    more_like: Sequence[int | str] = ()
    less_like: Sequence[int | str] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """All that decides an answer but the number of hits. of_hotels: by their ids, beside the query's filters."""

    query: Query
    templates: tuple[str, ...]
    feedback: Feedback
    shape: Shape
    of_hotels: OfHotels | None = None

    def digest(self, query: Query, clicks: Feedback) -> str:
        """Return what tells cursors of this question, its photos given by number, from those of another one.

        Where only photos of no hotel are left out, it is the same one.
        """
        named = () if self.of_hotels is None or self.of_hotels.ids is None else (self.of_hotels,)
        return digest(format_query(query), self.templates, clicks, self.shape.identity, *named)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """What is asked for besides a text; the fields' values are those of a search without options.

    image: path of a photo to look for. like: id or path of one. more_like, less_like: ids or paths of photos that are,
    or are not, what was meant. every: all photos above `min_score`, or else above the stop line, not the k best. The
    others: see Shape.
    """

    k: int = 10
    image: str | None = None
    like: int | str | None = None
    more_like: tuple[int | str, ...] = ()
    less_like: tuple[int | str, ...] = ()
    per_hotel: int | None = None
    per_chain: int | None = None
    diverse: float = 0.0
    sort: Sort = "score"
    until_stop: bool = False
    min_score: float | None = None
    every: bool = False
    copies: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        if self.image is not None:  # it may be read later, in another working folder
            object.__setattr__(self, "image", str(Path(self.image).absolute()))
        if self.like is not None:
            object.__setattr__(self, "like", number_or_path(self.like))
        for name in ("more_like", "less_like"):
            object.__setattr__(self, name, tuple(map(number_or_path, getattr(self, name))))

    @property
    def said(self) -> dict[str, Any]:
        """The options that differ from those of a search without."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def limits(self) -> str:
        """What shapes the list, for people; empty where it is plain."""
        said = [
            f"at most {self.per_hotel} of a hotel" if self.per_hotel else "",
            f"at most {self.per_chain} of a chain" if self.per_chain else "",
            f"diverse {self.diverse:g}" if self.diverse else "",
        ]
        return ", ".join(filter(None, said))

    def shape(self, after: str | None = None, page: int = 1) -> Shape:
        """Return the shape of the list, behind a cursor or pages. Raises: QueryError: a value makes no sense."""
        names = {field.name for field in fields(Shape)} & {field.name for field in fields(self)}
        return Shape(**{name: getattr(self, name) for name in names}, after=after, page=page)

    def question(
        self, text: str | None, after: str | None = None, page: int = 1, templates: Sequence[str] = PLAIN
    ) -> Question:
        """Return the question that a text and these options ask. Raises: QueryError: it makes no sense."""
        query = read_query(text, self.image, self.like)
        return Question(query, tuple(templates), Feedback(self.more_like, self.less_like), self.shape(after, page))


class Stopwatch:
    """Takes the times of the steps of a search, in ms."""

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the step before as this one's."""
        now = perf_counter()
        self.times_ms[name], self._last = (now - self._last) * 1000, now


class Searcher:
    """Answers questions about one library, whose parts it is handed; threads may share it."""

    def __init__(
        self,
        catalog: Catalog,
        store: SegmentStore,
        index: Callable[[Session], PhotoIndex],
        encoder: Callable[[], Encoder],
    ) -> None:
        """`index` gives the photos that can be found now, `encoder` the library's model."""
        self.catalog = catalog
        self.store = store
        self._model = catalog.model
        self._root = catalog.folder.root
        self._index = index
        self._encoder = encoder
        self._nonsense: Floats | None = None

    @property
    def encoder(self) -> Encoder:
        """The library's model."""
        return self._encoder()

    def search(self, question: Question, k: int) -> Results:
        """Return the k best photos, best first, in the order that the question's shape asks for.

        Raises:
            QueryError: nothing was asked for, or something impossible: the message says what.
            ModelMismatchError: the model is no longer the one that the library was made by.
        """
        if k < 1:
            raise QueryError(f"k is {k}: ask for at least 1 photo")
        watch = Stopwatch()
        with self._answering(question, watch) as (answer, explain):
            hits, more = answer.hits(k)
            watch.lap("search")
            last = hits[-1].place if hits else None
            shown, explained = in_shown_order(hits, question.shape.sort), explain(k)
            about = dates_note(answer.session, question, len(hits), sum(hit.date_from == "file" for hit in hits))
            explained = replace(explained, list_note="; ".join(filter(None, [explained.list_note, about])))
            return Results(
                shown, answer.stop_line, explained, more, last, page=question.shape.page, stands_out=answer.stands_out
            )

    def stream(self, question: Question, tell: Callable[[str], None] = lambda note: None) -> Iterator[Hit]:
        """Yield every photo above the shape's `min_score`, or else above the suggested stop line, best first.

        The errors are those of `search`. `tell` is called at the end with the notes that `Explanation.notes` has, where
        there are any.
        """
        if question.shape.min_score is None:
            question = replace(question, shape=replace(question.shape, until_stop=True))
        with self._answering(question, Stopwatch()) as (answer, explain):
            hits = by_file = 0
            for hit in answer.stream():
                hits, by_file = hits + 1, by_file + (hit.date_from == "file")
                yield hit
            about = dates_note(answer.session, question, hits, by_file)
            if note := "; ".join(filter(None, [explain(1).notes, about])):
                tell(note)

    def like(self, photo: Named, shape: Shape, *, other_hotels: bool = False) -> Question:
        """Return the question for the photos most like one; with `other_hotels` none of its own, which is known then.

        Raises: QueryError: the photo is unknown or has no hotel.
        """
        others: OfHotels | None = None
        if other_hotels:
            with self.catalog.session() as session:
                (photo_id,) = photo_ids(session, self._root, [photo])
                self.vector(session, photo_id)
                hotel_id, _ = hotels_of(session, [photo_id]).get(photo_id, (None, None))
            if hotel_id is None:
                raise QueryError(
                    f"photo {photo_id} belongs to no hotel: leave --other-hotels out, or name it: {OWN_WORDS}"
                )
            others = OfHotels((hotel_id,), negated=True)
        return Question(Query((Term("photo", number_or_path(photo), 1.0),), ()), PLAIN, Feedback(), shape, others)

    @contextmanager
    def _answering(self, question: Question, watch: Stopwatch) -> Iterator[tuple[Answer, Callable[[int], Explanation]]]:
        """Yield what answers a question, and what explains how."""
        with self.catalog.session() as session:
            query, strangers = by_number(session, self._root, question.query)
            named = (question.feedback.more_like, question.feedback.less_like)
            clicks = Feedback(*(tuple(photo_ids(session, self._root, names)) for names in named))
            question, shape = replace(question, query=query, feedback=clicks), question.shape
            if not any_vector(session, self._model):
                raise self.catalog.nothing_embedded(session)
            current = self._current(session)
            index = self._of_kinds(session, current, kinds_of(query.filters))
            watch.lap("index")
            choice, among = self._chosen(session, index, query.filters, question)
            watch.lap("filter")
            vector, nonsense = self.asked_vector(session, question)
            watch.lap("encode")
            without = sorted({*photos_in(query), *map(int, clicks.more_like), *map(int, clicks.less_like)})
            asked = ReadyQuery(
                vector=vector,
                among=among,
                without=frozenset(without),
                named=self.stored_vectors(session, without),
                nonsense=nonsense,
                library=digest(self._model.key, first_scan(session)),
                query=question.digest(query, clicks),
            )
            cursor = None if shape.after is None else read_cursor(shape.after, asked.library, asked.query)

            answer = Answer(session, index, current.background, asked, shape, cursor)
            lacking = lacking_note(session, shape)

            there = [f"{path} is not in the library: it is compared as it lies there" for path in strangers]

            def explain(k: int) -> Explanation:
                plan = index.plan(answer.depth(k), among=among, exact=answer.compares_all)
                return Explanation(
                    query=format_query(Query(query.terms, ())),
                    filters=" ".join(filter(None, [describe(choice.filters), str(question.of_hotels or "")])),
                    selected=None if among is None else len(among),
                    photos=len(index),
                    engine=plan.engine,
                    reason=plan.reason,
                    rows=plan.rows,
                    read_bytes=plan.bytes_read,
                    recall=plan.recall,
                    note="; ".join(filter(None, [*there, current.note, choice.note, lacking])),  # an engine may fail
                    list_note=answer.note,
                    times_ms=watch.times_ms,
                )

            yield answer, explain

    def _chosen(
        self, session: Session, index: PhotoIndex, filters: Sequence[Filter], question: Question
    ) -> tuple[Chosen, Among]:
        """Return the photos that may be found: said to Milvus where that can be, else by their ids."""
        asked = (self.catalog, session, self.store)
        said = None if question.shape.exact else left_by_milvus(*asked, index, filters, question.of_hotels)
        if said is not None:
            return said
        choice = chosen(*asked, filters, question.of_hotels)
        return choice, choice.ids

    def asked_vector(
        self, session: Session, question: Question, images: Mapping[str, Floats] | None = None
    ) -> tuple[Floats, Floats | None]:
        """Return the query's unit vector (d,), and those of nonsense in its place (m, d); None for photos.

        `images`: unit vectors of photos that the query names as files, which then are not read.

        Raises: QueryError: there is nothing to look for, or a photo is unknown.
        """
        query, clicks = question.query, question.feedback
        if not any(term.weight > 0 for term in query.terms):
            raise QueryError(
                "the query says only what to leave out, or which photos to choose from: say what to look for as well, "
                "as in 'bathroom -shower'"
                if query.terms or query.filters
                else "nothing to look for: give a text, an image (--image FILE) or a photo (--like PHOTO)"
            )
        stored = partial(self.vector, session)
        vectors = term_vectors(query.terms, self._encoder, stored, question.templates, images)
        weights = np.array([term.weight for term in query.terms])
        vector = compose(vectors, weights)
        if clicks.more_like or clicks.less_like:
            more, less = (self.stored_vectors(session, ids) for ids in (clicks.more_like, clicks.less_like))
            return moved(vector, more, less), None
        if any(term.kind != "text" for term in query.terms):
            return vector, None
        if self._nonsense is None:
            kept = kept_nonsense(session, self._model)
            self._nonsense = self._encoder().encode_texts(QUERIES_OF_NOTHING) if kept is None else kept
        return vector, nonsense_in_place(self._nonsense, vectors, weights)

    def stored_vectors(self, session: Session, ids: Sequence[int | str]) -> Floats:
        """Return the stored unit vectors of photos, (m, d) float32. Raises: QueryError: one has none."""
        vectors = [self.vector(session, int(photo_id)) for photo_id in ids]
        return np.stack(vectors) if vectors else np.empty((0, self._model.dim), np.float32)

    def vector(self, session: Session, photo_id: int) -> Floats:
        """Return the stored unit vector (d,) float32 of a photo.

        Raises: QueryError: the photo is unknown or has no vector.
        """
        known = abs(photo_id) < 2**63  # as far as databases count
        stored = self.store.vector(lambda: segment_with(session, self._model, photo_id), photo_id) if known else None
        if stored is None:
            raise no_vector(session, self._root, photo_id)
        vector: Floats = stored.astype(np.float32)
        return vector

    def vectors(self, session: Session, ids: Sequence[int]) -> dict[int, Floats]:
        """Return {photo id: unit vector (d,) float32} of those of the photos that can be found."""
        wanted = np.array(ids, np.int64)
        current = self.store.current(EmbeddedRows(session, self._model))
        known = wanted[current.locate(wanted)[0] >= 0]
        return dict(zip(known.tolist(), current.gather(known), strict=True))

    def background(self, session: Session) -> Floats:
        """Return a sample of the photos' unit vectors, (s, d) float32, which says what is usual in the library.

        Raises: QueryError: there are no photos.
        """
        return self._current(session).background

    def has_photos(self, session: Session) -> bool:
        """Tell whether any photo can be found now."""
        return any_vector(session, self._model) and len(self._index(session)) > 0

    def indexes(self, session: Session, kinds: frozenset[str]) -> tuple[PhotoIndex, PhotoIndex]:
        """Return the index of photos, by which scores are judged, and that of the kinds that are looked for.

        Raises: QueryError: there are none.
        """
        photos = self._current(session)
        return photos, self._of_kinds(session, photos, kinds)

    def _current(self, session: Session) -> PhotoIndex:
        """Return the index of all photos that can be found now. Raises: QueryError: there are none."""
        index = self._index(session)
        if not len(index):
            raise QueryError(f"no photo in {self._root} can be found now: add some with `aliens add FOLDER`")
        return index

    def _of_kinds(self, session: Session, photos: PhotoIndex, kinds: frozenset[str]) -> PhotoIndex:
        """Return the index of photos, of restyled photos, or of both; scores are judged by the photos' alone."""
        if "restyled" not in kinds:
            return photos
        results = self.store.current(EmbeddedRows(session, self._model, restyled=True))
        if "photo" in kinds:
            return photos.beside(results)
        if not len(results):
            raise QueryError(f"no restyled photo is in {self._root}: `aliens restyle list --add` adds them")
        return PhotoIndex(results)


def lacking_note(session: Session, shape: Shape) -> str:
    """Return a word on limits and orders that cannot mean anything in this library, with the remedy; or nothing."""
    asked = {
        "--per-hotel": ("hotel", shape.per_hotel is not None),
        "--sort hotel": ("hotel", shape.sort == "hotel"),
        "--per-chain": ("chain", shape.per_chain is not None),
    }
    vain = [(option, what) for option, (what, used) in asked.items() if used and not any_with(session, what)]
    return "; ".join(f"{option} changes nothing: {REMEDIES[what]}" for option, what in vain)


def dates_note(session: Session, question: Question, hits: int, by_file: int) -> str:
    """Return a word on hits whose dates are only the times of their files, where dates were asked for; or nothing."""
    asked = any(part.name in ("after", "before") for part in question.query.filters)
    if not asked and question.shape.sort != "date":
        return ""
    if not hits:
        return "" if any_with(session, "date") else REMEDIES["date"]
    have = f"{by_file} of {counted(hits, 'hit')} {'has' if by_file == 1 else 'have'}"
    return f"{have} no date of a camera, a table or an upload: the time of the file counts" if by_file else ""


def read_query(text: str | None, image: str | None, like: int | str | None) -> Query:
    """Return a query's parts together.

    Raises: QueryError: the text is empty or cannot be read.
    """
    if text is not None and not text.strip():
        raise QueryError("the text is empty: say what to look for, such as 'bathtub with a view'")
    query = whole_paths(parse(text)) if text is not None else Query((), ())
    terms = list(query.terms)
    if image is not None:
        terms.append(Term("image", image, 1.0))
    if like is not None:
        terms.append(Term("photo", like, 1.0))
    return Query(tuple(terms), query.filters)


def by_number(session: Session, root: Path, query: Query) -> tuple[Query, list[str]]:
    """Return a query that names photos by their numbers, and the paths of files that are no photos of the library.

    Such a file is looked at as it lies there.

    Raises: QueryError: the library knows no photo at a path, and there is no such file.
    """
    paths = [term.value for term in query.terms if term.kind == "photo" and isinstance(term.value, str)]
    if not paths:
        return query, []
    known = photos_called(session, list(dict.fromkeys(paths)))
    strangers = [path for path in dict.fromkeys(paths) if path not in known]
    if nowhere := [path for path in strangers if not os.path.isfile(path)]:
        raise unknown_photo(session, root, nowhere)
    terms = []
    for term in query.terms:
        if term.kind == "photo" and isinstance(term.value, str):
            term = replace(term, value=known[term.value]) if term.value in known else replace(term, kind="image")
        terms.append(term)
    return replace(query, terms=tuple(terms)), strangers


def photos_in(query: Query) -> list[int]:
    """Return the ids of the library's photos that a query names."""
    return [int(term.value) for term in query.terms if term.kind == "photo"]
