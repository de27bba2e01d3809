"""The photos that a filter leaves, said to an engine in its own words: ids are looked up where they are needed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from base.arrays import Ids


@dataclass(frozen=True, kw_only=True)
class Left:
    """The photos that a filter leaves.

    expression: the filter as the engine reads it; lets through exactly these photos of those that it covers. count: how
    many photos they are, those beside the engine among them. find: gives the ids, ascending, of those of some photos,
    ids (m,), that are among them; None for all.
    """

    expression: str
    count: int
    find: Callable[[Ids | None], Ids]
    _known: list[Ids] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return self.count

    @property
    def ids(self) -> Ids:
        """The ids of all of them, ascending, (n,): asked for once."""
        if not self._known:
            self._known.append(self.find(None))
        return self._known[0]

    def among(self, ids: Ids) -> Ids:
        """Return those of some photos, ids (m,) ascending, that are left."""
        if self._known:
            return np.intersect1d(self._known[0], ids, assume_unique=True)
        return self.find(ids)


Among = Ids | Left | None


def ids_left(among: Among) -> Ids | None:
    """Return the ids of the photos that may be found, ascending; None for all."""
    return among.ids if isinstance(among, Left) else among


def among_beside(among: Among, ids: Ids) -> Ids | None:
    """Return which of a few photos, ids (m,) ascending, may be found; None for all. Others may be named as well."""
    return among.among(ids) if isinstance(among, Left) else among
