"""Labelling a tag photo by photo: which comes next, and what the labels so far say. Keeps no label itself."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids
from base.forks import fork_lock
from db.tag_rows import labels_of_tag
from search.tags.calibration import LEARNING, Calibration
from search.tags.links import FEWEST, Link, fit_links
from search.tags.tagging import Tagging
from search.tags.vocabulary import bare

LEASE_S = 900.0  # for which a photo that one tab shows is shown by no other
MOST_LEASES = 10_000  # of a tag
NEAR = 400  # photos on each side of the line that are looked through for different ones
ALIKE = 0.985  # cosine from which two photos are nearly the same picture
KEPT = 3  # tags whose photos are held in order
FAR_EVERY = 4  # every so many photos one from farther away, so that a curve can be fitted
GOLDEN = 0.618_033_988_75  # spreads places evenly, however many there are


class AskedPhoto(NamedTuple):
    """A photo that somebody is asked about, and the tag's probability there."""

    photo_id: int
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelState:
    """What the labels of a tag say so far.

    yes, no: labelled photos of the library. threshold: the probability from which the vocabulary's tags are decided.
    photos: how many have a probability of at least that. right: how many of the labelled ones there have the tag, of
    `judged`. suggested: the probability from which the tag would be decided after `aliens tag --calibrate labels`;
    None before there are FEWEST labels of each kind, or where they contradict the model. photos_suggested: how many
    photos that would be. expected: the share of these that is right, by the same curve.
    """

    vocabulary: str
    tag: str
    yes: int
    no: int
    threshold: float
    photos: int
    right: int
    judged: int
    suggested: float | None = None
    photos_suggested: int = 0
    expected: float | None = None
    fewest: int = FEWEST["platt"]


@dataclass(slots=True)
class Ordered:
    """All photos by a tag's probability, the likeliest first: ids (n,), logits (n,), probabilities (n,)."""

    ids: Ids
    logits: Floats
    probabilities: Floats

    @classmethod
    def of(cls, tagging: Tagging, place: int) -> "Ordered":
        """Return the photos by a tag of a vocabulary."""
        involved = tagging.calibration.with_rivals(place)
        if tagging.calibration.method == "softmax":  # shares of all tags
            involved = list(dict.fromkeys([place, *range(len(tagging.vocabulary.tags))]))
        own = tagging.calibration.only(involved)
        ids, scores = tagging.column(involved)
        logits, probabilities = own.logits(scores)[:, 0], own.probabilities(scores)[:, 0]
        order = np.lexsort((ids, -scores[:, 0], -logits, -probabilities))  # of a mute tag the cosine is what is left
        return cls(ids[order], logits[order], probabilities[order])

    def from_probability(self, probability: float) -> int:
        """Return how many photos have at least a probability."""
        return int((self.probabilities >= probability).sum())


@dataclass(slots=True)
class Lent:
    """Photos of a tag that tabs show: {photo id: (tab, until)}, and those that somebody passed over."""

    photos: dict[int, tuple[str, float]] = field(default_factory=dict)
    skipped: dict[int, None] = field(default_factory=dict)


class LabellingDesk:
    """Hands out photos to label; each to one tab at a time. Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ordered: OrderedDict[tuple[object, ...], Ordered] = OrderedDict()
        self._lent: dict[str, Lent] = {}
        self._lock = fork_lock()

    def ask(
        self, session: Session, tagging: Tagging, tag: str, *, tab: str, count: int, skipped: Sequence[int] = ()
    ) -> tuple[list[AskedPhoto], LabelState]:
        """Return up to `count` photos to label next, and what the labels say so far.

        A photo that nobody has labelled, that no other tab shows, and that was not passed over; those first that this
        tab was given before and has not labelled. `skipped`: photos that this tab passes over now.

        Raises: QueryError: the vocabulary has no such tag.
        """
        place = tagging.vocabulary.position(tag)
        ordered = self._order(tagging, place)
        said = {label.photo_id: label.present for label in labels_of_tag(session, bare(tag))}
        state, line = judged(tagging, place, ordered, said)
        with self._lock:
            lent = self._lent.setdefault(bare(tag), Lent())
            lent.skipped |= dict.fromkeys(ordered.ids[np.isin(ordered.ids, [*skipped])].tolist())  # of the library
            now = self._clock()
            lent.photos = {
                i: held for i, held in lent.photos.items() if held[1] > now and i not in said and i not in lent.skipped
            }
            known = np.isin(ordered.ids, [*said, *lent.skipped, *lent.photos])
            mine = [photo_id for photo_id, (holder, _) in lent.photos.items() if holder == tab][:count]
            new = different(tagging, ordered, known, line, count - len(mine), len(said)) if count > len(mine) else []
            for photo_id in (*mine, *new):
                if len(lent.photos) < MOST_LEASES or photo_id in lent.photos:
                    lent.photos[photo_id] = (tab, now + LEASE_S)
        rows = np.flatnonzero(np.isin(ordered.ids, [*mine, *new]))
        chances = dict(zip(ordered.ids[rows].tolist(), ordered.probabilities[rows].tolist(), strict=True))
        return [AskedPhoto(each, round(chances[each], 4)) for each in (*mine, *new) if each in chances], state

    def take_back(self, tag: str, photo_id: int, tab: str) -> None:
        """Give a tab a photo again whose label or passing over it has taken back."""
        with self._lock:
            lent = self._lent.setdefault(bare(tag), Lent())
            lent.skipped.pop(photo_id, None)
            lent.photos.pop(photo_id, None)
            lent.photos = {photo_id: (tab, self._clock() + LEASE_S), **lent.photos}

    def _order(self, tagging: Tagging, place: int) -> Ordered:
        key = (tagging.vocabulary.key, place, repr(tagging.calibration.as_json()), tagging.moment)
        with self._lock:
            if key not in self._ordered:
                self._ordered[key] = Ordered.of(tagging, place)
            self._ordered.move_to_end(key)
            while len(self._ordered) > KEPT:
                self._ordered.popitem(last=False)
            return self._ordered[key]


def judged(tagging: Tagging, place: int, ordered: Ordered, said: dict[int, bool]) -> tuple[LabelState, int]:
    """Return what labels say of a tag, and the place in the order where photos are asked about first."""
    calibration, name = tagging.calibration, tagging.vocabulary.names[place]
    labelled = np.array(sorted(said), np.int64)
    rows = np.flatnonzero(np.isin(ordered.ids, labelled))
    truth = np.array([said[photo_id] for photo_id in ordered.ids[rows].tolist()], bool)
    line = ordered.from_probability(calibration.threshold)
    above = rows < line
    state = LabelState(
        vocabulary=tagging.vocabulary.key,
        tag=name,
        yes=int(truth.sum()),
        no=int((~truth).sum()),
        threshold=calibration.threshold,
        photos=line,
        right=int(truth[above].sum()),
        judged=int(above.sum()),
    )
    link = learnt(calibration, ordered.logits[rows], truth)
    if link is None:
        return state, line
    chances = link(ordered.logits)
    line = int((chances >= calibration.threshold).sum())
    return replace(
        state,
        suggested=round(between(ordered.probabilities, line), 4),
        photos_suggested=line,
        expected=round(float(chances[:line].mean()), 4) if line else None,
    ), line


def learnt(calibration: Calibration, logits: Floats, truth: Bools) -> Link | None:
    """Return what `aliens tag --calibrate labels` would learn of a tag, or None where it would learn nothing."""
    if calibration.method not in LEARNING:
        return None
    return fit_links(logits[:, np.newaxis], truth[:, np.newaxis].astype(np.float32), "platt").get(0)


def between(probabilities: Floats, line: int) -> float:
    """Return the probability in the middle between those of the photos just before and behind a place."""
    sides = probabilities[max(line - 1, 0) : line + 1]
    return float(sides.mean()) if len(sides) else 0.0


def different(tagging: Tagging, ordered: Ordered, known: Bools, line: int, count: int, labelled: int) -> list[int]:
    """Return photos to ask about: nearest the line, on both sides in turn, some from farther away; no two alike."""
    free = np.flatnonzero(~known)
    at = int(np.searchsorted(free, line))
    places = list(turns(len(free), at, labelled))[: NEAR * 2]
    if not places:
        return []
    chosen: list[int] = []
    vectors = tagging.vectors(ordered.ids[free[places]])
    for number in range(len(places)):
        if len(chosen) == count:
            break
        if not chosen or float((vectors[chosen] @ vectors[number]).max()) < ALIKE:
            chosen.append(number)
    rest = (number for number in range(len(places)) if number not in chosen)  # copies at last, where nothing else is
    chosen += [number for number, _ in zip(rest, range(count - len(chosen)), strict=False)]
    return [int(ordered.ids[free[places[number]]]) for number in chosen]


def turns(n: int, line: int, labelled: int) -> Iterator[int]:
    """Yield places of n, nearest a line first, above and below it in turn, now and then one from farther away.

    The farther ones are spread over the best photos, twice as many as are above the line.
    """
    given: set[int] = set()
    reach = min(max(2 * line, 50), n)
    above, below, turn = line - 1, line, labelled
    while len(given) < min(n, 2 * NEAR):
        turn += 1
        if turn % FAR_EVERY == 0:
            place = int(reach * ((turn // FAR_EVERY * GOLDEN) % 1))
        elif (turn % 2 == 0 and above >= 0) or below >= n:
            place, above = above, above - 1
        else:
            place, below = below, below + 1
        if 0 <= place < n and place not in given:
            given.add(place)
            yield place
