"""Measuring tags against the truth: how well scores rank, decisions hit and probabilities mean what they say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.tags.calibration import Bools, Floats
from search.tags.vocabulary import Group

BINS = 10
NONE, SEVERAL = "none", "several"


@dataclass(frozen=True, kw_only=True, slots=True)
class TagMeasures:
    """One tag's measures; NaN where nothing can be said (no photo has the tag, or none is decided)."""

    tag: str
    true: int  # photos that have the tag
    known: int  # photos of which it is known
    decided: int
    average_precision: float
    precision: float
    recall: float
    f1: float
    calibration_error: float
    brier: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """All tags' measures, their means over the tags that occur in the truth, and counts over all tags at once."""

    tags: list[TagMeasures]
    mean_average_precision: float
    macro_f1: float
    micro_precision: float
    micro_recall: float
    micro_f1: float
    calibration_error: float
    brier: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Decisions within a group, of the photos that truly have exactly one of its tags.

    counts: (tags, tags + 2) int64; rows are the true tag, columns the decided one, then none and several of them.
    """

    tags: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def columns(self) -> list[str]:
        """What the columns stand for."""
        return [*self.tags, NONE, SEVERAL]


def measure(names: Sequence[str], truth: Floats, probabilities: Floats, decided: Bools) -> Measures:
    """Return all measures of (n, t) arrays; entries whose truth is NaN are left out."""
    tags = [
        measure_tag(name, truth[:, place], probabilities[:, place], decided[:, place])
        for place, name in enumerate(names)
    ]
    occurring = [tag for tag in tags if tag.true]
    known = ~np.isnan(truth)
    right = int((decided & (truth == 1)).sum())
    chosen, there = int((decided & known).sum()), int((truth == 1).sum())
    return Measures(
        tags=tags,
        mean_average_precision=mean(tag.average_precision for tag in occurring),
        macro_f1=mean(tag.f1 for tag in occurring),
        micro_precision=right / chosen if chosen else float("nan"),
        micro_recall=right / there if there else float("nan"),
        micro_f1=2 * right / (chosen + there) if chosen + there else float("nan"),
        calibration_error=mean(tag.calibration_error for tag in tags),
        brier=mean(tag.brier for tag in tags),
    )


def measure_tag(name: str, truth: Floats, probabilities: Floats, decided: Bools) -> TagMeasures:
    """Return one tag's measures, from arrays (n,)."""
    from sklearn.metrics import average_precision_score, brier_score_loss

    known = ~np.isnan(truth) & ~np.isnan(probabilities)
    has, p, chosen = truth[known] == 1, probabilities[known].astype(np.float64), decided[known]
    right = int((chosen & has).sum())
    true, decisions = int(has.sum()), int(chosen.sum())
    return TagMeasures(
        tag=name,
        true=true,
        known=len(has),
        decided=decisions,
        average_precision=float(average_precision_score(has, p)) if true else float("nan"),
        precision=right / decisions if decisions else float("nan"),
        recall=right / true if true else float("nan"),
        f1=2 * right / (true + decisions) if true + decisions else float("nan"),
        calibration_error=calibration_error(has, p),
        brier=float(brier_score_loss(has, p, pos_label=True)) if len(has) else float("nan"),
    )


def calibration_error(has: Bools, probabilities: NDArray[np.float64]) -> float:
    """Return the expected calibration error over 10 equal bins: mean |share that has it - mean probability|.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    if not len(has):
        return float("nan")
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [abs(has[bins == b].mean() - probabilities[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def confusion(group: Group, names: Sequence[str], truth: Floats, decided: Bools) -> Confusion:
    """Return what is decided of photos that have exactly one tag of the group."""
    places = [names.index(tag) for tag in group.tags]
    known = ~np.isnan(truth[:, places]).any(axis=1) & (truth[:, places].sum(axis=1) == 1)
    there, chosen = truth[known][:, places].argmax(axis=1), decided[known][:, places]
    size = len(places)
    column = np.where(chosen.sum(axis=1) == 0, size, np.where(chosen.sum(axis=1) > 1, size + 1, chosen.argmax(axis=1)))
    counts = np.zeros((size, size + 2), np.int64)
    np.add.at(counts, (there, column), 1)
    return Confusion(group.tags, counts)


def mean(values: Iterable[float]) -> float:
    """Return the mean of the values that are numbers, NaN where there is none."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float("nan")
