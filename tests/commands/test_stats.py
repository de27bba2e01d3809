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
    (found,) = aliens.records("stats")
    assert found["summary"]["photos"] == 10
    assert found["sizes"] == [{"width_px": 96, "height_px": 64, "photos": 10}]
    assert found["summary"]["balance_of_hotels"] is None


def test_photos_that_have_no_tags_yet_are_told(aliens: Aliens, tagged: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "11.jpg").write_bytes(photo_bytes(11))
    assert aliens("add", "more")[0] == 0
    _, err = aliens.well("stats", "--html", "report.html")
    told = "1 photo came after the last tagging and has no tags yet: run `aliens tag`"
    assert told in err
    assert told.partition(": run")[0] in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_page_is_written_and_named(aliens: Aliens, tagged: Path, tmp_path: Path) -> None:
    _, err = aliens.well("stats", "--html", "report.html")
    assert "page: report.html" in err
    assert "<h2>Tags</h2>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_empty_library_and_none(aliens: Aliens) -> None:
    assert "no library at" in aliens.fails(1, "stats")
    aliens("init", "--model", "starter")
    out, _ = aliens.well("stats", "--html", "report.html")
    assert "photos\t0\n" in out


def test_photos_of_an_earlier_version_are_measured_when_asked(aliens: Aliens, filled: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "aliens-library" / "library.db")) as database, database:
        database.execute("UPDATE photo SET brightness = NULL WHERE id <= 3")
    _, out, err = aliens("stats")
    assert "  not known\t3, 30.0%" in out
    assert "`aliens stats --measure` reads once those whose files `aliens add` has read" in err
    out, err = aliens.well("stats", "--measure")
    assert "measured the brightness of 3 photos" in err
    assert "not known" not in out
