"""`aliens search`, `similar` and `searches`, as the shell runs them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from base.settings import LibraryFolder
from db.settings_rows import save_search
from tests.by_folder import session_of
from tests.commands.conftest import Aliens
from tests.conftest import fill_folder


@pytest.fixture(autouse=True)
def filled_library(filled: Path) -> None:
    """Every test has ten photos."""


def found(out: str) -> list[int]:
    return [json.loads(line)["photo_id"] for line in out.splitlines()]


def test_hits_as_json_have_score_percentile_and_cursor_beside_a_sheet(aliens: Aliens) -> None:
    hits = aliens.records("search", "pool", "-k", 3, "--sheet", "out/pool.jpg")
    assert (len(hits), Path("out/pool.jpg").exists()) == (3, True)
    known = {"photo_id", "image_id", "path", "hotel_id", "hotel_name", "chain_name", "score"}
    assert known | {"percentile", "above_line", "cursor", "date"} <= set(hits[0])


def test_the_next_page_by_the_last_hits_cursor(aliens: Aliens) -> None:
    whole = found(aliens("search", "pool", "--json")[1])
    lines = aliens("search", "pool", "--json", "-k", 4)[1].splitlines()
    after = json.loads(lines[-1])["cursor"]
    assert whole[4:] == found(aliens("search", "pool", "--json", "--after", after)[1])
    assert "another query" in aliens.fails(2, "search", "sauna", "--after", after)
    assert aliens("search", "pool", "--after", "nonsense")[0] == 2


def test_explained_on_stderr_hits_on_stdout(aliens: Aliens) -> None:
    out, err = aliens.well("search", "pool -sauna path:/", "-k", 2, "--explain")
    assert len(out.splitlines()) == 2
    for word in ("query:", "-sauna", "filter:", "(10 of 10 photos)", "engine:", "exact", " ms", "MB"):
        assert word in err


def test_all_prints_every_photo_above_a_score(aliens: Aliens) -> None:
    out, err = aliens.well("search", "pool", "--all", "--min-score", -1, "--json", "--sheet", "all.jpg")
    assert len(found(out)) == 10
    assert "10 photos" in err
    with Image.open("all.jpg") as sheet:
        assert sheet.width > 1000


def test_all_ends_at_the_stop_line_where_that_is_asked_for_beside_a_score(aliens: Aliens, photos: Path) -> None:
    fill_folder(photos, range(10, 30))
    aliens("add", photos)
    every, above = ("search", "pool", "--all", "--json"), ("--min-score", -1)
    assert len(found(aliens(*every, *above)[1])) == 30
    assert found(aliens(*every, *above, "--until-stop")[1]) == found(aliens(*every)[1])


def test_words_that_look_like_weights_get_a_hint(aliens: Aliens) -> None:
    _, err = aliens.well("search", "2*balcony +sea:0.5")
    assert "+balcony:2" in err
    assert "weight" not in aliens("search", "balcony +sea:0.5")[2]


def test_similar_photos_page_after_page(aliens: Aliens) -> None:
    whole = found(aliens("similar", 3, "--json")[1])
    first = aliens("similar", 3, "-k", 4, "--json")[1]
    after = json.loads(first.splitlines()[-1])["cursor"]
    assert found(first) + found(aliens("similar", 3, "-k", 10, "--after", after, "--json")[1]) == whole


def test_similar_photos(aliens: Aliens) -> None:
    out, _ = aliens.well("similar", 3, "--json")
    assert len(found(out)) == 9
    assert 3 not in found(out)


def test_feedback_by_ids(aliens: Aliens) -> None:
    ids = found(aliens("search", "pool", "--more-like", "1, 2", "--less-like", "3", "--json")[1])
    assert sorted(ids) == [4, 5, 6, 7, 8, 9, 10]


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
    assert "pools" in aliens.fails(2, "search", "--saved", "pool")
    assert aliens("searches", "remove", "pools")[0] == 0
    assert "--save NAME" in aliens("searches")[2]


def test_an_option_given_beside_a_saved_search_goes_first_even_where_it_is_the_default(aliens: Aliens) -> None:
    saved = ("--save", "few", "-k", 2, "--sort", "date", "--diverse", 0.5, "--min-score", -1, "--until-stop", "--exact")
    assert aliens("search", "pool", *saved)[0] == 0
    asked = ("search", "--saved", "few", "--json")
    assert len(found(aliens(*asked)[1])) == 2
    assert len(found(aliens(*asked, "-k", 10, "--no-until-stop", "--diverse", 0)[1])) == 10
    by_score = found(aliens(*asked, "-k", 10, "--sort", "score", "--diverse", 0, "--no-until-stop")[1])
    assert by_score == found(aliens("search", "pool", "--json")[1])
    assert "as was asked for" not in aliens(*asked, "--no-exact", "--explain")[2]


def test_saving_beside_saved_keeps_the_options_of_both(aliens: Aliens) -> None:
    aliens("search", "pool", "--save", "few", "-k", 2, "--until-stop")
    assert aliens("search", "--saved", "few", "--no-until-stop", "-k", 10, "--per-hotel", 3, "--save", "more")[0] == 0
    kept = aliens.records("searches")
    assert {search["name"]: search["options"] for search in kept} == {
        "few": {"k": 2, "until_stop": True},
        "more": {"per_hotel": 3},
    }


def test_saved_searches_are_listed_with_the_options_as_they_are_typed(aliens: Aliens) -> None:
    aliens("search", "pool", "--save", "all", "--all", "--min-score", -1, "--more-like", "1, 2")
    assert aliens("searches")[1] == "all\tpool\t--more-like 1,2 --min-score -1.0 --all\n"


def test_the_empty_text_beside_a_saved_search_is_refused(aliens: Aliens) -> None:
    aliens("search", "pool", "--save", "pools")
    assert "empty" in aliens.fails(2, "search", "--saved", "pools", "")


def test_options_of_another_version_are_left_out_with_a_note(aliens: Aliens) -> None:
    with session_of(LibraryFolder(Path("aliens-library"))) as session:
        kept = {"k": 3, "per_country": 2, "every": "?", "more_like": "1, 2", "until_stop": True}
        save_search(session, "old", "pool", kept)
        session.commit()
    code, out, err = aliens("search", "--saved", "old", "--json")
    assert (code, len(found(out))) == (0, 3)
    assert not {1, 2} & set(found(out))  # ids that were kept as a text
    assert "--per-country 2 --all '?'" in err


def test_a_photo_file_in_a_saved_text_is_found_from_any_folder(
    aliens: Aliens, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = ("--library", tmp_path / "aliens-library")
    monkeypatch.chdir(photos)
    first = aliens("search", "image:00.jpg path:00", *library, "--json", "--save", "room")[1]
    assert json.loads(aliens("searches", *library, "--json")[1])["query"] == f'image:"{photos / "00.jpg"}" path:00'
    aliens("search", "--image", "00.jpg", *library, "--save", "option")
    monkeypatch.chdir(tmp_path)
    assert first
    assert found(aliens("search", "--saved", "room", *library, "--json")[1]) == found(first)
    assert aliens("search", "--saved", "option", *library)[0] == 0


@pytest.mark.parametrize("option", ["--save", "--saved"])
def test_a_name_that_is_no_text_is_refused(aliens: Aliens, option: str) -> None:
    assert "is no name for a search" in aliens.fails(2, "search", "pool", option, "a\udc80b")
    assert aliens("searches", "remove", "\udc80")[0] == 2


def test_more_photos_than_numbers_go(aliens: Aliens) -> None:
    assert len(found(aliens("search", "pool", "-k", "9" * 20, "--json")[1])) == 10
    assert len(found(aliens("similar", 3, "-k", "9" * 20, "--json")[1])) == 9


def test_past_the_last_page_the_list_is_said_to_have_ended(aliens: Aliens) -> None:
    last = json.loads(aliens("search", "pool", "--json")[1].splitlines()[-1])["cursor"]
    code, out, err = aliens("search", "pool", "--after", last)
    assert (code, out) == (0, "")
    assert "the list has ended" in err
    assert "loosen" not in err


def test_a_saved_search_for_all_takes_no_option_that_all_does_not(aliens: Aliens) -> None:
    aliens("search", "pool", "--all", "--save", "all")
    for option in (("--sort", "date"), ("--diverse", "0.5"), ("--explain",)):
        assert option[0] in aliens.fails(2, "search", "--saved", "all", *option)


def test_all_goes_before_the_number_of_photos_of_a_saved_search(aliens: Aliens) -> None:
    aliens("search", "pool", "-k", 2, "--save", "few")
    code, out, _ = aliens("search", "--saved", "few", "--all", "--min-score", -1, "--json")
    assert (code, len(found(out))) == (0, 10)


def test_hints_are_for_queries_that_are_answered(aliens: Aliens) -> None:
    assert "searched for as it stands" in aliens("search", "chair:2")[2]
    assert "searched for as it stands" not in aliens("search", "chair:2 chian:x")[2]


def test_a_query_that_begins_with_a_minus_is_a_query_after_two_dashes(aliens: Aliens) -> None:
    aliens.well("search", "--", "-sauna pool")


def test_nothing_found_says_so(aliens: Aliens) -> None:
    code, out, err = aliens("search", "pool path:nowhere")
    assert (code, out) == (0, "")
    assert "no photo is left" in err
