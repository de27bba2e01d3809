"""How far a library's tags can be trusted: what nonsense scores in it, whether its photos are mixed, and the words."""

from collections.abc import Sequence

import numpy as np

from base.console import counted
from embedding.encoder import Encoder
from embedding.segments import Vectors
from search.nonsense import NONSENSE
from search.tags.calibration import LEARNING, LONG, PSEUDO_PHOTOS, Calibration, Method

SAMPLE_PHOTOS = 50_000  # a spread over so many, evenly taken, errs by 0.3 %
KINDS = (  # of which a library should show several: what tags are compared with is its other photos
    "a bedroom",
    "a bathroom",
    "a kitchen",
    "a restaurant",
    "a pool",
    "a living room",
    "a view",
    "a building",
    "a corridor",
    "a gym",
    "food",
    "a person",
)
# Share of photos that look most like one of them: 0.95 to 1 of the bathrooms or the bedrooms of the sample hotels and
# of real houses alone, at most 0.53 in the samples, in single hotels of them, in real hotels and in parts of these.
ALIKE = 0.8
FEW = 40  # photos from which tags are right about as often as with many, measured with the starter before
NAMED = 8  # tags in a note


def noise_and_kind(vectors: Vectors, encoder: Encoder) -> tuple[float, str]:
    """Return by how much the cosines with words that mean nothing spread over a library, the median of the words.

    And what nearly all of its photos look like, where that is one thing; nothing of a library that is mixed, or small.
    """
    texts = encoder.encode_texts([*NONSENSE, *KINDS])
    cosines = vectors.sample(SAMPLE_PHOTOS) @ texts.T  # (n, words)
    nonsense, kinds = np.split(cosines, [len(NONSENSE)], axis=1)
    noise = float(np.median(nonsense.std(axis=0)))
    counts = np.bincount(kinds.argmax(axis=1), minlength=len(KINDS))
    most = int(counts.argmax())
    return noise, KINDS[most] if len(cosines) >= PSEUDO_PHOTOS and counts[most] >= ALIKE * len(cosines) else ""


MEASURED_WITH = "starter"
# Of ten tags that a method decided on the sample hotels, how many were right (docs/measured.md): with the case study's
# 15 tags; and with the 126 of `hotel`, by the 71 whose truth is known there, without its limit of five tags a photo.
RIGHT: dict[Method, tuple[str, str]] = {
    "signal": ("7 in 10 tags were right, 8 in 10 of the sure ones", "4 in 10 tags were right"),
    "calibrated": ("5 in 10 tags were right (`aliens tag --method signal`: 7 in 10)", "3 in 10 tags were right"),
    "uncalibrated": ("4 in 10 tags were right (`aliens tag --method signal`: 7 in 10)", "2 in 10 tags were right"),
    "softmax": (
        "6 in 10 tags were right, one tag a photo at most (`aliens tag --method signal`: 7 in 10)",
        "6 in 10 tags were right",
    ),
}
REMEDY = "label twenty photos with `aliens label`: nothing helps more"


def trust_in_words(calibration: Calibration, tags: int, model: str) -> str:
    """Return how far to trust tags of a vocabulary of so many, in one sentence; nothing where labels taught them."""
    if calibration.active_links:
        return ""
    if calibration.method in LEARNING and calibration.alike:
        return (
            f"nearly all photos look like {calibration.alike}: tags are found by comparing photos, so few of these can "
            f"be trusted; add photos of other kinds, or {REMEDY}"
        )
    if calibration.method in LEARNING and 0 < calibration.photos < FEW:
        return (
            f"a library of {counted(calibration.photos, 'photo')} has few to compare with each other, so few of these "
            f"tags can be trusted: add more, up to about {FEW}, or {REMEDY}"
        )
    right = RIGHT[calibration.method][tags >= LONG]
    other = "" if model == MEASURED_WITH else f" with the model {MEASURED_WITH}"
    return f"on our sample hotels{other} about {right}, and nobody knows it of your photos: {REMEDY}"


def muted_in_words(tags: Sequence[str]) -> str:
    """Return which tags the model cannot tell, in a sentence, or nothing."""
    more = f" and {len(tags) - NAMED} more" if len(tags) > NAMED else ""
    return (
        f"the model cannot tell these here and gives them to no photo: {', '.join(tags[:NAMED])}{more}" if tags else ""
    )
