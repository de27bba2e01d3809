"""Calibration on labels: Platt's sigmoid or isotonic regression by scikit-learn, tag by tag."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.tags.calibration import Floats, Link

FEWEST = {"platt": 5, "isotonic": 20}  # labels of each kind, with and without the tag, below which a tag is left alone
STEEPEST = 30.0

Fit = Literal["platt", "isotonic"]


def fit_links(logits: Floats, truth: NDArray[np.float32], fit: Fit) -> dict[int, Link]:
    """Return {tag's place: link} of the tags that have enough labels, and labels that do not contradict the scores.

    Args:
        logits: (n, t).
        truth: (n, t): 1 has the tag, 0 has it not, NaN unknown.
        fit: platt or isotonic.

    Source: Platt 1999; Zadrozny & Elkan 2002.
    """
    links = {}
    for place in range(logits.shape[1]):
        known = ~np.isnan(truth[:, place]) & ~np.isnan(logits[:, place])
        x, y = logits[known, place].astype(np.float64), truth[known, place] > 0.5
        if min(y.sum(), (~y).sum()) >= FEWEST[fit]:
            link = platt(x, y) if fit == "platt" else isotonic(x, y)
            if link is not None:
                links[place] = link
    return links


def platt(x: NDArray[np.float64], y: NDArray[np.bool_]) -> Link | None:
    """Return the sigmoid fitted to one tag, or None where higher scores would mean lower probabilities.

    That happens to labels which are corrections alone: every yes is of a photo that scored low, every no of one high.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0).fit(x[:, np.newaxis], y)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        return None
    if slope > STEEPEST:  # the logit at which it says one half stays
        slope, intercept = STEEPEST, intercept * STEEPEST / slope
    return Link("platt", slope=slope, intercept=intercept)


def isotonic(x: NDArray[np.float64], y: NDArray[np.bool_]) -> Link | None:
    """Return the monotone steps fitted to one tag, or None where they are flat: the labels contradict the scores."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(x, y.astype(np.float64))
    if np.ptp(model.y_thresholds_) == 0:
        return None
    return Link("isotonic", x=tuple(map(float, model.X_thresholds_)), y=tuple(map(float, model.y_thresholds_)))
