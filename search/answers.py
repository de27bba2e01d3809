"""Queries become one unit vector, the index gives hits. Writes nothing."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from base.arrays import Floats, Pixels, unit
from base.errors import PhotoError, QueryError
from base.settings import DEFAULT_LIBRARY, LibraryFolder
from db.catalog import disposing_on_error, new_session
from db.catalog import open_library as open_database
from db.models import Model, PhotoState
from db.photo_rows import first_scan, hotels_of
from db.vector_rows import EmbeddedRows, any_vector, current_model, embedded_places, generation, place_of
from embedding.index.exact import SAMPLE_ROWS
from embedding.index.photo_index import PhotoIndex, current_index, files_stamp, results_alone
from embedding.store import VectorStore
from search.filters import chosen, describe, kinds_of
from search.query import Filter, Query, Term, format_query, parse
from search.ranking import Answer, ReadyQuery, Shape, in_shown_order
from search.results import Explanation, Hit, Results, digest, read_cursor

if TYPE_CHECKING:
    from embedding.decode import Preprocessing


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


class QueryEncoder(Protocol):
    """What searching needs of an encoder."""

    @property
    def preprocessing(self) -> "Preprocessing":
        """How the model wants its photos."""
        ...

    def encode_images(self, pixels: Pixels) -> Floats:
        """Return unit vectors (n, d) of squares (n, s, s, 3)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (n, d) of texts."""
        ...

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Floats:
        """Return one unit vector (d,) of a text in several prompts."""
        ...


def term_vectors(
    terms: Sequence[Term],
    encoder: Callable[[], QueryEncoder],
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


def image_vector(path: Path, encoder: QueryEncoder) -> Floats:
    """Return the unit vector (d,) of a photo file.

    Raises: QueryError: the file cannot be read or decoded.
    """
    from embedding.decode import decode

    try:
        decoded = decode(path.read_bytes(), encoder.preprocessing)
    except OSError as error:
        raise QueryError(f"the query photo {path} cannot be read: {error.strerror}") from error
    except PhotoError as error:
        raise QueryError(f"the query photo {path} cannot be decoded: {error.reason}") from error
    vector: Floats = encoder.encode_images(decoded.pixels[np.newaxis])[0]
    return vector


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


class Stopwatch:
    """Takes the times of the steps of a search, in ms."""

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take the time of one step."""
        start = perf_counter()
        try:
            yield
        finally:
            self.times_ms[name] = self.times_ms.get(name, 0) + (perf_counter() - start) * 1000


class Library:
    """A library opened for searching; it sees photos that are added while it is open."""

    def __init__(self, folder: LibraryFolder, engine: Engine, load_encoder: Callable[[Model], QueryEncoder]) -> None:
        self.folder = folder
        self._engine = engine
        self._load_encoder = load_encoder
        self._encoder: QueryEncoder | None = None
        self._index: PhotoIndex | None = None
        self._sample: Floats | None = None
        self._as_of: tuple[int, ...] = ()  # generation and files
        with disposing_on_error(engine), new_session(engine) as session:
            self.model = current_model(session)
        self._store = VectorStore(folder.vectors(self.model.key), self.model.dim)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @property
    def encoder(self) -> QueryEncoder:
        """The library's model, loaded at its first use.

        Raises: ModelMismatchError: the model is no longer the one that the library was made by.
        """
        if self._encoder is None:
            self._encoder = self._load_encoder(self.model)
        return self._encoder

    def search(
        self,
        text: str | None = None,
        *,
        k: int = 10,
        image: str | os.PathLike[str] | None = None,
        like: int | None = None,
        templates: Sequence[str] = PLAIN,
        feedback: Feedback = Feedback(),
        shape: Shape = Shape(),  # noqa: B008 - frozen
    ) -> Results:
        """Return the k best photos, best first.

        Of a text, an image and a photo id at least one must be given; several are summed as unit vectors.

        Args:
            text: what to look for, in the query language: words, -negated, filters (docs/query-language.md).
            k: how many photos at most.
            image: path of a photo to look for; it need not be in the library.
            like: id of a photo of the library to look for; it is not among the hits itself.
            templates: prompts that each text is averaged over, each with {} for the text.
            feedback: photos to look more, or less, like.
            shape: what the list should look like.

        Raises:
            QueryError: nothing was asked for, or something impossible: the message says what.
            ModelMismatchError: the model is no longer the one that the library was made by.
        """
        return self._answer(Question(read_query(text, image, like), tuple(templates), feedback, shape), k)

    def _answer(self, question: Question, k: int) -> Results:
        if k < 1:
            raise QueryError(f"k is {k}: ask for at least 1 photo")
        watch = Stopwatch()
        with self._answering(question, watch) as (answer, explain):
            with watch.step("search"):
                hits, more = answer.hits(k)
            last = hits[-1].place if hits else None
            return Results(in_shown_order(hits, question.shape.sort), answer.stop_line, explain(k), more, last)

    def stream(
        self,
        text: str | None = None,
        *,
        image: str | os.PathLike[str] | None = None,
        like: int | None = None,
        templates: Sequence[str] = PLAIN,
        feedback: Feedback = Feedback(),
        shape: Shape = Shape(),  # noqa: B008 - frozen
        tell: Callable[[str], None] = lambda note: None,
    ) -> Iterator[Hit]:
        """Yield every photo above `shape.min_score`, or else above the suggested stop line, best first, however many.

        The arguments and errors are those of `search`; the order is by score. `tell` is called at the end
        with the note that `Explanation.note` has, where there is one.
        """
        if shape.min_score is None:
            shape = replace(shape, until_stop=True)
        question = Question(read_query(text, image, like), tuple(templates), feedback, shape)
        with self._answering(question, Stopwatch()) as (answer, explain):
            yield from answer.stream()
            if note := explain(1).note:
                tell(note)

    def similar(self, photo_id: int, *, k: int = 10, other_hotels: bool = False, shape: Shape = Shape()) -> Results:  # noqa: B008
        """Return the k photos most like one of the library's, which is not among them.

        With `other_hotels` none is of its own hotel. Raises: QueryError: the photo is unknown or has no hotel.
        """
        filters: tuple[Filter, ...] = ()
        if other_hotels:
            with new_session(self._engine) as session:
                self.vector(session, photo_id)
                hotel_id, _ = hotels_of(session, [photo_id]).get(photo_id, (None, None))
            if hotel_id is None:
                raise QueryError(f"photo {photo_id} belongs to no hotel: leave --other-hotels out")
            filters = (Filter("hotel", str(hotel_id), negated=True),)
        return self._answer(Question(Query((Term("photo", photo_id, 1.0),), filters), PLAIN, Feedback(), shape), k)

    @contextmanager
    def _answering(self, question: Question, watch: Stopwatch) -> Iterator[tuple[Answer, Callable[[int], Explanation]]]:
        """Yield what answers a question, and what explains how."""
        query, shape, clicks = question.query, question.shape, question.feedback
        with new_session(self._engine) as session:
            if not any_vector(session, self.model):
                raise QueryError(f"no photo in {self.folder.root} is embedded yet: add some with `aliens add FOLDER`")
            with watch.step("index"):
                current, sample = self._current(session)
                index = self._of_kinds(session, current, kinds_of(query.filters))
            with watch.step("filter"):
                choice = chosen(session, self.folder, self.model, query.filters)
                among = choice.ids
            with watch.step("encode"):
                vector = self._vector(session, question)
            asked = ReadyQuery(
                vector=vector,
                among=among,
                without=frozenset([*photos_in(query), *clicks.more_like, *clicks.less_like]),
                library=digest(self.model.key, first_scan(session)),
                query=digest(format_query(query), question.templates, clicks, shape.identity),
            )
            cursor = None if shape.after is None else read_cursor(shape.after, asked.library, asked.query)

            answer = Answer(session, index, sample, asked, shape, cursor)

            def explain(k: int) -> Explanation:
                plan = index.plan(answer.depth(k), among=among, exact=answer.compares_all)
                return Explanation(
                    query=format_query(Query(query.terms, ())),
                    filters=describe(query.filters),
                    selected=None if among is None else len(among),
                    photos=len(index),
                    engine=plan.engine,
                    reason=plan.reason,
                    rows=plan.rows,
                    read_bytes=plan.bytes_read,
                    recall=plan.recall,
                    note="; ".join(filter(None, [current.note, choice.note])),  # an engine may have failed meanwhile
                    times_ms=watch.times_ms,
                )

            yield answer, explain

    def _vector(self, session: Session, question: Question) -> Floats:
        """Return the query's unit vector (d,)."""
        query, clicks = question.query, question.feedback
        if not any(term.weight > 0 for term in query.terms):
            raise QueryError(
                "the query says only what to leave out, or which photos to choose from: say what to look for as well, "
                "as in 'bathroom -shower'"
                if query.terms or query.filters
                else "nothing to look for: give a text, an image or a photo id"
            )
        vectors = term_vectors(query.terms, lambda: self.encoder, lambda i: self.vector(session, i), question.templates)
        vector = compose(vectors, np.array([term.weight for term in query.terms]))
        if clicks.more_like or clicks.less_like:
            more, less = (self._vectors(session, ids) for ids in (clicks.more_like, clicks.less_like))
            vector = moved(vector, more, less)
        return vector

    def _vectors(self, session: Session, ids: Sequence[int]) -> Floats:
        return np.stack([self.vector(session, i) for i in ids]) if ids else np.empty((0, self.model.dim), np.float32)

    def vector(self, session: Session, photo_id: int) -> Floats:
        """Return the stored unit vector (d,) float32 of a photo.

        Raises: QueryError: the photo is unknown or has no vector.
        """
        place = place_of(session, self.model, photo_id) if abs(photo_id) < 2**63 else None  # as far as databases count
        if place is None:
            raise QueryError(f"no photo {photo_id} with a vector in {self.folder.root}: take an id that a search shows")
        ((_, vectors),) = self._store.gather([(place[0], [place[1]])])
        vector: Floats = vectors[0].astype(np.float32)
        return vector

    def _current(self, session: Session) -> tuple[PhotoIndex, Floats]:
        """Return the index of all photos that can be found now, and a sample (s, d) that scores are judged by."""
        folder = self.folder.index(self.model.key)
        now = (generation(session, self.model), *files_stamp(folder))
        if self._index is None or self._sample is None or self._as_of != now:
            self._index = current_index(folder, self._store, self.model.key, EmbeddedRows(session, self.model))
            self._sample = self._index.sample(SAMPLE_ROWS)
            self._as_of = now
        if not len(self._index):
            raise QueryError(f"no photo in {self.folder.root} can be found now: add some with `aliens add FOLDER`")
        return self._index, self._sample

    def _of_kinds(self, session: Session, photos: PhotoIndex, kinds: frozenset[str]) -> PhotoIndex:
        """Return the index of photos, of restyled photos, or of both; scores are judged by the photos' alone."""
        if "restyled" not in kinds:
            return photos
        results = results_alone(self._store, embedded_places(session, self.model, state=PhotoState.RESTYLED))
        if "photo" in kinds:
            return photos.beside(*results.extra)
        if not len(results):
            raise QueryError(f"no restyled photo is in {self.folder.root}: `aliens restyled --add` adds them")
        return results


def read_query(text: str | None, image: str | os.PathLike[str] | None, like: int | None) -> Query:
    """Return a query's parts together.

    Raises: QueryError: the text is empty or cannot be read.
    """
    if text is not None and not text.strip():
        raise QueryError("the text is empty: say what to look for, such as 'bathtub with a view'")
    query = parse(text) if text is not None else Query((), ())
    terms = list(query.terms)
    if image is not None:
        terms.append(Term("image", str(image), 1.0))
    if like is not None:
        terms.append(Term("photo", like, 1.0))
    return Query(tuple(terms), query.filters)


def photos_in(query: Query) -> list[int]:
    """Return the ids of the library's photos that a query names."""
    return [int(term.value) for term in query.terms if term.kind == "photo"]


def open_library(
    path: str | os.PathLike[str] | None = None, *, load_encoder: Callable[[Model], QueryEncoder] | None = None
) -> Library:
    """Open a library for searching.

    Args:
        path: the library's folder; by default ALIENS_LIBRARY, or aliens-library in the working folder.
        load_encoder: gives the encoder of a model's row; by default it is loaded by its name, on the best device.

    Raises: LibraryError: there is no library, or it cannot be opened.
    """
    root = Path(path or os.environ.get("ALIENS_LIBRARY") or DEFAULT_LIBRARY)
    folder = LibraryFolder(root)
    return Library(folder, open_database(folder), load_encoder or (lambda model: load_by_name(folder, model)))


def load_by_name(folder: LibraryFolder, model: Model) -> QueryEncoder:
    """Return what encodes queries: the library's text tower, and its model, loaded by its name when it is needed."""
    from embedding.encoder import LazyEncoder

    return LazyEncoder.by_name(folder.text_tower(model.key), model.name, model.key)
