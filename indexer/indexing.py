"""Keeping the index file up to date with the vectors."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from aliens.settings import LibraryFolder
from db.models import Model
from db.vectors import EmbeddedRows, generation, shard_counts
from embedding.index.current import current_index
from embedding.index.exact import FaissIndex
from embedding.index.manifest import Manifest
from embedding.store import VectorStore


def update_index(
    session: Session, folder: LibraryFolder, model: Model, store: VectorStore, starting: Callable[[], None]
) -> Manifest | None:
    """Bring the index up to date with the vectors unless it is; return its manifest if it was written.

    What an older file holds is taken from it; only vectors that came since are read from their shards.

    Raises:
        LibraryError: a shard is absent or damaged.
        OSError: the disk is full or cannot be written.
    """
    where, now = folder.index(model.key), generation(session, model)
    if FaissIndex.open(where, now) is not None:
        return None
    starting()
    current = current_index(where, store, model.key, EmbeddedRows(session, model))
    last_shard = max(shard_counts(session, model), default=0)
    return FaissIndex.build(model.dim, current.parts()).save(
        where,
        model_key=model.key,
        generation=now,
        last_shard=last_shard,
        last_stamp=store.stamp(last_shard) if last_shard else 0,
    )
