"""`aliens compare`: three tables, JSON, what is refused."""

import json
from pathlib import Path

import pytest

from commands.compare_command import cost_row
from commands.model_commands import span
from tests.analysis.compared.conftest import OtherEncoder, loaded
from tests.commands.conftest import Aliens

__all__ = ["loaded"]  # a fixture


def test_models_stand_side_by_side(aliens: Aliens, filled: Path, loaded: list[OtherEncoder]) -> None:
    rows = "".join(f"a pool,photos/{name}.jpg\n" for name in ("00", "01"))
    Path("queries.csv").write_text(f"query,path\n{rows}a bed,photos/02.jpg\n", encoding="utf-8")
    out, err = aliens.well("compare", "twin", "--queries", "queries.csv", "--at", "3", "--photos", 4)
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[:2] for line in lines[:2]] == [["mAP", "fake"], ["mAP", "twin"]]
    assert lines[-3][:2] == ["fake", "twin"]
    assert lines[-2][:2] == ["fake", "48"]
    assert lines[-2][5] == "done"
    assert lines[-1][:4] == ["twin", "48", "1.5 million", "32"]
    assert "2 queries, among 7 photos" in err
    assert "costs are for the library's 10 photos" in err
    out = aliens("compare", "twin", "--queries", "queries.csv", "--json")[1]
    assert {json.loads(line)["of"] for line in out.splitlines()} == {"quality", "cost", "agreement"}
    assert "is the library's own model" in aliens.fails(2, "compare", "fake", "--queries", "queries.csv")
    assert aliens("compare", "--queries", "queries.csv")[0] == 2


@pytest.mark.parametrize(
    ("hours", "said"), [(0.001, "4 s"), (0.5, "30 min"), (1.99, "119 min"), (2, "2.0 h"), (100, "4.2 days")]
)
def test_times_are_in_the_unit_that_suits_them(hours: float, said: str) -> None:
    assert span(hours) == said


def test_what_is_not_known_of_the_own_model_stays_empty() -> None:
    from analysis.compared.model_comparison import ModelCost

    cost = ModelCost(
        model="own", photos=10, dim=8, parameters=None, size_px=None, photos_per_s=None, hours=None,
        vectors_bytes=2_000_000, text_ms=1.25,
    )  # fmt: skip
    assert cost_row(cost) == ("own", 8, None, None, None, "done", "2.0 MB", "1.2 ms")
