"""Evaluating a library's tags against the truth: the tagging as it stands, or every method side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from search.tags.calibration import Bools, Calibration, Floats
from search.tags.evaluation import Confusion, Measures, confusion, measure
from search.tags.fitting import Fit, fit_links
from search.tags.tagging import Tagging
from search.tags.truth import Truth

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One method's measures, with what they were taken from: truth, probabilities and decisions, each (n, t)."""

    method: str
    measures: Measures
    confusions: list[Confusion]
    truth: Floats
    probabilities: Floats
    decided: Bools


def evaluate(tagging: Tagging, truth: Truth) -> Evaluation:
    """Measure the library's tags as they stand, people's labels left out of the decisions."""
    scores = tagging.scores_of(truth.photo_ids)
    probabilities = tagging.calibration.probabilities(scores)
    decided = tagging.calibration.decide(probabilities)
    return evaluation(tagging, tagging.calibration.method, truth.values, probabilities, decided)


def compare(tagging: Tagging, truth: Truth) -> Iterator[Evaluation]:
    """Measure every method: softmax as in the case study, uncalibrated, calibrated without labels, and with them.

    With labels: in each of five folds on the truth of the other four, so that no photo is judged by its own labels.
    """
    scores = tagging.scores_of(truth.photo_ids)
    plain = replace(tagging.calibration, links={})
    for name, calibration in (
        ("softmax, top 1", replace(plain, method="softmax", top_k=1)),
        ("uncalibrated", replace(plain, method="uncalibrated")),
        ("calibrated", replace(plain, method="calibrated")),
    ):
        probabilities = calibration.probabilities(scores)
        yield evaluation(tagging, name, truth.values, probabilities, calibration.decide(probabilities))
    calibrated = replace(plain, method="calibrated")
    for fit in ("platt", "isotonic"):
        probabilities = cross_fitted(calibrated, scores, truth.values, fit)
        name = f"calibrated on labels, {fit}"
        yield evaluation(tagging, name, truth.values, probabilities, calibrated.decide(probabilities))


def cross_fitted(calibration: Calibration, scores: Floats, truth: Floats, fit: Fit) -> Floats:
    """Return probabilities (n, t), each photo's by a fit that has not seen it. The folds are the same every time."""
    fold = np.random.default_rng(0).permutation(len(scores)) % FOLDS
    logits = calibration.logits(scores)
    probabilities = np.empty(logits.shape, np.float32)
    for number in range(FOLDS):
        links = fit_links(logits[fold != number], truth[fold != number], fit)
        probabilities[fold == number] = replace(calibration, links=links).probabilities(scores[fold == number])
    return probabilities


def evaluation(tagging: Tagging, method: str, truth: Floats, probabilities: Floats, decided: Bools) -> Evaluation:
    """Return the measures of one method."""
    names = tagging.vocabulary.names
    truth = np.where(np.isnan(probabilities), np.float32("nan"), truth)  # photos without scores are not judged
    return Evaluation(
        method,
        measure(names, truth, probabilities, decided),
        [confusion(group, names, truth, decided) for group in tagging.vocabulary.groups],
        truth,
        probabilities,
        decided,
    )
