"""Copies of one photo come as one: those with the same bytes, and those that give the same vector.

Only photos that are looked at are compared, some at a time; their order is the list's.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from db.photo_rows import hashes_of
from embedding.index.photo_index import PhotoIndex

Ranked = tuple[int, float]  # photo id, score
CLEARLY = 1e-5  # scores further apart than this are two, however they were computed
SAME = 0.9999  # cosine of two vectors from which they are one picture's: more than float16 and another processor change


@dataclass(slots=True)
class Distinct:
    """A photo of a list. photo_ids: the one that is shown, then its copies."""

    photo_ids: list[int]
    score: float


class Copies:
    """Puts the copies of a photo together, and passes over those of the photos that a query names."""

    def __init__(self, session: Session, index: PhotoIndex, named: Iterable[int] = (), vectors: Floats | None = None):
        """`named`: ids of photos whose copies are no hits; `vectors`: theirs, (w, d)."""
        self._session = session
        self._index = index
        self._vectors = np.empty((0, index.dim), np.float32) if vectors is None else vectors
        self._named = list(named)
        self.passed_over = 0

    def distinct(self, parts: Iterable[list[Ranked]]) -> Iterator[Distinct]:
        """Yield the photos of a list that comes in parts, best first, each once, at the place of its best copy.

        The same vector has the same score, but for the last digits: a photo waits until the scores are clearly lower.
        """
        own = set(hashes_of(self._session, self._named).values())
        by_bytes: dict[bytes, Distinct] = {}
        waiting: deque[tuple[Distinct, bytes, bytes]] = deque()  # with its vector and its bytes' hash
        for part in parts:
            ids = [photo_id for photo_id, _ in part]
            vectors, hashes = self._index.vectors(np.array(ids, np.int64)), hashes_of(self._session, ids)
            alike = (vectors @ self._vectors.T).max(axis=1, initial=-1.0)
            for (photo_id, score), vector, cosine in zip(part, vectors, alike, strict=True):
                while waiting and waiting[0][0].score - score > CLEARLY:
                    done, _, of = waiting.popleft()
                    by_bytes.pop(of, None)  # so that no list, however long, is held; the same bytes have one vector
                    yield done
                content, numbers = hashes.get(photo_id, b""), vector.tobytes()
                if cosine >= SAME or content in own:
                    self.passed_over += 1
                    continue
                first = by_bytes.get(content) or next((one for one, other, _ in waiting if other == numbers), None)
                if first is None:
                    first = Distinct([], score)
                    waiting.append((first, numbers, content))
                first.photo_ids.append(photo_id)
                if content:
                    by_bytes.setdefault(content, first)
        for first, *_ in waiting:
            yield first


def copies_counted(number: int) -> str:
    """Return how many copies there are, in words."""
    return f"{number} copy" if number == 1 else f"{number} copies"
