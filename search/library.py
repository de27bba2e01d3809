"""A library opened for searching: queries become one unit vector, the index gives exact hits. Writes nothing."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from aliens.errors import PhotoError, QueryError
from aliens.settings import DEFAULT_LIBRARY, LibraryFolder
from db.models import Model
from db.photos import photo_records
from db.session import disposing_on_error, new_session
from db.session import open_library as open_database
from db.vectors import EmbeddedRows, count_embedded, current_model, generation, place_of
from embedding.decode import Preprocessing, decode
from embedding.index.current import current_index
from embedding.index.photo_index import PhotoIndex
from embedding.store import VectorStore
from search.results import Hit, as_hit

PLAIN = ("{}",)  # the text as it stands: on the sample and on real hotels, prompts around it find less

Vector = NDArray[np.float32]


class QueryEncoder(Protocol):
    """What searching needs of an encoder."""

    preprocessing: Preprocessing

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """Return unit vectors (n, d) of squares (n, s, s, 3)."""
        ...

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Vector:
        """Return one unit vector (d,) of a text in several prompts."""
        ...


class Library:
    """A library opened for searching; it sees photos that are added while it is open."""

    def __init__(self, folder: LibraryFolder, engine: Engine, load_encoder: Callable[[Model], QueryEncoder]) -> None:
        self.folder = folder
        self._engine = engine
        self._load_encoder = load_encoder
        self._encoder: QueryEncoder | None = None
        self._index: PhotoIndex | None = None
        self._generation = -1
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
    ) -> list[Hit]:
        """Return the k best photos, best first; exact over all embedded photos.

        Of a text, an image and a photo id at least one must be given; several are summed as unit vectors.

        Args:
            text: what to look for, in words.
            k: how many photos at most.
            image: path of a photo to look for; it need not be in the library.
            like: id of a photo of the library to look for; it is not among the hits itself.
            templates: prompts that the text is averaged over, each with {} for the text.

        Raises:
            QueryError: nothing was asked for, or something impossible: the message says what.
            ModelMismatchError: the model is no longer the one that the library was made by.
        """
        if k < 1:
            raise QueryError(f"k is {k}: ask for at least 1 photo")
        with new_session(self._engine) as session:
            if count_embedded(session, self.model) == 0:
                raise QueryError(f"no photo in {self.folder.root} is embedded yet: add some with `aliens add FOLDER`")
            query = self._query_vector(session, text, image, like, templates)
            return self._hits(session, query, k, without=like)

    def _query_vector(
        self,
        session: Session,
        text: str | None,
        image: str | os.PathLike[str] | None,
        like: int | None,
        templates: Sequence[str],
    ) -> Vector:
        """Return one unit vector (d,)."""
        parts = []
        if text is not None:
            if not text.strip():
                raise QueryError("the text is empty: say what to look for, such as 'bathtub with a view'")
            parts.append(self.encoder.encode_prompts(text.strip(), templates))
        if image is not None:
            parts.append(self._image_vector(Path(image)))
        if like is not None:
            parts.append(self.vector(session, like))
        if not parts:
            raise QueryError("nothing to look for: give a text, an image or a photo id")
        total = np.sum(parts, axis=0)
        norm = float(np.linalg.norm(total))
        if norm < 1e-6:
            raise QueryError("the parts of the query cancel each other out: leave one of them out")
        query: Vector = (total / norm).astype(np.float32)
        return query

    def _image_vector(self, path: Path) -> Vector:
        try:
            decoded = decode(path.read_bytes(), self.encoder.preprocessing)
        except OSError as error:
            raise QueryError(f"the query photo {path} cannot be read: {error.strerror}") from error
        except PhotoError as error:
            raise QueryError(f"the query photo {path} cannot be decoded: {error.reason}") from error
        vector: Vector = self.encoder.encode_images(decoded.pixels[np.newaxis])[0]
        return vector

    def vector(self, session: Session, photo_id: int) -> Vector:
        """Return the stored unit vector (d,) float32 of a photo.

        Raises: QueryError: the photo is unknown or has no vector.
        """
        place = place_of(session, self.model, photo_id)
        if place is None:
            raise QueryError(f"no photo {photo_id} with a vector in {self.folder.root}: take an id that a search shows")
        ((_, vectors),) = self._store.gather([(place[0], [place[1]])])
        vector: Vector = vectors[0].astype(np.float32)
        return vector

    def _hits(self, session: Session, query: Vector, k: int, without: int | None) -> list[Hit]:
        index = self._current_index(session)
        scores, ids = index.search(query[np.newaxis], k + (without is not None))
        ranked = [(int(i), float(s)) for i, s in zip(ids[0], scores[0], strict=True) if i != without][:k]
        records = photo_records(session, [photo_id for photo_id, _ in ranked])
        return [as_hit(record, score) for photo_id, score in ranked if (record := records.get(photo_id)) is not None]

    def _current_index(self, session: Session) -> PhotoIndex:
        """Return an index of all photos that can be found now."""
        now = generation(session, self.model)
        if self._index is None or self._generation != now:
            where = self.folder.index(self.model.key)
            self._index = current_index(where, self._store, self.model.key, EmbeddedRows(session, self.model))
            self._generation = now
        return self._index


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
    return Library(folder, open_database(folder), load_encoder or load_by_name)


def load_by_name(model: Model) -> QueryEncoder:
    """Load a library's model and make sure that it still is the same."""
    from embedding.encoder import Encoder  # imports torch and open_clip, which takes seconds

    return Encoder.load(model.name, key=model.key)
