"""What is exported can be read back, into the same library and into another of the same photos."""

import csv
import json
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import aliens
from base.errors import QueryError, SourceError
from base.settings import LibraryFolder
from db.tag_rows import Label, all_labels
from search.export.exporter import ENDINGS
from search.export.tables import Selection
from search.tags.calibration import TagOptions
from search.tags.vocabulary import bare, read_vocabulary
from tests.by_folder import import_tags, label_photo, session_of, tag_library
from tests.conftest import LibraryFactory, fill_folder
from tests.search.export.conftest import EVIL_TAGS, decided_tags, evil_vocabulary, export, tag

NAMES = [*(f"tags{ending}" for ending in ENDINGS), "folder"]
every_format = pytest.mark.parametrize("name", NAMES)


def labels_of(folder: LibraryFolder) -> list[Label]:
    with session_of(folder) as session:
        return list(all_labels(session))


@pytest.fixture
def second(tmp_path: Path, photos: Path) -> Iterator[LibraryFactory]:
    """A library of the same photos and five others, which have the ids that the first library gave to those."""
    factory = LibraryFactory(tmp_path / "second")
    factory.add(fill_folder(tmp_path / "others", range(100, 105)))
    yield factory
    factory.close()


def path_of_ids(folder: LibraryFolder, out: Path) -> dict[int, str]:
    export(folder, out / "paths.jsonl", columns=["photo_id", "path"])
    rows = [json.loads(line) for line in (out / "paths.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["photo_id"]: row["path"] for row in rows}


@every_format
def test_awkward_tags_and_labels_read_back_unchanged(small: LibraryFactory, tmp_path: Path, name: str) -> None:
    labels, decided = labels_of(small.folder), decided_tags(small.folder)
    export(small.folder, tmp_path / name)
    report = import_tags(small.folder, tmp_path / name)
    assert (report.rows, report.set, report.unset, report.notes) == (10, 0, 0, [])
    assert labels_of(small.folder) == labels
    assert decided_tags(small.folder) == decided


# What a spreadsheet makes of an export, without an edit


def cells_of(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def put_down(path: Path, cells: list[list[str]], encoding: str = "utf-8", **how: Any) -> Path:
    with open(path, "w", encoding=encoding, errors="surrogateescape", newline="") as file:
        csv.writer(file, **how).writerows(cells)
    return path


def german_excel(cells: list[list[str]], out: Path) -> Path:
    commas = [[cell.replace(".", ",") if is_number(cell) else cell for cell in row] for row in cells]
    return put_down(out / "tags (1).csv", commas, "utf-8-sig", delimiter=";")


def unicode_text(cells: list[list[str]], out: Path) -> Path:
    return put_down(out / "Unicode.txt", cells, "utf-16", delimiter="\t")


def columns_moved(cells: list[list[str]], out: Path) -> Path:
    moved = [[*row[::-1], "a remark" if n else "remarks", "", ""] for n, row in enumerate(cells)]
    return put_down(out / "Kopie.csv", [*moved, [""] * len(moved[0]), []], quoting=csv.QUOTE_ALL)


def whole_numbers_as_others(cells: list[list[str]], out: Path) -> Path:
    return put_down(out / "floats.tsv", [[f"{cell}.0" if cell.isdecimal() else cell for cell in row] for row in cells])


def rows_sorted(cells: list[list[str]], out: Path) -> Path:
    return put_down(out / "sorted.csv", [cells[0], *sorted(cells[1:], reverse=True)])


def without_paths(cells: list[list[str]], out: Path) -> Path:
    keep = [place for place, name in enumerate(cells[0]) if name not in ("path", "member", "image_id")]
    return put_down(out / "no paths.csv", [[row[place] for place in keep] for row in cells])


def paths_shortened(cells: list[list[str]], out: Path) -> Path:
    place = cells[0].index("path")
    shorter = [[*row[:place], Path(row[place]).name, *row[place + 1 :]] for row in cells[1:]]
    return put_down(out / "short.csv", [cells[0], *shorter])


def decomposed(cells: list[list[str]], out: Path) -> Path:
    return put_down(out / "mac.csv", [[unicodedata.normalize("NFD", cell) for cell in row] for row in cells])


def as_workbook(cells: list[list[str]], out: Path) -> Path:
    book = openpyxl.Workbook()
    for row in cells:
        book.active.append([float(cell) if is_number(cell) else cell for cell in row])
        for cell in book.active[book.active.max_row]:
            cell.data_type = "s" if isinstance(cell.value, str) else cell.data_type
    book.save(out / "Mappe1.xlsx")
    return out / "Mappe1.xlsx"


def is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()


SPREADSHEETS = [german_excel, unicode_text, columns_moved, whole_numbers_as_others, rows_sorted, without_paths]
SPREADSHEETS += [paths_shortened, decomposed, as_workbook]


@pytest.mark.parametrize("saved", SPREADSHEETS)
@pytest.mark.parametrize("name", ["tags.csv", "tags.xlsx"])
def test_an_export_that_a_spreadsheet_saved_under_another_name_changes_nothing(
    small: LibraryFactory, tmp_path: Path, name: str, saved: Callable[[list[list[str]], Path], Path]
) -> None:
    labels, elsewhere = labels_of(small.folder), tmp_path / "elsewhere"
    elsewhere.mkdir()
    export(small.folder, tmp_path / name)
    if name == "tags.xlsx":
        sheet = openpyxl.load_workbook(tmp_path / name).active
        cells = [["" if value is None else str(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    else:
        cells = cells_of(tmp_path / name)
    report = import_tags(small.folder, saved(cells, elsewhere))
    assert (report.rows, report.set, report.unset, report.compared, report.notes) == (10, 0, 0, True, [])
    assert labels_of(small.folder) == labels


@pytest.mark.parametrize("saved", [german_excel, without_paths, as_workbook])
def test_an_edit_is_seen_in_whatever_a_spreadsheet_saved(
    samples_copy: LibraryFolder, tmp_path: Path, saved: Callable[[list[list[str]], Path], Path]
) -> None:
    export(samples_copy, tmp_path / "tags.csv")
    cells, elsewhere = cells_of(tmp_path / "tags.csv"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    at = cells[0].index("tags")
    first = next(row for row in cells[1:] if row[at])
    removed = first[at].split(";")
    first[at] = "a minibar"
    report = import_tags(samples_copy, saved(cells, elsewhere))
    assert (report.rows, report.set, report.unset) == (240, 1, len(removed))
    expected = {Label(int(first[0]), bare(tag), False) for tag in removed} | {Label(int(first[0]), "minibar", True)}
    assert set(labels_of(samples_copy)) == expected
    assert decided_tags(samples_copy)[int(first[0])] == ["a minibar"]


def test_an_export_that_was_tagged_anew_or_with_another_model_since_is_still_compared_with_what_it_was(
    small: LibraryFactory, tmp_path: Path
) -> None:
    export(small.folder, tmp_path / "tags.csv")
    (tmp_path / "tags.csv.manifest.json").unlink()
    labels, before = labels_of(small.folder), decided_tags(small.folder)
    tag_library(small.folder, None, lambda model: small.encoder, options=TagOptions(threshold=0.95))
    assert decided_tags(small.folder) != before
    report = import_tags(small.folder, tmp_path / "tags.csv")
    assert (report.rows, report.set, report.unset, labels_of(small.folder)) == (10, 0, 0, labels)


def test_a_label_that_was_changed_since_the_export_stays(small: LibraryFactory, tmp_path: Path) -> None:
    export(small.folder, tmp_path / "tags.csv")
    label_photo(small.folder, 1, EVIL_TAGS[0], False, None)  # set by hand when it was exported
    labels = labels_of(small.folder)
    report = import_tags(small.folder, tmp_path / "tags.csv")
    assert (report.set, report.unset, labels_of(small.folder)) == (0, 0, labels)
    assert import_tags(small.folder, tmp_path / "tags.csv", labels_only=True).set == 1  # as who restores them wants


def test_a_photo_id_and_a_path_of_two_photos_are_refused_with_both(small: LibraryFactory, tmp_path: Path) -> None:
    export(small.folder, tmp_path / "tags.csv")
    cells, labels = cells_of(tmp_path / "tags.csv"), labels_of(small.folder)
    at = cells[0].index("path")
    cells[1][at], cells[2][at] = cells[2][at], cells[1][at]  # as sorting one column alone does
    put_down(tmp_path / "tags.csv", cells)
    with pytest.raises(QueryError, match=rf"tags\.csv:2: photo_id 1 is .*{Path(cells[2][at]).name}, but .* is photo 2"):
        import_tags(small.folder, tmp_path / "tags.csv")
    assert labels_of(small.folder) == labels


def test_what_a_workbook_cannot_hold_is_refused_before_there_is_one(
    small: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr("base.spreadsheets.MOST_ROWS", 10)
    for selection in (None, Selection(hits={number: 0.5 for number in range(1, 11)})):
        with pytest.raises(
            QueryError, match=r"10 rows are more than a workbook holds \(9\): end the file's name in .csv"
        ):
            export(small.folder, out / "tags.xlsx", selection=selection)
    monkeypatch.setattr("base.spreadsheets.MOST_ROWS", 2)
    with pytest.raises(QueryError, match="2 rows are more than a workbook holds"):  # which is known on the way
        export(small.folder, out / "tags.xlsx", selection=Selection(tags=("+1",)))
    assert not out.exists() or list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "labels_only"), [*((name, False) for name in NAMES), ("tags.csv", True), ("tags.json", True)]
)
def test_labels_come_to_the_same_photos_of_another_library(
    small: LibraryFactory, second: LibraryFactory, photos: Path, tmp_path: Path, name: str, labels_only: bool
) -> None:
    second.add(photos)
    tag(second.folder, evil_vocabulary(), second.encoder)
    export(small.folder, tmp_path / name)
    report = import_tags(second.folder, tmp_path / name, labels_only=labels_only)
    assert (report.rows, report.unknown_photos, report.unknown_tags) == (10, 0, 0)
    ours, theirs = path_of_ids(small.folder, tmp_path), path_of_ids(second.folder, tmp_path)
    said = {(ours[label.photo_id], label.tag, label.present) for label in labels_of(small.folder)}
    restored = {(theirs[label.photo_id], label.tag, label.present) for label in labels_of(second.folder)}
    assert len(said) == 2 * len(EVIL_TAGS)
    assert said == restored


@every_format
def test_the_ids_of_another_library_label_nothing(
    small: LibraryFactory, second: LibraryFactory, tmp_path: Path, name: str
) -> None:
    tag(second.folder, evil_vocabulary(), second.encoder)  # photos 1 to 5 are others than those of `small`
    export(small.folder, tmp_path / name)
    with pytest.raises(SourceError, match=r"no photo of its 10 rows can be found .*\(photo_id 1, "):
        import_tags(second.folder, tmp_path / name, labels_only=True)
    assert labels_of(second.folder) == []


def test_tags_of_the_samples_come_to_a_moved_tree_by_image_id(
    samples_copy: LibraryFolder, samples: Path, library: LibraryFactory, tmp_path: Path
) -> None:
    first = next(iter(decided_tags(samples_copy)))
    label_photo(samples_copy, first, "a minibar", True, None)
    export(samples_copy, tmp_path / "tags.parquet")
    moved = Path(shutil.copytree(samples, tmp_path / "moved"))
    with aliens.open(library.folder.root, encoder=library.encoder) as opened:
        opened.add(hotels50k=moved)
    tag(library.folder, read_vocabulary("case-study"), library.encoder)
    report = import_tags(library.folder, tmp_path / "tags.parquet", labels_only=True)
    assert (report.rows, report.set, report.unknown_photos) == (240, 1, 0)
    assert [(label.tag, label.present) for label in labels_of(library.folder)] == [("minibar", True)]
