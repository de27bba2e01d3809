"""`aliens export tags` and `aliens import tags`: exit codes, and what is said where."""

import csv
import json
from pathlib import Path

import openpyxl
import pytest
from filelock import FileLock

from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes


@pytest.fixture
def tagged(aliens: Aliens, tagged: Path) -> Path:
    """The tagged library, with a tag set by hand."""
    assert aliens("tags", "set", 1, "pool")[0] == 0
    return tagged


@pytest.mark.parametrize(
    ("arguments", "file_format"),
    [
        (["-o", "tags.csv"], "csv"),
        (["-o", "tags.tsv"], "tsv"),
        (["-o", "tags.xlsx"], "xlsx"),
        (["-o", "tags.jsonl"], "jsonl"),
        (["-o", "tags.PARQUET"], "parquet"),
        (["-o", "tags.json"], "coco"),
        (["-o", "tags.json", "--format", "jsonl"], "jsonl"),
        (["-o", "tags", "--format", "imagefolder"], "imagefolder"),
        (["-o", "deep/er/tags.txt", "--format", "csv"], "csv"),
    ],
)
def test_the_format_is_the_endings_unless_it_is_given(
    aliens: Aliens, tagged: Path, arguments: list[str], file_format: str
) -> None:
    code, out, err = aliens("export", "tags", *arguments)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("a library of 10 photos has few to compare")  # how far to trust the tags
    assert out.startswith(f"{arguments[1]}: 10 photos, 0.0 MB, case-study-")
    assert len(out.splitlines()) == 1
    output = Path(arguments[1])
    manifest = output / "manifest.json" if output.is_dir() else Path(f"{output}.manifest.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["format"] == file_format


def test_json_prints_the_manifest(aliens: Aliens, tagged: Path) -> None:
    out, _ = aliens.well("export", "tags", "-o", "tags.csv", "--json")
    assert json.loads(out) == json.loads(Path("tags.csv.manifest.json").read_text(encoding="utf-8"))
    assert len(out.splitlines()) == 1


def test_a_query_and_columns_choose_what_is_written(aliens: Aliens, tagged: Path) -> None:
    out, _ = aliens.well(
        "export", "tags", "-o", "tags.csv", "--query", "pool", "-k", 3, "--columns", "tags, photo_id", "--json"
    )
    manifest = json.loads(out)
    assert (manifest["photos"], manifest["query"]) == (3, "pool")
    with open("tags.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["score", "tags", "photo_id"]
    _, found, _ = aliens("search", "pool", "-k", 3, "--json")
    assert [int(row["photo_id"]) for row in rows] == [json.loads(line)["photo_id"] for line in found.splitlines()]


def test_photos_without_tags_yet_are_an_error_and_photos_that_are_gone_a_note(aliens: Aliens, tagged: Path) -> None:
    (tagged / "late.jpg").write_bytes(photo_bytes(70))
    aliens("add", tagged)
    err = aliens.fails(2, "export", "tags", "-o", "tags.csv")
    assert "1 photo came after the last tagging: run `aliens tag` first" in err
    aliens("tag")
    (tagged / "04.jpg").unlink()
    out, err = aliens.well("export", "tags", "-o", "folder", "--format", "imagefolder")
    assert "left out 1 photo whose files cannot be read" in err
    assert out.startswith("folder: 10 photos")
    assert {path.name for path in Path().glob("folder*")} == {"folder"}


def test_a_partial_folder_of_somebody_else_is_left_alone(aliens: Aliens, tagged: Path) -> None:
    precious = Path("ds.partial/images/0000/mine.jpg")
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    err = aliens.fails(2, "export", "tags", "-o", "ds", "--format", "imagefolder")
    assert "ds.partial is there already, not of an export" in err
    assert precious.read_text() == "precious"
    assert {path.name for path in Path().glob("ds*")} == {"ds.partial"}


def test_two_exports_do_not_grow_in_the_same_folder(aliens: Aliens, tagged: Path) -> None:
    with FileLock("ds.partial.lock"):
        code, _, err = aliens("export", "tags", "-o", "ds", "--format", "imagefolder")
    assert code == 2
    assert "another export is writing ds.partial" in err
    assert aliens("export", "tags", "-o", "ds", "--format", "imagefolder")[0] == 0
    assert {path.name for path in Path().glob("ds*")} == {"ds"}
    assert {path.name for path in Path("ds").iterdir()} == {"images", "manifest.json", "metadata.jsonl"}


def test_links_are_made(aliens: Aliens, tagged: Path) -> None:
    assert aliens("export", "tags", "-o", "folder", "--format", "imagefolder", "--link")[0] == 0
    assert {path.readlink().parent for path in Path("folder").glob("images/*/*")} == {tagged}


def test_what_was_exported_is_read_back(aliens: Aliens, tagged: Path) -> None:
    aliens("export", "tags", "-o", "tags.csv")
    code, out, err = aliens("import", "tags", "tags.csv", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["rows"], report["set"], report["unset"], report["unknown_photos"]) == (10, 0, 0, 0)
    code, out, err = aliens("import", "tags", "tags.csv", "--labels-only")
    assert (code, err) == (0, "")
    assert out.startswith("tags.csv: 10 rows, ")


def test_rows_that_cannot_be_used_are_notes(aliens: Aliens, tagged: Path) -> None:
    Path("tags.csv").write_text("photo_id,tags\n1,a pool;a unicorn\n999,a pool\n", encoding="utf-8")
    out, err = aliens.well("import", "tags", "tags.csv")
    assert out.startswith("tags.csv: 2 rows, ")
    assert "left out 1 row whose photo the library does not know: tags.csv:3 (photo_id 999)" in err
    assert "left out 1 tag that the vocabulary does not have: 'a unicorn'" in err
    (report,) = aliens.records("import", "tags", "tags.csv")
    assert report["photos_left_out"] == ["tags.csv:3 (photo_id 999)"]
    assert list(report["tags_left_out"]) == ["a unicorn"]


def test_a_workbook_that_was_edited_and_renamed_is_read_back(aliens: Aliens, tagged: Path) -> None:
    aliens("export", "tags", "-o", "tags.xlsx")
    book = openpyxl.load_workbook("tags.xlsx")
    head, first, *_ = book.active.iter_rows()
    places = {cell.value: cell.column - 1 for cell in head}
    first[places["tags"]].value = "a kitchen;a shower"
    first[places["path"]].value = "moved/elsewhere.jpg"
    Path("deep").mkdir()
    book.save("deep/Kopie von tags.xlsx")
    code, out, err = aliens("import", "tags", "deep/Kopie von tags.xlsx", "--json")
    report = json.loads(out)
    assert (code, err, report["compared"], report["unknown_photos"]) == (0, "", True, 0)
    assert report["set"] + report["unset"] > 0
    _, out, _ = aliens("tags", "show", 1, "--json")
    assert {tag["tag"] for tag in json.loads(out)["tags"] if tag["has"]} == {"a kitchen", "a shower"}
