"""What a query says becomes one unit vector; and what words that mean nothing would be in its place. Finds nothing."""

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from base.arrays import Floats, unit
from base.errors import LibraryError, PhotoError, QueryError
from base.files import PhotoFile
from base.urls import url_of
from db.catalog import Catalog
from db.models import Model
from db.settings_rows import read_setting, write_setting
from embedding.encoder import Encoder
from search.nonsense import NONSENSE
from search.query import Term
from search.results import digest

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
    images: Mapping[str, Floats] | None = None,
) -> Floats:
    """Return the unit vectors of terms, (t, d) float32.

    `encoder` gives the model, which is asked for only by texts and files; `stored` the vector of a photo's id; `images`
    those of files by their names: where it is given, no file is read.

    Raises: QueryError: a photo is unknown, or a file cannot be read or decoded.
    """
    vectors = []
    for term in terms:
        if term.kind == "photo":
            vectors.append(stored(int(term.value)))
        elif term.kind == "image":
            name = str(term.value)
            vectors.append(image_vector(Path(name), encoder()) if images is None else images[name])
        else:
            vectors.append(encoder().encode_prompts(str(term.value), templates))
    return np.stack(vectors)


def image_vector(path: Path, encoder: Encoder) -> Floats:
    """Return the unit vector (d,) of a photo file.

    Raises: QueryError: the file cannot be read or decoded.
    """
    from embedding.decode import decode

    try:
        decoded = decode(PhotoFile(url_of(path) or str(path)).read(pipe=True), encoder.preprocessing)
    except OSError as error:
        raise QueryError(f"the query photo {path} cannot be read: {error.strerror or error}") from error
    except PhotoError as error:
        raise QueryError(f"the query photo {path} cannot be decoded: {error.reason}") from error
    vector: Floats = encoder.encode_images(decoded.pixels[np.newaxis])[0]
    return vector


QUERIES_OF_NOTHING = NONSENSE[:16]  # others of them, and half or twice as many, tell nearly the same


def keep_nonsense(catalog: Catalog, encoder: Encoder) -> None:
    """Keep the nonsense's vectors with the library, unless they are, so that no search has to compute them."""
    name = f"nonsense-{digest(catalog.model.key, QUERIES_OF_NOTHING)}"
    with catalog.session() as session:
        if kept_nonsense(session, catalog.model) is not None:
            return
    vectors = encoder.encode_texts(QUERIES_OF_NOTHING).astype("<f2")
    with suppress(LibraryError, IntegrityError), catalog.saving() as session:  # another process is at work, or kept it
        write_setting(session, name, base64.b64encode(vectors.tobytes()).decode())
        session.commit()


def kept_nonsense(session: Session, model: Model) -> Floats | None:
    """Return the nonsense's unit vectors, (m, d) float32, or None where they are not kept."""
    value = read_setting(session, f"nonsense-{digest(model.key, QUERIES_OF_NOTHING)}")
    try:
        data = base64.b64decode(value or "", validate=True)
        vectors: Floats = np.frombuffer(data, "<f2").reshape(len(QUERIES_OF_NOTHING), model.dim).astype(np.float32)
    except ValueError:  # damaged: it is made anew
        return None
    return vectors if np.isfinite(vectors).all() else None


def nonsense_in_place(nonsense: Floats, vectors: Floats, weights: NDArray[np.floating]) -> Floats:
    """Return queries (m, d) that have nonsense (m, d) in place of what is looked for, and keep away as the query does.

    vectors, weights: of the query's terms, (t, d) and (t,).
    """
    exact = (weights / np.abs(weights).max()).astype(np.float32)
    wanted = exact > 0
    length = np.linalg.norm(exact[wanted] @ vectors[wanted])
    rows: Floats = length * nonsense + exact[~wanted] @ vectors[~wanted]
    return unit(rows)
