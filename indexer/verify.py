"""Verification: files, rows, shards and index must tell the same story. Mends only when asked to."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from base.errors import LibraryError
from base.files import TEMPORARY_SUFFIX
from base.progress import Progress, Step, silent
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.models import Model, Photo, PhotoState, Restyling
from db.photo_rows import all_photos
from db.restyling_rows import all_restylings, forget_restylings, result_photos
from db.vector_rows import (
    count_embedded,
    database_problems,
    embedded_without_vector,
    forget_shard,
    generation,
    make_pending,
    shard_counts,
    vectors_of_shard,
)
from embedding.index.approximate import APPROXIMATE_FILE, read_approximation, remove_approximation
from embedding.index.building import resolved
from embedding.index.exact import INDEX_FILE, MANIFEST_FILE, checksum_problem, read_index_manifest
from embedding.store import VectorStore
from indexer.upkeep import index_choice, update_index

NORM_TOLERANCE = 2e-3  # float16 keeps 11 bits, so the norm of a stored unit vector is off by less than 0.1%


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two parts of the library that disagree, and what to do."""

    part: str  # database, shard, index, photo or result
    what: str
    remedy: str


REPAIR = "aliens verify --repair"
HALF = "is half written (left by a process that was killed)"
STRAY = "belongs to no shard (left by a process that was killed)"


def verify(catalog: Catalog, store: VectorStore, progress: Progress = silent) -> list[Disagreement]:
    """Return everything that does not agree; an empty list means that the library is sound.

    Every shard is read whole, every photo's file is looked at (size and existence, not its bytes).
    """
    folder, model = catalog.folder, catalog.model
    with catalog.saving() as session:
        found = [
            Disagreement("database", text, "restore library.db from a backup") for text in database_problems(session)
        ]
        found += photo_disagreements(session, progress)
        found += result_disagreements(session, folder, model)
        found += [
            Disagreement("photo", f"photo {photo_id} is marked embedded but has no vector", REPAIR)
            for photo_id in embedded_without_vector(session, model)
        ]
        found += shard_disagreements(session, model, store)
        if not is_being_written(catalog):  # otherwise the newest shard and index are only not recorded yet
            strays = store.strays(set(shard_counts(session, model)))
            found += [Disagreement("shard", f"{path} {STRAY}", REPAIR) for path in strays]
            found += index_disagreements(session, folder, model)
            found += [Disagreement("index", f"{path} {HALF}", REPAIR) for path in half_written(folder.index(model.key))]
    return found


def repair(catalog: Catalog, store: VectorStore) -> int:
    """Mend what can be mended, and return how many photos are pending because of it.

    Damaged shards and results whose files are gone are forgotten, strays removed, the index rebuilt.
    """
    folder, model, pending = catalog.folder, catalog.model, 0
    with catalog.writing() as session:
        for number, problem in damaged_shards(session, model, store).items():
            if problem:
                pending += forget_shard(session, model, number)
        pending += make_pending(session, model, embedded_without_vector(session, model))
        forget_restylings(session, [result.id for result in vanished_results(session, folder)])
        session.commit()
        store.remove_strays(set(shard_counts(session, model)))
        where = folder.index(model.key)
        parts = {disagreement.part for disagreement in index_disagreements(session, folder, model)}
        if "index" in parts:
            (where / MANIFEST_FILE).unlink(missing_ok=True)
        if "approximate index" in parts:
            remove_approximation(where)
        for path in half_written(where):
            path.unlink()
        update_index(catalog, session, store)
    return pending


def photo_disagreements(session: Session, progress: Progress) -> Iterator[Disagreement]:
    """Compare every photo's row with its file."""
    for count, photo in enumerate(all_photos(session), start=1):
        if count % 1000 == 0:
            progress(Step("verifying", count))
        if photo.state is PhotoState.FAILED and not (photo.failure_kind and photo.failure_reason):
            yield Disagreement("photo", f"photo {photo.id} failed without a reason", "aliens add --retry-failed")
        if photo.state is PhotoState.EMBEDDED:
            folder = os.path.dirname(photo.path)
            try:
                size_bytes = os.stat(photo.path).st_size
            except OSError as error:
                remedy = f"aliens add {folder}" + ("" if os.path.isdir(folder) else " --allow-empty")
                yield Disagreement("photo", f"{photo.path}: {error.strerror}", remedy)
                continue
            if not photo.member and size_bytes != photo.size_bytes:
                what = f"{photo.path} has {size_bytes} bytes now, {photo.size_bytes} bytes when it was embedded"
                yield Disagreement("photo", what, f"aliens add {folder}")


def result_disagreements(session: Session, folder: LibraryFolder, model: Model) -> Iterator[Disagreement]:
    """Compare the results of restyling with their files, and with the rows they were given in the library."""
    results = all_restylings(session)
    photos = result_photos(session, model, [result.id for result in results])
    for result in results:
        file, photo = folder.root / result.path, photos.get(result.id)
        if not file.is_file():
            what = f"result {result.id} of photo {result.source_photo_id} is gone: {file}"
            again = "" if result.source_photo_id is None else f"aliens restyle {result.source_photo_id} makes it anew, "
            yield Disagreement("result", what, f"{again}{REPAIR} forgets it")
        elif photo is not None and not is_at(photo, file):
            what = f"{file} is not what was added to the library: {photo.path}, {photo.size_bytes} bytes"
            yield Disagreement("result", what, "aliens restyled --add")


def is_at(photo: Photo, file: Path) -> bool:
    """Tell whether a row is of the file here, and not of one that was here or lay elsewhere before."""
    here = (os.path.realpath(file), file.stat().st_size)
    return (os.path.realpath(photo.path), photo.size_bytes) == here


def vanished_results(session: Session, folder: LibraryFolder) -> list[Restyling]:
    """Return the results whose files are gone."""
    return [result for result in all_restylings(session) if not (folder.root / result.path).is_file()]


def shard_disagreements(session: Session, model: Model, store: VectorStore) -> Iterator[Disagreement]:
    """Compare every shard with its rows in the database."""
    for number, problem in damaged_shards(session, model, store).items():
        if problem:
            yield Disagreement("shard", f"shard {number}: {problem}", REPAIR)


def is_being_written(catalog: Catalog) -> bool:
    """Tell whether another process adds photos right now."""
    try:
        with catalog.lock():
            return False
    except LibraryError:
        return True


def damaged_shards(session: Session, model: Model, store: VectorStore) -> dict[int, str | None]:
    """Return, for every recorded shard, what is wrong with it, or None."""
    return {
        number: shard_problem(session, model, store, number, count)
        for number, count in shard_counts(session, model).items()
    }


def shard_problem(session: Session, model: Model, store: VectorStore, number: int, count: int) -> str | None:
    """Return what is wrong with one shard, or None."""
    try:
        ids, vectors = store.read(number)
    except LibraryError as error:
        return str(error)
    if len(ids) != count:
        return f"holds {len(ids)} vectors, {count} are recorded"
    for row, photo_id in vectors_of_shard(session, model, number):
        if row >= count or ids[row] != photo_id:
            return f"row {row} is not the vector of photo {photo_id}, as recorded"
    norms = np.linalg.norm(vectors.astype(np.float32), axis=1)
    wrong = int((~(np.abs(norms - 1) < NORM_TOLERANCE)).sum())
    return f"{wrong} of its vectors are not of unit length" if wrong else None


def index_disagreements(session: Session, folder: LibraryFolder, model: Model) -> list[Disagreement]:
    """Compare the index with the database and with its own checksum."""
    where = folder.index(model.key)
    manifest, embedded = read_index_manifest(where), count_embedded(session, model)
    if manifest is None:
        return [Disagreement("index", f"there is none for {embedded} embedded photos", REPAIR)] if embedded else []
    if manifest.generation != generation(session, model) or manifest.count != embedded:
        what = f"holds {manifest.count} photos and is out of date: {embedded} are embedded"
        return [Disagreement("index", what, REPAIR)]
    if problem := checksum_problem(where / INDEX_FILE, manifest.sha256):
        return [Disagreement("index", problem, REPAIR)]
    about, choice = read_approximation(where), index_choice(session)
    if about is None:
        kind = resolved(choice, embedded)
        what = f"there is none of the kind {kind}, so every photo is compared"
        return [] if kind == "exact" else [Disagreement("approximate index", what, "aliens index")]
    problem = checksum_problem(where / APPROXIMATE_FILE, about.sha256)
    if about.generation != manifest.generation:
        problem = "is older than the photos, and is not used"
    return [Disagreement("approximate index", problem, "aliens index --rebuild")] if problem else []


def half_written(where: Path) -> list[Path]:
    """Return files of an index that a killed process left under temporary names."""
    return sorted(where.glob(f"*{TEMPORARY_SUFFIX}"))
