import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes


def test_a_library_is_told_in_numbers_and_no_model_is_loaded(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("embedding.open_clip_encoder.OpenClipEncoder.load")
    code, out, err = aliens("stats")
    assert (code, err) == (0, "")
    lines = dict(line.split("\t") for line in out.splitlines())
    assert lines["photos"] == "10"
    assert lines["  embedded"] == "10, 100.0%"
    assert lines["  96 x 64 px"] == "10, 100.0%"
    assert lines["hotels with photos"] == "0"
    assert "L*" in lines["brightness"]


def test_json_is_one_object(aliens: Aliens, filled: Path) -> None:
    code, out, _ = aliens("stats", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["summary"]["photos"] == 10
    assert found["sizes"] == [{"width_px": 96, "height_px": 64, "photos": 10}]
    assert found["summary"]["balance_of_hotels"] is None


def test_photos_that_have_no_tags_yet_are_told(aliens: Aliens, tagged: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "11.jpg").write_bytes(photo_bytes(11))
    assert aliens("add", "more")[0] == 0
    code, _, err = aliens("stats", "--html", "report.html")
    assert code == 0
    told = "1 photo came after the last tagging and has no tags yet: run `aliens tag`"
    assert told in err
    assert told.partition(": run")[0] in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_page_is_written_and_named(aliens: Aliens, tagged: Path, tmp_path: Path) -> None:
    code, _, err = aliens("stats", "--html", "report.html")
    assert code == 0
    assert "page: report.html" in err
    assert "<h2>Tags</h2>" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "why"), [("report.pdf", "does not end in .html"), ("file/report.html", "cannot be written")]
)
def test_a_page_that_cannot_be_written_is_refused_at_once(aliens: Aliens, filled: Path, name: str, why: str) -> None:
    Path("file").touch()
    code, out, err = aliens("stats", "--html", name)
    assert code in (1, 2)
    assert why in err
    assert out == ""


def test_an_empty_library_and_none(aliens: Aliens) -> None:
    code, _, err = aliens("stats")
    assert code == 1
    assert "no library at" in err
    aliens("init", "--model", "starter")
    code, out, err = aliens("stats", "--html", "report.html")
    assert code == 0
    assert "photos\t0\n" in out


def test_photos_of_an_earlier_version_are_measured_when_asked(aliens: Aliens, filled: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "aliens-library" / "library.db")) as database, database:
        database.execute("UPDATE photo SET brightness = NULL WHERE id <= 3")
    _, out, err = aliens("stats")
    assert "  not known\t3, 30.0%" in out
    assert "`aliens stats --measure` reads once those whose files `aliens add` has read" in err
    code, out, err = aliens("stats", "--measure")
    assert code == 0
    assert "measured the brightness of 3 photos" in err
    assert "not known" not in out
