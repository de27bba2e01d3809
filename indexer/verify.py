"""Verification: files, rows, segments and what is derived from them must tell the same story. Mends when asked to."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Ids
from base.console import counted, shell_word
from base.errors import DamagedDatabaseError, LibraryError
from base.files import SegmentFile, files_of_ours, half_written, is_left, is_unchanged
from base.progress import Progress, Step, silent
from base.records import record_problem
from base.remote import Unreachable, facts_at
from base.settings import LibraryFolder
from base.urls import plain_url, server_of, url_of
from db.catalog import Catalog, disk_errors
from db.model_rows import other_models
from db.models import Model, Photo, PhotoSource, PhotoState
from db.photo_rows import all_photos
from db.restyling_rows import all_restylings, file_problem, forget_restylings, result_photos
from db.source_rows import known_mounts, remembered_sources
from db.sqlite_files import restoring, setting_right
from db.vector_rows import (
    current_model,
    database_problems,
    dead_ids,
    embedded_without_vector,
    forget_segment,
    miscounted,
    pend_without_vector,
    recorded_ids,
    segments_of,
    senseless_values,
    set_dead,
)
from embedding.image_files import INT8, image_tower_problem, is_int8, is_written_to
from embedding.index.approximate import approximation_problem, remove_approximation
from embedding.index.milvus import MILVUS_MANIFEST
from embedding.index.milvus_rows import lost_rows, segment_store
from embedding.index.photo_index import strays_of_index
from embedding.opened_segment import BLOCK_ROWS, RemoteSegment
from embedding.photo_table import TABLE_FILE, TABLE_MANIFEST, remove_table, table_problem
from embedding.scores import scores_are_sound, stray_scores
from embedding.segments import SegmentStore
from embedding.text_tower import tower_problem
from indexer.asked_files import was_never_here
from indexer.braces import names_meant
from indexer.kept import absent_mounts
from indexer.merging import vocabularies
from indexer.mounts import lies_at
from indexer.other_models import merge_all
from indexer.remembered import ADDRESS, FILE, FOLDER, PATTERN, TAR, TEST_TREE, TREE, folder_meant
from indexer.sources import folders_above

NORM_TOLERANCE = 2e-3  # float16 keeps 11 bits, so the norm of a stored unit vector is off by less than 0.1%


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two parts of the library that disagree, and what to do.

    part: database, segment, approximate index, Milvus, tags, table, text tower, image tower, floors, photo, result or
    stray file.
    """

    part: str
    what: str
    remedy: str


REPAIR = "`aliens verify --repair`"
MODEL_KEY = re.compile(r".+-[0-9a-f]{8}")  # see embedding.open_clip_encoder.model_key
STRAY = "belongs to nothing (left by a process that was killed)"


def verify(
    catalog: Catalog, store: SegmentStore, progress: Progress = silent, *, quick: bool = False
) -> list[Disagreement]:
    """Return everything that does not agree; an empty list means that the library is sound.

    Every byte that the library has written is read and compared with its checksum; every photo's file is looked at
    (size and existence, not its bytes). `quick`: names, sizes and counts alone.
    """
    folder = catalog.folder
    with disk_errors(folder), catalog.session() as session:
        try:
            broken = database_problems(session)
        except DamagedDatabaseError as error:
            broken = [error.problem]
        if broken:  # what else it says is not to be relied on
            remedy = restoring(str(catalog.engine.url.database))
            return [Disagreement("database", problem, remedy) for problem in broken]
        if senseless := senseless_values(session):
            remedy = setting_right(str(catalog.engine.url.database))
            return [Disagreement("database", problem, remedy) for problem in senseless]
        found = list(photo_disagreements(session, progress))
        found += result_disagreements(session, folder, catalog.model, quick=quick)
        found += [
            Disagreement("photo", f"photo {photo_id} is marked embedded but has no vector", REPAIR)
            for photo_id in embedded_without_vector(session, current_model(session))
        ]
        if problem := record_problem(folder.floors_file):
            found.append(Disagreement("floors", problem, REPAIR))
        stores = stores_of(catalog, session, store)
        for model, own in stores:
            found += segment_disagreements(session, model, own, progress, quick=quick)
            found += remote_disagreements(session, model, own, progress, quick=quick)
            found += derived_disagreements(folder, model, quick=quick)
        if not is_being_written(catalog):  # otherwise the newest files are only not recorded yet
            left = [*half_written(folder.restyled), *folders_of_no_model(folder, [model for model, _ in stores])]
            left += [path for model, own in stores for path in strays(session, folder, model, own)]
            found += [Disagreement("stray file", f"{path} {STRAY}", REPAIR) for path in left]
    return found


def stores_of(catalog: Catalog, session: Session, store: SegmentStore) -> list[tuple[Model, SegmentStore]]:
    """Return all models of a library with their segments; `store`: those of the catalog's own model, the first."""
    others = other_models(session, catalog.model)
    stores = [(model, segment_store(catalog.folder, model.key, model.dim)) for model in others]
    return [(catalog.model, store), *stores]


def repair(catalog: Catalog, store: SegmentStore) -> int:
    """Mend what can be mended, and return how many photos are pending because of it.

    Damaged segments are forgotten, so that their photos are embedded anew; so are results whose files are gone or
    damaged. Damaged derivatives and what killed processes have left are removed: they are made again when needed.
    """
    folder, pending = catalog.folder, 0
    with catalog.writing() as session:
        stores = stores_of(catalog, session, store)
        lost = {model.key: lost_rows(folder.index(model.key)) for model, _ in stores}
        for model, own in stores:
            for file in segments_of(session, model):
                if segment_problem(session, model, own, file, quick=False) or file.name in lost[model.key]:
                    forget_segment(session, model, file.name)
        pending += pend_without_vector(session, current_model(session))
        for model, own in stores:
            for file in segments_of(session, model):
                set_dead(session, model, file.name, truly_dead(session, model, own, file).tolist())
        broken = [kept for kept in all_restylings(session) if file_problem(folder, kept)]
        forget_restylings(session, [kept.id for kept in broken])
        session.commit()
        for key in filter(lost.get, lost):
            (folder.index(key) / MILVUS_MANIFEST).unlink(missing_ok=True)
        for kept in broken:
            (folder.root / kept.path).unlink(missing_ok=True)
        for path in half_written(folder.restyled):  # where others may write now, without the library's lock
            is_left(path, remove=True)
        if record_problem(folder.floors_file):
            folder.floors_file.unlink()
        for unknown in folders_of_no_model(folder, [model for model, _ in stores]):
            shutil.rmtree(unknown)
        for model, own in stores:
            remove_damaged(folder, model)
            for path in strays(session, folder, model, own):
                path.unlink(missing_ok=True)
        merge_all(catalog, session, store)
    return pending


def folders_of_no_model(folder: LibraryFolder, models: Sequence[Model]) -> list[Path]:
    """Return folders named by keys of models that the library has no more: left by who was killed removing one."""
    known = {model.key for model in models}
    kinds = sorted({path.parent for path in folder.of_model("any")})
    below = (path for kind in kinds if kind.is_dir() for path in sorted(kind.iterdir()) if path.is_dir())
    return [
        path for path in below if path.name not in known and MODEL_KEY.fullmatch(path.name) and not is_written_to(path)
    ]


def remove_damaged(folder: LibraryFolder, model: Model) -> None:
    """Remove derivatives that are damaged or half written."""
    index, tags, tower = folder.index(model.key), folder.photo_table(model.key), folder.text_tower(model.key)
    if approximation_problem(index):
        remove_approximation(index)
    if record_problem(index / MILVUS_MANIFEST):
        (index / MILVUS_MANIFEST).unlink()
    if table_problem(tags):
        remove_table(tags)
    for vocabulary in vocabularies(folder, model):
        for path in folder.scores(model.key, vocabulary).glob("*.npy"):
            if not is_unchanged(path, scores_are_sound):
                path.unlink(missing_ok=True)
    if tower_problem(tower, model.key):
        shutil.rmtree(tower)


def photo_disagreements(session: Session, progress: Progress) -> Iterator[Disagreement]:
    """Compare every photo's row with its file; a host, a disk, a tar or a source that is not there is told once."""
    sources, unreached = remembered_sources(session), set[str]()
    absent, unplugged = absent_mounts(known_mounts(session)), Counter[str]()
    absent_sources = {place for place in map(lies_in, sources) if not os.path.lexists(place)}
    gone = Counter[tuple[str, str]]()  # photos, by what is not there and what to do
    for count, photo in enumerate(all_photos(session), start=1):
        if count % 1000 == 0:
            progress(Step("verifying", count))
        if photo.state is PhotoState.FAILED and not (photo.failure_kind and photo.failure_reason):
            what = f"photo {photo.id} failed without a reason"
            yield Disagreement("photo", what, added_again(photo, sources, "--retry-failed"))
        if photo.state is PhotoState.EMBEDDED and not was_never_here(photo):
            try:
                size_bytes = bytes_at(photo.path)
            except Unreachable as error:  # which says nothing of its photos
                host = server_of(photo.path)
                if host not in unreached:
                    unreached.add(host)
                    what = f"{plain_url(photo.path)} cannot be reached: {error.strerror}; nor may others there be"
                    yield Disagreement("photo", what, "`aliens verify` when the network is there")
                continue
            except OSError as error:
                if (mount := mount_above(photo.path, absent)) is not None:
                    unplugged[mount] += 1
                elif (place := innermost(photo.path, absent_sources)) is not None:
                    gone[place, moved_or_forgotten(place)] += 1
                elif url_of(photo.path) is None and not os.path.lexists(holder := holder_of(photo)):
                    is_matched = innermost(photo.path, matched_in(sources)) is not None
                    gone[holder, moved_or_forgotten(holder) if is_matched else added_again(photo, sources)] += 1
                else:
                    what = f"{photo.path}: {error.strerror or error}"
                    yield Disagreement("photo", what, added_again(photo, sources))
                continue
            if not photo.member and size_bytes is not None and size_bytes != photo.size_bytes:
                what = f"{photo.path} has {size_bytes} bytes now, {photo.size_bytes} bytes when it was embedded"
                yield Disagreement("photo", what, added_again(photo, sources))
    for mount, photos in unplugged.items():
        what = f"{counted(photos, 'photo')} cannot be looked at: their disk is not there, nothing is mounted at {mount}"
        yield Disagreement("photo", what, "`aliens verify` when it is connected; what is known of them stays")
    for (place, remedy), photos in gone.items():
        yield Disagreement("photo", f"{counted(photos, 'photo')} cannot be looked at: {place} is not there", remedy)


def lies_in(source: PhotoSource) -> str:
    """Return the place of this machine that a source is, or that all which it means lies in; nothing of others."""
    if source.kind in (FOLDER, TAR, FILE, TREE, TEST_TREE):
        return source.place
    return folder_meant(names_meant(source.place)) if source.kind == PATTERN else os.curdir


def matched_in(sources: Sequence[PhotoSource]) -> set[str]:
    """Return the folders in which patterns match, but for those that are looked through anyway.

    What matches no more is not looked at, so only people can say whether it is gone.
    """
    folders = {source.place for source in sources if source.kind == FOLDER}
    meant = {lies_in(source) for source in sources if source.kind == PATTERN}
    return {place for place in meant if innermost(place, folders) is None}


def holder_of(photo: Photo) -> str:
    """Return the tar or the folder that a photo lies in."""
    return photo.path if photo.member else os.path.dirname(photo.path)


def moved_or_forgotten(place: str) -> str:
    """Return what to do about a place that is not there, and that no look would come to."""
    word = shell_word(place)
    return f"`aliens sources move {word} NEW` says where it is now, `aliens forget {word}` lets its photos go"


def mount_above(path: str, mounts: Iterable[str]) -> str | None:
    """Return the mount point that a file lies below, be it behind a link; None where it lies below none of these."""
    places = (path, os.path.realpath(path))
    return next((mount for mount in mounts if any(lies_at(place, mount) for place in places)), None)


def bytes_at(path: str) -> int | None:
    """Return how many bytes a file, or an address, has now, None where that is unsaid. Raises: OSError: it is gone."""
    return os.stat(path).st_size if url_of(path) is None else facts_at(path).size_bytes


def innermost(path: str, places: Container[str]) -> str | None:
    """Return the innermost of some places that a photo is, or lies in; None where it lies in none."""
    return next((place for place in (path, *folders_above(path)) if place in places), None)


def added_again(photo: Photo, sources: Sequence[PhotoSource], option: str = "") -> str:
    """Return the command that looks at a photo again, as part of what it was added by.

    To name its folder would have that folder's other photos added as well, or what was said of it left out.
    """
    named = {source.place for source in sources if source.kind in (FOLDER, TAR, FILE, ADDRESS)}
    place = innermost(photo.path, named)
    if place is None and len(named) < len(sources):  # it is of a list, a pattern or a tree
        return f"`{f'aliens add {option}'.rstrip()}`"
    if place is None:
        place = os.path.dirname(photo.path) if url_of(photo.path) is None else photo.path
    return f"`{f'aliens add {shell_word(place)} {option}'.rstrip()}`"


def result_disagreements(
    session: Session, folder: LibraryFolder, model: Model, *, quick: bool
) -> Iterator[Disagreement]:
    """Compare the results of restyling with their files, and with the rows they were given in the library."""
    results = all_restylings(session)
    photos = result_photos(session, model, [result.id for result in results])
    for result in results:
        file, photo = folder.root / result.path, photos.get(result.id)
        again = "" if result.source_photo_id is None else f"`aliens restyle {result.source_photo_id}` makes it anew, "
        if not file.is_file():
            what = f"result {result.id} of photo {result.source_photo_id} is gone: {file}"
            yield Disagreement("result", what, f"{again}{REPAIR} forgets it")
        elif not quick and (problem := file_problem(folder, result)):
            yield Disagreement("result", f"result {result.id}: {problem}", f"{again}{REPAIR} forgets it")
        elif photo is not None and not is_at(photo, file):
            what = f"{file} is not what was added to the library: {photo.path}, {photo.size_bytes} bytes"
            yield Disagreement("result", what, "`aliens restyle list --add`")


def is_at(photo: Photo, file: Path) -> bool:
    """Tell whether a row is of the file here, and not of one that was here or lay elsewhere before."""
    here = (os.path.realpath(file), file.stat().st_size)
    return (os.path.realpath(photo.path), photo.size_bytes) == here


def segment_disagreements(
    session: Session, model: Model, store: SegmentStore, progress: Progress, *, quick: bool
) -> Iterator[Disagreement]:
    """Compare every segment with its checksum and with its rows in the database."""
    files = segments_of(session, model)
    done, total = 0, sum(file.rows for file in files)
    for file in files:
        part, problem = "segment", segment_problem(session, model, store, file, quick=quick)
        if problem is None and not quick:
            part, problem = "database", dead_problem(session, model, store, file)
        if problem and file in segments_of(session, model):  # it has not been merged, or lost a photo, meanwhile
            yield Disagreement(part, f"segment {file.name} of {file.alive} photos: {problem}", REPAIR)
        done += file.rows
        progress(Step("verifying vectors", done, total))
    for name, kept, alive in miscounted(session, model) if quick else ():
        what = f"segment {name}: {kept} of its photos are said to be found, {alive} can be"
        yield Disagreement("database", what, REPAIR)


def remote_disagreements(
    session: Session, model: Model, store: SegmentStore, progress: Progress, *, quick: bool
) -> Iterator[Disagreement]:
    """Read back what lies in Milvus alone, and compare it with the sums that are kept here; `quick`: a row of each."""
    for file in segments_of(session, model):
        if not store.is_remote(file.name) or store.problem(file):
            continue
        ids = recorded_ids(session, model, file.name)[: 1 if quick else None]
        try:
            segment = store.open(file)
            rows, here = segment.rows_of(ids)
            assert isinstance(segment, RemoteSegment)
            for start in range(0, len(ids), BLOCK_ROWS):
                segment.rows.strict(rows[here][start : start + BLOCK_ROWS])
                progress(Step("reading back from Milvus", min(start + BLOCK_ROWS, len(ids)), len(ids)))
            if not here.all():
                what = f"segment {file.name} has no vector of photo {ids[~here][0]}, as recorded"
                yield Disagreement("segment", what, REPAIR)
        except LibraryError as error:
            yield Disagreement(
                "Milvus", str(error), "`aliens verify` when Milvus answers; nothing here is changed by it"
            )
            return


def dead_problem(session: Session, model: Model, store: SegmentStore, file: SegmentFile) -> str | None:
    """Return what is wrong with what is said to be dead of a sound segment, or None."""
    dead, said = truly_dead(session, model, store, file), dead_ids(session, model, file.name)
    if np.array_equal(dead, said) and file.alive == file.rows - len(dead):
        return None
    return f"{file.rows - len(dead)} of its photos can be found, and others are said to be"


def truly_dead(session: Session, model: Model, store: SegmentStore, file: SegmentFile) -> Ids:
    """Return the ids of a sound segment's rows that are nobody's vector, or of photos that cannot be found."""
    return np.setdiff1d(store.open(file).ids, recorded_ids(session, model, file.name, alive=True))


def segment_problem(
    session: Session, model: Model, store: SegmentStore, file: SegmentFile, *, quick: bool
) -> str | None:
    """Return what is wrong with one segment, or None."""
    if problem := store.problem(file, quick=quick):
        return problem
    try:
        segment = store.open(file)
    except LibraryError as error:
        return str(error)
    if quick or store.is_remote(file.name):  # what lies in Milvus alone is looked at there
        return None
    ids = recorded_ids(session, model, file.name)
    if len(absent := ids[~segment.rows_of(ids)[1]]):
        return f"it has no vector of photo {absent[0]}, as recorded"
    wrong = 0
    for start in range(0, len(segment), BLOCK_ROWS):
        norms = np.linalg.norm(segment.vectors[start : start + BLOCK_ROWS].astype(np.float32), axis=1)
        wrong += int((~(np.abs(norms - 1) < NORM_TOLERANCE)).sum())
    return f"{wrong} of its vectors are not of unit length" if wrong else None


def derived_disagreements(folder: LibraryFolder, model: Model, *, quick: bool) -> Iterator[Disagreement]:
    """Compare what is derived from the vectors with its checksums; what is absent is no disagreement."""
    index, tags = folder.index(model.key), folder.photo_table(model.key)
    tower = folder.image_towers / model.key
    if is_int8(model.name) and (problem := image_tower_problem(tower, model.key, quick=quick)):
        yield Disagreement("image tower", problem, calibrated_again(model))
    if problem := record_problem(index / MILVUS_MANIFEST):
        yield Disagreement("Milvus", problem, f"{REPAIR}, then `aliens index`")
    # Looked at twice: `aliens index` or `aliens tag` may have written one anew in the midst of the first look.
    if approximation_problem(index, quick=quick) and (problem := approximation_problem(index, quick=quick)):
        yield Disagreement("approximate index", problem, f"{REPAIR}, then `aliens index`")
    if table_problem(tags, quick=quick) and (problem := table_problem(tags, quick=quick)):
        yield Disagreement("table", problem, REPAIR)
    if quick:
        return
    for vocabulary in vocabularies(folder, model):
        for path in sorted(folder.scores(model.key, vocabulary).glob("*.npy")):
            if not is_unchanged(path, scores_are_sound) and path.exists():  # it has not been merged away meanwhile
                what = f"{path} is not what was written: its checksum is another one"
                yield Disagreement("tags", what, "`aliens tag`")
    if problem := tower_problem(folder.text_tower(model.key), model.key):
        yield Disagreement("text tower", problem, REPAIR)


def calibrated_again(model: Model) -> str:
    """Return what mends a calibrated model, which cannot be made again as it was; what it has made can be searched."""
    base = model.name.removesuffix(INT8)
    return (
        f"a backup of the library has it; else `aliens embed --model {shell_word(base)}`, `aliens use "
        f"{shell_word(base)}` and `aliens forget --model {shell_word(model.name)}`"
    )


def strays(session: Session, folder: LibraryFolder, model: Model, store: SegmentStore) -> list[Path]:
    """Return files that killed processes have left of a model."""
    known, tags = {file.name for file in segments_of(session, model)}, folder.photo_table(model.key)
    found = [*store.strays(known), *strays_of_index(folder.index(model.key))]
    for vocabulary in vocabularies(folder, model):
        found += stray_scores(folder.scores(model.key, vocabulary), known)
    mine = {TABLE_FILE, TABLE_MANIFEST} if (tags / TABLE_MANIFEST).exists() else set()
    return found + [path for path in files_of_ours(tags) if path.name not in mine]


def is_being_written(catalog: Catalog) -> bool:
    """Tell whether another process adds photos right now."""
    try:
        with catalog.lock():
            return False
    except LibraryError:
        return True
    except OSError:  # on a disk that cannot be written by us; by others perhaps
        lock = catalog.folder.lock_file
        return lock.exists() and not is_left(lock)
