"""Tags measured against the truth: how well scores rank, decisions hit and probabilities mean what they say."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, InitVar, asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Doubles, Floats, Longs
from base.listing import Listing
from search.tags.calibration import LEARNING, Calibration, Method, TagOptions
from search.tags.links import Centre, Fit, fit_links
from search.tags.tagging import Tagging
from search.tags.truth import Truth
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
class TagScores:
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
    counts: Longs

    @property
    def columns(self) -> list[str]:
        """What the columns stand for."""
        return [*self.tags, NONE, SEVERAL]


def score_tags(names: Sequence[str], truth: Floats, probabilities: Floats, decided: Bools) -> TagScores:
    """Return all measures of (n, t) arrays; entries whose truth is NaN are left out."""
    tags = [
        measure_tag(name, truth[:, place], probabilities[:, place], decided[:, place])
        for place, name in enumerate(names)
    ]
    occurring = [tag for tag in tags if tag.true]
    known = ~np.isnan(truth)
    right = int((decided & (truth == 1)).sum())
    chosen, there = int((decided & known).sum()), int((truth == 1).sum())
    return TagScores(
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


def calibration_error(has: Bools, probabilities: Doubles) -> float:
    """Return the expected calibration error over 10 equal bins: mean |share that has it - mean probability|.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    if not len(has):
        return float("nan")
    mean_probability, share, photos = reliability(has, probabilities)
    return float(np.average(abs(share - mean_probability), weights=photos))


def reliability(has: NDArray[Any], probabilities: NDArray[Any]) -> tuple[Doubles, Doubles, Longs]:
    """Return mean probability, share that has the tag, and number of photos of ten equal bins, without empty ones."""
    photos, has_sum, probability_sum = (
        np.histogram(probabilities, BINS, (0, 1), weights=weights)[0]
        for weights in (None, has.astype(np.float64), probabilities.astype(np.float64))
    )
    filled = photos > 0
    return probability_sum[filled] / photos[filled], has_sum[filled] / photos[filled], photos[filled]


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


FOLDS = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One method's measures, with what they were taken from: truth, probabilities and decisions, each (n, t)."""

    method: str
    measures: TagScores
    confusions: list[Confusion]
    truth: Floats
    probabilities: Floats
    decided: Bools

    def as_json(self) -> dict[str, Any]:
        """Return the method and its measures."""
        return {"method": self.method} | asdict(self.measures)


@dataclass(eq=False, repr=False)
class Evaluations(Listing[Evaluation]):
    """One method's measures, or several side by side.

    photos: how many they were taken from. fitted: tags that were calibrated on labels.
    """

    found: InitVar[Iterable[Evaluation]]
    _: KW_ONLY
    title: str
    photos: int
    fitted: int
    notes: list[str]

    def __post_init__(self, found: Iterable[Evaluation]) -> None:
        super().__init__(found)


def evaluate(tagging: Tagging, truth: Truth) -> Evaluation:
    """Measure the library's tags as they stand, people's labels left out of the decisions."""
    scores = tagging.scores_of(truth.photo_ids)
    probabilities = tagging.calibration.probabilities(scores)
    decided = tagging.calibration.decide(probabilities)
    return evaluation(tagging, tagging.calibration.method, truth.values, probabilities, decided)


def compare_methods(tagging: Tagging, truth: Truth) -> Iterator[Evaluation]:
    """Measure every method: softmax as in the case study, uncalibrated, calibrated and signal without labels, and with.

    Each with its own threshold, the library's method with the library's. With labels: in each of five folds on the
    truth of the other four, so that no photo is judged by its own labels, nor by those of photos of the same hotel or
    folder. A library that was last tagged before there was signal is measured without it.
    """
    scores, vectors = tagging.scores_and_vectors(truth.photo_ids)
    learner = Learner(scores, vectors, tagging.centre, truth.values, folds_of(tagging.groups_of(truth.photo_ids)))
    plain = replace(tagging.calibration, links={})
    methods: list[Method] = ["uncalibrated", "calibrated"]
    if plain.noise:
        methods.append("signal")
    for name, calibration in (
        ("softmax, top 1", replace(by_method(plain, "softmax"), top_k=1)),
        *((method, by_method(plain, method)) for method in methods),
    ):
        probabilities = calibration.probabilities(scores)
        yield evaluation(tagging, name, truth.values, probabilities, calibration.decide(probabilities))
    learning = by_method(plain, plain.method if plain.method in LEARNING else methods[-1])
    fits: tuple[Fit, ...] = ("probe", "platt", "isotonic")
    for fit in fits:
        probabilities, decided = learner.cross_fitted(learning, fit)
        yield evaluation(tagging, f"{learning.method} with labels, {fit}", truth.values, probabilities, decided)


def by_method(calibration: Calibration, method: Method) -> Calibration:
    """Return a calibration by a method, with the threshold that it was given, or the method's own."""
    return TagOptions().put_over(calibration, method)


@dataclass(frozen=True, slots=True)
class Learner:
    """Photos of which the truth is known, n of them: what is learnt of some is judged by the others.

    scores, vectors: as Tagging.scores_and_vectors gives them. truth: (n, t). folds: to which each belongs, (n,).
    """

    scores: Floats
    vectors: Floats
    centre: Centre
    truth: Floats
    folds: Longs

    def cross_fitted(self, calibration: Calibration, fit: Fit) -> tuple[Floats, Bools]:
        """Return probabilities and decisions, each (n, t): each photo's by a fit that has not seen its fold."""
        probabilities, decided = np.empty(self.truth.shape, np.float32), np.empty(self.truth.shape, np.bool_)
        for number in np.unique(self.folds):
            mine = self.folds == number
            taught = self.taught(calibration, fit, ~mine)
            probabilities[mine] = taught.probabilities(self.scores_for(taught)[mine])
            decided[mine] = taught.decide(probabilities[mine])
        return probabilities, decided

    def taught(self, calibration: Calibration, fit: Fit, known: Bools) -> Calibration:
        """Return the calibration that has learnt the truth of some photos, in a library of all of them."""
        logits = calibration.logits(self.scores[known])
        links = fit_links(logits, self.truth[known], fit, self.vectors[known], self.centre)
        taught = replace(calibration, links=links, learnt_on=calibration.method)
        return taught.with_lines(self.scores_for(taught))

    def scores_for(self, taught: Calibration) -> Floats:
        """Return the scores of all photos, with what labels taught."""
        scores = self.scores[:, : taught.tags + 1]
        return np.concatenate([scores, self.vectors @ taught.directions.T], axis=1) if taught.probed else scores


def folds_of(groups: Sequence[str]) -> Longs:
    """Return to which of FOLDS folds photos belong, (n,): a group's photos to the same one, the same every time.

    Where there are fewer groups than folds, each photo is a group.
    """
    names, members = np.unique(np.array(groups, object).astype(str), return_inverse=True)
    if len(names) < FOLDS:
        names, members = np.arange(len(groups)), np.arange(len(groups))
    shuffled = np.random.default_rng(0).permutation(len(names)) % FOLDS
    folds: Longs = shuffled[members].astype(np.int64)
    return folds


def evaluation(tagging: Tagging, method: str, truth: Floats, probabilities: Floats, decided: Bools) -> Evaluation:
    """Return the measures of one method."""
    names = tagging.vocabulary.names
    truth = np.where(np.isnan(probabilities), np.float32("nan"), truth)  # photos without scores are not judged
    return Evaluation(
        method,
        score_tags(names, truth, probabilities, decided),
        [confusion(group, names, truth, decided) for group in tagging.vocabulary.groups],
        truth,
        probabilities,
        decided,
    )
