import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import aliens
from aliens.library import Library
from analysis.stats.counting import count_library
from analysis.stats.plots import bars, earth, outlines
from analysis.stats.stats_page import ShareGrid, map_squares, share_grid
from base.errors import OutputError
from search.tags.summary import ChainCount
from tests.conftest import LibraryFactory


class Elements(HTMLParser):
    """Which elements a page has, and which addresses and identities they name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [(name, value or "") for name, value in attrs]


def test_the_page_of_an_odd_library_shows_everything_and_asks_nothing_of_the_network(odd: Library) -> None:
    page = odd.stats().page()
    found = Elements(page)
    assert found.tags.count("svg") == 6
    assert "script" not in found.tags
    asked = [value for name, value in found.values if name in ("src", "href", "xlink:href")]
    assert [value for value in asked if not value.startswith("#")] == ["data:,"]
    assert "&lt;script&gt;" in page
    assert "日本 $x^2$" in page
    assert "trun&lt;b&gt;cated" in page
    assert "<code>aliens failures</code>" in page
    assert "1970" in page
    assert "Not drawn, of clocks that were not set: 3, 30.0%" in page


def test_colours_are_the_pages_and_identities_are_single(odd: Library) -> None:
    page = odd.stats().page()
    assert not re.search("#0[1-5]0[2-6]0[3-7]", page)
    assert "var(--accent)" in page
    identities = [value for name, value in Elements(page).values if name == "id"]
    assert len(identities) == len(set(identities))


def test_every_plot_has_words_and_its_numbers_as_a_table(odd: Library) -> None:
    page = odd.stats().page()
    assert len(re.findall(r'<svg viewBox="[^"]+" role="img" aria-label="[^"]{20,}">', page)) == 6
    assert page.count("<details>") == 6


def test_pages_of_an_empty_library_and_of_one_without_hotels(library: LibraryFactory, photos: Path) -> None:
    assert "<svg" not in library.open().stats().page()
    library.add(photos)
    page = library.open().stats().page()
    assert "10</strong> <span>photos can be found" in page
    assert "hotel" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).lower()
    assert page.count("<svg") == 2  # sizes and brightness


def test_tags_of_a_tagged_library_are_shown_by_chain(opened: Library, photos: Path, tmp_path: Path) -> None:
    opened.tag(method="calibrated")
    stats = opened.stats()
    assert stats.summary.vocabulary is not None
    assert stats.tags["photos"].sum() == sum(count.photos for count in opened.tags()) > 0
    stats.write_page(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Tags</h2>" in page
    assert "Tags by chain" not in page  # of photos of no chain there is nothing to compare
    with pytest.raises(OutputError, match="cannot be written"):
        stats.write_page(tmp_path / "report.html" / "report.html")


def test_tags_of_several_chains_are_compared(odd: Library) -> None:
    tags = [
        ChainCount(chain_id=number, chain="<b>", photos=4, tags={"pool": number, "tv": 0}, sure={"pool": 0, "tv": 0})
        for number in (1, 2)  # of the same name
    ]
    with odd.catalog.session() as session:
        grid = share_grid(count_library(session, "hotels", tags=tags, vocabulary="words-1"))
    assert grid == ShareGrid(
        chains=["<b>", "<b>"],
        tags=[("pool", [0.25, 0.5]), ("tv", [0, 0])],
        largest=0.5,
        other_chains=0,
        other_tags=0,
    )


def test_a_vocabulary_that_the_library_was_not_tagged_with_is_refused(odd: Library) -> None:
    with pytest.raises(aliens.QueryError, match="not tagged"):
        odd.stats("words")


def test_a_plot_is_the_same_each_time_and_says_what_it_is_told_as_text() -> None:
    borders, counts = np.arange(4, dtype=np.float64), np.array([1, 2, 3])
    svg = bars(borders, counts, 'a "label" <b>', "x $a^2$")
    assert svg == bars(borders, counts, 'a "label" <b>', "x $a^2$")
    assert 'aria-label="a &quot;label&quot; &lt;b&gt;"' in svg
    assert "x $a^2$" in svg


def test_a_map_of_one_place_and_of_none() -> None:
    one = earth(np.array([48.5]), np.array([2.5]), np.array([7]), "a map")
    none = earth(np.empty(0), np.empty(0), np.empty(0, np.int64), "a map")
    assert one.count("<use") == 1
    assert none.count("<use") == 0


def test_many_places_are_drawn_as_fewer() -> None:
    latitudes, longitudes = np.mgrid[-50:50, -100:100].reshape(2, -1)
    places = {"latitude": latitudes.tolist(), "longitude": longitudes.tolist(), "photos": [1] * len(latitudes)}
    wide, corners, photos = map_squares(places)
    assert (wide, corners.shape[1], int(photos.sum())) == (3, 2312, 20_000)
    wide, corners, photos = map_squares({"latitude": [3, -1], "longitude": [2, -1], "photos": [1, 2]})
    assert (wide, corners.T.tolist(), photos.tolist()) == (1, [[-1, -1], [3, 2]], [2, 1])


def test_sizes_between_two_round_numbers_have_their_ends_on_the_axis() -> None:
    """As in a library whose photos are all of one size."""
    counts = [("width", np.array([0, 0, 5])), ("height", np.array([5, 0, 0]))]
    svg = outlines(np.array([226.0, 269.0, 320.0, 380.0]), counts, "sizes", "px")
    assert ">226<" in svg and ">380<" in svg
