"""The benchmark's figures: top-K accuracy by hotel and chain, and log loss, each with its interval.

Source: Stylianou et al. 2019, "Hotels-50K: A Global Hotel Recognition Dataset"; its README and evaluate/retrieval.py.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.hotels50k.found_labels import LabelFound, Outcomes
from analysis.judged.uncertainty import CONFIDENCE, bootstrap_intervals
from base.arrays import Bools, Doubles, Longs

HOTEL_PLACES, CHAIN_PLACES = (1, 10, 100), (1, 3, 5)  # the K of top-K
PAPER, SCRIPT = "paper", "script"
CLIP = 1e-15  # of probabilities, as sklearn.metrics.log_loss had it when the benchmark was published (0.20; until 1.2)
# The authors' model: their README, which has the figures of their script, unoccluded.
PUBLISHED = {
    ("unoccluded", "chain", SCRIPT, "top-1"): 0.404,
    ("unoccluded", "chain", SCRIPT, "top-3"): 0.541,
    ("unoccluded", "chain", SCRIPT, "top-5"): 0.604,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkFigure:
    """One figure of the benchmark.

    level: what covers the test photos, such as unoccluded. by: hotel or chain. convention: of chains, `paper` (results
    of unknown chains are passed over) or `script` (they take their places); "" of hotels. measure: top-K, a share from
    0 to 1, or log loss, in nats. low, high: of its 95 % interval; NaN, as the value, where there is none. photos: how
    many test photos it is of. published: the same figure of the authors' model.
    """

    level: str
    by: str
    convention: str
    measure: str
    value: float
    low: float
    high: float
    photos: int
    published: float | None = None

    @property
    def is_share(self) -> bool:
        """Whether it is a share of the test photos, and no loss."""
        return self.measure.startswith("top-")

    def as_json(self) -> dict[str, Any]:
        """Return its fields."""
        return asdict(self)


def benchmark_figures(level: str, outcomes: Outcomes, k: int) -> list[BenchmarkFigure]:
    """Return the figures of a level, of results of which each test photo has k."""
    every, known = np.ones(len(outcomes.image_ids), bool), outcomes.chain_known
    kinds = (
        ("hotel", "", outcomes.hotel, every, HOTEL_PLACES),
        ("chain", PAPER, outcomes.chain_among_known, known, CHAIN_PLACES),
        ("chain", SCRIPT, outcomes.chain_among_all, known, CHAIN_PLACES),
    )
    found = [
        BenchmarkFigure(
            level=level,
            by=by,
            convention=convention,
            measure=measure,
            value=value,
            low=low,
            high=high,
            photos=int(asked.sum()),
            published=PUBLISHED.get((level, by, convention, measure)),
        )
        for by, convention, how, asked, places in kinds
        for measure, value, low, high in label_measures(how, asked, places, k)
    ]
    return sorted(found, key=lambda figure: not figure.is_share)  # accuracies first, as the benchmark has them


def label_measures(
    found: LabelFound, asked: Bools, places: tuple[int, ...], k: int
) -> Iterator[tuple[str, float, float, float]]:
    """Yield name, value and interval of the measures of one label, of the test photos that are asked about."""
    ranks = found.ranks[asked]
    for place in places:
        yield f"top-{place}", *top_share(ranks, place if place <= k else 0)
    yield "log loss", *mean_loss(log_losses(found.probabilities[asked]))


def top_share(ranks: Longs, place: int) -> tuple[float, float, float]:
    """Return the share of ranks, (n,), that are within a place, and its 95 % interval; NaN without ranks or a place.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not len(ranks) or not place:
        return (np.nan,) * 3
    from scipy.stats import binomtest

    hits = int(((ranks > 0) & (ranks <= place)).sum())
    interval = binomtest(hits, len(ranks)).proportion_ci(CONFIDENCE, method="wilson")
    return hits / len(ranks), float(interval.low), float(interval.high)


def log_losses(probabilities: Doubles) -> Doubles:
    """Return the log loss of each test photo, (n,), of the probability of its true class, in nats.

    The same as sklearn.metrics.log_loss over all classes, with its clipping of that time: a class that no result has
    costs 34.5, and a certain one nothing.
    """
    certain = probabilities.clip(CLIP, 1 - CLIP)
    lost: Doubles = -np.log(certain)
    return lost


def mean_loss(lost: Doubles) -> tuple[float, float, float]:
    """Return the mean of losses, (n,), and its 95 % interval; NaN where there are none, or all are alike."""
    if not len(lost):
        return (np.nan,) * 3
    low, high = bootstrap_intervals(lost[np.newaxis], confidence=CONFIDENCE)[0]
    return float(lost.mean()), float(low), float(high)
