"""Drafts of tags: what `aliens tag` would decide of all photos if a vocabulary were saved as it is thought of."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from cachetools import LRUCache
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Halves, Ids, Longs
from base.forks import fork_lock
from db.catalog import Catalog
from db.tag_rows import find_tagging
from db.vector_rows import EmbeddedRows
from embedding.encoder import Encoder
from embedding.index.exact import all_cosines
from embedding.scores import background_scores
from embedding.segments import SegmentStore, Vectors
from search.tags.calibration import DEFAULT_METHOD, SURE, Calibration, Statistics, TagOptions
from search.tags.tagging import EMPTY, Tagging, most_tags, standardised, text_vectors
from search.tags.trust import noise_and_kind
from search.tags.vocabulary import Tag, Vocabulary

BINS = 64  # of a histogram of probabilities: 0.5 is an edge
EXAMPLES = 12  # photos of each kind
KEPT_TEXTS = 2_000  # vectors of tags
KEPT_COLUMNS = 8  # of cosines of all photos: 2.2 MB each at a million photos
AT_ONCE = 16_384  # photos whose tags are all compared at a time

Side = Literal["surest", "above", "below"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftLook:
    """What a tag would do in a library.

    photos: of the library. decided, sure: how many would get the tag, and how many of them surely. threshold: the
    probability from which. signal: the share of its variance that words without meaning do not explain, 0 to 1; muted:
    whether it is so little that the model cannot tell the tag here. histogram: photos by probability, in BINS equal
    bins from 0 to 1; others: those above the threshold that get likelier tags in its place, or none. examples: ids of
    photos: the surest, those that just get it, and those that just do not.
    """

    vocabulary: Vocabulary
    tag: str
    photos: int
    decided: int
    sure: int
    threshold: float
    signal: float
    muted: bool
    silent: bool
    histogram: list[int]
    others: list[int]
    examples: dict[Side, list[int]]


@dataclass(slots=True)
class Kept:
    """What is known of one moment of a library's vectors: cosines by text, and what they were compared with.

    background: how well photos fit each background, (n,), in the order of `ids`.
    """

    vectors: Vectors
    ids: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    columns: LRUCache[bytes, Halves] = field(default_factory=lambda: LRUCache(KEPT_COLUMNS))
    background: dict[tuple[str, ...], Floats] = field(default_factory=dict)
    noise: tuple[float, str] | None = None
    statistics: dict[str, Statistics] = field(default_factory=dict)


class DraftBoard:
    """Looks at drafts of tags; threads may share it. It holds what consecutive drafts have in common."""

    def __init__(self, catalog: Catalog, store: SegmentStore) -> None:
        self._catalog = catalog
        self._store = store
        self._kept: Kept | None = None
        self._texts: LRUCache[tuple[tuple[str, ...], tuple[str, ...]], Floats] = LRUCache(KEPT_TEXTS)
        self._lock = fork_lock()

    def look(
        self,
        session: Session,
        encoder: Encoder,
        vocabulary: Vocabulary,
        name: str,
        *,
        base: Vocabulary,
        threshold: float | None = None,
    ) -> DraftLook:
        """Return what a tag of a vocabulary would do, by the default method and without labels.

        base: the vocabulary that this one was made of: what the library knows of its tags is not computed again.

        Raises: LibraryError: a part of the vectors is absent or damaged.
        """
        moment = Moment(self, session, encoder, self._now(session), vocabulary, base)
        place = vocabulary.position(name)
        calibration = moment.calibration(threshold)
        involved = calibration.with_rivals(place)
        cosines, own = moment.cosines(involved), calibration.only(involved)
        probabilities = own.probabilities(with_background(cosines, moment.background))[:, 0]
        silent, muted = 0 in own.silent, bool(own.muted[0])
        decided = (probabilities >= own.threshold) & (not silent and not muted)
        if decided.any() and (calibration.most or any(place in group for group in calibration.exclusions)):
            rows = np.flatnonzero(decided)
            decided[rows] = moment.decided_among_all(calibration, rows)[:, place]
        passed = (probabilities >= own.threshold) & ~decided
        return DraftLook(
            vocabulary=vocabulary,
            tag=vocabulary.names[place],
            photos=len(probabilities),
            decided=int(decided.sum()),
            sure=int((decided & (probabilities >= SURE)).sum()),
            threshold=calibration.threshold,
            signal=float(own.signal[0]),
            muted=muted,
            silent=silent,
            histogram=histogram(probabilities[~passed]),
            others=histogram(probabilities[passed]),
            examples=on_both_sides(moment.kept.ids, probabilities, cosines[:, 0], decided),
        )

    def _now(self, session: Session) -> Kept:
        """Return what is held of the vectors as they are now, or a new place for it."""
        vectors = self._store.current(EmbeddedRows(session, self._catalog.model))
        kept = self._kept
        if kept is None or kept.vectors is not vectors:
            kept = self._kept = Kept(vectors)
        return kept

    def tagging(self, session: Session, vocabulary: Vocabulary) -> Tagging | None:
        """Return the tagging of a vocabulary that has scores of all photos, or None."""
        found = find_tagging(session, self._catalog.model, vocabulary.key)
        if found is None or Vocabulary.from_definition(found[0]).key != vocabulary.key:
            return None
        decision = Calibration.from_json(found[1])
        tagging = Tagging(self._catalog, session, self._store, vocabulary, decision)
        return None if tagging.unscored else tagging

    def texts(self, encoder: Encoder, tags: Sequence[Tag], vocabulary: Vocabulary) -> Floats:
        """Return the unit vectors of tags, (t, d), in a vocabulary's templates."""
        keys = [(tag.prompts, vocabulary.templates) for tag in tags]
        with self._lock:  # others may let go of some meanwhile
            known = {key: self._texts[key] for key in keys if key in self._texts}
        absent = [tag for tag, key in zip(tags, keys, strict=True) if key not in known]
        if absent:
            asked = replace(vocabulary, tags=tuple(absent), background=("a photo",), groups=(), muted=())
            vectors = text_vectors(encoder, asked)[0]
            known |= {(tag.prompts, vocabulary.templates): vector for tag, vector in zip(absent, vectors, strict=True)}
        with self._lock:
            self._texts.update(known)
        return np.stack([known[key] for key in keys])

    def columns(self, kept: Kept, texts: Floats) -> Halves:
        """Return the cosines of all photos with texts (m, d), (n, m) float16; those asked for of late are held."""
        keys = [text.tobytes() for text in texts]
        with self._lock:  # others may let go of some meanwhile
            known = {key: kept.columns[key] for key in keys if key in kept.columns}
        absent = [place for place, key in enumerate(keys) if key not in known]
        if absent or not len(kept.ids):
            kept.ids, cosines = all_cosines(kept.vectors, texts[absent])
            known |= {keys[place]: column for place, column in zip(absent, cosines.T, strict=True)}
        with self._lock:
            kept.columns.update(known)
        return np.stack([known[key] for key in keys], axis=1)


class Moment:
    """One look: a vocabulary that is thought of, against a library's vectors as they are now."""

    def __init__(
        self,
        board: DraftBoard,
        session: Session,
        encoder: Encoder,
        kept: Kept,
        vocabulary: Vocabulary,
        base: Vocabulary,
    ) -> None:
        self.kept = kept
        self._board = board
        self._encoder = encoder
        self._vocabulary = vocabulary
        self._base = base
        self._session = session
        same = {tag.prompts: place for place, tag in enumerate(base.tags)} if self._alike else {}
        self._places = [same.get(tag.prompts) for tag in vocabulary.tags]  # in the base, None of what is new
        self._new = [place for place, known in enumerate(self._places) if known is None]

    @property
    def _alike(self) -> bool:
        base, vocabulary = self._base, self._vocabulary
        return (base.templates, base.background) == (vocabulary.templates, vocabulary.background)

    @cached_property
    def _tagging(self) -> Tagging | None:
        return self._board.tagging(self._session, self._base)

    def cosines(self, places: Sequence[int]) -> Halves:
        """Return the cosines of all photos with some of the tags, (n, m) float16."""
        tags = [self._vocabulary.tags[place] for place in places]
        return self._board.columns(self.kept, self._board.texts(self._encoder, tags, self._vocabulary))

    @property
    def background(self) -> Floats:
        """How well all photos fit the vocabulary's background, (n,), once their cosines with a tag were asked for."""
        words = self._vocabulary.background
        if (found := self.kept.background.get(words)) is None:
            if self._alike and self._tagging is not None:
                found = self._tagging.scores_by_id(self.kept.ids, [])[:, 0]
            else:
                parts = [self._measured_background(vectors) for _, vectors in self.kept.vectors.parts()]
                found = np.concatenate([np.empty(0, np.float32), *parts])
            self.kept.background[words] = found
        return found

    def _measured_background(self, vectors: Floats | Halves) -> Floats:
        texts, scale = self._background_texts, self._encoder.logit_scale
        return background_scores(vectors.astype(np.float32), texts, scale)

    @cached_property
    def _background_texts(self) -> Floats:
        return self._encoder.encode_texts(list(self._vocabulary.background))

    def calibration(self, threshold: float | None) -> Calibration:
        """Return how `aliens tag` would decide with the vocabulary."""
        others = Statistics(len(self._new))
        if self._new:
            others.add(with_background(self.cosines(self._new), self.background))
        known = self._statistics if len(self._new) < len(self._places) else others
        statistics = known.placed(self._places, others)
        fresh = Calibration(method=DEFAULT_METHOD, scale=self._encoder.logit_scale, mean=EMPTY, std=EMPTY)
        made = TagOptions(threshold=threshold).put_over(
            standardised(fresh, self._vocabulary, statistics), DEFAULT_METHOD
        )
        noise, alike = self._noise
        return replace(made, noise=noise, alike=alike, most=most_tags(self._vocabulary, DEFAULT_METHOD))

    def decided_among_all(self, calibration: Calibration, rows: Longs) -> Bools:
        """Return which tags are decided of some photos, (r, t), by their rows: where a photo's tags are compared."""
        new = self.cosines(self._new)[rows] if self._new else np.empty((len(rows), 0), np.float16)
        known = [place for place, at in enumerate(self._places) if at is not None]
        at = [place for place in self._places if place is not None]
        parts = []
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            scores = np.zeros((len(rows[some]), len(self._places) + 1), np.float32)
            scores[:, self._new] = new[some]
            scores[:, known] = self._known_scores(self.kept.ids[rows[some]])[:, at]
            scores[:, -1] = self.background[rows[some]]
            parts.append(calibration.decide(calibration.probabilities(scores)))
        return np.concatenate(parts)

    def _known_scores(self, ids: Ids) -> Floats:
        """Return the scores of photos by the tags of the base, (n, at least t + 1); the background is the draft's."""
        if self._tagging is not None:
            return self._tagging.scores_by_id(ids)
        texts, vectors = self._board.texts(self._encoder, self._base.tags, self._base), self.kept.vectors.gather(ids)
        return with_background((vectors @ texts.T).astype(np.float16), self._measured_background(vectors))

    @property
    def _statistics(self) -> Statistics:
        """Mean and spread of the tags of the base: known since they were tagged with, or measured once."""
        if (found := self.kept.statistics.get(self._base.key)) is None:
            tagging = self._tagging
            if tagging is not None and is_current(tagging.calibration, self.kept):
                found = Statistics.of(tagging.calibration)
            else:
                found = Statistics(len(self._base.tags))
                for ids, _ in self.kept.vectors.parts():
                    found.add(self._known_scores(ids))
            self.kept.statistics[self._base.key] = found
        return found

    @property
    def _noise(self) -> tuple[float, str]:
        """What words without meaning score here, and what nearly all photos look like: see search.tags.trust."""
        if self.kept.noise is None:
            tagging = self._tagging
            if tagging is not None and is_current(tagging.calibration, self.kept) and tagging.calibration.noise:
                self.kept.noise = tagging.calibration.noise, tagging.calibration.alike
            else:
                self.kept.noise = noise_and_kind(self.kept.vectors, self._encoder)
        return self.kept.noise


def is_current(calibration: Calibration, kept: Kept) -> bool:
    """Tell whether a calibration was measured on all photos as they are, as today, and labels kept no older one."""
    return calibration.has_leads and not calibration.links and calibration.photos == len(kept.vectors) > 0


def with_background(cosines: Floats | Halves, background: Floats) -> Floats:
    """Return cosines (n, t) of photos that fit the background so well, (n,), as scores (n, t + 1)."""
    return np.column_stack([cosines.astype(np.float32), background])


def histogram(probabilities: Floats) -> list[int]:
    """Return how many of some probabilities lie in each of BINS equal bins, the last with 1; NaN is in none."""
    known = probabilities[~np.isnan(probabilities)]
    bins = np.minimum((known * BINS).astype(np.int64), BINS - 1)
    counts: list[int] = np.bincount(bins, minlength=BINS).tolist()
    return counts


def on_both_sides(ids: Ids, probabilities: Floats, cosines: Halves, decided: Bools) -> dict[Side, list[int]]:
    """Return photos that show what a tag means: the surest with it, and those nearest to the line on both sides.

    Where all probabilities are equal, as of tags that the model cannot tell, the cosine decides.
    """
    order = probabilities if len(ids) and np.ptp(probabilities) > 0 else cosines.astype(np.float32)
    has, others = np.flatnonzero(decided), np.flatnonzero(~decided)
    surest = largest(order, has)
    return {
        "surest": ids[surest].tolist(),
        "above": ids[largest(-order, np.setdiff1d(has, surest, assume_unique=True))].tolist(),
        "below": ids[largest(order, others)].tolist(),
    }


def largest(values: Floats, rows: Longs) -> Longs:
    """Return those of some rows, at most EXAMPLES, whose values are the largest, the largest first."""
    if len(rows) > EXAMPLES:
        rows = rows[np.argpartition(-values[rows], EXAMPLES)[:EXAMPLES]]
    return rows[np.lexsort((rows, -values[rows]))]
