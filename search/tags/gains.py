"""What labels brought: the tags of labelled photos without and with them, judged by labels of other hotels."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Doubles
from base.console import counted
from search.tags.evaluation import Learner, folds_of
from search.tags.links import DEFAULT_FIT
from search.tags.tagging import Tagging
from search.tags.truth import Truth

FEWEST = 5  # labels that say yes, that say no, and hotels, below which nothing is said of what labels brought
RESAMPLED = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TagShares:
    """How well tags are decided: shares from 0 to 1; precision is NaN where none is, recall where no photo has one."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, right: int, decided: int, true: int) -> "TagShares":
        """Return them from counts."""
        return cls(
            precision=right / decided if decided else float("nan"),
            recall=right / true if true else float("nan"),
            f1=2 * right / (decided + true) if decided + true else 0.0,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelGain:
    """What labels brought, on the labelled photos themselves: of the whole library nobody knows it.

    photos, hotels: that were labelled; where no hotels are known, folders. yes, no: labels. before: without labels;
    now: each photo by the labels of other hotels. low, high: 95 % of how much F1 has changed, hotels drawn
    anew; None where labels are too few to tell.
    """

    photos: int
    hotels: int
    yes: int
    no: int
    before: TagShares
    now: TagShares
    low: float | None = None
    high: float | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the change is more than chance would make."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def __str__(self) -> str:
        labels = f"{counted(self.yes + self.no, 'label')}, {self.yes} of them yes"
        if self.low is None or self.high is None:
            return f"{labels}: too few to tell what they brought (from {FEWEST} of each kind and {FEWEST} hotels on)"
        change = f"F1 {self.before.f1:.2f} without them, {self.now.f1:.2f} with them"
        span = f"95 %: {self.low:+.2f} to {self.high:+.2f}"
        told = span if self.is_clear else f"{span}, so it is not sure that they help"
        shares = ", ".join(
            f"{name} {getattr(self.before, name):.2f} -> {getattr(self.now, name):.2f}"
            for name in ("precision", "recall")
        )
        return f"{labels}: {change} ({told}); {shares}"

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self) | {"is_clear": self.is_clear}


def gain_of(tagging: Tagging, truth: Truth) -> LabelGain:
    """Return what labels brought to the tags that they are of."""
    scores, vectors = tagging.scores_and_vectors(truth.photo_ids)
    there = ~np.isnan(scores[:, 0]) & ~np.isnan(truth.values).all(axis=1)  # photos that can still be found
    ids = [photo_id for photo_id, is_there in zip(truth.photo_ids, there, strict=True) if is_there]
    values, groups = truth.values[there], np.array(tagging.groups_of(ids), object).astype(str)
    known, has = ~np.isnan(values), values == 1
    learner = Learner(scores[there], vectors[there], tagging.centre, values, folds_of(groups.tolist()))
    plain = replace(tagging.calibration, links={})
    before = plain.decide(plain.probabilities(learner.scores)) & known
    now = learner.cross_fitted(plain, DEFAULT_FIT)[1] & known
    yes, no = int(has.sum()), int((known & ~has).sum())
    sides = {name: (int((of & has).sum()), int(of.sum()), yes) for name, of in (("before", before), ("now", now))}
    hotels = len(np.unique(groups))
    low, high = None, None
    if min(yes, no, hotels) >= FEWEST:
        low, high = span_of_change(before, now, has, groups)
    return LabelGain(
        photos=len(ids),
        hotels=hotels,
        yes=yes,
        no=no,
        before=TagShares.of(*sides["before"]),
        now=TagShares.of(*sides["now"]),
        low=low,
        high=high,
    )


def span_of_change(before: Bools, now: Bools, has: Bools, groups: NDArray[np.str_]) -> tuple[float, float]:
    """Return 95 % of how much F1 changes from decisions (n, t) to others, when hotels are drawn with replacement.

    Source: Efron 1979.
    """
    _, members = np.unique(groups, return_inverse=True)
    counts = [
        np.bincount(members, weights=each.sum(axis=1))
        for each in (before & has, before, now & has, now, has)  # of each hotel
    ]
    draws = np.random.default_rng(0).multinomial(len(counts[0]), np.full(len(counts[0]), 1 / len(counts[0])), RESAMPLED)
    right_before, decided_before, right_now, decided_now, true = ((draws @ of).astype(np.float64) for of in counts)
    change = f1_of(right_now, decided_now, true) - f1_of(right_before, decided_before, true)
    return round(float(np.quantile(change, 0.025)), 4), round(float(np.quantile(change, 0.975)), 4)


def f1_of(right: Doubles, decided: Doubles, true: Doubles) -> Doubles:
    """Return F1, elementwise; 0 where there is nothing to find and nothing was found."""
    whole = decided + true
    f1: Doubles = np.where(whole > 0, 2 * right / np.maximum(whole, 1), 0.0)
    return f1
