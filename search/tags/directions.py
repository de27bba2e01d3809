"""Cosines of photos with what labels taught: kept beside the tags' scores, computed where they are not. No tags."""

import shutil
from collections.abc import Sequence

import numpy as np

from base.arrays import Bools, Floats, Ids
from base.progress import Progress, silent
from base.settings import LibraryFolder
from embedding.scores import ScoreStore, score_segments
from embedding.segments import Vectors

AT_ONCE = 16_384  # vectors read at a time: 32 MB of 512 dimensions


class DirectionScores:
    """The cosines of one model's vectors with some unit directions (p, d), under the key of these."""

    def __init__(
        self, folder: LibraryFolder, model_key: str, vocabulary_key: str, directions: Floats, key: str, vectors: Vectors
    ) -> None:
        self.key = key
        self._directions = directions
        self._vectors = vectors
        self._folder = folder.learnt_scores(model_key, vocabulary_key, key)
        self._scores = ScoreStore(self._folder, len(directions))
        self._missing = self._scores.open(vectors)

    def of(self, ids: Ids, columns: Sequence[int], scored: Bools) -> Floats:
        """Return the cosines of photos with some of the directions, (n, columns) float32.

        scored: which of the photos have scores, (n,); the others' are NaN.
        """
        found = self._scores.of(ids, columns)
        found[~scored] = np.nan
        absent = np.flatnonzero(scored & np.isnan(found[:, 0]))
        chosen = self._directions[list(columns)].T
        for start in range(0, len(absent), AT_ONCE):
            rows = absent[start : start + AT_ONCE]
            found[rows] = (self._vectors.gather(ids[rows]) @ chosen).astype(np.float16)  # as they would lie on disk
        return found

    def write(self, progress: Progress = silent) -> None:
        """Write to disk what is missing there. Raises: OSError: the disk is full or cannot be written."""
        if self._missing:
            none = np.empty((0, self._directions.shape[1]), np.float32)
            score_segments(
                self._scores, self._missing, texts=self._directions, background=none, scale=1.0, progress=progress
            )
            self._missing = self._scores.open(self._vectors)


def remove_learnt(folder: LibraryFolder, model_key: str, vocabulary_key: str, but: str) -> None:
    """Remove the cosines with what labels taught before, all but those under a key."""
    kept = {folder.scores(model_key, vocabulary_key), folder.learnt_scores(model_key, vocabulary_key, but)}
    for path in set(folder.all_scores(model_key, [vocabulary_key])) - kept:
        shutil.rmtree(path, ignore_errors=True)
