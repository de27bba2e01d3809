"""The types of arrays, the one reader of .npy files, vectors made unit, and ids looked up."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import EncoderError
from base.files import open_regular

NPY_START = b"\x93NUMPY"

Floats = NDArray[np.float32]  # vectors (n, d) or (d,), scores, probabilities
Halves = NDArray[np.float16]  # vectors and scores as they lie on disk
Doubles = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]  # of any precision
Longs = NDArray[np.int64]  # rows, positions, counts
Ids = NDArray[np.int64]  # photo ids, (n,)
Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]  # sRGB, (height, width, 3), or (n, s, s, 3)


def unit(vectors: Floats) -> Floats:
    """Return the vectors divided by their L2 norm, along the last axis.

    Raises: EncoderError: a norm is zero or not finite.
    """
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise EncoderError("the model gave a vector of norm zero or not finite: its weights may be damaged")
    normalised: Floats = vectors / norms
    return normalised


def unit_or_zero(vectors: Floats) -> Floats:
    """Return the vectors divided by their L2 norm, along the last axis; those of norm zero as they are."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    return scaled


def places_in(keys: NDArray[Any], wanted: NDArray[Any]) -> tuple[Longs, Bools]:
    """Return where numbers, of any shape, stand among ascending keys (n,), and whether they do.

    Where one is no key, its place means nothing.
    """
    places: Longs = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    here: Bools = keys[places] == wanted if len(keys) else np.zeros(np.shape(wanted), bool)
    return places, here


def spread_places(length: int, count: int) -> Longs:
    """Return at most `count` of so many places, from 0 on, spread evenly over all: the same each time."""
    return np.unique(np.linspace(0, max(length - 1, 0), min(count, length)).astype(np.int64))


def read_npy(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Return the array of a .npy file, in memory or mapped into it; never one of objects, which would be unpickled.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is no sound .npy file, or holds less than its header says.
    """
    with open_regular(path) as file:
        if file.read(len(NPY_START)) != NPY_START:  # NumPy would take it for an archive, or for something pickled
            raise ValueError("it is no .npy file: it begins otherwise")
    try:  # mapped in any case: that holds what the header says against the file's length, and takes no memory
        with np.errstate(over="ignore"):
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)  # noqa: TID251
    except OSError:
        raise
    except Exception as error:  # NumPy parses a header as Python, so a damaged one may raise anything
        raise ValueError(f"it is no sound .npy file, or cut short ({str(error) or type(error).__name__})") from error
    return array if mapped else np.array(array)
