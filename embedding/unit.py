"""Vectors made unit: by their own length, refused where they have none."""

import numpy as np
from numpy.typing import NDArray

from aliens.errors import EncoderError


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors divided by their L2 norm, along the last axis.

    Raises: EncoderError: a norm is zero or not finite.
    """
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise EncoderError("the model gave a vector of norm zero or not finite: its weights may be damaged")
    normalised: NDArray[np.float32] = vectors / norms
    return normalised
