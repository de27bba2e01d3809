"""The vectors of a query's terms: texts, photos of the library, photo files. Combines nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from aliens.errors import PhotoError, QueryError
from search.query import Term

if TYPE_CHECKING:
    from embedding.decode import Preprocessing

Vector = NDArray[np.float32]


class QueryEncoder(Protocol):
    """What searching needs of an encoder."""

    @property
    def preprocessing(self) -> "Preprocessing":
        """How the model wants its photos."""
        ...

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """Return unit vectors (n, d) of squares (n, s, s, 3)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vector:
        """Return unit vectors (n, d) of texts."""
        ...

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Vector:
        """Return one unit vector (d,) of a text in several prompts."""
        ...


def term_vectors(
    terms: Sequence[Term],
    encoder: Callable[[], QueryEncoder],
    stored: Callable[[int], Vector],
    templates: Sequence[str],
) -> Vector:
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


def image_vector(path: Path, encoder: QueryEncoder) -> Vector:
    """Return the unit vector (d,) of a photo file.

    Raises: QueryError: the file cannot be read or decoded.
    """
    from embedding.decode import decode  # imports Pillow, which texts can do without

    try:
        decoded = decode(path.read_bytes(), encoder.preprocessing)
    except OSError as error:
        raise QueryError(f"the query photo {path} cannot be read: {error.strerror}") from error
    except PhotoError as error:
        raise QueryError(f"the query photo {path} cannot be decoded: {error.reason}") from error
    vector: Vector = encoder.encode_images(decoded.pixels[np.newaxis])[0]
    return vector
