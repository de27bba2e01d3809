"""What Hotels-50K says is true: of which hotel each training and test photo is, and of which chain each hotel.

Reads the data set's lists alone; no photo has to be there.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.arrays import Bools, Ids, places_in
from indexer.hotels50k import NO_CHAIN, Hotels50kSource
from indexer.passed_over import Problem

NO_HOTEL = np.iinfo(np.int64).min  # which no list can name


@dataclass(frozen=True, slots=True)
class KnownNumbers:
    """Numbers that stand for others: keys (n,), ascending and each once, and their values (n,)."""

    keys: Ids
    values: Ids

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> "KnownNumbers":
        """Return pairs of key and value, of which the first of a key counts."""
        flat = array("q")
        for pair in pairs:
            flat.extend(pair)
        both = np.frombuffer(flat, np.int64).reshape(-1, 2) if flat else np.empty((0, 2), np.int64)
        keys, first = np.unique(both[:, 0], return_index=True)
        return cls(keys, both[first, 1].copy())

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, keys: Ids) -> Bools:
        """Return which numbers, of any shape, are keys."""
        return places_in(self.keys, keys)[1]

    def get(self, keys: Ids, otherwise: int) -> Ids:
        """Return the values of numbers, in their shape; `otherwise` for those that are no keys."""
        found = np.full(np.shape(keys), otherwise, np.int64)
        places, here = places_in(self.keys, keys)
        found[here] = self.values[places[here]]
        return found


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The hotels of training and test photos by their image ids, the chains of hotels, and rows that say nothing."""

    train: KnownNumbers
    test: KnownNumbers
    chains: KnownNumbers
    problems: tuple[Problem, ...] = ()

    def chains_of(self, hotels: Ids) -> Ids:
        """Return the chains of hotels, in their shape; -1 where a hotel is of none, or nothing is known of it."""
        return self.chains.get(hotels, NO_CHAIN)


def read_ground_truth(root: Path) -> GroundTruth:
    """Return what the lists of a Hotels-50K tree say.

    Raises: SourceError: there is no such tree, or a list is absent or cannot be read.
    """
    source = Hotels50kSource(root)
    train = KnownNumbers.of(source.listed_hotels("train_set.csv"))
    test = KnownNumbers.of(source.listed_hotels("test_set.csv"))
    chains = KnownNumbers.of(source.chains_of_hotels.items())
    return GroundTruth(train, test, chains, tuple(source.leftovers.problems))
