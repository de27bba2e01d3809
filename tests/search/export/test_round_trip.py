"""What is exported can be read back, into the same library and into another of the same photos."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from base.settings import LibraryFolder
from db.tag_rows import Label, all_labels
from search.export.exporter import ENDINGS, Format
from search.tags.vocabulary import bare
from tests.by_folder import import_tags, label_photo, session_of
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes
from tests.search.export.conftest import EVIL_TAGS, decided_tags, evil_vocabulary, export, tag

NAMES: dict[Format, str] = {file_format: f"tags{ending}" for ending, file_format in ENDINGS.items()} | {
    "imagefolder": "folder"
}
every_format = pytest.mark.parametrize("file_format", get_args(Format))


def labels_of(folder: LibraryFolder) -> list[Label]:
    with session_of(folder) as session:
        return list(all_labels(session))


@pytest.fixture
def second(tmp_path: Path, photos: Path) -> Iterator[LibraryFactory]:
    """A library of the same photos and five others, which have the ids that the first library gave to those."""
    others = tmp_path / "others"
    others.mkdir()
    for number in range(5):
        (others / f"{number}.jpg").write_bytes(photo_bytes(100 + number))
    factory = LibraryFactory(tmp_path / "second")
    factory.add(others)
    yield factory
    factory.close()


def path_of_ids(folder: LibraryFolder, out: Path) -> dict[int, str]:
    export(folder, out / "paths.jsonl", "jsonl", columns=["photo_id", "path"])
    rows = [json.loads(line) for line in (out / "paths.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["photo_id"]: row["path"] for row in rows}


@every_format
def test_the_samples_read_back_unchanged_add_nothing(
    samples_copy: LibraryFolder, tmp_path: Path, file_format: Format
) -> None:
    export(samples_copy, tmp_path / NAMES[file_format], file_format)
    report = import_tags(samples_copy, tmp_path / NAMES[file_format])
    assert (report.rows, report.set, report.unset) == (240, 0, 0)
    assert (report.unknown_photos, report.unknown_tags) == (0, 0)
    assert labels_of(samples_copy) == []


@every_format
def test_awkward_tags_and_labels_read_back_unchanged(
    small: LibraryFactory, tmp_path: Path, file_format: Format
) -> None:
    labels, decided = labels_of(small.folder), decided_tags(small.folder)
    export(small.folder, tmp_path / NAMES[file_format], file_format)
    report = import_tags(small.folder, tmp_path / NAMES[file_format])
    assert (report.rows, report.unknown_photos, report.unknown_tags) == (10, 0, 0)
    assert labels_of(small.folder) == labels
    assert decided_tags(small.folder) == decided


def test_an_edit_becomes_labels(samples_copy: LibraryFolder, tmp_path: Path) -> None:
    export(samples_copy, tmp_path / "tags.csv", "csv")
    with open(tmp_path / "tags.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first = next(row for row in rows if row["tags"])
    removed, *kept = first["tags"].split(";")
    added = "a minibar" if "a minibar" not in first["tags"] else "a pool"
    first["tags"] = ";".join([*kept, added])
    with open(tmp_path / "tags.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    report = import_tags(samples_copy, tmp_path / "tags.csv")
    assert (report.rows, report.set, report.unset) == (240, 1, 1)
    photo_id = int(first["photo_id"])
    assert set(labels_of(samples_copy)) == {
        Label(photo_id, bare(added), True),
        Label(photo_id, bare(removed), False),
    }
    assert set(decided_tags(samples_copy)[photo_id]) == {*kept, added}


@every_format
@pytest.mark.parametrize("labels_only", [False, True])
def test_labels_come_to_the_same_photos_of_another_library(
    small: LibraryFactory,
    second: LibraryFactory,
    photos: Path,
    tmp_path: Path,
    file_format: Format,
    labels_only: bool,
) -> None:
    second.add(photos)
    tag(second.folder, evil_vocabulary(), second.encoder)
    export(small.folder, tmp_path / NAMES[file_format], file_format)
    report = import_tags(second.folder, tmp_path / NAMES[file_format], labels_only=labels_only)
    assert (report.rows, report.unknown_photos, report.unknown_tags) == (10, 0, 0)
    ours, theirs = path_of_ids(small.folder, tmp_path), path_of_ids(second.folder, tmp_path)
    said = {(ours[label.photo_id], label.tag, label.present) for label in labels_of(small.folder)}
    restored = {(theirs[label.photo_id], label.tag, label.present) for label in labels_of(second.folder)}
    assert len(said) == 2 * len(EVIL_TAGS)
    assert said == restored


@every_format
def test_the_ids_of_another_library_label_nothing(
    small: LibraryFactory, second: LibraryFactory, tmp_path: Path, file_format: Format
) -> None:
    tag(second.folder, evil_vocabulary(), second.encoder)  # photos 1 to 5 are others than those of `small`
    export(small.folder, tmp_path / NAMES[file_format], file_format)
    report = import_tags(second.folder, tmp_path / NAMES[file_format], labels_only=True)
    assert (report.rows, report.unknown_photos) == (10, 10)
    assert labels_of(second.folder) == []


def test_tags_of_the_samples_come_to_a_moved_tree_by_image_id(
    samples_copy: LibraryFolder, samples: Path, starter: FakeEncoder, tmp_path: Path
) -> None:
    from indexer.hotels50k import Hotels50kSource
    from search.tags.vocabulary import read_vocabulary
    from tests.by_folder import add_photos, create_library

    first = next(iter(decided_tags(samples_copy)))
    label_photo(samples_copy, first, "a minibar", True, None)
    export(samples_copy, tmp_path / "tags.parquet", "parquet")
    moved = Path(shutil.copytree(samples, tmp_path / "moved"))
    folder = LibraryFolder(tmp_path / "library")
    create_library(folder, starter)
    add_photos(folder, Hotels50kSource(moved), lambda model: starter)
    tag(folder, read_vocabulary("case-study"), starter)
    report = import_tags(folder, tmp_path / "tags.parquet", labels_only=True)
    assert (report.rows, report.set, report.unknown_photos) == (240, 1, 0)
    assert [(label.tag, label.present) for label in labels_of(folder)] == [("minibar", True)]
