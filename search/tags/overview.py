"""All tags of a vocabulary at once, for pages: counts, histograms, what people said, examples at every threshold.

A tag's photos at another threshold follow from its histogram: where a photo's tags are compared with each other, the
likelier ones are above a threshold as well, so that the threshold does not decide between them.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, Longs
from base.forks import fork_lock
from db.tag_rows import labels_in_turn, labels_stamp
from search.tags.calibration import SURE, Method
from search.tags.drafts import BINS
from search.tags.tagging import Tagging
from search.tags.vocabulary import bare

A_BIN = 6  # examples
SHOWN = 6  # of the surest photos
KEPT = 6  # vocabularies


@dataclass(frozen=True, kw_only=True, slots=True)
class TagLook:
    """One tag in a whole library.

    photos, sure: that have it, as is decided and as people say. yes, no: photos of which people said so. muted: the
    model cannot tell it here; silent: people had no photo get it. histogram: photos that would get it at a threshold
    anywhere below, by probability, in BINS equal bins from 0 to 1, without those that people labelled. others: photos
    that get other tags in its place at any threshold, or none, in the same bins. said_yes, said_no: labelled photos in
    the same bins. examples: of each bin a few photos of the histogram; passed_over: of the others. surest: a
    few photos that have it.
    """

    tag: str
    heading: str
    photos: int
    sure: int
    yes: int
    no: int
    muted: bool
    silent: bool
    histogram: list[int]
    others: list[int]
    said_yes: list[int]
    said_no: list[int]
    examples: list[list[int]]
    passed_over: list[list[int]]
    surest: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularyLook:
    """The tags of a vocabulary in a whole library; untagged: photos with none of them. See TagSummary."""

    key: str
    name: str
    method: Method
    threshold: float
    photos: int
    untagged: int
    unscored: int
    fitted: int  # tags that people's labels taught
    alike: str  # what nearly all photos look like; mostly nothing
    notes: list[str]
    tags: list[TagLook]

    def tag(self, name: str) -> TagLook | None:
        """Return a tag by its name, with or without an article, or None."""
        return next((each for each in self.tags if bare(each.tag) == bare(name)), None)


class Overviews:
    """Looks at vocabularies; the last few are held as long as nothing has changed. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], VocabularyLook] = OrderedDict()
        self._lock = fork_lock()

    def of(self, session: Session, tagging: Tagging) -> VocabularyLook:
        """Return what there is to see of a vocabulary's tags."""
        decision = json.dumps(tagging.calibration.as_json(), sort_keys=True)
        key = (tagging.vocabulary.key, decision, tagging.moment, labels_stamp(session))
        with self._lock:  # whoever asks for the same waits for it
            if key not in self._kept:
                self._kept[key] = look_at(session, tagging)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


class Gathered:
    """What is gathered of t tags, block after block of photos."""

    def __init__(self, tags: int) -> None:
        self.photos = self.untagged = 0
        self.counts, self.sure, self.yes, self.no = np.zeros((4, tags), np.int64)
        self.histogram, self.others, self.said_yes, self.said_no = np.zeros((4, tags, BINS), np.int64)
        self.examples: list[list[list[int]]] = [[[] for _ in range(BINS)] for _ in range(tags)]
        self.passed_over: list[list[list[int]]] = [[[] for _ in range(BINS)] for _ in range(tags)]

    def add(self, ids: Ids, probabilities: Floats, able: Bools, decided: Bools, said: Longs) -> None:
        """Take in photos, ids (n,), with probabilities (n, t); what is decided of them, and would be anywhere below.

        said: (n, t) what people say: 1 yes, 0 no, -1 nothing.
        """
        decided = np.where(said >= 0, said == 1, decided)
        self.photos += len(ids)
        self.untagged += int((~decided.any(axis=1)).sum())
        self.counts += decided.sum(axis=0)
        self.sure += (decided & ((probabilities >= SURE) | (said == 1))).sum(axis=0)
        self.yes += (said == 1).sum(axis=0)
        self.no += (said == 0).sum(axis=0)
        bins = np.full(probabilities.shape, BINS, np.uint8)  # BINS: not scored yet
        known = ~np.isnan(probabilities)
        bins[known] = np.minimum(probabilities[known] * BINS, BINS - 1)
        for tag in range(probabilities.shape[1]):
            free = said[:, tag] < 0
            mine = np.where(able[:, tag] & free, bins[:, tag], BINS)
            self.histogram[tag] += np.bincount(mine, minlength=BINS + 1)[:BINS]
            self.others[tag] += np.bincount(bins[~able[:, tag] & free, tag], minlength=BINS + 1)[:BINS]
            for says, counts in ((1, self.said_yes), (0, self.said_no)):
                counts[tag] += np.bincount(bins[said[:, tag] == says, tag], minlength=BINS + 1)[:BINS]
            keep_examples(self.examples[tag], ids, mine)
            keep_examples(self.passed_over[tag], ids, np.where(able[:, tag] | ~free, BINS, bins[:, tag]))


def keep_examples(kept: list[list[int]], ids: Ids, bins: Longs) -> None:
    """Add photos, ids (n,) with their bins (n,), to those that are kept of each bin, where these are few."""
    wanted = [place for place, photos in enumerate(kept) if len(photos) < A_BIN]
    if not wanted:
        return
    order = np.argsort(bins, kind="stable")
    edges = np.searchsorted(bins[order], np.arange(BINS + 1))
    for place in wanted:
        rows = order[edges[place] : edges[place + 1]]
        if len(rows):
            count = min(A_BIN - len(kept[place]), len(rows))
            spread = np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))
            kept[place] += ids[rows[spread]].tolist()


def look_at(session: Session, tagging: Tagging) -> VocabularyLook:
    """Return what there is to see of a vocabulary's tags, of all photos."""
    calibration, places = tagging.calibration, tagging.vocabulary.places()
    softmax = calibration.method == "softmax"
    anywhere = calibration if softmax else replace(calibration, threshold=0.0)
    gathered, labels_up_to = Gathered(len(tagging.vocabulary.tags)), labels_in_turn(session)
    for columns, scores in tagging.scores():
        ids = columns["photo_id"].to_numpy()
        probabilities = calibration.probabilities(scores)
        able = anywhere.decide(probabilities)
        said = np.full(probabilities.shape, -1, np.int64)
        for label in labels_up_to(int(ids[-1])):
            place, row = places.get(bare(label.tag)), int(np.searchsorted(ids, label.photo_id))
            if place is not None and ids[row] == label.photo_id:
                said[row, place] = label.present
        decided = able if softmax else able & (probabilities >= calibration.threshold)
        gathered.add(ids, probabilities, able, decided, said)
    return VocabularyLook(
        key=tagging.vocabulary.key,
        name=tagging.vocabulary.name,
        method=calibration.method,
        threshold=calibration.threshold,
        photos=gathered.photos,
        untagged=gathered.untagged,
        unscored=tagging.unscored,
        fitted=len(calibration.active_links),
        alike=calibration.alike,
        notes=[*tagging.notes, *filter(None, [tagging.trust])],
        tags=[tag_look(tagging, gathered, place) for place in range(len(tagging.vocabulary.tags))],
    )


def tag_look(tagging: Tagging, gathered: Gathered, place: int) -> TagLook:
    """Return what was gathered of one tag."""
    tag, calibration = tagging.vocabulary.tags[place], tagging.calibration
    likeliest_first = [photo for kept in reversed(gathered.examples[place]) for photo in kept]
    return TagLook(
        tag=tag.name,
        heading=tag.heading,
        photos=int(gathered.counts[place]),
        sure=int(gathered.sure[place]),
        yes=int(gathered.yes[place]),
        no=int(gathered.no[place]),
        muted=bool(calibration.muted[place]),
        silent=place in calibration.silent,
        histogram=gathered.histogram[place].tolist(),
        others=gathered.others[place].tolist(),
        said_yes=gathered.said_yes[place].tolist(),
        said_no=gathered.said_no[place].tolist(),
        examples=gathered.examples[place],
        passed_over=gathered.passed_over[place],
        surest=likeliest_first[: min(SHOWN, int(gathered.counts[place]))],
    )
