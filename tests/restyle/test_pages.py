from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aliens.errors import QueryError
from restyle.facts import NOT_PAINTED, SCORES, facts_of, page_item
from restyle.judge import Scores
from restyle.pages import LONGEST_PX, PageItem, restyle_page, write_page
from restyle.protanopia import seen
from restyle.style import Visibility
from tests.page import Page, pictures_of, read_page
from tests.restyled import lineage_of

EVIL = "<script>alert(1)</script> \"'& комната.jpg"
SIZES = [(40, 60), (60, 40), (900, 1300), (1, 1), (3, 400)]  # height, width


def pixels(seed: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    colours = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(colours).resize(size[::-1], Image.Resampling.BILINEAR))


def item(seed: int, size: tuple[int, int] = (40, 60), **texts: object) -> PageItem:
    return PageItem(original=pixels(seed, size), result=pixels(seed + 50, size), heading=f"{seed}.jpg", **texts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page() -> Page:
    items = [item(seed, size, facts=(("edges kept", "0.95"),), prompt="ferns") for seed, size in enumerate(SIZES)]
    return read_page(restyle_page(iter(items), "Rooms"))


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(page: Page) -> None:
    assert page.problems == []
    assert page.addresses  # pictures
    assert all(address.startswith("data:") for address in page.addresses)
    assert "://" not in page.source
    assert "@import" not in page.source and "url(" not in page.source


def test_every_photo_is_shown_four_times_with_a_text_for_each(page: Page) -> None:
    pictures = pictures_of(page)
    assert len(pictures) == 4 * len(SIZES)
    assert len({alt for alt, _ in pictures}) == len(pictures)
    for number, (height, width) in enumerate(SIZES):
        shown = [picture for alt, picture in pictures if alt.startswith(f"{number}.jpg: ")]
        scale = min(1, LONGEST_PX / max(height, width))
        assert {picture.size for picture in shown} == {(max(1, round(width * scale)), max(1, round(height * scale)))}


def test_the_pictures_are_original_and_result_and_what_a_protanope_sees_of_them() -> None:
    shown = item(1, (64, 96))
    pictures = dict(pictures_of(read_page(restyle_page([shown], "One"))))
    views = {
        "original": shown.original,
        "original, as the visitors see it": seen(shown.original),
        "result": shown.result,
        "result, as the visitors see it": seen(shown.result),
    }
    for name, expected in views.items():
        got = np.asarray(pictures[f"1.jpg: {name}"]).astype(int)
        assert np.abs(got - expected).mean() < 4, name  # what JPEG costs
        assert pictures[f"1.jpg: {name}"].info.get("exif") is None


def test_a_slider_that_the_keyboard_moves_stands_beside_each_photo(page: Page) -> None:
    assert [kind for kind in page.inputs if kind == "range"] == ["range"] * len(SIZES)
    assert page.inputs.count("radio") == 2 * len(SIZES)


def test_names_and_prompts_are_escaped() -> None:
    evil = PageItem(
        original=pixels(1),
        result=pixels(2),
        heading=EVIL,
        facts=((EVIL, EVIL),),
        note=EVIL,
        prompt=EVIL,
        negative_prompt=EVIL,
    )
    page = read_page(restyle_page([evil], EVIL))
    assert page.problems == []
    assert page.tags.count("script") == 1  # the page's own
    assert "<script>alert" not in page.source
    assert page.text.count(EVIL) >= 6  # people read what it was


def test_a_result_of_another_size_is_shown_as_large_as_its_original() -> None:
    shown = PageItem(original=pixels(1, (40, 60)), result=pixels(2, (80, 121)), heading="a")
    assert {picture.size for _, picture in pictures_of(read_page(restyle_page([shown], "x")))} == {(60, 40)}


def test_regrading_is_called_so_and_diffusion_is_not() -> None:
    lineages = [lineage_of(1), lineage_of(2), lineage_of(3, diffusion=True)]
    items = [page_item(lineage, f"{lineage.source_photo_id}", pixels(1), pixels(2)) for lineage in lineages]
    assert [shown.note for shown in items] == [NOT_PAINTED, NOT_PAINTED, ""]
    assert [shown.prompt for shown in items] == ["", "", "a hotel bathroom — overgrown"]  # no model read the others
    text = read_page(restyle_page(items, "Rooms")).text
    assert f"2 of 3: {NOT_PAINTED}" in text
    assert text.count(NOT_PAINTED) == 3


def test_facts_have_units_and_leave_out_what_was_not_measured() -> None:
    scores = {"hog": 0.9612, "shift": 0.004, "nearest": None, "tags_lost": [], "protan_median_de": 14.23, "unknown": 7}
    facts = dict(facts_of(lineage_of(1, scores=scores, rung="second control", seconds=1.256)))
    assert facts["rung"] == "second control"
    assert facts["attempts"] == "2"
    assert facts["time"] == "1.26 s"
    assert facts["shifted by"] == "0.4% of the longer side"
    assert facts["change that a protanope sees (median)"] == "14.2 dE2000"
    assert facts["tags lost"] == "none"
    assert not any("nearest" in name or "unknown" in name for name in facts)


def test_every_score_that_a_judge_gives_has_its_words() -> None:
    scores = Scores(
        hog=0.9,
        edge_f1=0.8,
        shift=0.0,
        visibility=Visibility(median_de=12.0, share=0.7, wasted=0.2),
        palette_distance=8.0,
        nearest=True,
        cosine=0.8,
        tags_lost=("a bed",),
        prompt_margin=0.01,
    ).as_json()
    assert set(SCORES) == set(scores)
    facts = facts_of(lineage_of(1, scores=scores))
    assert len(facts) == 5 + len(scores)
    assert ("tags lost", "a bed") in facts


def test_a_page_is_written_whole_and_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_page(restyle_page([item(1)], "\udcff.jpg"), tmp_path / "page.html")  # a name that is no UTF-8
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    with pytest.raises(QueryError, match="nowhere"):
        write_page("x", tmp_path / "nowhere" / "page.html")


def test_a_page_of_no_photos_says_so() -> None:
    assert "0 photos" in read_page(restyle_page([], "Rooms")).text
