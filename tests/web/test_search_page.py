"""The search page without a browser: what it says, and what its fragments give."""

import dataclasses
import html
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from starlette.testclient import TestClient

from aliens.library import Library
from search.orders import PhotoOrder
from tests.web.conftest import client_of
from web.search_state import SearchState, state_asked


@pytest.fixture
def ordered_as(tagged_library: Library, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has every query of the tagged library answered with some values changed."""

    def change(**values: Any) -> None:
        found = dataclasses.replace(tagged_library.order("a pool"), **values)

        def order(text: str = "", **said: Any) -> PhotoOrder:
            return dataclasses.replace(found, text=text)

        monkeypatch.setattr(tagged_library, "order", order)

    return change


def test_hits_come_as_html(client: TestClient, tagged_library: Library) -> None:
    text = client.get("/?q=swimming+pool").text
    order = tagged_library.order("swimming pool")
    ids = [int(number) for number in re.findall(r'data-id="(\d+)"', text)]
    assert ids == order.photo_ids[:60].tolist()
    assert f"<b>{order.above}</b> above the line of {order.total}" in text
    assert 'value="swimming pool"' in text
    assert "Below this line" in text
    assert f"/photo/{ids[2]}?q=swimming+pool&amp;rank=3" in text
    assert f'aria-posinset="1" aria-setsize="{len(order) + 1}"' in text


def test_pages_are_turned_without_a_script(client: TestClient, tagged_library: Library) -> None:
    text = client.get("/?q=swimming+pool&rank=61").text
    assert re.findall(r'data-rank="(\d+)"', text)[0] == "61"
    assert "/?q=swimming+pool&amp;rank=121" in text
    assert "/?q=swimming+pool&amp;rank=1" in text
    assert client.get("/?rank=100001").status_code == 422


def test_what_is_typed_is_shown_as_text(client: TestClient) -> None:
    text = client.get("/", params={"q": '"><script>alert(1)</script> \u202e\x00a room'}).text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "\x00" not in text


@pytest.mark.parametrize(("query", "mark"), [("a pool chian:Azura", "c"), ('a "room', "&#34;"), ("a near:1,2", "n")])
def test_an_error_shows_its_place(client: TestClient, query: str, mark: str) -> None:
    page = client.get("/", params={"q": query})
    assert page.status_code == 422
    assert "<mark>" in page.text
    fragment = client.get("/answer", params={"q": query})
    assert fragment.status_code == 200
    assert "data-error" in fragment.text
    if mark == "c":
        assert "<mark>c</mark>hian:Azura" in fragment.text


def test_nothing_that_stands_out_is_said_honestly(client: TestClient, ordered_as: Callable[..., None]) -> None:
    ordered_as(stands_out=False)
    text = client.get("/?q=parliament").text
    assert "Nothing here looks like that" in text
    assert "drop a photo of what you mean" in text
    assert "data-line" not in text.partition('id="answer"')[2].partition('id="selection"')[0]


def test_the_end_of_what_can_be_scrolled_is_said(client: TestClient, ordered_as: Callable[..., None]) -> None:
    ordered_as(total=1_124_215, photos=1_124_215)
    assert "Scrolling ends here, at 240 of 1,124,215 photos" in client.get("/?q=a+room").text
    assert "1\xa0124\xa0215" in client.get("/?q=a+room", headers={"accept-language": "ru"}).text


def test_filters_that_leave_nothing_say_what_to_do(client: TestClient, ordered_as: Callable[..., None]) -> None:
    none = np.array([], np.int64)
    ordered_as(photo_ids=none, scores=none.astype(np.float32), beats=none.astype(np.float32), above=0, total=0)
    text = client.get("/?q=a+pool+chain:none").text
    assert "No photo meets these filters" in text
    assert "Show all photos" in text


def test_an_empty_library_says_how_to_add_photos(client: TestClient, ordered_as: Callable[..., None]) -> None:
    none = np.array([], np.int64)
    ordered_as(photo_ids=none, scores=None, beats=None, above=None, total=0, photos=0)
    text = client.get("/").text
    assert "No photos yet" in text
    assert 'href="/library"' in text


def test_a_photo_that_vanished_keeps_its_place(
    client: TestClient, tagged_library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tagged_library.hits_at

    def without_second(order: PhotoOrder, first: int, count: int) -> Any:
        return [hit for hit in whole(order, first, count) if hit.photo_id != int(order.photo_ids[1])]

    monkeypatch.setattr(tagged_library, "hits_at", without_second)
    text = client.get("/results?q=a+pool&first=0&count=3").text
    assert re.findall(r'data-rank="(\d+)"', text) == ["1", "2", "3"]
    assert text.count("This photo is gone") == 1


def test_windows_ratios_and_ids_agree(client: TestClient, tagged_library: Library) -> None:
    order = tagged_library.order("a bed")
    assert len(client.get("/results/ratios?q=a+bed").content) == len(order)
    ids = np.frombuffer(client.get("/results/ids?q=a+bed&first=5&count=7").content, "<i8")
    assert ids.tolist() == order.photo_ids[5:12].tolist()
    shown = re.findall(r'data-id="(\d+)"', client.get("/results?q=a+bed&first=5&count=7").text)
    assert [int(number) for number in shown] == ids.tolist()
    assert client.get("/results?q=a+bed&first=5000").text.strip() == ""
    for wrong in ("first=-1", "count=0", "count=201", "sort=worst", "more=1,x", "less=" + ",".join(["1"] * 101)):
        assert client.get(f"/results?q=a+bed&{wrong}").status_code == 422, wrong


def test_photos_liked_and_dropped_are_chips(
    client: TestClient, ordered_as: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered_as()
    gone = client.get("/?q=a+room+image:u_gone")  # its hour is over: it can be taken out
    assert gone.status_code == 422 and "hand it in again" in gone.text and 'data-term="image:u_gone"' in gone.text
    monkeypatch.setattr("web.uploads.Uploads.vectors", lambda uploads, text: {})
    text = client.get("/?q=a+room+image:u_ab-1&more=3,4&less=9").text
    assert 'value="a room"' in text
    assert 'data-term="image:u_ab-1"' in text
    assert "/?q=a+room+image%3Au_ab-1&amp;more=4&amp;less=9" in text  # without 3
    assert 'href="/?q=a+room&amp;more=3%2C4&amp;less=9" aria-label="Take the photo out"' in text


def test_facets_are_addresses(client: TestClient, tagged_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = SimpleNamespace(value="<b>Evil</b>\u202e", term='chain:"<b>Evil</b>"', count=3, chosen=False)
    chosen = SimpleNamespace(value="Casa Coral", term='chain:"Casa Coral"', count=12_345, chosen=True)
    chains = SimpleNamespace(name="chain", values=[chosen, hostile], others=21, unknown=7, vocabulary="")
    years = SimpleNamespace(name="year", values=[], others=0, unknown=0, vocabulary="")
    facets = [chains, years]
    monkeypatch.setattr(tagged_library, "facets", lambda order: facets)
    text = client.get("/facets", params={"q": 'a pool chain:"casa coral"', "sort": "newest"}).text
    assert "<b>Evil" not in text
    assert "\u202e" not in text
    assert "12,345" in text
    assert "and 21 more" in text
    assert "7 photos without" in text
    addresses = [parse_qs(html.unescape(each)) for each in re.findall(r'href="/\?([^"]*)"', text)]
    assert addresses[0] == {"q": ["a pool"], "sort": ["newest"]}
    assert addresses[1]["q"] == ['a pool chain:"casa coral" chain:"<b>Evil</b>"']
    filtered = client.get("/filtered", params={"q": "a pool", "term": "chain:Azura"}).json()
    assert filtered == {"q": "a pool chain:Azura"}


def test_suggestions_and_places(client: TestClient, tagged_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def suggest(text: str, caret: int, k: int = 8) -> list[SimpleNamespace]:
        asked.append((text, caret))
        return [SimpleNamespace(text="a pool chain:Azura ", caret=19, kind="chain", label="<Azura>", about="12 photos")]

    monkeypatch.setattr(tagged_library, "suggest", suggest)
    text = client.get("/suggestions", params={"q": "a pool az", "caret": 500}).text
    assert asked == [("a pool az", 9)]
    assert 'data-text="a pool chain:Azura " data-caret="19"' in text
    assert "&lt;Azura&gt;" in text
    place = dataclasses.make_dataclass("Place", ["latitude", "longitude", "count", "title", "term", "photo_id"])
    monkeypatch.setattr(tagged_library, "mapped", lambda order: [place(48.85, 2.35, 7, "Casa", "hotel:3", 5)])
    assert client.get("/map/places?q=a+pool").json() == [[48.85, 2.35, 7, "Casa", "hotel:3", 5]]


def test_searches_are_saved_and_forgotten(own_library: Library) -> None:
    with client_of(own_library) as client:
        asked = {"name": "by <night>", "q": "a pool", "sort": "newest", "more": "3,4"}
        text = client.post("/searches", data=asked).text
        assert "by &lt;night&gt;" in text
        assert 'href="/?q=a+pool&amp;sort=newest&amp;more=3%2C4"' in text
        assert own_library.saved_search("by <night>").options["more_like"] == (3, 4)
        own_library.save_search("of a shell", "a bed", like=42, per_hotel=1, k=20, until_stop=True)
        text = client.get("/searches").text
        assert 'href="/?q=a+bed+like%3A42"' in text
        assert "without per_hotel 1, until_stop True" in text
        own_library.forget_search("of a shell")
        for kept in ({"text": "image:/home/me/secret.jpg"}, {"text": "a bed", "image": "/home/me/secret.jpg"}):
            own_library.save_search("of a file", **kept)
            for address in ("/searches", "/", "/library"):
                assert "secret" not in client.get(address).text
        for wrong in ({"q": "image:u_1"}, {"q": "a pool", "sort": "oldest"}, {"q": 'a "pool'}, {"more": "1,x"}):
            assert 400 <= client.post("/searches", data={"name": "wrong", **wrong}).status_code < 500, wrong
        assert "None yet" in client.post("/searches/forget", data={"name": "by <night>"}).text
        assert client.post("/searches/forget", data={"name": "by <night>"}).status_code == 422


def test_the_look_is_rendered_as_it_was_chosen(client: TestClient) -> None:
    client.cookies.update({"theme": "dark", "language": "ru", "shortcuts": "off"})
    assert '<html lang="ru" data-theme="dark" data-shortcuts="off">' in client.get("/").text
    client.cookies.update({"theme": '"><script>'})
    assert "<script>&" not in client.get("/").text


def test_a_state_survives_its_address() -> None:
    state = SearchState(q='a pool chain:"Best & Western"', sort="oldest", view="map", more=(3, 1), less=(7,))
    said = {name: values[0] for name, values in parse_qs(state.address()).items()}
    assert state_asked(**said) == state  # type: ignore[arg-type]
    assert SearchState().address() == ""
