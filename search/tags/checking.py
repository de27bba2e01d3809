"""Whether a picture that is not in the library still has the tags that a photo of it has. Decides no photo's tags."""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
from sqlalchemy.orm import Session

from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from db.vectors import place_of
from embedding.store import VectorStore
from search.tags.calibration import Floats
from search.tags.tagging import Tagging, TextEncoder, text_vectors

MARGIN = 0.2  # of probability, above the threshold: tags that hardly pass it come and go by themselves


class TagChecker:
    """The tags of one vocabulary, as the library's calibration sees them in any vector."""

    def __init__(self, tagging: Tagging, session: Session, encoder: TextEncoder) -> None:
        self._tagging = tagging
        self._session = session
        self._encoder = encoder
        self._store = VectorStore(tagging.folder.vectors(tagging.model.key), tagging.model.dim)

    @classmethod
    def open(cls, session: Session, folder: LibraryFolder, encoder: TextEncoder, key: str | None = None) -> Self:
        """Return the checker of a vocabulary, named by its key or name, by default of the latest.

        Raises: QueryError: the library was not tagged with it yet.
        """
        return cls(Tagging.open(session, folder, key), session, encoder)

    def confident(self, photo_id: int) -> list[str]:
        """Return the tags that a photo surely has, in the vocabulary's order.

        They are decided and clearly above the threshold; what a person says need only be above it, since what the
        model does not see in the photo itself cannot be missed in a picture made of it.

        Raises: QueryError: the photo is unknown or not embedded.
        """
        labels = self._tagging.photo(photo_id).labels.get(photo_id, {})
        place = place_of(self._session, self._tagging.model, photo_id)
        assert place is not None  # or the tagging would not have had it
        ((_, vectors),) = self._store.gather([(place[0], [place[1]])])
        probabilities, kept = self._seen(vectors[0].astype(np.float32))
        decided = self._tagging.calibration.decide(probabilities[np.newaxis])[0]
        sure = decided & (probabilities >= self._tagging.calibration.threshold + MARGIN)
        return [
            name
            for name, is_sure, is_kept in zip(self._tagging.vocabulary.names, sure, kept, strict=True)
            if labels.get(name, bool(is_sure)) and is_kept
        ]

    def lost(self, vector: Floats, tags: Sequence[str]) -> list[str]:
        """Return those of a photo's tags that a unit vector (d,) no longer has: not decided, and below the threshold.

        Raises: QueryError: the vocabulary has no such tag, or the vector has another number of dimensions.
        """
        places = [self._tagging.vocabulary.position(tag) for tag in tags]
        _, kept = self._seen(vector)
        return [tag for tag, place in zip(tags, places, strict=True) if not kept[place]]

    def _seen(self, vector: Floats) -> tuple[Floats, Floats]:
        """Return the tags' probabilities in a unit vector (d,), (t,), and which are there, (t,) bool."""
        if vector.shape != (self._tagging.model.dim,):
            raise QueryError(f"the library's vectors are of {self._tagging.model.dim} dimensions, not {vector.shape}")
        from embedding.scoring import score_vectors  # imports torch, which reading tags can do without

        texts, background = self._texts
        scale = self._encoder.logit_scale
        scores = score_vectors(vector[np.newaxis], texts=texts, background=background, scale=scale)
        calibration = self._tagging.calibration
        probabilities = calibration.probabilities(scores)
        return probabilities[0], calibration.decide(probabilities)[0] | (probabilities[0] >= calibration.threshold)

    @cached_property
    def _texts(self) -> tuple[Floats, Floats]:
        """The unit vectors of the tags, (t, d), and of the background, (b, d)."""
        return text_vectors(self._encoder, self._tagging.vocabulary)
