"""Having a library's tags decided by people's labels as they are now, without scoring anything anew."""

from dataclasses import replace

import numpy as np

from base.errors import QueryError
from base.progress import Progress, silent
from db.catalog import Catalog
from db.tag_rows import keep_tagging
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from search.tags.calibration import LEARNING, Calibration, TagOptions
from search.tags.tagging import Tagging
from search.tags.truth import all_said


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
        if known.method not in LEARNING:
            raise QueryError(
                f"the tags of {vocabulary.key} are decided by the method {known.method}, which labels do not teach: "
                f"run `aliens tag --vocabulary {vocabulary.key} --method signal --calibrate labels`"
            )
        truth = all_said(session, vocabulary)
        if known.labels_key.startswith("labels-"):
            labelled = np.flatnonzero(~np.isnan(truth.values).all(axis=0)).tolist() if truth.photo_ids else []
            known = replace(known, links={place: link for place, link in known.links.items() if place in labelled})
        calibration = tagging.calibrate(TagOptions(), encoder, truth if truth.photo_ids else None, known)
        tagging.write_learnt(progress)
        decision = calibration.as_json()
        keep_tagging(session, catalog.model, vocabulary.key, vocabulary.definition(), decision, as_current=False)
        session.commit()
    return calibration
