"""Labelling photo by photo: which comes next, and what the labels so far would decide. Keeps no label itself."""

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, Longs
from base.errors import QueryError
from base.forks import fork_lock
from db.photo_rows import hashes_of, read_photo_ids
from db.tag_rows import labels_of, labels_of_tag
from search.tags.calibration import LEARNING
from search.tags.choosing import MOST_KNOWN, Choosable, lot, narrowed, next_photos
from search.tags.gains import LabelGain, gain_of
from search.tags.tagging import Tagging
from search.tags.truth import Truth, all_said
from search.tags.vocabulary import bare

LEASE_S = 900.0  # for which a photo that one tab shows is shown by no other
MOST_LEASES = 10_000  # of a tag
KEPT = 3  # tags whose photos are held
AT_ONCE = 50_000  # photos up to which every label is learnt from at once; of more, ten at a time
STEP = 10  # labels after which it is said what they brought
LOOKED_AT = 20_000  # photos, drawn by lot, of which all tags are computed
SHOWN = 20  # tags of a photo that a person is asked about: of more, the likeliest
WHOLE = ""  # stands for all tags where the others are named

Said = Mapping[int, bool]


class AskedPhoto(NamedTuple):
    """A photo that somebody is asked about, and the tag's probability there, by the labels so far."""

    photo_id: int
    probability: float


class AskedTag(NamedTuple):
    """A tag of a photo that somebody is asked about; said: what a person has said of it before, or None."""

    tag: str
    probability: float
    said: bool | None


class AskedWhole(NamedTuple):
    """A photo of which somebody is asked what it shows, and the tags that are asked about."""

    photo_id: int
    tags: list[AskedTag]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelState:
    """What the labels of a tag say so far.

    yes, no: labelled photos of the library. taught: how many labels the tag is decided by now; 0: by its prompts.
    threshold: the probability from which the vocabulary's tags are decided. photos: how many have at least that now.
    photos_taught: how many would have it after `aliens tag --calibrate labels`. expected: the share of these that is
    right, by the same probabilities; None where there are no labels, or none would have it. brought: what the labels
    brought, every ten of them.
    """

    vocabulary: str
    tag: str
    yes: int
    no: int
    taught: int
    threshold: float
    photos: int
    photos_taught: int
    expected: float | None
    brought: LabelGain | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeState:
    """What the labels of whole photos say so far.

    photos: of which enough tags are labelled. yes, no: labels of the vocabulary's tags. tags: how many tags a photo is
    asked about. taught: how many tags are decided by labels now. brought: what the labels brought, every ten photos.
    """

    vocabulary: str
    photos: int
    yes: int
    no: int
    tags: int
    taught: int
    brought: LabelGain | None


@dataclass(slots=True)
class Photos:
    """Photos that may be asked about: ids (n,), and chances, (n,) of one tag or (n, t) of all, after some labels.

    now: of one tag, how many have it by the tags as they are. said: the labels that they were learnt from. line: of one
    tag, the chance from which photos would have it.
    """

    ids: Ids
    chances: Floats
    said: frozenset[Hashable]
    now: int = 0
    line: float = 1.0


@dataclass(slots=True)
class Lent:
    """Photos of a tag that tabs show: {photo id: (tab, until)}, and those that somebody passed over."""

    photos: dict[int, tuple[str, float]] = field(default_factory=dict)
    skipped: dict[int, None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leases:
    """Photos that any process asks about, kept beside the library: {tag: {photo id: (tab, until when)}}."""

    photos: dict[str, dict[int, tuple[str, float]]] = field(default_factory=dict)

    def of_others(self, name: str, tab: str, now_s: float) -> set[int]:
        """Return the photos that other tabs ask about."""
        lent = self.photos.get(name, {})
        return {photo_id for photo_id, (holder, until_s) in lent.items() if holder != tab and until_s > now_s}

    def with_mine(self, name: str, tab: str, photo_ids: Sequence[int], now_s: float) -> "Leases":
        """Return them with what a tab asks about now, and without what is over."""
        kept = {
            tag: {i: held for i, held in lent.items() if held[1] > now_s and not (tag == name and held[0] == tab)}
            for tag, lent in self.photos.items()
        }
        kept[name] = {**kept.get(name, {}), **{photo_id: (tab, now_s + LEASE_S) for photo_id in photo_ids}}
        return Leases(photos={tag: lent for tag, lent in kept.items() if lent})

    def without(self, tab: str) -> "Leases":
        """Return them without those of a tab that has ended."""
        kept = {tag: {i: held for i, held in lent.items() if held[0] != tab} for tag, lent in self.photos.items()}
        return Leases(photos={tag: lent for tag, lent in kept.items() if lent})


class LabellingDesk:
    """Hands out photos to label; each to one tab at a time. Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._photos: LRUCache[Hashable, Photos] = LRUCache(KEPT)
        self._brought: LRUCache[Hashable, tuple[frozenset[Hashable], LabelGain]] = LRUCache(KEPT)
        self._lent: dict[str, Lent] = {}
        self._lock = fork_lock()

    def ask(
        self,
        session: Session,
        tagging: Tagging,
        tag: str,
        *,
        tab: str,
        count: int,
        skipped: Sequence[int] = (),
        elsewhere: Collection[int] = (),
    ) -> tuple[list[AskedPhoto], LabelState]:
        """Return up to `count` photos to label next, and what the labels say so far.

        A photo that nobody has labelled, that no other tab shows, and that was not passed over; those first that this
        tab was given before and has not labelled. `skipped`: photos that this tab passes over now; `elsewhere`: that
        other processes ask about.

        Raises: QueryError: the vocabulary has no such tag, or no photo can be labelled.
        """
        place = tagging.vocabulary.position(tag)
        said = {label.photo_id: label.present for label in labels_of_tag(session, bare(tag))}
        photos = self._of_tag(tagging, place, said)
        given = self._give(session, tagging, bare(tag), photos, set(said), tab, count, skipped, elsewhere)
        rows = np.searchsorted(photos.ids, np.array(given, np.int64))
        asked = [AskedPhoto(i, round(float(photos.chances[row]), 4)) for i, row in zip(given, rows, strict=True)]
        return asked, self._tag_state(tagging, place, photos, said)

    def ask_whole(
        self,
        session: Session,
        tagging: Tagging,
        *,
        tab: str,
        count: int,
        skipped: Sequence[int] = (),
        elsewhere: Collection[int] = (),
    ) -> tuple[list[AskedWhole], WholeState]:
        """Return up to `count` photos to label as a whole, and what the labels say so far; the rest as `ask`.

        A photo is labelled as a whole once as many of its tags are as a person is asked about.

        Raises: QueryError: no photo can be labelled.
        """
        truth = all_said(session, tagging.vocabulary)
        silent = set(tagging.calibration.silent)
        asked_tags = np.array([place for place in range(len(tagging.vocabulary.tags)) if place not in silent])
        wanted = min(len(asked_tags), SHOWN)
        known = ~np.isnan(truth.values)
        done = {i for i, of in zip(truth.photo_ids, known.sum(axis=1).tolist(), strict=True) if wanted and of >= wanted}
        said = facts_said(truth)
        photos = self._of_all(tagging, truth, said)
        given = self._give(session, tagging, WHOLE, photos, done, tab, count, skipped, elsewhere)
        state = WholeState(
            vocabulary=tagging.vocabulary.key,
            photos=len(done),
            yes=int((truth.values == 1).sum()),
            no=int((truth.values == 0).sum()),
            tags=wanted,
            taught=len(tagging.calibration.active_links),
            brought=self._after_steps(tagging, WHOLE, len(done), truth, said),
        )
        return asked_of_whole(session, tagging, photos, given, asked_tags), state

    def gain(self, session: Session, tagging: Tagging, tag: str | None = None) -> LabelGain:
        """Return what the labels of a tag brought, or those of all tags.

        Raises: QueryError: there is no such tag, or labels teach nothing by the method.
        """
        refuse_unteachable(tagging)
        truth = all_said(session, tagging.vocabulary)
        return gain_of(tagging, truth if tag is None else of_tag(truth, tagging.vocabulary.position(tag)))

    def take_back(self, tag: str | None, photo_id: int, tab: str) -> None:
        """Give a tab a photo again whose label or passing over it has taken back; None: of all tags."""
        with self._lock:
            lent = self._lent.setdefault(WHOLE if tag is None else bare(tag), Lent())
            lent.skipped.pop(photo_id, None)
            lent.photos.pop(photo_id, None)
            lent.photos = {photo_id: (tab, self._clock() + LEASE_S), **lent.photos}

    def _give(
        self,
        session: Session,
        tagging: Tagging,
        name: str,
        photos: Photos,
        done: set[int],
        tab: str,
        count: int,
        skipped: Sequence[int],
        elsewhere: Collection[int],
    ) -> list[int]:
        """Return the photos that a tab is given: those that it has, and others."""
        with self._lock:
            lent = self._lent.setdefault(name, Lent())
            lent.skipped |= dict.fromkeys(photos.ids[np.isin(photos.ids, [*skipped])].tolist())  # of the library
            now, here = self._clock(), photos.ids
            lent.photos = {
                i: held
                for i, held in lent.photos.items()
                if held[1] > now and i not in done and i not in lent.skipped and is_among(here, i)
            }
            mine = [photo_id for photo_id, (holder, _) in lent.photos.items() if holder == tab][:count]
            free = ~np.isin(photos.ids, [*done, *lent.skipped, *lent.photos, *elsewhere])
            new: list[int] = []
            if count > len(mine):
                known = [*sorted(done), *lent.photos]
                wanted = WantedPhotos(count - len(mine), turn=len(done) + len(mine), beside=mine)
                new = different(session, tagging, photos, free, known, wanted)
            for photo_id in (*mine, *new):
                if len(lent.photos) < MOST_LEASES or photo_id in lent.photos:
                    lent.photos[photo_id] = (tab, now + LEASE_S)
        return [*mine, *new]

    def _of_tag(self, tagging: Tagging, place: int, said: Said) -> Photos:
        """Return all photos by a tag, as its labels teach it."""

        def learn() -> Photos:
            truth = Truth(list(said), np.full((len(said), len(tagging.vocabulary.tags)), np.nan, np.float32))
            truth.values[:, place] = list(said.values())
            ids, now = chances_of(tagging, place)
            decided = int((now >= tagging.calibration.lines[place]).sum())
            by_labels = taught(tagging, truth) if said else tagging
            chances = chances_of(by_labels, place)[1] if said else now
            line = float(by_labels.calibration.lines[place])
            return Photos(ids, chances, frozenset(said.items()), decided, line)

        return self._learnt((place, *moment_of(tagging)), frozenset(said.items()), len(tagging), learn)

    def _of_all(self, tagging: Tagging, truth: Truth, said: frozenset[Hashable]) -> Photos:
        """Return photos drawn by lot, by all tags, as the labels teach them."""

        def learn() -> Photos:
            by_labels = taught(tagging, truth) if said else tagging
            ids = tagging.ids
            if len(ids) > LOOKED_AT:
                drawn = np.argpartition(lot(ids), LOOKED_AT - 1)[:LOOKED_AT]
                ids = ids[np.sort(drawn)]
            scores = by_labels.scores_by_id(ids)
            scored = ~np.isnan(scores[:, 0])
            return Photos(ids[scored], by_labels.calibration.probabilities(scores[scored]), said)

        photos = len(tagging) * max(len(tagging.vocabulary.tags) // SHOWN, 1)
        return self._learnt((WHOLE, *moment_of(tagging)), said, photos, learn)

    def _learnt(self, key: Hashable, said: frozenset[Hashable], photos: int, learn: Callable[[], Photos]) -> Photos:
        """Return photos as labels teach them: those of now, or where that takes long, of a few labels before."""
        with self._lock:
            held = self._photos.get(key)
            news = None if held is None else len(said ^ held.said)
            if held is None or (news and (photos <= AT_ONCE or news >= STEP)):
                held = self._photos[key] = learn()
            return held

    def _tag_state(self, tagging: Tagging, place: int, photos: Photos, said: Said) -> LabelState:
        calibration = tagging.calibration
        link = calibration.active_links.get(place)
        here = {photo_id: present for photo_id, present in said.items() if is_among(photos.ids, photo_id)}
        chosen = photos.chances[photos.chances >= photos.line]
        learns = bool(here) and calibration.method in LEARNING
        truth = Truth(list(here), np.full((len(here), calibration.tags), np.nan, np.float32), source="labels")
        truth.values[:, place] = list(here.values())
        return LabelState(
            vocabulary=tagging.vocabulary.key,
            tag=tagging.vocabulary.names[place],
            yes=sum(here.values()),
            no=len(here) - sum(here.values()),
            taught=link.labels if link else 0,
            threshold=calibration.threshold,
            photos=photos.now,
            photos_taught=len(chosen),
            expected=round(float(chosen.mean()), 4) if learns and len(chosen) else None,
            brought=self._after_steps(tagging, place, len(here), truth, frozenset(here.items())),
        )

    def _after_steps(
        self, tagging: Tagging, name: Hashable, done: int, truth: Truth, said: frozenset[Hashable]
    ) -> LabelGain | None:
        """Return what labels brought, as it was after the last ten; `said`: each of them, as `truth` has it."""
        if done < STEP or tagging.calibration.method not in LEARNING:
            return None
        key = (name, done // STEP, *moment_of(tagging))
        with self._lock:
            if key not in self._brought or not self._brought[key][0] <= said:  # some were taken back since
                self._brought[key] = said, gain_of(tagging, truth)
            return self._brought[key][1]


def refuse_unteachable(tagging: Tagging) -> None:
    """Raises: QueryError: tags are decided by a method that labels do not teach."""
    key, method = tagging.vocabulary.key, tagging.calibration.method
    if method not in LEARNING:
        raise QueryError(
            f"the tags of {key} are decided by the method {method}, which labels do not teach: run `aliens tag "
            f"--vocabulary {key} --method signal --calibrate labels`"
        )


def moment_of(tagging: Tagging) -> tuple[Hashable, ...]:
    """Return what tells a vocabulary's scores and decisions from those at another moment."""
    calibration = tagging.calibration
    decided = (calibration.method, calibration.threshold, calibration.labels_key, calibration.directions_key)
    return (tagging.vocabulary.key, *decided, calibration.mean.tobytes(), tagging.moment)


def is_among(ids: Ids, photo_id: int) -> bool:
    """Tell whether a number is one of ascending ones."""
    at = int(np.searchsorted(ids, photo_id))
    return at < len(ids) and int(ids[at]) == photo_id


def facts_said(truth: Truth) -> frozenset[Hashable]:
    """Return what is known of single tags of photos: (photo id, the tag's place, whether it has it)."""
    rows, places = np.nonzero(~np.isnan(truth.values))
    has = truth.values[rows, places] == 1
    return frozenset(
        (truth.photo_ids[row], place, yes)
        for row, place, yes in zip(rows.tolist(), places.tolist(), has.tolist(), strict=True)
    )


def of_tag(truth: Truth, place: int) -> Truth:
    """Return what is known of one tag, of the photos of which it is."""
    known = np.flatnonzero(~np.isnan(truth.values[:, place]))
    values = np.full((len(known), truth.values.shape[1]), np.nan, np.float32)
    values[:, place] = truth.values[known, place]
    return replace(truth, photo_ids=[truth.photo_ids[int(row)] for row in known], values=values)


def taught(tagging: Tagging, truth: Truth) -> Tagging:
    """Return the same scores, decided as after learning from labels, where the method can."""
    return tagging.taught_by(truth) if tagging.calibration.method in LEARNING else tagging


def chances_of(tagging: Tagging, place: int) -> tuple[Ids, Floats]:
    """Return all photos that have scores, ascending (n,), and a tag's probabilities there, (n,)."""
    involved = tagging.calibration.with_rivals(place)
    if tagging.calibration.method == "softmax":  # shares of all tags
        involved = list(dict.fromkeys([place, *range(len(tagging.vocabulary.tags))]))
    ids, scores = tagging.column(involved)
    return ids, tagging.calibration.only(involved).probabilities(scores)[:, 0]


class WantedPhotos(NamedTuple):
    """How many photos are wanted, after how many that were asked about, and beside which."""

    photos: int
    turn: int
    beside: Sequence[int]


def different(
    session: Session, tagging: Tagging, photos: Photos, free: Bools, known: Sequence[int], wanted: WantedPhotos
) -> list[int]:
    """Return photos to ask about, of those that are free, (n,), unlike those that are known: see search.tags.choosing.

    Raises: QueryError: there are photos, but none whose bytes were read.
    """
    near = narrowed(photos.ids, photos.chances, free)
    places = near[np.isin(photos.ids[near], [*hashes_of(session, photos.ids[near].tolist())])]
    if len(near) and not len(places):  # few of the library's were read: to look for them part by part takes minutes
        read = np.fromiter(read_photo_ids(session), np.int64)
        places = narrowed(photos.ids, photos.chances, free & np.isin(photos.ids, read))
    if free.any() and not len(places):
        raise QueryError(
            "these photos' files were never read, and a label belongs to a file's bytes: run `aliens add` on their "
            "folders first"
        )
    ids = photos.ids[places]
    pool = Choosable(ids, photos.chances[places], tagging.vectors(ids), tagging.groups_of(ids.tolist()))
    all_ids = tagging.ids  # of labelled photos some may not be among those drawn by lot
    before = np.array([photo_id for photo_id in known if is_among(all_ids, photo_id)][-MOST_KNOWN:], np.int64)
    met = tagging.groups_of(wanted.beside)
    chosen = next_photos(pool, tagging.vectors(before), wanted.photos, turn=wanted.turn, met=met)
    return [int(photo_id) for photo_id in ids[chosen]]


def asked_of_whole(
    session: Session, tagging: Tagging, photos: Photos, given: Sequence[int], places: Longs
) -> list[AskedWhole]:
    """Return photos with the tags that a person is asked about; of many tags those that were said, and the likeliest.

    Few tags stand in their vocabulary's order, so that each has its place on every photo.
    """
    names = tagging.vocabulary.names
    said: dict[int, dict[str, bool]] = {}
    for label in labels_of(session, list(given)):
        said.setdefault(label.photo_id, {})[bare(label.tag)] = label.present
    asked = []
    for photo_id in given:
        chances = photos.chances[int(np.searchsorted(photos.ids, photo_id))]
        mine = said.get(photo_id, {})
        shown = places.tolist()
        if len(shown) > SHOWN:
            shown = sorted(shown, key=lambda place: (bare(names[place]) not in mine, -float(chances[place])))[:SHOWN]
            shown.sort(key=lambda place: -float(chances[place]))
        tags = [
            AskedTag(names[place], round(float(chances[place]), 4), mine.get(bare(names[place]))) for place in shown
        ]
        asked.append(AskedWhole(photo_id, tags))
    return asked
