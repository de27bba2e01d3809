"""Tagging a library, and reading its tags: scores, probabilities and decisions, with what people say put over them."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Ids, Longs, unit
from base.console import counted
from base.errors import QueryError
from base.progress import Progress, silent
from db.catalog import Catalog
from db.models import Model
from db.photo_names import no_vector
from db.photo_rows import COLUMNS, PhotoRecord, columns_stamp, embedded_columns, photo_records
from db.tag_rows import (
    current_vocabulary,
    find_tagging,
    labels_in_turn,
    labels_of,
    labels_stamp,
    taggings,
    vocabulary_keys,
)
from db.vector_rows import EmbeddedRows
from embedding.encoder import Encoder
from embedding.photo_table import Columns, PhotoTable
from embedding.scores import BACKGROUND_COLUMNS, ScoreStore, score_segments
from embedding.segments import SegmentStore
from search.photo_parts import photo_parts
from search.results import HIGHEST
from search.tags.calibration import (
    DEFAULT_METHOD,
    LONG,
    MOST,
    SURE,
    Calibration,
    Method,
    Statistics,
    TagOptions,
    places_of,
)
from search.tags.directions import DirectionScores, remove_learnt
from search.tags.links import DEFAULT_FIT, Centre, Fit, fit_links
from search.tags.trust import SAMPLE_PHOTOS, muted_in_words, noise_and_kind, trust_in_words
from search.tags.truth import Truth, all_said
from search.tags.vocabulary import Vocabularies, Vocabulary, bare

TEXT_BATCH = 256
LINE_PHOTOS = 20_000  # over which a tag's own line is found
EMPTY = np.empty(0, np.float32)
MOST_BESIDE = 0.05  # of the photos, read from the database beside the table of the others
MOST_SCORES = 4_000_000  # held at a time: 16 MB as float32, and several arrays of that size


@dataclass(frozen=True, slots=True)
class TaggedPhotos:
    """Some photos with their tags; t is the number of tags.

    columns: what was asked for, {name: pyarrow.Array}. scores: as Calibration has them. probabilities:
    (n, t), NaN without scores. decided: (n, t), labels put over them. sure: (n, t), which of the decided ones are sure,
    the others are likely; what a person says is sure. labels: {photo id: {tag: present}}, whatever the vocabulary.
    """

    columns: Columns
    scores: Floats
    probabilities: Floats
    decided: Bools
    sure: Bools
    labels: dict[int, dict[str, bool]]

    @property
    def photo_ids(self) -> Longs:
        """The photos' ids, (n,) int64."""
        ids: Longs = self.columns["photo_id"].to_numpy()
        return ids


class Tagging:
    """A library's photos against one vocabulary."""

    def __init__(
        self,
        catalog: Catalog,
        session: Session,
        store: SegmentStore,
        vocabulary: Vocabulary,
        calibration: Calibration | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.model = catalog.model
        self.folder = catalog.folder
        self._calibration = calibration
        self._session = session
        rows = EmbeddedRows(session, self.model)
        self._vectors = store.current(rows)
        where = self.folder.scores(self.model.key, vocabulary.key)
        self._scores = ScoreStore(where, len(vocabulary.tags) + BACKGROUND_COLUMNS)
        self._missing = self._scores.open(self._vectors)
        while self._missing and (now := store.current(rows)) is not self._vectors:  # merged away since, perhaps
            self._vectors, self._missing = now, self._scores.open(now)
        self._learnt: DirectionScores | None = None
        self._stamp = columns_stamp(session)
        self._grown = False  # scores were computed here

    @classmethod
    def open(cls, catalog: Catalog, session: Session, store: SegmentStore, key: str | None = None) -> Self:
        """Return the tagging of a vocabulary, named by its key or name, by default of the latest.

        Raises: QueryError: the library was not tagged with it yet.
        """
        found = find_tagging(session, catalog.model, key)
        if found is None:
            raise not_tagged(catalog, session, key)
        definition, decision = found
        return cls(catalog, session, store, Vocabulary.from_definition(definition), Calibration.from_json(decision))

    @classmethod
    def of_tags(
        cls, catalog: Catalog, session: Session, store: SegmentStore, words: Vocabularies, names: Sequence[str]
    ) -> list[tuple[Self, int]]:
        """Return, for each name of a tag, the tagging of its vocabulary, and its place there.

        Tags of one vocabulary have the same tagging.

        Raises: QueryError: no vocabulary has such a tag, or several have.
        """
        opened: dict[str, Self] = {}
        found = []
        for vocabulary, place in map(words.find, names):
            if vocabulary.key not in opened:
                calibration = Calibration.from_json(words.decisions[vocabulary.key])
                opened[vocabulary.key] = cls(catalog, session, store, vocabulary, calibration)
            found.append((opened[vocabulary.key], place))
        return found

    @cached_property
    def _table(self) -> PhotoTable | None:
        return PhotoTable.open(self.folder.photo_table(self.model.key), self._stamp)

    @property
    def calibration(self) -> Calibration:
        """How scores become tags."""
        if self._calibration is None:
            raise QueryError(f"the vocabulary {self.vocabulary.key} has no calibration yet: run `aliens tag`")
        return self._calibration

    @property
    def notes(self) -> list[str]:
        """What people should know of the tags."""
        photos = counted(self.unscored, "photo")
        have = "has" if self.unscored == 1 else "have"
        late = f"{photos} came after the last tagging and {have} no tags yet: run `{self.command}`"
        return [late] * bool(self.unscored) + [self.stale] * bool(self.stale)

    @property
    def stale(self) -> str:
        """That people have labelled since the labels were learnt from, in words, or nothing."""
        learnt = self.calibration.labels_key if self.calibration.active_links else ""
        if not learnt.startswith("labels-") or self.calibration.labels_stamp == str(labels_stamp(self._session)):
            return ""  # nothing was said since, of whatever tag
        if all_said(self._session, self.vocabulary).key == learnt:
            return ""
        return f"labels have changed since the tags learnt from them: run `{self.command} --calibrate labels`"

    @property
    def trust(self) -> str:
        """How far to trust the tags, in words; nothing where people's labels taught them."""
        return trust_in_words(self.calibration, len(self.vocabulary.tags), self.model.name)

    @property
    def cautions(self) -> list[str]:
        """What people should know of all tags: which the model cannot tell here, and how far to trust the others."""
        return list(filter(None, [muted_in_words(self.muted), self.trust]))

    @property
    def muted(self) -> list[str]:
        """The tags that the model cannot tell in this library."""
        return [name for name, mute in zip(self.vocabulary.names, self.calibration.muted, strict=True) if mute]

    @property
    def command(self) -> str:
        """What gives tags of this vocabulary to the photos that have none."""
        key = self.vocabulary.key
        return "aliens tag" if key == current_vocabulary(self._session) else f"aliens tag --vocabulary {key}"

    @property
    def moment(self) -> tuple[tuple[str, int], ...]:
        """What tells the photos that can be found, and which of them have scores, from those at another moment."""
        missing = {segment.name for segment in self._missing}
        return tuple(
            (n, -c if n in missing else c) for n, c in zip(self._vectors.names, self._vectors.counts, strict=True)
        )

    @property
    def unscored(self) -> int:
        """How many photos have no scores yet: those added since the last tagging."""
        return len(self._vectors.only([segment.name for segment in self._missing]))

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def ids(self) -> Ids:
        """The ids of all photos that have vectors, ascending, (n,)."""
        return self._vectors.ids

    def score(self, encoder: Encoder, progress: Progress = silent) -> None:
        """Compute the scores that are missing."""
        if not self._missing:
            return
        texts, background = text_vectors(encoder, self.vocabulary)
        score_segments(
            self._scores,
            self._missing,
            texts=texts,
            background=background,
            scale=encoder.logit_scale,
            progress=progress,
        )
        self._missing = self._scores.open(self._vectors)
        self._grown = True

    def scores(self, names: Sequence[str] = (), ids: Sequence[int] | None = None) -> Iterator[tuple[Columns, Floats]]:
        """Yield (columns, scores) of all photos by id, or of the photos with these ids in their order.

        `names`: of columns, see db.photo_rows.COLUMNS.
        """
        most = max(MOST_SCORES // len(self.vocabulary.tags), 1)  # rows at a time
        for whole in photo_parts(self._session, self.model, self._vectors, self._table, names, ids):
            for start in range(0, len(whole["photo_id"]), most):
                columns = {name: values[start : start + most] for name, values in whole.items()}
                yield columns, self.scores_by_id(columns["photo_id"].to_numpy())

    def write_table(self) -> None:
        """Write the columns of all photos to disk, unless most are there."""
        covers = () if self._table is None else self._table.about.covers
        if len(self._vectors.without(covers)) > MOST_BESIDE * len(self._vectors):
            folder = self.folder.photo_table(self.model.key)
            parts = embedded_columns(self._session, self.model, list(COLUMNS))
            PhotoTable.write(folder, self._stamp, self._vectors.names, parts)
            self._table = PhotoTable.open(folder, self._stamp)

    def photos(self, names: Sequence[str] = (), ids: Sequence[int] | None = None) -> Iterator[TaggedPhotos]:
        """Yield photos with their tags, some thousands at a time; `names`, `ids`: as of `scores`."""
        tags, places = self.vocabulary.names, self.vocabulary.places()
        labels_up_to = labels_in_turn(self._session)
        for columns, scores in self.scores(names, ids):
            probabilities = self.calibration.probabilities(scores)
            decided = self.calibration.decide(probabilities)
            sure = decided & (probabilities >= SURE)
            photo_ids = columns["photo_id"].to_numpy()
            if ids is None:
                said = labels_up_to(int(photo_ids[-1]))
            else:
                said = list(labels_of(self._session, photo_ids.tolist()))
            position = {photo_id: at for at, photo_id in enumerate(photo_ids.tolist())} if said else {}
            labels: dict[int, dict[str, bool]] = {}
            for label in said:
                if label.photo_id not in position:
                    continue  # of a photo that cannot be found now
                place = places.get(bare(label.tag))
                labels.setdefault(label.photo_id, {})[label.tag if place is None else tags[place]] = label.present
                if place is not None:
                    decided[position[label.photo_id], place] = sure[position[label.photo_id], place] = label.present
            yield TaggedPhotos(columns, scores, probabilities, decided, sure, labels)

    def decisions(self, ids: Longs) -> Iterator[tuple[slice, Bools, Bools]]:
        """Yield, part by part, which tags the model decides for photos, (n, t), and which of them have scores, (n,)."""
        most = max(MOST_SCORES // len(self.vocabulary.tags), 1)
        for start in range(0, len(ids), most):
            part = slice(start, start + most)
            scores = self.scores_by_id(ids[part])
            there = ~np.isnan(scores[:, 0])
            yield part, self.calibration.decide(self.calibration.probabilities(scores)) & there[:, np.newaxis], there

    def photo(self, photo_id: int, names: Sequence[str] = ()) -> TaggedPhotos:
        """Return one photo with its tags.

        Raises: QueryError: the photo is unknown or not embedded.
        """
        for photos in self.photos(names, [photo_id] if 0 < photo_id <= HIGHEST else []):
            return photos
        raise no_vector(self._session, self.folder.root, photo_id)

    def vector(self, photo_id: int) -> Floats:
        """Return the unit vector (d,) of a photo that has one."""
        vector: Floats = self._vectors.gather(np.array([photo_id]))[0]
        return vector

    def vectors(self, ids: Ids) -> Floats:
        """Return the unit vectors (n, d) of photos that have one."""
        return self._vectors.gather(ids)

    def decided_by(self, calibration: Calibration) -> Self:
        """Return the same scores, decided in another way."""
        other = copy(self)
        other._calibration = calibration
        return other

    def calibrate(
        self, options: TagOptions, encoder: Encoder, truth: Truth | None, known: Calibration | None = None
    ) -> Calibration:
        """Fit the calibration to the library's scores, and to labels where there are any.

        What `known` learnt from labels stays, and with it the mean and spread that it was learnt with; newer labels
        of a tag replace the older ones' fit, and a fit of another method all of them. Where people's labels are all
        that is learnt from, now as before, everything is measured and learnt anew.
        """
        before = known or Calibration(method=DEFAULT_METHOD, scale=encoder.logit_scale, mean=EMPTY, std=EMPTY)
        method = options.method_after(before.method, learning=truth is not None)
        by_labels = truth is not None and truth.source == "labels"
        anew = by_labels and all(link.source == "labels" for link in before.links.values())
        kept = truth is None or method == before.learnt_on
        stays = bool(before.links) and not options.forget_labels and not anew and kept
        calibration = options.put_over(before if stays else self._standardised(before), method)
        others = not stays and (self._grown or calibration.photos != before.photos)  # than were measured before
        if others or not calibration.noise:
            noise, alike = noise_and_kind(self._vectors, encoder)
            calibration = replace(calibration, noise=noise, alike=alike)
        calibration = replace(calibration, most=most_tags(self.vocabulary, method))
        if truth is not None:
            calibration = self._taught(calibration, truth, options.fit)
        self._calibration = calibration
        return calibration

    def taught_by(self, truth: Truth, fit: Fit = DEFAULT_FIT) -> Self:
        """Return the same scores, decided as after `aliens tag --calibrate labels`; nothing is kept of it."""
        return self.decided_by(self._taught(self.calibration, truth, fit))

    def _taught(self, calibration: Calibration, truth: Truth, fit: Fit) -> Calibration:
        """Return a calibration that has learnt from labels besides; those of a tag replace what older ones taught.

        People's labels are known as a whole, so what some of them taught goes with these; what a file taught stays.
        """
        scores, vectors = self.scores_and_vectors(truth.photo_ids)
        found = fit_links(calibration.logits(scores), truth.values, fit, vectors, self.centre)
        before = {
            place: link
            for place, link in calibration.links.items()
            if link.source != "labels" or truth.source != "labels"
        }
        links = {**before, **{place: replace(link, source=truth.source) for place, link in found.items()}}
        taught = replace(
            calibration, links=links, learnt_on=calibration.method, labels_key=truth.key, labels_stamp=truth.stamp
        )
        return taught.with_lines(self.decided_by(taught).scores_by_id(self._vectors.some_ids(LINE_PHOTOS)))

    def scores_and_vectors(self, photo_ids: Sequence[int]) -> tuple[Floats, Floats]:
        """Return the scores and the vectors (n, d) of photos; both are NaN of those without."""
        scores = self.scores_of(photo_ids)
        there = ~np.isnan(scores[:, 0])
        vectors = np.full((len(scores), self.model.dim), np.nan, np.float32)
        vectors[there] = self._vectors.gather(np.array(photo_ids, np.int64)[there])
        return scores, vectors

    def groups_of(self, photo_ids: Sequence[int]) -> list[str]:
        """Return of each photo which others are likely of the same rooms: those of its hotel, or else of its folder."""
        records = photo_records(self._session, list(photo_ids))
        return [kin_of(records.get(photo_id)) for photo_id in photo_ids]

    @cached_property
    def centre(self) -> Centre:
        """Where the library's vectors lie."""
        return Centre.of(self._vectors.sample(SAMPLE_PHOTOS))

    def write_learnt(self, progress: Progress = silent) -> None:
        """Write to disk how photos fit what labels taught, and remove what older labels taught.

        Raises: OSError: the disk is full or cannot be written.
        """
        if self.calibration.probed:
            self._directions.write(progress)
        remove_learnt(self.folder, self.model.key, self.vocabulary.key, but=self.calibration.directions_key)

    def _standardised(self, before: Calibration) -> Calibration:
        """Return a calibration without labels, from the scores of the whole library."""
        statistics = Statistics(len(self.vocabulary.tags))
        for _, scores in self.scores():
            statistics.add(scores)
        return standardised(before, self.vocabulary, statistics)

    def scores_by_id(self, ids: Ids, places: Sequence[int] | None = None) -> Floats:
        """Return the scores of photos that have vectors, NaN for those without, without the database.

        places: only of these tags, as their own calibration wants them.
        """
        columns = None if places is None else [*places, len(self.vocabulary.tags)]
        cosines = self._scores.of(ids, columns)
        probed = self._calibration.probed if self._calibration else ()
        wanted = [probed.index(place) for place in (probed if places is None else places) if place in probed]
        if not wanted:
            return cosines
        return np.concatenate([cosines, self._directions.of(ids, wanted, ~np.isnan(cosines[:, 0]))], axis=1)

    @property
    def _directions(self) -> DirectionScores:
        """The cosines with what labels taught."""
        key = self.calibration.directions_key
        if self._learnt is None or self._learnt.key != key:
            directions = self.calibration.directions
            self._learnt = DirectionScores(
                self.folder, self.model.key, self.vocabulary.key, directions, key, self._vectors
            )
        return self._learnt

    def column(self, places: Sequence[int]) -> tuple[Ids, Floats]:
        """Return the ids of all photos that have scores, (n,), and their scores of some tags; quick."""
        ids = self._vectors.ids
        scores = self.scores_by_id(ids, places)
        scored = ~np.isnan(scores[:, 0])
        return (ids, scores) if scored.all() else (ids[scored], scores[scored])

    def scores_of(self, photo_ids: Sequence[int]) -> Floats:
        """Return the scores of these photos, NaN for those without."""
        return self.scores_by_id(np.array(photo_ids, np.int64))


def kin_of(photo: PhotoRecord | None) -> str:
    """Return the hotel that a photo is of, or else the folder that it lies in."""
    if photo is None:
        return ""
    return str(Path(photo.path, photo.member).parent) if photo.hotel_id is None else f"hotel {photo.hotel_id}"


def standardised(before: Calibration, vocabulary: Vocabulary, statistics: Statistics) -> Calibration:
    """Return a calibration without labels, from the statistics of a vocabulary's tags over the whole library."""
    mean, std = statistics.mean_and_std(before.scale)
    lead_mean, lead_std = statistics.mean_and_std(before.scale, leads=True)
    names, groups = vocabulary.names, vocabulary.groups
    return replace(
        before,
        mean=mean,
        std=std,
        spread=statistics.spread,
        lead_mean=lead_mean,
        lead_std=lead_std,
        photos=statistics.count,
        links={},
        contrasts=places_of(groups, names, "contrast"),
        exclusions=places_of(groups, names, "exclude"),
        silent=tuple(map(names.index, vocabulary.muted)),
    )


def most_tags(vocabulary: Vocabulary, method: Method) -> int:
    """Return how many tags a photo may have; 0 for any number."""
    return vocabulary.most or (MOST if method == "signal" and len(vocabulary.tags) >= LONG else 0)


def known_vocabularies(session: Session, model: Model) -> Vocabularies:
    """Return the vocabularies that the library was tagged with; there may be none."""
    rows = taggings(session, model)
    return Vocabularies([(Vocabulary.from_definition(definition), decision) for _, definition, decision in rows])


def vocabularies_of(catalog: Catalog, session: Session, key: str | None = None) -> Vocabularies:
    """Return the vocabularies that the library was tagged with, or the one of a key or name.

    Raises: QueryError: it was not tagged (with this one) yet.
    """
    known = known_vocabularies(session, catalog.model)
    words = known.only(key) if key else known
    if not words.all:
        raise not_tagged(catalog, session, key)
    return words


def not_tagged(catalog: Catalog, session: Session, key: str | None) -> QueryError:
    """Return the error for a library that was not tagged yet, or not with the vocabulary of a key or name."""
    root, known = catalog.folder.root, vocabulary_keys(session, catalog.model)
    what = f" with {key!r} (known: {', '.join(known)})" if known else ""
    return QueryError(f"{root} is not tagged{what} yet: run `aliens tag`")


def surest_tags(tagging: Tagging, photo_id: int) -> list[str]:
    """Return the tags that a photo has, the surest first. Raises: QueryError: it is unknown or not embedded."""
    photo = tagging.photo(photo_id)
    names, probabilities = tagging.vocabulary.names, photo.probabilities[0].tolist()
    surest = sorted(range(len(names)), key=lambda place: -probabilities[place])
    return [names[place] for place in surest if photo.decided[0, place]]


def text_vectors(encoder: Encoder, vocabulary: Vocabulary) -> tuple[Floats, Floats]:
    """Return unit vectors of the tags, (t, d), each the mean over its prompts, and of the background, (b, d)."""
    prompts = [vocabulary.texts(tag) for tag in vocabulary.tags]
    flat = [text for texts in prompts for text in texts]
    batches = [encoder.encode_texts(flat[start : start + TEXT_BATCH]) for start in range(0, len(flat), TEXT_BATCH)]
    vectors = np.concatenate(batches)
    ends = np.cumsum([len(texts) for texts in prompts])
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
    return unit(means), encoder.encode_texts(list(vocabulary.background))
