"""Queries become one unit vector, the index gives hits. Writes nothing."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Floats, unit
from base.console import counted
from base.errors import LibraryError, PhotoError, QueryError
from base.files import PhotoFile
from db.catalog import Catalog
from db.conditions import any_with
from db.models import Model
from db.photo_rows import first_scan, hotels_of
from db.settings_rows import read_setting, write_setting
from db.vector_rows import EmbeddedRows, any_vector, segment_with
from embedding.encoder import Encoder
from embedding.index.photo_index import PhotoIndex
from embedding.segments import SegmentStore
from search.filters import OWN_WORDS, REMEDIES, chosen, describe, kinds_of
from search.query import Filter, Query, Term, format_query, parse, whole_paths
from search.ranking import Answer, ReadyQuery, Shape, Sort, in_shown_order
from search.results import Explanation, Hit, Results, digest, read_cursor

SHORTEST = 1e-4  # a sum of unit vectors, the heaviest of weight 1, that is shorter has no direction worth the name
ROCCHIO = (1.0, 0.75, 0.15)  # Rocchio 1971, in the values that textbooks give: query, more like, less like


def compose(vectors: Floats, weights: NDArray[np.floating]) -> Floats:
    """Return the query's unit vector (d,) float32 of terms' unit vectors (t, d) and weights (t,).

    Only the ratio of the weights matters, so they may be as small or large as float64 allows.

    Raises: QueryError: the terms cancel each other out, or a weight is not finite.
    """
    exact = np.asarray(weights, np.float64)
    largest = np.abs(exact).max(initial=0)
    if not 0 < largest < np.inf:
        raise QueryError("the weights of the query cannot be used: give numbers above 0, such as 0.5")
    return direction((exact / largest).astype(np.float32) @ vectors)


def moved(query: Floats, more: Floats, less: Floats) -> Floats:
    """Return a query (d,) moved towards photos (m, d) that are what was meant, away from photos (l, d) that are not.

    Source: Rocchio 1971, "Relevance feedback in information retrieval".
    """
    keep, towards, away = ROCCHIO
    vector = keep * query
    if len(more):
        vector = vector + towards * more.mean(axis=0)
    if len(less):
        vector = vector - away * less.mean(axis=0)
    return direction(vector)


def direction(vector: Floats) -> Floats:
    """Return a vector (d,) made length 1. Raises: QueryError: it is too short to have a direction."""
    if not float(np.linalg.norm(vector)) > SHORTEST:
        raise QueryError("the parts of the query cancel each other out: leave one of them out")
    return unit(vector)


def term_vectors(
    terms: Sequence[Term],
    encoder: Callable[[], Encoder],
    stored: Callable[[int], Floats],
    templates: Sequence[str],
) -> Floats:
    """Return the unit vectors of terms, (t, d) float32.

    `encoder` gives the model, which is asked for only by texts and files; `stored` the vector of a photo's id.

    Raises: QueryError: a photo is unknown, or a file cannot be read or decoded.
    """
    vectors = []
    for term in terms:
        if term.kind == "photo":
            vectors.append(stored(int(term.value)))
        elif term.kind == "image":
            vectors.append(image_vector(Path(str(term.value)), encoder()))
        else:
            vectors.append(encoder().encode_prompts(str(term.value), templates))
    return np.stack(vectors)


def image_vector(path: Path, encoder: Encoder) -> Floats:
    """Return the unit vector (d,) of a photo file.

    Raises: QueryError: the file cannot be read or decoded.
    """
    from embedding.decode import decode

    try:
        decoded = decode(PhotoFile(str(path)).read(pipe=True), encoder.preprocessing)
    except OSError as error:
        raise QueryError(f"the query photo {path} cannot be read: {error.strerror}") from error
    except PhotoError as error:
        raise QueryError(f"the query photo {path} cannot be decoded: {error.reason}") from error
    vector: Floats = encoder.encode_images(decoded.pixels[np.newaxis])[0]
    return vector


NONSENSE = (  # which no photo shows; other words, and half or twice as many, tell nearly the same
    *("a flurb", "a dax", "a wug", "a blicket", "a toma", "a zorp", "a gleeb", "a fendle"),
    *("a mib", "a snorf", "a quim", "a tarkle", "a plonch", "a vebber", "a drim", "a lozzit"),
)


def keep_nonsense(catalog: Catalog, encoder: Encoder) -> None:
    """Keep the nonsense's vectors with the library, unless they are, so that no search has to compute them."""
    name = f"nonsense-{digest(catalog.model.key, NONSENSE)}"
    with catalog.session() as session:
        if read_setting(session, name) is not None:
            return
    vectors = encoder.encode_texts(NONSENSE).astype("<f2")
    with suppress(LibraryError), catalog.saving() as session:  # another process is at work: next time, then
        write_setting(session, name, base64.b64encode(vectors.tobytes()).decode())
        session.commit()


def kept_nonsense(session: Session, model: Model) -> Floats | None:
    """Return the nonsense's unit vectors, (m, d) float32, or None where they are not kept."""
    value = read_setting(session, f"nonsense-{digest(model.key, NONSENSE)}")
    if value is None:
        return None
    vectors: Floats = np.frombuffer(base64.b64decode(value), "<f2").reshape(-1, model.dim).astype(np.float32)
    return vectors


def nonsense_in_place(nonsense: Floats, vectors: Floats, weights: NDArray[np.floating]) -> Floats:
    """Return queries (m, d) that have nonsense (m, d) in place of what is looked for, and keep away as the query does.

    vectors, weights: of the query's terms, (t, d) and (t,).
    """
    exact = (weights / np.abs(weights).max()).astype(np.float32)
    wanted = exact > 0
    length = np.linalg.norm(exact[wanted] @ vectors[wanted])
    rows: Floats = length * nonsense + exact[~wanted] @ vectors[~wanted]
    return unit(rows)


PLAIN = ("{}",)  # the text as it stands: on the sample and on real hotels, prompts around it find less


@dataclass(frozen=True, slots=True)
class Feedback:
    """Photos that are what was meant, and photos that are not: the query moves towards the ones, from the others."""

    more_like: Sequence[int] = ()
    less_like: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """All that decides an answer but the number of hits."""

    query: Query
    templates: tuple[str, ...]
    feedback: Feedback
    shape: Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """What is asked for besides a text; the fields' values are those of a search without options.

    image: path of a photo to look for. like: id of one. more_like, less_like: ids of photos that are, or are not, what
    was meant. every: all photos above `min_score`, or else above the stop line, not the k best. The others: see Shape.
    """

    k: int = 10
    image: str | None = None
    like: int | None = None
    more_like: tuple[int, ...] = ()
    less_like: tuple[int, ...] = ()
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

    def like(self, photo_id: int, shape: Shape, *, other_hotels: bool = False) -> Question:
        """Return the question for the photos most like one of the library's; with `other_hotels` none of its own.

        Raises: QueryError: the photo is unknown or has no hotel.
        """
        filters: tuple[Filter, ...] = ()
        if other_hotels:
            with self.catalog.session() as session:
                self.vector(session, photo_id)
                hotel_id, _ = hotels_of(session, [photo_id]).get(photo_id, (None, None))
            if hotel_id is None:
                raise QueryError(
                    f"photo {photo_id} belongs to no hotel: leave --other-hotels out, or name it: {OWN_WORDS}"
                )
            filters = (Filter("hotel", str(hotel_id), negated=True),)
        return Question(Query((Term("photo", photo_id, 1.0),), filters), PLAIN, Feedback(), shape)

    @contextmanager
    def _answering(self, question: Question, watch: Stopwatch) -> Iterator[tuple[Answer, Callable[[int], Explanation]]]:
        """Yield what answers a question, and what explains how."""
        query, shape, clicks = question.query, question.shape, question.feedback
        with self.catalog.session() as session:
            if not any_vector(session, self._model):
                raise QueryError(f"no photo in {self._root} is embedded yet: add some with `aliens add FOLDER`")
            current = self._current(session)
            index = self._of_kinds(session, current, kinds_of(query.filters))
            watch.lap("index")
            choice = chosen(self.catalog, session, self.store, query.filters)
            among = choice.ids
            watch.lap("filter")
            vector, nonsense = self._vector(session, question)
            watch.lap("encode")
            without = sorted({*photos_in(query), *clicks.more_like, *clicks.less_like})
            asked = ReadyQuery(
                vector=vector,
                among=among,
                without=frozenset(without),
                named=self._vectors(session, without),
                nonsense=nonsense,
                library=digest(self._model.key, first_scan(session)),
                query=digest(format_query(query), question.templates, clicks, shape.identity),
            )
            cursor = None if shape.after is None else read_cursor(shape.after, asked.library, asked.query)

            answer = Answer(session, index, current.background, asked, shape, cursor)
            lacking = lacking_note(session, shape)

            def explain(k: int) -> Explanation:
                plan = index.plan(answer.depth(k), among=among, exact=answer.compares_all)
                return Explanation(
                    query=format_query(Query(query.terms, ())),
                    filters=describe(choice.filters),
                    selected=None if among is None else len(among),
                    photos=len(index),
                    engine=plan.engine,
                    reason=plan.reason,
                    rows=plan.rows,
                    read_bytes=plan.bytes_read,
                    recall=plan.recall,
                    note="; ".join(filter(None, [current.note, choice.note, lacking])),  # an engine may have failed
                    list_note=answer.note,
                    times_ms=watch.times_ms,
                )

            yield answer, explain

    def _vector(self, session: Session, question: Question) -> tuple[Floats, Floats | None]:
        """Return the query's unit vector (d,), and those of nonsense in its place (m, d); None for photos."""
        query, clicks = question.query, question.feedback
        if not any(term.weight > 0 for term in query.terms):
            raise QueryError(
                "the query says only what to leave out, or which photos to choose from: say what to look for as well, "
                "as in 'bathroom -shower'"
                if query.terms or query.filters
                else "nothing to look for: give a text, an image or a photo id"
            )
        vectors = term_vectors(query.terms, self._encoder, lambda i: self.vector(session, i), question.templates)
        weights = np.array([term.weight for term in query.terms])
        vector = compose(vectors, weights)
        if clicks.more_like or clicks.less_like:
            more, less = (self._vectors(session, ids) for ids in (clicks.more_like, clicks.less_like))
            return moved(vector, more, less), None
        if any(term.kind != "text" for term in query.terms):
            return vector, None
        if self._nonsense is None:
            kept = kept_nonsense(session, self._model)
            self._nonsense = self._encoder().encode_texts(NONSENSE) if kept is None else kept
        return vector, nonsense_in_place(self._nonsense, vectors, weights)

    def _vectors(self, session: Session, ids: Sequence[int]) -> Floats:
        return np.stack([self.vector(session, i) for i in ids]) if ids else np.empty((0, self._model.dim), np.float32)

    def vector(self, session: Session, photo_id: int) -> Floats:
        """Return the stored unit vector (d,) float32 of a photo.

        Raises: QueryError: the photo is unknown or has no vector.
        """
        known = abs(photo_id) < 2**63  # as far as databases count
        stored = self.store.vector(lambda: segment_with(session, self._model, photo_id), photo_id) if known else None
        if stored is None:
            raise QueryError(f"no photo {photo_id} with a vector in {self._root}: take an id that a search shows")
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
            raise QueryError(f"no restyled photo is in {self._root}: `aliens restyled --add` adds them")
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


def read_query(text: str | None, image: str | None, like: int | None) -> Query:
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


def photos_in(query: Query) -> list[int]:
    """Return the ids of the library's photos that a query names."""
    return [int(term.value) for term in query.terms if term.kind == "photo"]
