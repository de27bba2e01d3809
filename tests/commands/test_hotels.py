"""`aliens hotels`, `gallery`, `export hotels` and `search --by hotel`: exit codes, and what is said where."""

import json
from pathlib import Path

import pytest

import aliens as entrance
from tests.commands.conftest import Aliens
from tests.conftest import FakeEncoder
from tests.screen import pseudo_terminal
from tests.search.test_hotels import HOTEL_OF_PHOTO, HOTELS, put_into_hotels


@pytest.fixture
def hotels(aliens: Aliens, tagged: Path) -> Path:
    """The tagged library, its photos in hotels of all sorts of names; one has a pool, so people say."""
    assert aliens("tag", "--method", "signal")[0] == 0  # which leaves a fake encoder's vectors without tags
    with entrance.open(encoder=FakeEncoder()) as library:
        put_into_hotels(library, HOTELS, HOTEL_OF_PHOTO)
    assert aliens("tags", "set", 1, "pool")[0] == 0
    return tagged


def test_a_row_for_each_hotel(aliens: Aliens, hotels: Path) -> None:
    code, out, err = aliens("hotels")
    rows = [line.split("\t") for line in out.splitlines()]
    assert (code, [row[0] for row in rows]) == (0, ["3", "1", "4", "2"])
    assert rows[0][1] == r"<script>alert(1)</script>\x1b[31m \u202e ホテル 東京"
    assert rows[1][:5] == ["1", "Grand Hotel", "=Chain", "3", "a pool"]
    assert "2 photos belong to no hotel: 9, 10" in err and err.endswith("4 hotels\n")
    assert [line.split("\t")[0] for line in aliens("hotels", "--tag", "pool")[1].splitlines()] == ["1"]
    assert [line.split("\t")[0] for line in aliens("hotels", "--missing", "pool")[1].splitlines()] == ["3", "4", "2"]
    found = aliens.records("hotels", "--sort", "photos")
    assert [hotel["photos"] for hotel in found] == [3, 2, 2, 1]
    assert found[0]["tags"]["a pool"]["grade"] == "sure"


def test_of_one_hotel_every_tag_with_its_best_photo(aliens: Aliens, hotels: Path) -> None:
    out, err = aliens.well("hotels", "grand hotel")
    assert len(out.splitlines()) == 15
    assert out.splitlines()[0].split("\t") == [
        "a pool",
        "sure",
        "1",
        "33 %",
        "1",
        str(Path("photos/00.jpg").absolute()),
    ]
    assert "Grand Hotel, =Chain: 3 photos (number 1)" in err


def test_hotels_fit_a_terminal(aliens: Aliens, hotels: Path) -> None:
    with pseudo_terminal(100) as screen:
        aliens("hotels", "--sort", "missing")
    assert max(map(len, screen.lines())) <= 100
    assert "and 1" in screen.text and "more" in screen.text


def test_hotels_are_ranked_by_a_search(aliens: Aliens, hotels: Path) -> None:
    code, out, _ = aliens("search", "a pool", "--by", "hotel", "-k", 2, "--sheet", "hotels.jpg")
    assert (code, len(out.splitlines()), Path("hotels.jpg").exists()) == (0, 2, True)
    first = json.loads(aliens("search", "a pool", "--by", "hotel", "--json")[1].splitlines()[0])
    assert first["hotel_id"] == int(out.split("\t")[1]) and first["best"][0]["path"]
    assert aliens("search", "a pool", "--by", "hotel", "--explain")[2].startswith("query:")


def test_lists_of_hotels_go_on_behind_any_hotel(aliens: Aliens, hotels: Path) -> None:
    search = ("search", "a pool", "--by", "hotel", "--json")
    found = [json.loads(line) for line in aliens(*search)[1].splitlines()]
    assert not any("cursor" in photo for hotel in found for photo in hotel["best"])
    for place, hotel in enumerate(found):
        code, out, err = aliens(*search, "--after", hotel["cursor"])
        assert (code, [json.loads(line)["hotel_id"] for line in out.splitlines()]) == (
            0,
            [other["hotel_id"] for other in found[place + 1 :]],
        )
    assert "the list has ended: no hotel follows the page before" in err


def test_what_is_known_of_the_list_is_said(aliens: Aliens, hotels: Path) -> None:
    err = aliens("search", "a pool before:2999", "--by", "hotel", "-n", 2)[2]
    assert "2 of 2 hits have no date of a camera, a table or an upload" in err


@pytest.mark.parametrize("words", [("hotels",), ("gallery", 1), ("export", "hotels", "-o", "hotels.csv")])
def test_what_computes_may_be_said(aliens: Aliens, hotels: Path, words: tuple[object, ...]) -> None:
    assert aliens(*words, "--device", "cpu")[0] == 0


def test_a_gallery_of_photos_that_are_all_too_small_says_so(aliens: Aliens, hotels: Path) -> None:
    code, out, err = aliens("gallery", 1, "-n", 2)
    assert (code, out) == (0, "")
    assert "Grand Hotel: 0 of 3 photos" in err and "too small" in err
    assert "guests will look for: facade, bedroom, bathroom, which no photo shows" in err
    assert aliens("gallery", "grand h")[0] == 2


def test_hotels_are_exported(aliens: Aliens, hotels: Path) -> None:
    out, _ = aliens.well("export", "hotels", "-o", "hotels.csv", "--hotel", "grand")
    assert out.startswith("hotels.csv: 2 hotels, 0.0 MB, case-study-")
    _, out, _ = aliens("export", "hotels", "-o", "hotels.html", "--json")
    assert json.loads(out)["format"] == "html" and Path("hotels.html").exists()
    assert aliens("export", "hotels", "-o", "hotels.pdf")[0] == 2


def test_a_search_that_leaves_no_hotel_says_what_to_loosen(aliens: Aliens, hotels: Path) -> None:
    code, out, err = aliens("search", "a pool", "--by", "hotel", "--min-score", 0.999)
    assert (code, out, "no hotel is left: loosen" in err) == (0, "", True)
    err = aliens.fails(2, "export", "hotels", "-o", "pools.csv", "--query", "a pool path:nowhere")
    assert "no hotel is left for 'a pool path:nowhere'" in err
    out, err = aliens.well("export", "hotels", "-o", "pools.csv", "--query", "a pool path:jpg", "-n", 2)
    said = json.loads(Path("pools.csv.manifest.json").read_text(encoding="utf-8"))
    assert (said["query"], said["hotels"]) == ("a pool path:jpg", 2)
    about = aliens("search", "a pool", "--by", "hotel")[2].splitlines()[0]
    assert "nothing here stands out" not in about or about in said["notes"]


def test_several_hotels_are_named_one_by_one(aliens: Aliens, hotels: Path) -> None:
    assert aliens("export", "hotels", "-o", "two.jsonl", "--hotel", "grand", "--hotel", 4)[0] == 0
    named = [json.loads(line)["hotel_id"] for line in Path("two.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(named) == [1, 4]
    assert aliens("export", "hotels", "-o", "none.csv", "--hotel", "grand", "--hotel", "nowhere")[0] == 2
