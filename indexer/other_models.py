"""The models of a library that are not in use, while photos are embedded by the one that is: what they keep, and lose.

A vector belongs to bytes. Where a photo has other bytes now, the vectors that other models had of it are nobody's; what
they know of the new bytes is taken over; the rest waits for `aliens embed`. Embeds nothing.
"""

from collections.abc import Mapping

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Halves
from base.errors import LibraryError
from base.files import SegmentFile
from db.catalog import Catalog
from db.model_rows import library_models, vectors_of_bytes
from db.vector_rows import forget_embeddings, record_segment, segments_of
from embedding.index.milvus_rows import segment_store
from embedding.segments import SegmentStore
from indexer.merging import merge_due


class OtherModels:
    """The models of a library but for the one that photos are embedded by, each with its vectors."""

    def __init__(self, catalog: Catalog, session: Session) -> None:
        known = [model for model in library_models(session) if model.key != catalog.model.key]
        self._stores = [(model, segment_store(catalog.folder, model.key, model.dim)) for model in known]

    def remove_strays(self, session: Session) -> int:
        """Remove what killed processes have left of these models; return how many files. Needs the library's lock."""
        return sum(
            store.remove_strays([file.name for file in segments_of(session, model)]) for model, store in self._stores
        )

    def follow(self, session: Session, hashes: Mapping[int, bytes]) -> None:
        """Have every other model's vectors of photos be of these bytes, {photo id: hash}; the caller commits.

        To be called while the rows of the photos still say what bytes they had before. A vector that cannot be read,
        since its segment is damaged, is taken for none.
        """
        for model, store in self._stores:
            known = vectors_of_bytes(session, model, list(set(hashes.values())))
            forget_embeddings(session, model, list(hashes))
            vectors = {
                photo_id: vector
                for photo_id, sha256 in hashes.items()
                if sha256 in known and (vector := readable_vector(store, *known[sha256])) is not None
            }
            if vectors:
                file = store.write(np.array(list(vectors), np.int64), np.stack(list(vectors.values())))
                record_segment(session, model, file, list(vectors))


def readable_vector(store: SegmentStore, photo_id: int, file: SegmentFile) -> Halves | None:
    """Return a photo's vector, (d,), or None where its segment is absent or damaged."""
    try:
        return store.open(file).vector(photo_id)
    except LibraryError:
        return None


def merge_all(catalog: Catalog, session: Session, store: SegmentStore) -> None:
    """Merge what is due of every model's segments; `store`: those of the catalog's own. Needs the library's lock."""
    merge_due(catalog, session, store)
    for model in library_models(session):
        if model.key != catalog.model.key:
            merge_due(catalog.of(model), session, segment_store(catalog.folder, model.key, model.dim))
