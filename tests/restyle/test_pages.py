from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.console import HIDDEN
from base.errors import OutputError
from embedding.html_pages import write_page
from restyle.pages import LONGEST_PX, PageItem, restyle_page
from restyle.protanopia import seen
from tests.page import Page, pictures_of, read_page

EVIL = "<script>alert(1)</script> \"'& комната.jpg"
SIZES = [(40, 60), (60, 40), (900, 1300), (1, 1), (3, 400)]  # height, width


def pixels(seed: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    colours = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(colours).resize(size[::-1], Image.Resampling.BILINEAR))


def item(seed: int, size: tuple[int, int] = (40, 60), **texts: object) -> PageItem:
    return PageItem(original=pixels(seed, size), result=pixels(seed + 50, size), heading=f"{seed}.jpg", **texts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page() -> Page:
    items = [
        item(seed, size, facts=(("outlines kept", "95 %"),), figures=(("edge F1", "0.95"),), prompt="ferns")
        for seed, size in enumerate(SIZES)
    ]
    return read_page(restyle_page(iter(items), "Rooms"))


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(page: Page) -> None:
    assert page.problems == []
    assert page.addresses  # pictures
    assert all(address.startswith("data:") for address in page.addresses)
    assert "://" not in page.source
    assert "@import" not in page.source and "url(" not in page.source


def test_everyday_words_come_first_and_figures_are_folded_away(page: Page) -> None:
    before, _, folded = page.source.partition("<details>")
    assert "outlines kept" in before and "edge F1" not in before
    assert "edge F1" in folded.partition("</details>")[0]


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
    texts: dict[str, Any] = dict.fromkeys(("heading", "note", "prompt", "negative_prompt"), EVIL)
    evil = PageItem(original=pixels(1), result=pixels(2), facts=((EVIL, EVIL),), **texts)
    page = read_page(restyle_page([evil], EVIL))
    assert page.problems == []
    assert page.tags.count("script") == 1  # the page's own
    assert "<script>alert" not in page.source
    assert page.text.count(EVIL) >= 6  # people read what it was


def test_names_turn_no_text_around_them() -> None:
    name = "photo\u202egpj\x1b\u2028"
    item = PageItem(original=pixels(1), result=pixels(2), heading=name, facts=((name, name),), note=name, prompt=name)
    page = restyle_page([item], name)
    assert not HIDDEN.search(page.replace("\n", ""))
    assert page.count(r"photo\u202egpj\x1b\u2028") >= 6


def test_a_result_of_another_size_is_shown_as_large_as_its_original() -> None:
    shown = PageItem(original=pixels(1, (40, 60)), result=pixels(2, (80, 121)), heading="a")
    assert {picture.size for _, picture in pictures_of(read_page(restyle_page([shown], "x")))} == {(60, 40)}


def test_what_must_not_be_missed_stands_with_its_photos_and_is_counted_at_the_top() -> None:
    note = "regraded: no diffusion model was used"
    text = read_page(restyle_page([item(1, note=note), item(2, note=note), item(3)], "Rooms")).text
    assert f"2 of 3: {note}" in text
    assert text.count(note) == 3


def test_a_page_is_written_whole_in_a_new_folder_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    write_page(restyle_page([item(1)], "\udcff.jpg"), tmp_path / "new" / "page.html")  # a name that is no UTF-8
    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    with pytest.raises(OutputError, match=r"page\.html.page\.html"):
        write_page("x", tmp_path / "new" / "page.html" / "page.html")


def test_a_page_of_no_photos_says_so() -> None:
    assert "0 photos" in read_page(restyle_page([], "Rooms")).text
