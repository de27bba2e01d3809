"""Which of a photo's tags a picture made of it has lost: what restyling asks. Decides nothing of its own."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from base.arrays import Floats
from base.errors import QueryError
from embedding.encoder import Encoder
from embedding.scores import score_vectors
from search.tags.tagging import Tagging, text_vectors

# From this probability on, or a higher threshold, a decided tag is one that a photo has; it is lost only well below.
CONFIDENT = 0.5
MARGIN = 0.2  # of probability: tags that hardly pass a bar come and go by themselves


class TagChecker:
    """The tags of one vocabulary, as the library's calibration sees them in any vector."""

    def __init__(self, tagging: Tagging, encoder: Encoder) -> None:
        self._tagging = tagging
        self._encoder = encoder

    def confident(self, photo_id: int) -> list[str]:
        """Return the tags that a photo surely has, in the vocabulary's order.

        They are decided with some confidence; what a person says need only not count as lost, since what the model
        does not see in the photo itself cannot be missed in a picture made of it.

        Raises: QueryError: the photo is unknown or not embedded.
        """
        labels = self._tagging.photo(photo_id).labels.get(photo_id, {})
        probabilities, kept = self._seen(self._tagging.vector(photo_id))
        decided = self._tagging.calibration.decide(probabilities[np.newaxis])[0]
        sure = decided & (probabilities >= self._bar)
        return [
            name
            for name, is_sure, is_kept in zip(self._tagging.vocabulary.names, sure, kept, strict=True)
            if labels.get(name, bool(is_sure)) and is_kept
        ]

    def lost(self, vector: Floats, tags: Sequence[str]) -> list[str]:
        """Return those of a photo's tags that a unit vector (d,) no longer has: not decided, and improbable.

        Raises: QueryError: the vocabulary has no such tag, or the vector has another number of dimensions.
        """
        places = [self._tagging.vocabulary.position(tag) for tag in tags]
        _, kept = self._seen(vector)
        return [tag for tag, place in zip(tags, places, strict=True) if not kept[place]]

    def _seen(self, vector: Floats) -> tuple[Floats, Floats]:
        """Return the tags' probabilities in a unit vector (d,), (t,), and which are there, (t,) bool."""
        if vector.shape != (self._tagging.model.dim,):
            raise QueryError(f"the library's vectors are of {self._tagging.model.dim} dimensions, not {vector.shape}")
        texts, background = self._texts
        scale = self._encoder.logit_scale
        scores = score_vectors(vector[np.newaxis], texts=texts, background=background, scale=scale)
        calibration = self._tagging.calibration
        if calibration.probed:
            scores = np.concatenate([scores, vector[np.newaxis] @ calibration.directions.T], axis=1)
        probabilities = calibration.probabilities(scores)
        return probabilities[0], calibration.decide(probabilities)[0] | (probabilities[0] >= self._bar - MARGIN)

    @property
    def _bar(self) -> float:
        """The probability from which a decided tag is one that a photo has."""
        return max(self._tagging.calibration.threshold, CONFIDENT)

    @cached_property
    def _texts(self) -> tuple[Floats, Floats]:
        """The unit vectors of the tags, (t, d), and of the background, (b, d)."""
        return text_vectors(self._encoder, self._tagging.vocabulary)
