"""`aliens eval search` and `aliens eval captions`: tables, JSON, what is refused."""

import json
import sys
from pathlib import Path

import pytest

import cli
from tests.commands.conftest import Aliens
from tests.screen import pseudo_terminal


@pytest.fixture
def queries(filled: Path) -> str:
    rows = [("a pool", "00.jpg", 2), ("a pool", "01.jpg", 1), ("a bed", "02.jpg", 1)]
    lines = "".join(f"{query},photos/{name},{grade}\n" for query, name, grade in rows)
    Path("queries.csv").write_text(f"query,path,relevance\n{lines}", encoding="utf-8")
    return "queries.csv"


def test_a_search_is_measured_as_rows_json_and_by_query(aliens: Aliens, queries: str) -> None:
    out, err = aliens.well("eval", "search", "--queries", queries, "--at", "1,3")
    assert [line.split("\t")[0] for line in out.splitlines()] == [
        "mAP", "MRR", "nDCG@3", "precision@1", "precision@3", "recall@1", "recall@3",
    ]  # fmt: skip
    assert "2 queries are few: intervals are rough" in err
    assert "2 queries, among 10 photos; measures are shares from 0 to 1, with 95 % intervals" in err
    found = aliens.records("eval", "search", "--queries", queries)
    assert found[0].keys() >= {"measure", "setting", "mean", "low", "high", "queries", "photos", "p_corrected"}
    assert found[0]["difference"] is None
    by_query = aliens("eval", "search", "--queries", queries, "--json", "--by-query")[1]
    assert [json.loads(line)["query"] for line in by_query.splitlines()] == ["a pool", "a bed"]
    first = aliens("eval", "search", "--queries", queries, "--by-query")[1].splitlines()[0].split("\t")
    assert first[:3] == ["a pool", f"{queries}:2", "2"]


def test_settings_stand_side_by_side_on_a_terminal(
    aliens: Aliens, queries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "argv", ["aliens", "eval", "search", "--queries", queries, "--prompt", "a photo of {}"])
    with pseudo_terminal(120) as screen, pytest.raises(SystemExit):
        cli.main()
    shown = "\n".join(screen.lines())
    head = next(line.split() for line in screen.lines() if line.split()[:1] == ["measure"])
    assert head[:3] == ["measure", "by", "mean"]
    assert head[-2:] == ["apart", "p"]  # the fake encoder knows no prompts, so nothing is apart
    assert shown.count("'a photo of {}'") == 9
    assert "apart: from fake; p: how likely by chance, corrected for all differences here" in shown


def test_captions_are_measured_both_ways(aliens: Aliens, filled: Path) -> None:
    rows = "".join(f"room {n},photos/{n:02d}.jpg\n" for n in range(10))
    Path("captions.csv").write_text(f"caption,path\n{rows}", encoding="utf-8")
    out, err = aliens.well("eval", "captions", "--from", "captions.csv", "--photos", 4)
    assert [line.split("\t")[:2] for line in out.splitlines()] == [
        [task, f"R@{k}"] for task in ("text to photo", "photo to text") for k in (1, 5, 10)
    ]
    assert "4 of 10 photos with captions drawn by chance (seed 0): the more, the lower is R" in err
    assert "4 captions, 4 photos, among 4 photos" in err
