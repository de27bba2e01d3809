"""The protocol's retrieval: test photos in libraries of their own, and the training photos that each finds.

Source: Stylianou et al. 2019, "Hotels-50K: A Global Hotel Recognition Dataset": each test photo retrieves 100.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from analysis.hotels50k.found_labels import Retrieved
from analysis.hotels50k.ground_truth import GroundTruth
from analysis.nested_libraries import nested_catalog
from base.arrays import Bools, Floats, Ids
from base.progress import Progress, Step
from db.catalog import Catalog
from db.models import Model
from db.photo_rows import embedded_columns, failure_counts
from db.vector_rows import EmbeddedRows
from embedding.encoder import Encoder
from embedding.index.milvus_rows import segment_store
from embedding.index.photo_index import PhotoIndex
from indexer.add import add_photos
from indexer.hotels50k import Hotels50kSource

RESULTS = 100  # that each test photo retrieves
AT_ONCE = 1_024  # test photos that are compared together, while rows are in the cache


@dataclass(frozen=True, slots=True)
class QueryPhotos:
    """The test photos of a level that can be compared: image ids (n,), SHA-256 of their bytes, unit vectors (n, d).

    folder: of their library. failures: {kind: how many could not be embedded}.
    """

    level: str
    image_ids: Ids
    hashes: list[bytes]
    vectors: Floats
    folder: Path
    failures: dict[str, int]


@dataclass(frozen=True, slots=True)
class TrainingPhotos:
    """The training photos that a library holds: photo ids (n,), ascending, and image ids (n,), each once."""

    photo_ids: Ids
    image_ids: Ids


def training_photos(session: Session, model: Model, truth: GroundTruth) -> TrainingPhotos:
    """Return the photos of a library that train_set.csv lists; of several of one image the first that was known."""
    parts = [np.empty((2, 0), np.int64)]
    for columns in embedded_columns(session, model, ["image_id"]):
        pairs = [
            (photo_id, image_id)
            for photo_id, image_id in zip(columns["photo_id"], columns["image_id"], strict=True)
            if image_id is not None
        ]
        both = np.array(pairs, np.int64).reshape(-1, 2).T
        parts.append(both[:, truth.train.has(both[1])])
    photo_ids, image_ids = np.concatenate(parts, axis=1)
    first = np.sort(np.unique(image_ids, return_index=True)[1])
    return TrainingPhotos(photo_ids[first], image_ids[first])


def bytes_in_training(
    session: Session, model: Model, training: TrainingPhotos, hashes: Collection[bytes]
) -> frozenset[bytes]:
    """Return those of the hashes that are of training photos' bytes."""
    wanted, found = frozenset(hashes), set[bytes]()
    for columns in embedded_columns(session, model, ["content_sha256"]):
        among = np.isin(np.array(columns["photo_id"]), training.photo_ids, assume_unique=True).tolist()
        found.update(
            sha256 for sha256, is_training in zip(columns["content_sha256"], among, strict=True)
            if is_training and sha256 in wanted
        )  # fmt: skip
    return frozenset(found)


def query_photos(
    catalog: Catalog, encoder: Encoder, source: Hotels50kSource, truth: GroundTruth, progress: Progress
) -> QueryPhotos:
    """Embed the test photos of a level into a library of their own, inside the folder of `catalog`'s, and return them.

    What was embedded before is not embedded again.

    Raises:
        SourceError: there are no photos.
        LibraryError: another process or thread evaluates it, the disk is full or cannot be written.
        KeyboardInterrupt: somebody stopped it; what was embedded is kept.
    """

    def tell(step: Step) -> None:
        progress(replace(step, note=f"{source.split} {step.note}".strip()))

    model = catalog.model
    folder = catalog.folder.hotels50k(model.key, source.split)
    with nested_catalog(folder, key=model.key, name=model.name, dim=model.dim) as own:
        store = segment_store(own.folder, own.model.key, own.model.dim)
        if add_photos(own, store, encoder, [source], progress=tell).interrupted:
            raise KeyboardInterrupt
        with own.session() as session:
            photo_ids, image_ids, hashes = listed_photos(session, own.model, source, truth)
            vectors = store.current(EmbeddedRows(session, own.model)).gather(photo_ids)
            failures = failure_counts(session)
    return QueryPhotos(source.split, image_ids, hashes, vectors, own.folder.root, failures)


def listed_photos(
    session: Session, model: Model, source: Hotels50kSource, truth: GroundTruth
) -> tuple[Ids, Ids, list[bytes]]:
    """Return photo ids (n,), image ids (n,) and hashes of a tree's photos that test_set.csv lists, each image once."""
    below = source.root.rstrip("/") + "/"
    found: dict[int, tuple[int, bytes]] = {}
    for columns in embedded_columns(session, model, ["image_id", "path", "content_sha256"]):
        for photo_id, image_id, path, sha256 in zip(
            *(columns[name] for name in ("photo_id", "image_id", "path", "content_sha256")), strict=True
        ):
            if image_id is not None and path.startswith(below):  # another tree's may be here as well
                found.setdefault(image_id, (photo_id, sha256))
    image_ids = np.array(sorted(found), np.int64)
    image_ids = image_ids[truth.test.has(image_ids)]
    kept = [found[image_id] for image_id in image_ids.tolist()]
    return np.array([photo_id for photo_id, _ in kept], np.int64), image_ids, [sha256 for _, sha256 in kept]


def retrieved_by(
    index: PhotoIndex, training: TrainingPhotos, photos: QueryPhotos, keep: Bools, progress: Progress
) -> Retrieved:
    """Return what the test photos of a mask, (n,), retrieve: all training photos are compared, exactly.

    Where there are fewer training photos than 100, there are fewer results.
    """
    image_ids, vectors = photos.image_ids[keep], photos.vectors[keep]
    among = None if len(training.photo_ids) == len(index) else training.photo_ids
    parts = [np.empty((0, min(RESULTS, len(training.photo_ids))), np.int64)]
    for start in range(0, len(image_ids), AT_ONCE):
        progress(Step("searching", start, len(image_ids), note=photos.level))
        _, found = index.search(vectors[start : start + AT_ONCE], RESULTS, among=among, exact=True)
        parts.append(training.image_ids[np.searchsorted(training.photo_ids, found)])
    progress(Step("searching", len(image_ids), len(image_ids), note=photos.level))
    return Retrieved(image_ids, np.concatenate(parts))
