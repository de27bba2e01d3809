"""What stands before the exact comparison: an engine that names candidates, and what is known of it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embedding.store import Ids

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What naming candidates for one query costs: vectors looked at, bytes read of them, and how, in words."""

    rows: int
    bytes_read: int
    how: str


class CandidateEngine(Protocol):
    """An approximate index: names photos that may be the best ones; their scores are computed elsewhere."""

    @property
    def kind(self) -> str:
        """Its name, such as ivf."""
        ...

    @property
    def recall(self) -> float | None:
        """The recall@10 that was measured with text queries when it was built; None where it is exact by itself."""
        ...

    @property
    def most_hits(self) -> int:
        """The number of hits up to which a query may be answered by it; longer lists are compared exactly."""
        ...

    def answers(self, among: Ids, photos: int) -> bool:
        """Tell whether it names candidates among so few of all photos; where not, they are all compared."""
        ...

    def candidates(self, queries: Vectors, k: int, among: Ids | None, share: float) -> Ids:
        """Return photo ids, (n, at least k) int64, for queries (n, d) float32; -1 where there are fewer.

        An id may come twice, and may be of a photo that has vanished.

        Args:
            queries: unit vectors.
            k: how many hits are wanted in the end.
            among: ascending photo ids; only these may be named. None for all.
            share: of all photos, the share that `among` is, from 0 to 1.
        """
        ...

    def cost(self, k: int, share: float) -> Cost:
        """Return what `candidates` costs."""
        ...
