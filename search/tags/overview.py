"""All tags of a vocabulary at once, for pages: counts, histograms, what people said, examples at every threshold.

A tag's photos at another threshold follow from its histogram: where a photo's tags are compared with each other, the
likelier ones are above a threshold as well, so that the threshold does not decide between them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, Longs
from base.forks import fork_lock
from db.tag_rows import Label, all_labels
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
    model cannot tell it here; silent: people had no photo get it. taught: how many labels decide it, 0: none.
    histogram: photos that would get it at a threshold anywhere below, by probability, in BINS equal bins from 0 to 1,
    without those that people labelled. others: photos that get other tags in its place at any threshold, or none, in
    the same bins. said_yes, said_no: labelled photos in the same bins. examples: of each bin a few photos of the
    histogram; passed_over: of the others. surest: a few photos that have it.
    """

    tag: str
    heading: str
    photos: int
    sure: int
    yes: int
    no: int
    muted: bool
    silent: bool
    taught: int
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
        self._kept: LRUCache[tuple[object, ...], Gathered] = LRUCache(KEPT)
        self._lock = fork_lock()

    def of(self, session: Session, tagging: Tagging) -> VocabularyLook:
        """Return what there is to see of a vocabulary's tags; after a label only labelled photos are looked at."""
        decision = json.dumps(tagging.calibration.as_json(), sort_keys=True)
        key = (tagging.vocabulary.key, decision, tagging.moment)
        with self._lock:  # whoever asks for the same waits for it
            gathered = self._kept.get(key)
            if gathered is None:
                gathered = self._kept[key] = gathered_of_all(tagging)
        return look_at(tagging, gathered, labelled(tagging, all_labels(session)))


class Gathered:
    """What is gathered of t tags, block after block of photos, as the model sees them."""

    def __init__(self, tags: int) -> None:
        self.photos = self.untagged = 0
        self.counts, self.sure = np.zeros((2, tags), np.int64)
        self.bins = np.zeros((tags, 2, BINS + 1), np.int64)  # of those that may have the tag, 1, and the others, 0
        self.examples: list[list[list[int]]] = [[[] for _ in range(BINS)] for _ in range(tags)]
        self.passed_over: list[list[list[int]]] = [[[] for _ in range(BINS)] for _ in range(tags)]

    def add(self, ids: Ids, probabilities: Floats, able: Bools, decided: Bools) -> None:
        """Take in photos, ids (n,), with probabilities (n, t); what is decided of them, and would be anywhere below."""
        tags = probabilities.shape[1]
        self.photos += len(ids)
        self.untagged += int((~decided.any(axis=1)).sum())
        self.counts += decided.sum(axis=0)
        self.sure += (decided & (probabilities >= SURE)).sum(axis=0)
        codes = np.ascontiguousarray((bins_of(probabilities) + able * np.uint8(BINS + 1)).T)  # (t, n): read by tag
        for tag in range(tags):
            counts = np.bincount(codes[tag], minlength=self.bins[tag].size).reshape(self.bins[tag].shape)
            self.bins[tag] += counts
            keep_examples((self.passed_over[tag], self.examples[tag]), counts, ids, codes[tag])


def bins_of(probabilities: Floats) -> NDArray[np.uint8]:
    """Return in which of BINS equal bins probabilities lie, of the same shape; BINS where they are not known."""
    places: Floats = np.minimum(probabilities * np.float32(BINS), np.float32(BINS - 1))  # 1 is in the last
    places[np.isnan(places)] = BINS
    return places.astype(np.uint8)


def gathered_of_all(tagging: Tagging) -> Gathered:
    """Return what is gathered of all photos."""
    gathered = Gathered(len(tagging.vocabulary.tags))
    for columns, scores in tagging.scores():
        gathered.add(columns["photo_id"].to_numpy(), *model_sees(tagging, scores))
    return gathered


def model_sees(tagging: Tagging, scores: Floats) -> tuple[Floats, Bools, Bools]:
    """Return probabilities (n, t) of scores, which tags a photo would get at a threshold anywhere below, and gets."""
    calibration = tagging.calibration
    probabilities = calibration.probabilities(scores)
    if calibration.method == "softmax":
        decided = calibration.decide(probabilities)
        return probabilities, decided, decided
    decided = calibration.decide(probabilities)
    able = replace(calibration, threshold=0.0).decide(probabilities)
    return probabilities, able | decided, decided  # a tag with a line of its own may win where it is not the likeliest


@dataclass(frozen=True, slots=True)
class Labelled:
    """What people say of n photos: ids (n,); probabilities, able, decided as `model_sees` gives them, (n, t)."""

    ids: Ids
    probabilities: Floats
    able: Bools
    decided: Bools
    said: Longs  # (n, t): 1 yes, 0 no, -1 nothing


def labelled(tagging: Tagging, labels: Iterable[Label]) -> Labelled:
    """Return what people say of a vocabulary's tags, of photos that can be found."""
    places = tagging.vocabulary.places()
    known: dict[int, list[tuple[int, bool]]] = {}
    for label in labels:
        if (place := places.get(bare(label.tag))) is not None:
            known.setdefault(label.photo_id, []).append((place, label.present))
    ids = np.array(sorted(known), np.int64)
    parts = [(c["photo_id"].to_numpy(), s) for c, s in (tagging.scores(ids=ids.tolist()) if len(ids) else ())]
    ids = np.concatenate([np.empty(0, np.int64), *(part for part, _ in parts)])
    scores = np.concatenate([part for _, part in parts]) if parts else tagging.scores_by_id(ids)
    said = np.full((len(ids), len(places)), -1, np.int64)
    for row, photo_id in enumerate(ids.tolist()):
        for place, present in known[photo_id]:
            said[row, place] = present
    return Labelled(ids, *model_sees(tagging, scores), said)


def keep_examples(kept: Sequence[list[list[int]]], counts: Longs, ids: Ids, codes: NDArray[np.uint8]) -> None:
    """Add photos to those that are kept of each bin, where these are few, spread over the block.

    Args:
        kept: photos by bin, of those that may not have the tag, and of those that may.
        counts: how many there are of each, (2, BINS + 1).
        ids: (n,).
        codes: the bins, with BINS + 1 more where a photo may have the tag, (n,).
    """
    wanted = [(may, place) for may, place in np.argwhere(counts[:, :BINS]).tolist() if len(kept[may][place]) < A_BIN]
    if not wanted:
        return
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(counts.ravel())
    for may, place in wanted:
        end, there = ends[may * (BINS + 1) + place], int(counts[may, place])
        count = min(A_BIN - len(kept[may][place]), there)
        rows = order[end - there + np.arange(count) * there // count]
        kept[may][place] += ids[rows].tolist()


def look_at(tagging: Tagging, gathered: Gathered, people: Labelled) -> VocabularyLook:
    """Return what there is to see of a vocabulary's tags: what the model sees, and what people say put over it."""
    calibration = tagging.calibration
    after = np.where(people.said >= 0, people.said == 1, people.decided)
    freed = int((~after.any(axis=1)).sum()) - int((~people.decided.any(axis=1)).sum())
    return VocabularyLook(
        key=tagging.vocabulary.key,
        name=tagging.vocabulary.name,
        method=calibration.method,
        threshold=calibration.threshold,
        photos=gathered.photos,
        untagged=gathered.untagged + freed,
        unscored=tagging.unscored,
        fitted=len(calibration.active_links),
        alike=calibration.alike,
        notes=[*tagging.notes, *filter(None, [tagging.trust])],
        tags=[tag_look(tagging, gathered, people, place) for place in range(len(tagging.vocabulary.tags))],
    )


def tag_look(tagging: Tagging, gathered: Gathered, people: Labelled, place: int) -> TagLook:
    """Return what was gathered of one tag, what people say of it put over that."""
    tag, calibration = tagging.vocabulary.tags[place], tagging.calibration
    said, has = people.said[:, place], people.decided[:, place]
    bins = bins_of(people.probabilities[:, place])
    yes, no, told = said == 1, said == 0, said >= 0
    others, mine = (
        gathered.bins[place, able] - counted_bins(bins[told & (people.able[:, place] == bool(able))]) for able in (0, 1)
    )
    surely = has & (people.probabilities[:, place] >= SURE)
    count = int(gathered.counts[place] - (has & told).sum() + yes.sum())
    known = set(people.ids[told].tolist())
    examples = [[photo for photo in photos if photo not in known] for photos in gathered.examples[place]]
    likeliest_first = [photo for kept in reversed(examples) for photo in kept]
    return TagLook(
        tag=tag.name,
        heading=tag.heading,
        photos=count,
        sure=int(gathered.sure[place] - (surely & told).sum() + yes.sum()),
        yes=int(yes.sum()),
        no=int(no.sum()),
        muted=bool(calibration.muted[place]),
        silent=place in calibration.silent,
        taught=link.labels if (link := calibration.active_links.get(place)) else 0,
        histogram=mine[:BINS].tolist(),
        others=others[:BINS].tolist(),
        said_yes=counted_bins(bins[yes])[:BINS].tolist(),
        said_no=counted_bins(bins[no])[:BINS].tolist(),
        examples=examples,
        passed_over=[[photo for photo in photos if photo not in known] for photos in gathered.passed_over[place]],
        surest=[*people.ids[yes].tolist(), *likeliest_first][: min(SHOWN, count)],
    )


def counted_bins(bins: NDArray[np.uint8]) -> Longs:
    """Return how many photos lie in each of BINS bins, and behind them in none, (BINS + 1,)."""
    return np.bincount(bins, minlength=BINS + 1)
