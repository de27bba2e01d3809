"""Copies become groups: around the photo that is kept, each of the others is a copy of that one. Opens no photo.

Groups by whatever is linked would chain: of a camera that turns, each photo is like the next, and the first shows
nothing of the last. Here the best photo takes those that were compared with it and found to be the same picture, then
the best of those that are left, and so on: whoever lets all but the kept photo go loses no picture.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from base.arrays import Ids
from embedding.index.near_pairs import NearPairs


@dataclass(slots=True)
class BestPairs:
    """Pairs as they are found, the nearest ones where there are too many for memory.

    least: from which cosine on none is missed; raised when pairs are dropped. dropped: whether any were.
    """

    most: int
    least: float
    dropped: bool = False
    _parts: list[NearPairs] = field(default_factory=list)
    _held: int = 0

    def add(self, found: NearPairs) -> None:
        """Take some more."""
        if self.dropped:
            keep = found.cosines >= self.least
            found = found.some(keep)
        if len(found.ones):
            self._parts.append(found)
            self._held += len(found.ones)
        if self._held > 2 * self.most:
            pairs = self.pairs()
            self.least = float(np.partition(pairs.cosines, -self.most)[-self.most])
            self.dropped = True
            keep = pairs.cosines > self.least  # of equal ones all or none
            if not keep.any():
                keep = np.arange(len(keep)) < self.most
            self._parts = [pairs.some(keep)]
            self._held = len(self._parts[0].ones)

    def pairs(self) -> NearPairs:
        """Return all that are held."""
        nothing = NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return NearPairs(*(np.concatenate(parts) for parts in zip(nothing, *self._parts, strict=True)))


class Classes:
    """Photos that are the same to the model beforehand, each class known by one of them."""

    def __init__(self) -> None:
        self.members: dict[int, list[int]] = {}  # of classes of several, by the photo that stands for them
        self._of: dict[int, int] = {}

    def join(self, ids: Sequence[int]) -> None:
        """Put photos, and the classes that they are in, into one class."""
        heads = sorted({self._of.get(photo_id, photo_id) for photo_id in ids})
        joined = sorted({member for head in heads for member in self.members.pop(head, [head])})
        self.members[joined[0]] = joined
        self._of.update(dict.fromkeys(joined, joined[0]))

    def of(self, head: int) -> list[int]:
        """Return the photos of a class."""
        return self.members.get(head, [head])

    @property
    def others(self) -> Ids:
        """The ids, ascending, of photos that another one stands for."""
        return np.sort(np.array([i for head, ids in self.members.items() for i in ids if i != head], np.int64))


def starred(
    heads: Sequence[int],
    links: Mapping[int, Mapping[int, float]],
    may_take: Callable[[int, int], bool] = lambda head, other: True,
) -> Iterator[tuple[int, list[int]]]:
    """Yield each class that takes others with those that it takes, the best first.

    Args:
        heads: of all classes, best first.
        links: {head: {head that is a copy: cosine}}, both ways.
        may_take: tells whether the second may go where the first is kept.
    """
    taken: set[int] = set()
    for head in heads:
        if head in taken:
            continue
        mine = [other for other in links.get(head, {}) if other not in taken and may_take(head, other)]
        taken.update([head, *mine])
        yield head, mine


def linked(pairs: Sequence[tuple[int, int, float]]) -> dict[int, dict[int, float]]:
    """Return pairs of heads with their cosines as links both ways."""
    links: dict[int, dict[int, float]] = defaultdict(dict)
    for one, other, cosine in pairs:
        links[one][other] = links[other][one] = cosine
    return links
