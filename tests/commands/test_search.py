"""`aliens search`, `similar` and `searches`, as the shell runs them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.conftest import Aliens


@pytest.fixture(autouse=True)
def filled_library(aliens: Aliens, photos: Path) -> None:
    aliens("init")
    aliens("add", photos)


def found(out: str) -> list[int]:
    return [json.loads(line)["photo_id"] for line in out.splitlines()]


def test_hits_as_json_have_score_percentile_and_cursor(aliens: Aliens) -> None:
    code, out, _ = aliens("search", "pool", "--json", "-k", 3)
    hits = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(hits) == 3
    assert {"score", "percentile", "above_line", "cursor", "date", "hotel_id"} <= set(hits[0])


def test_the_next_page_by_the_last_hits_cursor(aliens: Aliens) -> None:
    whole = found(aliens("search", "pool", "--json")[1])
    lines = aliens("search", "pool", "--json", "-k", 4)[1].splitlines()
    after = json.loads(lines[-1])["cursor"]
    assert whole[4:] == found(aliens("search", "pool", "--json", "--after", after)[1])
    code, _, err = aliens("search", "sauna", "--after", after)
    assert code == 2
    assert "another query" in err
    assert aliens("search", "pool", "--after", "nonsense")[0] == 2


def test_explained_on_stderr_hits_on_stdout(aliens: Aliens) -> None:
    code, out, err = aliens("search", "pool -sauna path:/", "-k", 2, "--explain")
    assert code == 0
    assert len(out.splitlines()) == 2
    for word in ("query:", "-sauna", "filter:", "(10 of 10 photos)", "engine:", "exact", " ms", "MB"):
        assert word in err


def test_all_prints_every_photo_above_a_score(aliens: Aliens) -> None:
    code, out, err = aliens("search", "pool", "--all", "--min-score", -1, "--json", "--sheet", "all.jpg")
    assert code == 0
    assert len(found(out)) == 10
    assert "10 photos" in err
    with Image.open("all.jpg") as sheet:
        assert sheet.width > 1000


def test_all_in_a_diverse_order_is_refused(aliens: Aliens) -> None:
    code, _, err = aliens("search", "pool", "--all", "--diverse", 0.5)
    assert code == 2
    assert "--diverse" in err


@pytest.mark.parametrize("option", [("--sort", "date"), ("--explain",)])
def test_all_with_what_it_cannot_do_is_refused(aliens: Aliens, option: tuple[str, ...]) -> None:
    code, out, err = aliens("search", "pool", "--all", *option)
    assert (code, out) == (2, "")
    assert option[0] in err


def test_words_that_look_like_weights_get_a_hint(aliens: Aliens) -> None:
    code, _, err = aliens("search", "2*balcony +sea:0.5")
    assert code == 0
    assert "+balcony:2" in err
    assert "weight" not in aliens("search", "balcony +sea:0.5")[2]


def test_similar_photos_page_after_page(aliens: Aliens) -> None:
    whole = found(aliens("similar", 3, "--json")[1])
    first = aliens("similar", 3, "-k", 4, "--json")[1]
    after = json.loads(first.splitlines()[-1])["cursor"]
    assert found(first) + found(aliens("similar", 3, "-k", 10, "--after", after, "--json")[1]) == whole


def test_similar_photos(aliens: Aliens) -> None:
    code, out, _ = aliens("similar", 3, "--json")
    assert code == 0
    assert len(found(out)) == 9
    assert 3 not in found(out)
    assert aliens("similar", 3, "--other-hotels")[0] == 2
    assert aliens("similar", 999)[0] == 2


def test_feedback_by_ids(aliens: Aliens) -> None:
    ids = found(aliens("search", "pool", "--more-like", "1, 2", "--less-like", "3", "--json")[1])
    assert sorted(ids) == [4, 5, 6, 7, 8, 9, 10]
    code, _, err = aliens("search", "pool", "--more-like", "one")
    assert code == 2
    assert "--more-like is 'one'" in err


def test_a_saved_search_keeps_its_options_and_new_ones_go_first(aliens: Aliens) -> None:
    asked = ("search", "pool -sauna", "-k", 4, "--json")
    first = aliens(*asked, "--save", "pools")[1]
    assert aliens("search", "--saved", "pools", "--json")[1] == first
    assert len(found(aliens("search", "--saved", "pools", "-k", 2, "--json")[1])) == 2
    assert json.loads(aliens("searches", "--json")[1]) == {
        "name": "pools",
        "query": "pool -sauna",
        "options": {"k": 4},
    }
    assert aliens("search", "-k", 0, "pool", "--save", "nothing")[0] == 2
    assert len(aliens("searches", "--json")[1].splitlines()) == 1
    code, _, err = aliens("search", "--saved", "pool")
    assert code == 2
    assert "pools" in err
    assert aliens("searches", "remove", "pools")[0] == 0
    assert "--save NAME" in aliens("searches")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pool", "-k", "0"],
        ["pool", "-k", "-1"],
        ["pool", "--per-hotel", "0"],
        ["pool", "--diverse", "2"],
        ["pool", "--sort", "size"],
        ["pool", "--min-score", "5"],
        ['pool "open'],
        ["-- -pool"],
        ["pool near:91,0,5km"],
        [],
    ],
)
def test_what_makes_no_sense_exits_with_2(aliens: Aliens, arguments: list[str]) -> None:
    code, out, err = aliens("search", *arguments)
    assert (code, out) == (2, "")
    assert err


def test_a_query_that_begins_with_a_minus_is_a_query_after_two_dashes(aliens: Aliens) -> None:
    code, _, err = aliens("search", "--", "-sauna pool")
    assert code == 0, err


def test_nothing_found_says_so(aliens: Aliens) -> None:
    code, out, err = aliens("search", "pool path:nowhere")
    assert (code, out) == (0, "")
    assert "no photo is left" in err
