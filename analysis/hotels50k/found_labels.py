"""What became of each test photo: at which rank its hotel and its chain came, and how likely k-NN makes them.

Source: Stylianou et al. 2019, "Hotels-50K: A Global Hotel Recognition Dataset", and its scripts in evaluate/.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.hotels50k.ground_truth import NO_HOTEL, GroundTruth
from base.arrays import Bools, Doubles, Ids, Longs
from indexer.hotels50k import NO_CHAIN


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What test photos retrieved: test_ids (n,), and results (n, k), training photos' image ids, the best first."""

    test_ids: Ids
    results: Ids

    @property
    def k(self) -> int:
        """How many training photos each test photo retrieved."""
        return int(self.results.shape[1])

    def only(self, keep: Bools) -> "Retrieved":
        """Return some of the test photos, those of a mask (n,)."""
        return Retrieved(self.test_ids[keep], self.results[keep])


@dataclass(frozen=True, slots=True)
class LabelFound:
    """Of n test photos, how one of their labels was found: ranks (n,), 0 where it was not; probabilities (n,).

    A rank is that of the first result with the label, from 1. A probability is the share of the results with it.
    """

    ranks: Longs
    probabilities: Doubles


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of n test photos: their ids, hotels and chains (n,), and how the two were found.

    The chain twice: among all results, as the published script has it, and among those of known chains, as the paper
    has it. A test photo without a known chain (-1) has no place in either.
    """

    image_ids: Ids
    hotels: Ids
    chains: Ids
    hotel: LabelFound
    chain_among_all: LabelFound
    chain_among_known: LabelFound

    @property
    def chain_known(self) -> Bools:
        """Which test photos are of a known chain, (n,)."""
        return is_known(self.chains)

    def columns(self) -> dict[str, Any]:
        """Return all of it as columns of a table, a row for each test photo."""
        return {
            "image_id": self.image_ids,
            "hotel_id": self.hotels,
            "chain_id": self.chains,
            "hotel_rank": self.hotel.ranks,
            "hotel_probability": self.hotel.probabilities,
            "chain_rank_paper": self.chain_among_known.ranks,
            "chain_probability_paper": self.chain_among_known.probabilities,
            "chain_rank_script": self.chain_among_all.ranks,
            "chain_probability_script": self.chain_among_all.probabilities,
        }


def outcomes_of(retrieved: Retrieved, truth: GroundTruth) -> Outcomes:
    """Return what became of test photos, all of which the truth knows; results that it does not know are wrong."""
    hotels = truth.test.get(retrieved.test_ids, NO_HOTEL)
    result_hotels = truth.train.get(retrieved.results, NO_HOTEL)
    chains, result_chains = truth.chains_of(hotels), truth.chains_of(result_hotels)
    every = np.ones(result_hotels.shape, bool)
    known = is_known(result_chains)
    same_chain = (result_chains == chains[:, np.newaxis]) & known
    return Outcomes(
        image_ids=retrieved.test_ids,
        hotels=hotels,
        chains=chains,
        hotel=found_among(result_hotels == hotels[:, np.newaxis], every),
        chain_among_all=found_among(same_chain, every),
        chain_among_known=found_among(same_chain, known),
    )


def is_known(chains: Ids) -> Bools:
    """Return which chains are known: in Hotels-50K, those with a number above -1."""
    known: Bools = chains > NO_CHAIN
    return known


def found_among(right: Bools, counted: Bools) -> LabelFound:
    """Return how the right results, (n, k) of k > 0, are found among those that are counted, (n, k).

    Probabilities are those of a k-NN classifier: counts / k. Source: the README of Hotels-50K, "Log Loss"; its script
    divides by the number of different hotels among the results instead, so that they add up to more than 1.
    """
    places = counted.cumsum(axis=1)
    first = right.argmax(axis=1)[:, np.newaxis]
    ranks = np.where(right.any(axis=1), np.take_along_axis(places, first, axis=1)[:, 0], 0)
    there = places[:, -1]
    shares = np.divide(right.sum(axis=1), there, out=np.zeros(len(right)), where=there > 0)
    return LabelFound(ranks.astype(np.int64), shares)
