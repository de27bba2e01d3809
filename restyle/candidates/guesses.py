"""What the library's model guesses of photos from their vectors: that they are text, or that they show people.

A guess, no detector: the photo's vector is nearer to a text such as "a page of text" than to any of a background of
rooms and things. It tells portraits, pages, plans and signs; small people, and watermarks on a room, it does not see.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

UNWANTED = {
    "text": (
        "a document",
        "a page of text",
        "printed text",
        "a newspaper",
        "a floor plan",
        "a logo",
        "a sign with words",
    ),
    "people": (
        "a photo of a person",
        "a portrait of people",
        "people in a photo",
        "a group of people",
        "a woman",
        "a man",
        "a human face",
    ),
}
BACKGROUND = (
    "a hotel room",
    "a bedroom",
    "a bathroom",
    "a kitchen",
    "a living room",
    "a restaurant",
    "a swimming pool",
    "a balcony",
    "a hotel",
    "a house",
    "a building",
    "a garden",
    "a plant",
    "water",
    "a view of a landscape",
    "the night sky",
    "furniture",
    "a pattern",
    "food on a plate",
    "a car",
    "an animal",
)
SURE = 0.7  # of 1,259 photos of rooms, houses and pools none is rejected; pages, plans, signs and portraits are


class Texts(Protocol):
    """What encodes texts."""

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by in training."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, d) of texts."""
        ...


def guesses(vectors: NDArray[np.float32], encoder: Texts) -> dict[str, NDArray[np.float64]]:
    """Return, by kind, how surely each photo is that and no room, (n,), from 0 to 1.

    The softmax of two logits: the best cosine with the kind's texts, and the best with those of the background.

    Args:
        vectors: unit vectors of photos, (n, d).
        encoder: the model that made them.
    """

    def best(texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the best cosine of each photo, (n,)."""
        nearest: NDArray[np.float32] = (vectors @ encoder.encode_texts(texts).T).max(axis=1)
        return nearest

    background = best(BACKGROUND)
    scale = float(encoder.logit_scale)
    return {
        kind: 1 / (1 + np.exp(scale * (background - best(texts)).astype(np.float64)))
        for kind, texts in UNWANTED.items()
    }
