"""Runs that decide a library's tags and keep that: tagging with a vocabulary, and learning from labels."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.console import counted
from base.progress import Progress, silent
from db.catalog import Catalog
from db.tag_rows import find_tagging, keep_tagging
from db.vector_rows import any_vector, count_embedded, segments_of
from embedding.encoder import Encoder
from embedding.scores import remove_scores
from embedding.segments import SegmentStore
from search.tags.calibration import DEFAULT_METHOD, Calibration, Method, TagOptions
from search.tags.labelling import refuse_unteachable
from search.tags.tagging import Tagging
from search.tags.truth import Truth, all_said
from search.tags.vocabulary import DEFAULT, Vocabulary, read_vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class TagReport:
    """What tagging did."""

    vocabulary: str
    method: Method
    threshold: float
    top_k: int
    photos: int  # with scores
    scored: int  # of them in this run
    fitted: int  # tags calibrated on labels
    left_alone: list[str]  # tags with too few labels, or labels that contradict the scores
    muted: list[str]  # tags that the model cannot tell in this library
    notes: list[str] = field(default_factory=list)  # what people should know besides

    def __str__(self) -> str:
        learnt = f", {counted(self.fitted, 'tag')} decided by labels" if self.fitted else ""
        decided = f"top {self.top_k}" if self.method == "softmax" else f"threshold {self.threshold:g}"
        return (
            f"{self.vocabulary}: {counted(self.photos, 'photo')} tagged, {self.scored} newly scored, "
            f"{self.method}, {decided}{learnt}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures by their names, without the notes."""
        return {name: value for name, value in asdict(self).items() if name != "notes"}


def tag_library(
    catalog: Catalog,
    store: SegmentStore,
    encoder: Encoder,
    vocabulary: Vocabulary | None,
    *,
    options: TagOptions,
    read_truth: Callable[[Session, Vocabulary], Truth] | None = None,
    progress: Progress = silent,
) -> TagReport:
    """Score every photo that has no scores yet, calibrate, and make the vocabulary the library's current one.

    Without a vocabulary the current one is meant, or the case study's. What was learnt from labels stays until
    `options.forget_labels`. `read_truth` gives the labels to calibrate on; without it the library's own scores
    calibrate.

    Raises:
        QueryError: there is no photo to tag, or the labels cannot be used.
        LibraryError: the library cannot be written, or another process is changing it.
    """
    with catalog.writing() as session:
        model = catalog.model
        if not any_vector(session, model):
            raise catalog.nothing_embedded(session)
        current = find_tagging(session, model, None)
        if vocabulary is None:
            vocabulary = Vocabulary.from_definition(current[0]) if current else read_vocabulary(DEFAULT)
        tagging = Tagging(catalog, session, store, vocabulary)
        remove_scores(catalog.folder.scores(model.key, vocabulary.key), [s.name for s in segments_of(session, model)])
        truth = read_truth(session, vocabulary) if read_truth else None
        before = find_tagging(session, model, vocabulary.key)
        known = Calibration.from_json(before[1]) if before else None
        options.method_after(known.method if known else DEFAULT_METHOD, learning=bool(truth))  # not after scoring
        scored = tagging.unscored
        if scored or known is None:
            tagging.score(encoder, progress)
        tagging.write_table()
        calibration = tagging.calibrate(options, encoder, truth, known)
        tagging.write_learnt(progress)
        keep_tagging(session, model, vocabulary.key, vocabulary.definition(), calibration.as_json())
        session.commit()
        labelled = np.flatnonzero((truth.values > 0).any(axis=0)).tolist() if truth else []
        left_alone = [vocabulary.names[place] for place in labelled if place not in calibration.links]
        few = f"nothing was learnt of these, since labels are too few or contradict the scores: {', '.join(left_alone)}"
        one_sided = all_yes(vocabulary, truth) if truth and options.fit == "probe" else []
        yes = f"all labels of these say yes, so how many photos have them was not learnt: {', '.join(one_sided)}"
        return TagReport(
            vocabulary=vocabulary.key,
            method=calibration.method,
            threshold=calibration.threshold,
            top_k=calibration.top_k,
            photos=count_embedded(session, model),
            scored=scored,
            fitted=len(calibration.active_links),
            left_alone=left_alone,
            muted=tagging.muted,
            notes=[
                *(truth.notes if truth else []),
                *[few] * bool(left_alone),
                *[yes] * bool(one_sided),
                *tagging.cautions,
            ],
        )


def all_yes(vocabulary: Vocabulary, truth: Truth) -> list[str]:
    """Return the tags that nobody ever said no of."""
    said, no = (~np.isnan(truth.values)).any(axis=0), (truth.values == 0).any(axis=0)
    return [vocabulary.names[place] for place in np.flatnonzero(said & ~no)]


def learn_labels(
    catalog: Catalog, store: SegmentStore, encoder: Encoder, key: str, progress: Progress = silent
) -> Calibration:
    """Have a vocabulary's tags decided by people's labels as they are now, and return how; the current one stays that.

    What earlier labels taught of tags that have none any more is forgotten; what a file taught is not.

    Raises:
        QueryError: the library was not tagged with it, or by a method that labels do not teach.
        LibraryError: the library cannot be written, or another process is changing it.
    """
    with catalog.writing() as session:
        tagging = Tagging.open(catalog, session, store, key)
        known, vocabulary = tagging.calibration, tagging.vocabulary
        refuse_unteachable(tagging)
        calibration = tagging.calibrate(TagOptions(), encoder, all_said(session, vocabulary), known)
        tagging.write_learnt(progress)
        decision = calibration.as_json()
        keep_tagging(session, catalog.model, vocabulary.key, vocabulary.definition(), decision, as_current=False)
        session.commit()
    return calibration
