"""From cosines to probabilities to decided tags, with and without labels. Knows arrays and the vocabulary alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Doubles, Floats
from base.errors import QueryError
from base.records import converted
from search.tags.links import DEFAULT_FIT, FEWEST_YES, Fit, Link, Real, directions_of, own_line, sigmoid
from search.tags.vocabulary import Group

Method = Literal["signal", "calibrated", "uncalibrated", "softmax"]
DEFAULT_METHOD: Method = "signal"
LEARNING = ("signal", "calibrated")  # the methods that labels teach

# Evidence e = (lead - mean) / s * sqrt(max(0, 1 - (s0 / s1)^2)). A photo's lead is its cosine with the tag less half of
# how well it fits the background: half way between comparing photos with each other and with words of no tag; mean and
# s are of the tag's leads over the library. s1 and s0 are the spreads of the cosines of the tag and of words that mean
# nothing: a tag that varies no more than "a flurb" is mute, where z alone gives every tag the same upper tail. The root
# is the correlation that its cosines can have with what they stand for, if the rest of their variance is nonsense's.
# Half and root stand in the middle of wide flats, found with two models on the sample hotels and on real hotel photos;
# the line, an e of 1.4, was chosen on the samples alone, and on the real photos more is right and more is found than
# before as well (docs/thresholds.md). The logit is 1.6 e - 2.24: probabilities of 0.4, 0.5 and 0.6 stand for e of
# 1.15, 1.4 and 1.65.
BACKGROUND_SHARE = 0.5
SLOPE_EVIDENCE, INTERCEPT_EVIDENCE = 1.6, -2.24
# What a library was tagged with before there were leads: (cosine - mean) / s1 * max(0, 1 - (s0 / s1)^2).
INTERCEPT_WITHOUT_LEADS = -2.0
SURE = 0.6  # probability from which a decided tag is sure, below it likely
HOTEL = 0.4  # probability from which a photo counts for its hotel's tags: of several photos one suffices
# Least share of a tag's variance that nonsense does not explain; below it the model cannot tell the tag. With the
# first starter minibar and mirror had 0.23 and 0.28 on the samples, 0.00 and 0.11 on real hotels, the case study's
# other tags 0.52 and more on both; of all 126 tags of hotels none below 0.3 was decided of any photo, which takes 4
# standard deviations.
MUTED = 0.3
MOST = 5  # tags a photo of a long vocabulary, where it says nothing else
LONG = 30  # tags

# The logit of a tag without labels is 1.1 z + 0.2 b - 1.9: z says by how many standard deviations the photo's cosine
# is above the tag's mean over the library, b by how many logits it is above the background prompts. A logistic
# regression over all tags at once gives 1.17 z + 0.14 b - 1.68 on the sample hotels and 1.06 z + 0.26 b - 2.18 on real
# hotel photos (benchmarks/tag_quality.py): one rule serves both, though their vectors have little in common.
SLOPE_Z, SLOPE_BACKGROUND, INTERCEPT = 1.1, 0.2, -1.9
THRESHOLDS: dict[Method, float] = {
    "signal": 0.5,
    "calibrated": 0.3,  # below 0.5, as the best F1 wants it: Lipton, Elkan & Naryanaswamy 2014
    "uncalibrated": 0.3,
    "softmax": 0.3,  # decides nothing, but what a restyled photo may have lost
}
KEY_DIGITS = 16
PSEUDO_PHOTOS = 20  # how many photos the pooled mean and spread of all tags weigh against a tag's own


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How the scores of one vocabulary become probabilities and tags.

    Scores are (n, t + 1 + p) float32: the cosines with the t tags, how well a photo fits the background, and the
    cosines with the p directions that labels taught (see `probed`).

    mean, std: of each tag's cosine over the library, (t,), where photos are few drawn to those of all tags. spread: std
    without that, (t,); empty: as std. lead_mean, lead_std: as mean and std, of the tags' leads (see BACKGROUND_SHARE);
    empty in a library that was tagged before there were leads: it is decided as it was then. noise: the spread of words
    that mean nothing. photos: how many these were taken from. alike: what nearly all of them look like, such as "a
    bathroom"; mostly nothing. links: {tag's place: what labels taught of it}, for the method `learnt_on` alone.
    labels_key: what tells the labels that were learnt from last from others; labels_stamp: how many labels there were
    then, and the newest. most: how many tags a photo may have, the likeliest; 0 for any number. silent: places of tags
    that people gave to no photo.
    method: signal; or calibrated (as before there was signal), or uncalibrated (each tag against the background), or
    softmax over the tags, where the `top_k` likeliest are decided, as the case study did.
    """

    method: Method
    scale: float
    mean: Floats
    std: Floats
    threshold: float = THRESHOLDS[DEFAULT_METHOD]
    top_k: int = 1
    spread: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    lead_mean: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    lead_std: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    noise: float = 0.0
    photos: int = 0
    alike: str = ""
    most: int = 0
    links: Mapping[int, Link] = field(default_factory=dict)
    learnt_on: Method = "calibrated"
    labels_key: str = ""
    labels_stamp: str = ""
    contrasts: tuple[tuple[int, ...], ...] = ()
    exclusions: tuple[tuple[int, ...], ...] = ()
    silent: tuple[int, ...] = ()

    @property
    def signal(self) -> Floats:
        """The share of each tag's variance that nonsense does not explain, (t,), from 0 to 1."""
        spread = np.maximum(self.spread if len(self.spread) else self.std, np.finfo(np.float32).tiny)
        share: Floats = np.maximum(0, 1 - np.square(self.noise / spread)).astype(np.float32)
        return share

    @property
    def muted(self) -> Bools:
        """Which tags the model cannot tell in this library, (t,): their cosines vary hardly more than nonsense's."""
        enough = self.method == "signal" and self.photos >= PSEUDO_PHOTOS
        muted: Bools = (self.signal < MUTED) & enough
        muted[list(self.active_links)] = False
        return muted

    @property
    def tags(self) -> int:
        """How many tags there are."""
        return len(self.mean)

    @property
    def has_leads(self) -> bool:
        """Whether evidence is of leads, as since there are any, or of cosines alone, as before."""
        return len(self.lead_mean) > 0

    @property
    def active_links(self) -> Mapping[int, Link]:
        """What labels taught of the method in use."""
        return self.links if self.method == self.learnt_on else {}

    @property
    def lines(self) -> Floats:
        """From which probability each tag is decided, (t,) float32; a threshold above the method's holds for all."""
        lines = np.full(self.tags, self.threshold, np.float32)
        if self.threshold <= THRESHOLDS[self.method]:
            for place, link in self.active_links.items():
                lines[place] = min(link.line or 1.0, self.threshold)
        return lines

    def at(self, threshold: float) -> Self:
        """Return the calibration at another threshold; tags that have no line of their own now get none by it."""
        if self.threshold <= THRESHOLDS[self.method]:
            return replace(self, threshold=threshold)
        links = {place: replace(link, line=0.0) for place, link in self.links.items()}
        return replace(self, threshold=threshold, links=links)

    def with_lines(self, scores: Floats) -> Self:
        """Return the calibration with lines of their own for tags whose photos hardly reach one half.

        scores: of the library's photos, or of a fair part of them.
        """
        due = [place for place in self.probed if self.active_links[place].yes >= FEWEST_YES]
        if not due:
            return self
        known = ~np.isnan(scores[:, 0])
        chances = self.probabilities(scores[known])[:, due]
        moved = {place: replace(self.links[place], line=own_line(chances[:, at])) for at, place in enumerate(due)}
        return replace(self, links={**self.links, **moved})

    @property
    def labels(self) -> list[int]:
        """By how many labels each tag is decided, (t,); 0 where no label taught anything."""
        return [self.active_links[place].labels if place in self.active_links else 0 for place in range(self.tags)]

    @cached_property
    def probed(self) -> tuple[int, ...]:
        """The places of tags whose probability takes the cosine with a direction as well, ascending."""
        return tuple(sorted(place for place, link in self.active_links.items() if link.kind == "probe"))

    @cached_property
    def directions(self) -> Floats:
        """What labels taught of the probed tags, unit vectors (p, d) in their order."""
        return directions_of([self.links[place] for place in self.probed])

    @property
    def directions_key(self) -> str:
        """What tells these directions from others; nothing where there are none."""
        return hashlib.sha256(self.directions.tobytes()).hexdigest()[:KEY_DIGITS] if self.probed else ""

    def evidence(self, scores: Floats) -> Floats:
        """Return e (n, t) float32 of scores: see SLOPE_EVIDENCE. 0 is the library's mean photo."""
        if not self.has_leads:
            return contrasted((scores[:, : self.tags] - self.mean) / self.std * self.signal, self.contrasts)
        leads = leads_of(scores[:, : self.tags], scores[:, self.tags])
        return contrasted((leads - self.lead_mean) / self.lead_std * np.sqrt(self.signal), self.contrasts)

    def logits(self, scores: Floats) -> Floats:
        """Return the logits (n, t) of scores, as they are without labels."""
        if self.method == "signal":
            intercept = INTERCEPT_EVIDENCE if self.has_leads else INTERCEPT_WITHOUT_LEADS
            return SLOPE_EVIDENCE * self.evidence(scores) + np.float32(intercept)
        cosines, background = scores[:, : self.tags], scores[:, self.tags : self.tags + 1]
        against_background = self.scale * (cosines - background)
        if self.method != "calibrated":
            return against_background
        z = (cosines - self.mean) / self.std
        logits: Floats = SLOPE_Z * z + SLOPE_BACKGROUND * against_background + np.float32(INTERCEPT)
        return contrasted(logits, self.contrasts)

    def probabilities(self, scores: Floats) -> Floats:
        """Return probabilities (n, t) float32 of scores; NaN where the cosines are."""
        if self.method == "softmax":
            cosines = scores[:, : self.tags]
            powers = np.exp(self.scale * (cosines - cosines.max(axis=1, keepdims=True)))
            shares: Floats = powers / powers.sum(axis=1, keepdims=True)
            return shares
        logits = self.logits(scores)
        probabilities = sigmoid(logits)
        columns = {place: self.tags + 1 + number for number, place in enumerate(self.probed)}
        for place, link in self.active_links.items():
            along = scores[:, columns[place]] if place in columns else None
            probabilities[:, place] = np.where(np.isnan(logits[:, place]), np.nan, link(logits[:, place], along))
        return probabilities

    def decide(self, probabilities: Floats) -> Bools:
        """Return which tags are decided, (n, t) bool; photos whose scores are NaN get none."""
        if self.method == "softmax":
            decided = among_best(probabilities, self.top_k) & ~np.isnan(probabilities)
            decided[:, list(self.silent)] = False
            return decided
        decided = (probabilities >= self.lines) & ~self.muted
        decided[:, list(self.silent)] = False
        for group in self.exclusions:
            places = np.array(group)
            likeliest = places[np.where(decided, probabilities, -1)[:, places].argmax(axis=1)]
            decided[:, places] &= places == likeliest[:, np.newaxis]
        if self.most:
            decided &= among_best(np.where(decided, probabilities, -1), self.most)
        return decided

    def only(self, places: Sequence[int]) -> Self:
        """Return the calibration of some of the tags, for scores of these: what it says of each is the same.

        But not what is decided where tags of a group, or all tags of a photo, are compared, unless all are among them.

        Args:
            places: of the tags; those of a contrast's group come together or not at all.
        """
        chosen, at = list(places), {place: number for number, place in enumerate(places)}
        groups = [tuple(at[place] for place in group) for group in self.contrasts if set(group) <= set(places)]
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return replace(
            self,
            **{name: values[chosen] if len(values) else values for name, values in arrays.items()},
            links={at[place]: link for place, link in self.links.items() if place in at},
            contrasts=tuple(groups),
            exclusions=(),
            silent=tuple(at[place] for place in self.silent if place in at),
            most=0,
        )

    def with_rivals(self, place: int) -> list[int]:
        """Return a tag's place, and behind it those of the tags that its logit is contrasted with."""
        rivals = [other for group in self.contrasts if place in group for other in group]
        return list(dict.fromkeys([place, *rivals]))

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; `from_json` reads it back."""
        names = ("method", "scale", "threshold", "top_k", "noise", "photos", "alike", "most", "learnt_on")
        plain = {name: getattr(self, name) for name in (*names, "labels_key", "labels_stamp")}
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        groups = {"contrasts": [list(g) for g in self.contrasts], "exclusions": [list(g) for g in self.exclusions]}
        silent = {"silent": list(self.silent)} if self.silent else {}
        return (
            plain
            | arrays
            | groups
            | silent
            | {"links": {str(place): asdict(link) for place, link in self.links.items()}}
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the calibration that `as_json` described. Raises: ValueError: it is not as that writes it."""
        kept = converted(values, KeptCalibration)
        if kept.labels_key.startswith("labels-"):  # older libraries do not say it of each tag
            links = {place: replace(link, source=link.source or "labels") for place, link in kept.links.items()}
            kept = replace(kept, links=links)
        plain = {field.name: getattr(kept, field.name) for field in fields(kept)}
        return cls(**plain | {name: np.array(plain[name], np.float32) for name in ARRAYS})


ARRAYS = ("mean", "std", "spread", "lead_mean", "lead_std")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptCalibration:
    """A calibration as JSON keeps it: see Calibration. What has a default came later than the first of them."""

    method: Method
    scale: float
    threshold: float
    top_k: int
    mean: list[float]
    std: list[float]
    links: dict[int, Link]
    contrasts: tuple[tuple[int, ...], ...]
    exclusions: tuple[tuple[int, ...], ...]
    spread: list[float] = field(default_factory=list)
    lead_mean: list[float] = field(default_factory=list)
    lead_std: list[float] = field(default_factory=list)
    noise: float = 0.0
    photos: int = 0
    alike: str = ""
    most: int = 0
    learnt_on: Method = "calibrated"
    labels_key: str = ""
    labels_stamp: str = ""
    silent: tuple[int, ...] = ()


def read_calibration(values: Mapping[str, Any], tags: int) -> Calibration:
    """Return a calibration from a file that people may have changed, for a number of tags.

    Raises: ValueError: it does not fit.
    """
    calibration = Calibration.from_json(values)
    len(calibration.directions)  # refuses what is damaged
    places = [
        *calibration.links,
        *calibration.silent,
        *(place for group in calibration.contrasts + calibration.exclusions for place in group),
    ]
    lengths = {len(calibration.mean), len(calibration.std), len(calibration.spread) or tags}
    lengths |= {len(calibration.lead_mean) or tags, len(calibration.lead_std) or tags}
    if (
        len(calibration.lead_mean) != len(calibration.lead_std)
        or lengths != {tags}
        or not all(0 <= place < tags for place in places)
    ):
        raise ValueError(f"its calibration is not one of {tags} tags")
    return calibration


class Statistics:
    """Mean and spread of every tag's cosine, and of its lead, gathered block after block."""

    def __init__(self, tags: int) -> None:
        self.count = 0
        self._sum = np.zeros((2, tags))  # of cosines, of leads
        self._squares = np.zeros((2, tags))

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        """Return what a calibration without labels was made of, from what it says: the same but for rounding."""
        weight = calibration.photos / (calibration.photos + PSEUDO_PHOTOS)
        drawn = np.stack([calibration.mean, calibration.lead_mean]).astype(np.float64)
        middle = drawn.mean(axis=1, keepdims=True)
        mean = middle + (drawn - middle) / weight
        pulled = calibration.lead_std.astype(np.float64) ** 2  # towards pooled, which has the same mean as they have
        pooled = pulled.mean() + weight * mean[1].var()
        variance = np.stack([calibration.spread.astype(np.float64) ** 2, (pulled - (1 - weight) * pooled) / weight])
        made = cls(mean.shape[1])
        made.count = calibration.photos
        made._sum = mean * made.count
        made._squares = (variance + mean**2) * made.count
        return made

    def placed(self, places: Sequence[int | None], others: "Statistics") -> Self:
        """Return the statistics of the tags at some places, those of `others` in turn where a place is None."""
        made = type(self)(len(places))
        made.count = others.count if None in places else self.count
        own = [place is not None for place in places]
        kept = [place for place in places if place is not None]
        for name in ("_sum", "_squares"):
            values = getattr(made, name)
            values[:, own] = getattr(self, name)[:, kept]
            values[:, ~np.array(own)] = getattr(others, name)
        return made

    def add(self, scores: Floats) -> None:
        """Take in scores; rows of NaN are left out."""
        tags, half = self._sum.shape[1], BACKGROUND_SHARE
        known = scores[~np.isnan(scores[:, 0])].astype(np.float64)
        cosines, background = known[:, :tags], known[:, tags]
        total, squares = cosines.sum(axis=0), (cosines**2).sum(axis=0)
        self.count += len(cosines)
        self._sum += np.stack([total, total - half * background.sum()])
        # Of a lead, c - half b, the square is c^2 - 2 half c b + (half b)^2: no leads need be written out.
        apart = squares - 2 * half * (background @ cosines) + half**2 * (background @ background)
        self._squares += np.stack([squares, apart])

    @property
    def spread(self) -> Floats:
        """The standard deviations of the cosines as they are, (t,)."""
        spread: Floats = np.sqrt(self._mean_and_variance[1][0]).astype(np.float32)
        return spread

    @property
    def _mean_and_variance(self) -> tuple[Doubles, Doubles]:
        n = max(self.count, 1)
        mean = self._sum / n
        return mean, np.maximum(self._squares / n - mean**2, 0)

    def mean_and_std(self, scale: float, *, leads: bool = False) -> tuple[Floats, Floats]:
        """Return mean and standard deviation (t,), drawn towards those of all tags where photos are few.

        The spread is at least half a logit, so that a library of one photo does not divide by zero.
        """
        mean, variance = (values[int(leads)] for values in self._mean_and_variance)
        pooled_mean = mean.mean()
        pooled_variance = variance.mean() + mean.var()
        weight = self.count / (self.count + PSEUDO_PHOTOS)
        mean = weight * mean + (1 - weight) * pooled_mean
        std = np.sqrt(weight * variance + (1 - weight) * pooled_variance)
        return mean.astype(np.float32), np.maximum(std, 0.5 / scale).astype(np.float32)


def leads_of(cosines: NDArray[Real], background: NDArray[Real]) -> NDArray[Real]:
    """Return the leads (n, t) of cosines (n, t) of photos that fit the background so well, (n,)."""
    leads: NDArray[Real] = cosines - cosines.dtype.type(BACKGROUND_SHARE) * background[:, np.newaxis]
    return leads


def among_best(values: Floats, k: int) -> Bools:
    """Return which k of each row of (n, t) are its largest, (n, t); of equal ones the first."""
    if k >= values.shape[1]:
        return np.ones(values.shape, np.bool_)
    least = np.partition(-values, k - 1, axis=1)[:, k - 1 : k]
    chosen: Bools = -values <= least
    tied = np.flatnonzero(chosen.sum(axis=1) != k)  # or the k-th is NaN
    if len(tied):
        best = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
        chosen[tied] = False
        chosen[tied[:, np.newaxis], best] = True
    return chosen


def contrasted(logits: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return logits (n, t) where each tag of a group has lost by how much its likeliest rival is ahead of it."""
    result = logits.copy() if groups else logits
    for group in groups:
        places = list(group)
        best = logits[:, places].max(axis=1, keepdims=True)
        result[:, places] -= best - logits[:, places]
    return result


def places_of(groups: Sequence[Group], names: Sequence[str], rule: str) -> tuple[tuple[int, ...], ...]:
    """Return the groups of one rule, as places of their tags."""
    return tuple(tuple(names.index(tag) for tag in group.tags) for group in groups if group.rule == rule)


@dataclass(frozen=True, kw_only=True, slots=True)
class TagOptions:
    """How scores shall become tags; None: as in the last tagging with the vocabulary, or the default."""

    method: Method | None = None
    threshold: float | None = None
    top_k: int | None = None
    fit: Fit = DEFAULT_FIT
    forget_labels: bool = False  # drop what an earlier calibration learnt from labels

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.method is not None and self.method not in get_args(Method):
            raise QueryError(f"no method {self.method!r}: choose of {', '.join(get_args(Method))}")
        if self.fit not in get_args(Fit):
            raise QueryError(f"no fit {self.fit!r}: choose of {', '.join(get_args(Fit))}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise QueryError(f"the threshold is {self.threshold}: choose a probability between 0 and 1")
        if self.top_k is not None and self.top_k < 1:
            raise QueryError(f"top k is {self.top_k}: choose at least 1 tag a photo")

    def method_after(self, before: Method, *, learning: bool) -> Method:
        """Return the method to tag by, after the last one; `learning`: from labels.

        Raises: QueryError: what is asked for has no meaning with it.
        """
        method = self.method or before
        if learning and method not in LEARNING:
            if self.method is not None:
                raise QueryError(f"--method {method} has nothing to learn from labels: leave one of both out")
            method = DEFAULT_METHOD
        if self.top_k is not None and method != "softmax":
            raise QueryError(f"top k is {self.top_k}, which goes with --method softmax: {method} takes a --threshold")
        if self.threshold is not None and method == "softmax":
            raise QueryError(
                f"the threshold is {self.threshold}, and softmax has none: it decides the --top-k likeliest tags"
            )
        return method

    def put_over(self, calibration: Calibration, method: Method) -> Calibration:
        """Return a calibration by a method, with what is asked for here; a threshold stays with its method."""
        kept = calibration.threshold if method == calibration.method else THRESHOLDS[method]
        return replace(
            calibration,
            method=method,
            threshold=self.threshold or kept,
            top_k=self.top_k or calibration.top_k,
        )
