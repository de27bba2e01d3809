"""The benchmark's protocol from start to end: of a library's model, or of files of results from elsewhere."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from analysis.hotels50k.benchmark_figures import benchmark_figures
from analysis.hotels50k.found_labels import Retrieved, outcomes_of
from analysis.hotels50k.ground_truth import NO_HOTEL, GroundTruth, read_ground_truth
from analysis.hotels50k.hotels50k_report import Hotels50kReport, LevelScores
from analysis.hotels50k.results_files import ResultsFile, read_results, write_probabilities, write_results
from analysis.hotels50k.retrieving import (
    QueryPhotos,
    TrainingPhotos,
    bytes_in_training,
    query_photos,
    retrieved_by,
    training_photos,
)
from base.arrays import Bools, Ids
from base.console import counted, shell_word
from base.errors import OutputError, QueryError, SourceError
from base.files import make_folder
from base.progress import Progress, silent
from db.catalog import Catalog
from embedding.encoder import Encoder
from embedding.index.photo_index import PhotoIndex
from indexer.hotels50k import SPLITS, Hotels50kSource
from indexer.passed_over import Problem

LEVELS = SPLITS[1:]  # of what covers the test photos
EVERY = "all"
# As the benchmark's own scripts name their files of results.
FILES = {level: level if level == "unoccluded" else f"{level}_occlusions" for level in LEVELS}
PROBABILITIES = "probabilities"  # the folder, beside results, of files of probabilities


def evaluate_library(
    catalog: Catalog,
    encoder: Encoder,
    index: Callable[[Session], PhotoIndex],
    root: Path,
    *,
    occlusion: str = EVERY,
    write: Path | None = None,
    progress: Progress = silent,
) -> Hotels50kReport:
    """Have each test photo of a tree retrieve 100 training photos of a library, and score that.

    Args:
        catalog: of the library.
        encoder: its model.
        index: gives its index.
        root: of the Hotels-50K tree.
        occlusion: a level, or all of which there are photos.
        write: a folder for results and probabilities.
        progress: told of embedding and searching.

    Raises:
        QueryError: there is no such level, or the library holds no training photo.
        SourceError: there is no such tree, or no test photos.
        OutputError: the folder cannot be written.
        LibraryError: another one evaluates it, the disk is full or cannot be written.
        KeyboardInterrupt: somebody stopped it; what was embedded is kept, and the same call goes on.
    """
    sources, notes = sources_of(root, occlusion)
    prepare_folder(write)
    truth = read_ground_truth(root)
    training = training_of(catalog, truth, root)
    photos = [query_photos(catalog, encoder, source, truth, progress) for source in sources]
    notes += [note for each in photos for note in failure_notes(each)]
    with catalog.session() as session:
        leaks = leaked(session, catalog, training, photos)
        compared = index(session)
    keeps = [~np.isin(each.image_ids, leaks) for each in photos]
    found = [retrieved_by(compared, training, each, keep, progress) for each, keep in zip(photos, keeps, strict=True)]
    hotels = truth.train.get(training.image_ids, NO_HOTEL)
    levels, written = [], []
    for each, keep, retrieved in zip(photos, keeps, found, strict=True):
        levels.append(level_scores(each.level, retrieved, truth, each.image_ids[~keep], hotels))
        written += [] if write is None else write_level(write, FILES[each.level], retrieved, truth)
    return Hotels50kReport(levels, notes=notes, problems=truth.problems, written=written)


def check_level(occlusion: str) -> None:
    """Refuse what is no level, and not all of them. Raises: QueryError."""
    if occlusion not in (EVERY, *LEVELS):
        raise QueryError(f"{occlusion!r} is no level of occlusion: choose one of {EVERY}, {', '.join(LEVELS)}")


def sources_of(root: Path, occlusion: str) -> tuple[list[Hotels50kSource], list[str]]:
    """Return the test photos of a level, or of all that there are, and notes of those that there are not.

    Raises:
        QueryError: there is no such level.
        SourceError: there is no such tree, or no test photos.
    """
    check_level(occlusion)
    sources, missing = list[Hotels50kSource](), dict[str, SourceError]()
    for level in LEVELS if occlusion == EVERY else (occlusion,):
        try:
            sources.append(Hotels50kSource(root, level))
        except SourceError as error:
            missing[level] = error
    if not sources:
        raise next(iter(missing.values()))
    return sources, [f"left out {level}: {error}" for level, error in missing.items()]


def prepare_folder(write: Path | None) -> None:
    """Make the folder that is to be written into, before the work. Raises: OutputError: it cannot be written."""
    if write is None:
        return
    try:
        make_folder(write)
    except OSError as error:
        raise OutputError(f"the folder {write} cannot be made: {error.strerror or error}") from error
    if not os.access(write, os.W_OK):
        raise OutputError(f"the folder {write} cannot be written: name another one with --write")


def training_of(catalog: Catalog, truth: GroundTruth, root: Path) -> TrainingPhotos:
    """Return the training photos that a library holds. Raises: QueryError: there are none."""
    with catalog.session() as session:
        training = training_photos(session, catalog.model, truth)
    if not len(training.image_ids):
        raise QueryError(
            f"the library at {catalog.folder.root} holds none of the {len(truth.train)} training photos that {root} "
            f"lists: `aliens add --hotels50k {shell_word(root)}` adds them"
        )
    return training


def failure_notes(photos: QueryPhotos) -> list[str]:
    """Return what is to be said of test photos that could not be embedded."""
    if not photos.failures:
        return []
    kinds = ", ".join(f"{count} {kind}" for kind, count in photos.failures.items())
    lists = f"`aliens failures --library {shell_word(photos.folder)}` lists them"
    return [
        f"{photos.level}: {counted(sum(photos.failures.values()), 'test photo')} could not be used ({kinds}): {lists}"
    ]


def leaked(session: Session, catalog: Catalog, training: TrainingPhotos, photos: Sequence[QueryPhotos]) -> Ids:
    """Return the image ids of test photos that are training photos as well: by their ids, or by their bytes.

    One whose bytes are is left out at all levels: what covers it there changes nothing about the leak.
    """
    hashes = {sha256 for each in photos for sha256 in each.hashes}
    known = bytes_in_training(session, catalog.model, training, hashes)
    by_bytes = [
        image_id
        for each in photos
        for image_id, sha256 in zip(each.image_ids.tolist(), each.hashes, strict=True)
        if sha256 in known
    ]
    by_id = [each.image_ids[np.isin(each.image_ids, training.image_ids)] for each in photos]
    return np.unique(np.concatenate([np.array(by_bytes, np.int64), *by_id]))


def level_scores(level: str, retrieved: Retrieved, truth: GroundTruth, leaks: Ids, hotels: Ids) -> LevelScores:
    """Return the figures of what test photos retrieved. leaks: those left out. hotels: of the training photos."""
    outcomes = outcomes_of(retrieved, truth)
    return LevelScores(
        level=level,
        photos=len(outcomes.image_ids),
        listed=len(truth.test),
        k=retrieved.k,
        leaks=leaks.tolist(),
        untrained=int((~np.isin(outcomes.hotels, hotels)).sum()),
        figures=benchmark_figures(level, outcomes, retrieved.k),
        outcomes=outcomes,
    )


def write_level(folder: Path, name: str, retrieved: Retrieved, truth: GroundTruth) -> list[Path]:
    """Write what test photos retrieved, and the probabilities of hotels, and return the files.

    Raises: OutputError: they cannot be written.
    """
    results = folder / f"{name}.csv"
    write_results(results, retrieved)
    return [results, write_hotel_shares(folder, name, retrieved, truth)]


def write_hotel_shares(folder: Path, name: str, retrieved: Retrieved, truth: GroundTruth) -> Path:
    """Write the probabilities of hotels by what was retrieved, and return the file. Raises: as `write_level`."""
    path = folder / PROBABILITIES / f"{name}.csv"
    write_probabilities(path, retrieved.test_ids, truth.train.get(retrieved.results, NO_HOTEL), unknown=NO_HOTEL)
    return path


def score_results(root: Path, results: Path, *, occlusion: str = EVERY, write: Path | None = None) -> Hotels50kReport:
    """Score results from elsewhere by the lists of a Hotels-50K tree; no photo has to be there, and no model is.

    Args:
        root: of the tree.
        results: a file, or a folder with a file for each level, named as the benchmark's scripts do.
        occlusion: the level that a file is of, by default what its name says; of a folder the one to score.
        write: a folder for probabilities.

    Raises:
        QueryError: there are no such results, none can be used, or there is no such level.
        SourceError: there is no such tree.
        OutputError: the folder cannot be written.
    """
    check_level(occlusion)
    files = result_files(results, occlusion)
    read = {level: read_results(path) for level, path in files.items()}
    prepare_folder(write)
    truth = read_ground_truth(root)
    problems, levels, written = list(truth.problems), [], []
    for level, file in read.items():
        keep = usable(files[level].name, file, truth, problems)
        retrieved = file.retrieved.only(keep)
        leaks = truth.train.has(retrieved.test_ids)
        kept = retrieved.only(~leaks)
        levels.append(level_scores(level, kept, truth, retrieved.test_ids[leaks], truth.train.values))
        written += [] if write is None else [write_hotel_shares(write, files[level].stem, kept, truth)]
    return Hotels50kReport(levels, problems=problems, written=written)


def result_files(results: Path, occlusion: str) -> dict[str, Path]:
    """Return {level: file} of a file, or of those in a folder; a file of another name is a level of that name.

    Raises: QueryError: the folder holds none, or none of the level.
    """
    level_of = {name: level for level, name in FILES.items()}
    if not results.is_dir():
        return {level_of.get(results.stem, results.stem) if occlusion == EVERY else occlusion: results}
    there = {level: results / f"{name}.csv" for level, name in FILES.items()}
    there = {level: path for level, path in there.items() if path.is_file() and occlusion in (EVERY, level)}
    if not there:
        wanted = [f"{FILES[level]}.csv" for level in LEVELS if occlusion in (EVERY, level)]
        raise QueryError(f"the folder {results} holds no results: there should be {' or '.join(wanted)}")
    return there


def usable(name: str, file: ResultsFile, truth: GroundTruth, problems: list[Problem]) -> Bools:
    """Return which rows can be scored, (n,); `problems` is added unknown photos, and doubled results.

    Raises: QueryError: none can.
    """
    problems += file.problems
    known = truth.test.has(file.retrieved.test_ids)
    strange = ~truth.train.has(file.retrieved.results)
    for row in np.flatnonzero(~known).tolist():
        image_id = file.retrieved.test_ids[row]
        problems.append(Problem(f"{name}:{file.lines[row]}", f"test_set.csv lists no test photo {image_id}"))
    for row in np.flatnonzero(known & strange.any(axis=1)).tolist():
        ids = file.retrieved.results[row][strange[row]].tolist()
        said = f"train_set.csv does not list {ids[0]}" + (f" and {len(ids) - 1} more" if len(ids) > 1 else "")
        problems.append(Problem(f"{name}:{file.lines[row]}", f"{said} of its results: they count as wrong"))
    doubled = (np.diff(np.sort(file.retrieved.results, axis=1), axis=1) == 0).any(axis=1)
    for row in np.flatnonzero(known & doubled).tolist():
        ids, times = np.unique(file.retrieved.results[row], return_counts=True)
        said = f"names {ids[times > 1][0]} several times: each counts as a result"
        problems.append(Problem(f"{name}:{file.lines[row]}", said))
    if not known.any():
        raise QueryError(f"{name} has no row of a test photo that test_set.csv lists: is it of another data set?")
    return known
