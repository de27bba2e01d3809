import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.commands.conftest import Aliens


@pytest.fixture
def doubled(aliens: Aliens, filled: Path) -> Path:
    """The ten photos, one of them twice more, and added."""
    (filled / "more").mkdir()
    shutil.copy(filled / "03.jpg", filled / "more" / "a copy.jpg")
    shutil.copy(filled / "03.jpg", filled / "more" / "line\nfeed.jpg")
    assert aliens("add", filled)[0] == 0
    return filled


def test_copies_are_told_and_what_could_go(aliens: Aliens, doubled: Path) -> None:
    out, err = aliens.well("duplicates", "--same-bytes")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == ["1"] * 3
    assert rows[0][2].startswith("keep: ") and [row[2] for row in rows[1:]] == ["same file"] * 2
    assert rows[0][4] == str(doubled / "03.jpg")
    assert "2 copies in 1 group" in err
    code, out, err = aliens("duplicates", "--same-bytes", "--spare")
    assert (code, out) == (0, f"{doubled / 'more' / 'a copy.jpg'}\n")
    assert "1 path left out" in err
    group = json.loads(aliens("duplicates", "--same-bytes", "--json")[1])
    assert (group["copies"], len(group["photos"])) == (2, 3)
    assert [photo["evidence"] for photo in group["photos"]] == ["kept", "bytes", "bytes"]
    assert all((doubled / name).exists() for name in ("03.jpg", "more/a copy.jpg", "more/line\nfeed.jpg"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_and_sheets_are_written(aliens: Aliens, doubled: Path, tmp_path: Path, ending: str) -> None:
    _, err = aliens.well("duplicates", "--same-bytes", "-o", f"copies.{ending}", "--sheet", "copies.png")
    assert f"table: copies.{ending}" in err and "sheet: copies.png" in err
    with Image.open(tmp_path / "copies.png") as sheet:
        assert sheet.width >= 640
    manifest = json.loads((tmp_path / f"copies.{ending}.manifest.json").read_text(encoding="utf-8"))
    assert (manifest["groups"], manifest["copies"], manifest["photos"], manifest["cosine"]) == (1, 2, 3, None)
    if ending == "csv":
        with open(tmp_path / "copies.csv", encoding="utf-8", newline="") as file:
            assert [row["keep"] for row in csv.DictReader(file)] == ["yes", "", ""]
    else:
        assert pq.read_table(tmp_path / "copies.parquet")["group"].to_pylist() == [1, 1, 1]


def test_nothing_is_a_copy(aliens: Aliens, filled: Path, tmp_path: Path) -> None:
    code, out, err = aliens("duplicates", "--same-bytes", "--sheet", "none.png", "-o", "none.csv")
    assert (code, out) == (0, "")
    assert "0 copies in 0 groups" in err and not (tmp_path / "none.png").exists()
    assert len((tmp_path / "none.csv").read_text(encoding="utf-8").splitlines()) == 1  # its head
