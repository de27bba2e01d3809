"""What labels teach of a tag: how its logit, and the photo's vector, become a probability. Knows arrays alone."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Doubles, Floats

Fit = Literal["probe", "platt", "isotonic"]
Real = TypeVar("Real", bound=np.floating)
DEFAULT_FIT: Fit = "probe"
FEWEST = {"platt": 5, "isotonic": 20}  # labels of each kind, with and without the tag, below which a tag is left alone
STEEPEST = 30.0
# Precisions of the probe's Gaussian priors: of its slope about 1, its intercept about 0, its weights about 0. Weights
# of 0.03 to 0.3 did alike on the sample hotels and on real hotel photos (benchmarks/labels.py).
SLOPE_PRECISION, INTERCEPT_PRECISION, WEIGHT_PRECISION = 1.0, 0.3, 0.1
JITTER = 1e-7  # added to the squared lengths of vectors, so that equal ones do no harm
HALF = 0.5  # from which a tag is decided by a probe
# A tag with so many labels that say yes has a line of its own where less than this share of the photos that should have
# it reaches one half. Of 100 labelled photos that raises the tags' mean F1 from 0.74 to 0.78 on the samples and from
# 0.32 to 0.35 on real hotels, and lowers precision by 0.00 and 0.03 (benchmarks/labels.py).
FEWEST_YES, LEAST_REACHED, LOWEST_LINE, BETA = 5, 0.25, 0.2, 0.5


@dataclass(frozen=True, slots=True)
class Link:
    """How a tag's logit becomes a probability, fitted on labels.

    platt: sigmoid(slope * logit + intercept). isotonic: linear between (x, y).
    probe: sigmoid(slope * logit + intercept + weight * cosine of the photo's vector with a direction), where the
    unit direction (d,) is kept as little-endian float32 in base64. labels: how many taught it, `yes` of them that the
    photo has the tag; 0 of older libraries. line: the probability from which it is decided, if it has one of its own.
    source: whether people's labels alone taught it, or a file; of older libraries it is not known.
    """

    kind: Fit
    slope: float = 0.0
    intercept: float = 0.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    weight: float = 0.0
    direction: str = ""
    labels: int = 0
    yes: int = 0
    line: float = 0.0
    source: Literal["labels", "file", ""] = ""

    def __call__(self, logits: Floats, along: Floats | None = None) -> Floats:
        """Return probabilities of the same shape; `along`: the cosines with a probe's direction."""
        if self.kind == "isotonic":
            return np.interp(logits, self.x, self.y).astype(np.float32)
        raised = self.slope * logits + self.intercept
        return sigmoid(raised if along is None else raised + self.weight * along)


def sigmoid(x: NDArray[Real]) -> NDArray[Real]:
    """Return 1 / (1 + exp(-x)), elementwise, without overflow."""
    result: NDArray[Real] = 0.5 * (1 + np.tanh(0.5 * x))
    return result


def directions_of(links: Sequence[Link]) -> Floats:
    """Return the directions of probes, (p, d). Raises: ValueError: one is none, or they are not equally long."""
    rows = [np.frombuffer(base64.b64decode(link.direction, validate=True), "<f4") for link in links]
    if len({len(row) for row in rows}) > 1 or not all(len(row) and np.isfinite(row).all() for row in rows):
        raise ValueError("a direction that labels taught is damaged")
    return np.stack(rows).astype(np.float32) if rows else np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Centre:
    """Where the vectors of a library lie: their mean (d,), and how far they are from it in the mean."""

    mean: Floats
    length: float

    @classmethod
    def of(cls, vectors: Floats) -> "Centre":
        """Return where vectors (n, d) lie; of no photo or one, a centre that takes nothing away."""
        if len(vectors) < 2:
            return cls(np.zeros(vectors.shape[1], np.float32), 1.0)
        mean = vectors.mean(axis=0)
        length = float(np.linalg.norm(vectors - mean, axis=1).mean())
        return cls(mean, length or 1.0)


def fit_links(logits: Floats, truth: Floats, fit: Fit, vectors: Floats, centre: Centre) -> dict[int, Link]:
    """Return {tag's place: link} of the tags that labels teach something of.

    platt and isotonic leave a tag alone that has too few labels, or labels that contradict the scores; a probe one
    whose labels all say no, as the words do: that a few photos do not show a rare thing would only make it rarer.

    Args:
        logits: (n, t).
        truth: (n, t): 1 has the tag, 0 has it not, NaN unknown.
        fit: probe, platt or isotonic.
        vectors: of the photos, (n, d), for a probe; rows without logits are not looked at.
        centre: of the library's vectors.

    Source: Platt 1999; Zadrozny & Elkan 2002.
    """
    links = {}
    for place in range(logits.shape[1]):
        known = ~np.isnan(truth[:, place]) & ~np.isnan(logits[:, place])
        x, y = logits[known, place].astype(np.float64), truth[known, place] > 0.5
        link = None
        if fit == "probe":
            link = probe(x, y, vectors[known], centre) if y.any() or (x >= 0).any() else None
        elif min(y.sum(), (~y).sum()) >= FEWEST[fit] and np.ptp(x) > 0:  # a tag that is quite mute has one logit
            link = platt(x, y) if fit == "platt" else isotonic(x, y)
        if link is not None:
            links[place] = link
    return links


def probe(x: Doubles, y: Bools, vectors: Floats, centre: Centre) -> Link:
    """Return the logistic regression on a tag's logit and the photos' vectors that is likeliest after the labels.

    Before there are any it is the logit alone, so a few labels move it a little, and many of them decide. Labels that
    all say yes are mostly those of a search: they tell what such photos look like, not how many there are, so slope
    and intercept stay.

    Args:
        x: the logits, (n,).
        y: which photos have the tag, (n,).
        vectors: (n, d).
        centre: of the library's vectors.
    """
    from scipy.optimize import minimize

    moved = ((vectors - centre.mean) / centre.length).astype(np.float64)  # (n, d), of mean length 1
    lower = None
    if len(moved) < moved.shape[1]:  # weights are sums of these vectors: n numbers say which, and are found sooner
        products = moved @ moved.T
        lower = np.linalg.cholesky(products + JITTER * np.eye(len(moved)))
    within = moved if lower is None else lower  # the same products
    signs = np.where(y, 1.0, -1.0)
    features = np.concatenate([x[:, np.newaxis], np.ones((len(x), 1)), within], axis=1)
    prior = np.zeros(features.shape[1])
    prior[0] = 1.0
    precision = np.full(len(prior), WEIGHT_PRECISION)
    precision[:2] = SLOPE_PRECISION, INTERCEPT_PRECISION

    def loss(at: Doubles) -> tuple[float, Doubles]:
        margins = signs * (features @ at)
        gradient = -(signs * sigmoid(-margins)) @ features + precision * (at - prior)
        return float(np.logaddexp(0, -margins).sum() + 0.5 * precision @ np.square(at - prior)), gradient

    # A higher cosine with the prompts never counts against a photo.
    ranges = [(1.0, 1.0), (0.0, 0.0)] if y.all() else [(0.0, None), (None, None)]
    bounds = [*ranges, *[(None, None)] * within.shape[1]]
    slope, intercept, *weights = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds).x
    found = np.array(weights)
    across = (found if lower is None else moved.T @ np.linalg.solve(lower.T, found)) / centre.length
    weight = float(np.linalg.norm(across))
    direction = (across / weight if weight else across).astype("<f4")
    return Link(
        "probe",
        slope=float(slope),
        intercept=float(intercept - across @ centre.mean),
        weight=weight,
        direction=base64.b64encode(direction.tobytes()).decode(),
        labels=len(y),
        yes=int(y.sum()),
    )


def own_line(chances: Floats) -> float:
    """Return the probability from which a tag is to be decided, where too few photos reach one half; else 0.

    A model that cannot count gives all rooms with beds a third for two beds: at one half no photo would have them,
    however many were labelled. There the line is where the F0.5 that the probabilities themselves foretell is largest.

    Args:
        chances: the tag's probabilities over the library, (n,), or over a fair part of it.

    Source: Ye et al. 2012, "Optimizing F-Measures: A Tale of Two Approaches", section 3; van Rijsbergen 1979.
    """
    likeliest = np.sort(chances.astype(np.float64))[::-1]
    expected = likeliest.sum()
    if not len(chances) or likeliest[likeliest >= HALF].sum() >= LEAST_REACHED * expected:
        return 0.0
    foretold = likeliest.cumsum() / (np.arange(1, len(likeliest) + 1) + BETA**2 * expected)
    return float(np.clip(likeliest[foretold.argmax()], LOWEST_LINE, HALF))


def platt(x: Doubles, y: Bools) -> Link | None:
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
    return Link("platt", slope=slope, intercept=intercept, labels=len(y), yes=int(y.sum()))


def isotonic(x: Doubles, y: Bools) -> Link | None:
    """Return the monotone steps fitted to one tag, or None where they are flat: the labels contradict the scores."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(x, y.astype(np.float64))
    if np.ptp(model.y_thresholds_) == 0:
        return None
    steps = (tuple(map(float, values)) for values in (model.X_thresholds_, model.y_thresholds_))
    return Link("isotonic", x=next(steps), y=next(steps), labels=len(y), yes=int(y.sum()))
