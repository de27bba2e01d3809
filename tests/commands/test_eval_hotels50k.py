import json
from pathlib import Path

import pytest

from tests.commands.conftest import Aliens
from tests.conftest import raising
from tests.tiny_hotels50k import results_text, write_lists, write_photos


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    write_lists(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def tree(lists: Path) -> Path:
    write_photos(lists)
    return lists


def test_the_library_is_measured_level_by_level(aliens: Aliens, tree: Path) -> None:
    assert aliens("init")[0] == 0
    assert aliens("add", "--hotels50k", tree)[0] == 0
    out, err = aliens.well("eval", "hotels50k", tree, "--write", "out")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["unoccluded", "hotel", "", "top-1", "0.5", "0.150039", "0.849961", "4", ""]
    assert {row[0] for row in rows} == {"unoccluded", "low"}
    assert "written: 4 files in out" in err
    assert "left out high: " in err
    out, err = aliens.well("eval", "hotels50k", tree, "--results", "out", "--json")
    levels = [json.loads(line) for line in out.splitlines()]
    assert [(level["level"], level["photos"], level["leaks"]) for level in levels] == [
        ("unoccluded", 4, []),
        ("low", 4, []),
    ]


def test_results_from_elsewhere_need_no_library_and_no_model(
    aliens: Aliens,
    lists: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse = raising(AssertionError("no model is needed"))
    monkeypatch.setattr("embedding.open_clip_encoder.OpenClipEncoder.load", refuse)
    Path("found.csv").write_text(results_text() + "205,1,2\n", encoding="utf-8")
    out, err = aliens.well("eval", "hotels50k", lists, "--results", "found.csv", "--occlusion", "unoccluded")
    assert "unoccluded\tchain\tscript\ttop-3\t0.5\t0.0945312\t0.905469\t2\t0.541" in out.splitlines()
    assert "found.csv:5: has 2 results, not 5" in err
    _, out, _ = aliens("eval", "hotels50k", lists, "--results", "found.csv", "--json")
    assert json.loads(out.splitlines()[-1]) == {"where": "found.csv:5", "problem": "has 2 results, not 5"}


def test_a_terminal_has_a_column_for_each_level(
    aliens: Aliens,
    lists: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("base.console.on_terminal", lambda: True)
    for name in ("unoccluded.csv", "low_occlusions.csv"):
        Path(name).write_text(results_text(), encoding="utf-8")
    out, err = aliens.well("eval", "hotels50k", lists, "--results", ".")
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in out.splitlines()}
    assert rows["test photos"] == ["4", "4", ""]
    assert rows["of known chains"] == ["2", "2", ""]
    assert rows["hotel top-1"] == ["0.0% 0.0–49.0", "0.0% 0.0–49.0", ""]
    assert rows["hotel top-100"] == ["", "", ""]
    assert rows["chain top-1 (script)"] == ["0.0% 0.0–65.8", "0.0% 0.0–65.8", "40.4%"]
    assert rows["hotel log loss"][0].startswith("9.")
    assert "95% interval" in err
