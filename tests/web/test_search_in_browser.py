"""The search page in Chromium: by mouse, by keyboard, on a phone, in the dark."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

from base.errors import QuerySyntaxError
from search.orders import PhotoOrder
from tests.web.axe_checks import faults, is_too_wide

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

Place = dataclasses.make_dataclass("Place", ["latitude", "longitude", "count", "title", "term", "photo_id"])
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
FIRST_LOAD_BYTES = 200_000  # before pictures
MANY = 3_000
CORAL = 'chain:"Casa Coral"'


@pytest.fixture
def aided(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has facets, suggestions and places."""

    def facets(order: PhotoOrder) -> list[SimpleNamespace]:
        chain = SimpleNamespace(value="Casa Coral", term=CORAL, count=5, chosen=CORAL in order.text)
        return [SimpleNamespace(name="chain", values=[chain], others=0, unknown=0, vocabulary="")]

    def suggest(text: str, caret: int, k: int = 8) -> list[SimpleNamespace]:
        term = f"{text} {CORAL}"
        return [SimpleNamespace(text=term, caret=len(term), kind="chain", label="Casa Coral", about="5 photos")]

    def mapped(order: PhotoOrder) -> list[Any]:
        return [Place(48.0, 2.0, 3, "Casa", CORAL, 5), Place(-30.0, 140.0, 1, "Far", "hotel:1005", 5)]

    for name, fake in {"facets": facets, "suggest": suggest, "mapped": mapped}.items():
        monkeypatch.setattr(server.library, name, fake)


@pytest.fixture
def many(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose answers have thousands of photos: the sample hotels' over and over, in many shapes."""
    real = server.library.order("a bedroom")
    ids = np.resize(real.photo_ids, MANY)
    scores = np.linspace(0.9, 0.1, MANY, dtype=np.float32)
    shapes = np.random.default_rng(1).integers(10, 64, MANY).astype(np.uint8).tobytes()

    def order(text: str = "", **said: Any) -> PhotoOrder:
        if "chian" in text:
            raise QuerySyntaxError(text, text.index("chian"), "there is no chian:")
        return dataclasses.replace(
            real, text=text, photo_ids=ids, scores=scores, beats=scores * 100, above=1_500, total=MANY, photos=MANY
        )

    monkeypatch.setattr(server.library, "order", order)
    monkeypatch.setattr(server.library, "ratios", lambda order: shapes)


@pytest.fixture
def phone(browser: "Browser") -> "Iterator[Page]":
    """A page on a phone, in the dark, in Russian."""
    context = browser.new_context(**PHONE, color_scheme="dark", locale="ru-RU")
    yield context.new_page()
    context.close()


def settled(page: "Page") -> None:
    """Wait until the grid has all its shapes, and the facets stand."""
    expect(page.locator("#grid.placed, .empty").first).to_be_attached()
    page.wait_for_load_state("networkidle")


def test_typing_searches_and_history_goes_back(server: Any, page: "Page", aided: None) -> None:
    sizes: list[int] = []
    page.on("requestfinished", lambda asked: sizes.append(asked.sizes()["responseBodySize"] if is_text(asked) else 0))
    page.goto(server.url)
    settled(page)
    assert 0 < sum(sizes) <= FIRST_LOAD_BYTES
    page.keyboard.press("/")
    page.keyboard.type("swimming pool")
    best = server.library.search("swimming pool", k=1)[0].photo_id
    expect(page.locator(".tile").first).to_have_attribute("data-id", str(best))
    page.wait_for_url("**/?q=swimming+pool")
    page.get_by_role("option", name="Casa Coral").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=swimming+pool+chain*")
    expect(page.get_by_role("combobox", name="What to look for")).to_have_value(f"swimming pool {CORAL}")
    expect(page.get_by_role("listbox")).to_be_hidden()
    facet = page.locator("#facets").get_by_role("link", name="Casa Coral")
    expect(facet).to_have_attribute("aria-current", "true")
    facet.click()
    page.wait_for_url("**/?q=swimming+pool")
    page.go_back()
    page.wait_for_url("**/?q=swimming+pool+chain*")
    expect(page.locator("#box")).to_have_value(f"swimming pool {CORAL}")
    page.go_back()
    page.wait_for_url(f"{server.url}/")
    expect(page.locator("#box")).to_have_value("")
    page.go_forward()
    page.wait_for_url("**/?q=swimming+pool+chain*")
    page.locator("#box").fill("a pool chian:Azura")
    expect(page.locator("#problem mark")).to_have_text("c")
    expect(page.locator("#answer")).to_have_class("stale")
    page.locator("#box").fill("a bed")
    expect(page.locator("#problem")).to_have_count(0)
    expect(page.locator("#answer")).not_to_have_class("stale")
    page.goto(f"{server.url}/tags")
    page.keyboard.press("/")
    page.keyboard.type("swimming pool")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=swimming+pool")


def is_text(asked: Any) -> bool:
    return asked.resource_type != "image" or asked.url.endswith(".svg")


def test_a_thousandth_photo_is_reached_and_back_restores_it(server: Any, page: "Page", many: None) -> None:
    page.route("**/photo/*", lambda route: route.fulfill(body="<title>photo</title>", content_type="text/html"))
    page.goto(f"{server.url}/?q=endless")
    settled(page)
    assert page.locator("#grid > li").count() < 200  # of 3,000
    assert page.locator('.tile[data-rank="1"]').bounding_box() is not None
    height = page.evaluate("document.querySelector('#grid').offsetHeight")
    page.evaluate("window.scrollTo(0, document.querySelector('#grid').offsetHeight / 3)")
    thousandth = page.locator('.tile[data-rank="1000"][data-id]')
    expect(thousandth).to_be_attached()
    thousandth.locator("a").focus()
    top = page.evaluate("scrollY")
    thousandth.locator("a").click()
    page.wait_for_url("**/photo/*rank=1000")
    page.go_back()
    expect(page.locator('.tile[data-rank="1000"][data-id] a')).to_be_focused()
    assert abs(page.evaluate("scrollY") - top) < 300
    assert page.evaluate("document.querySelector('#grid').offsetHeight") == height
    page.goto(f"{server.url}/?q=endless&rank=2000")  # as a photo's page links back
    settled(page)
    expect(page.locator('.tile[data-rank="2000"][data-id]')).to_be_in_viewport()
    page.wait_for_url("**/?q=endless")
    page.locator('.tile[data-rank="2000"] a').focus()
    page.keyboard.press("End")
    expect(page.locator(f'.tile[data-rank="{MANY}"] a')).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator('.tile[data-rank="1"] a')).to_be_focused()
    page.locator("#box").fill("endless chian:x")  # what stands there goes on scrolling
    expect(page.locator("#problem")).to_be_visible()
    line = page.locator("#grid > .line")
    page.evaluate("window.scrollTo(0, document.querySelector('.line').getBoundingClientRect().top + scrollY - 300)")
    expect(line).to_be_in_viewport()
    expect(line).to_have_attribute("aria-posinset", "1501")
    expect(page.locator('.tile[data-rank="1501"][data-id]')).to_be_attached()
    neighbours = page.evaluate(
        "[...document.querySelectorAll('#grid > li')].map((item) => Number(item.dataset.rank ?? 1500.5))"
    )
    assert neighbours == sorted(neighbours)


def test_by_keyboard_alone(server: Any, page: "Page", many: None) -> None:
    taken: list[str] = []

    def take(route: "Route") -> None:
        taken.append(route.request.post_data or "")
        route.fulfill(body="3", content_type="text/html")

    page.route("**/basket/photos", take)
    page.goto(f"{server.url}/?q=by+keyboard")
    settled(page)
    first = page.locator('.tile[data-rank="1"] a')
    skip = page.get_by_role("link", name="Skip to the photos")
    while not skip.evaluate("element => element === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator('.tile[data-rank="2"] a')).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("#selected")).to_have_text("1 selected")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#selected")).to_have_text("3 selected")
    page.keyboard.press("b")
    expect(page.get_by_text("3 photos were put into the basket")).to_be_visible()
    assert taken[0] == "&".join(f"id={number}" for number in server.library.order().photo_ids[1:4])
    page.keyboard.press("Control+a")
    expect(page.locator("#selected")).to_have_text("all 1,500 photos above the line selected")
    page.keyboard.press("Control+a")
    expect(page.locator("#selected")).to_have_text("all 3,000 photos of this search selected")
    page.keyboard.press("b")
    expect(page.locator("#selection")).to_be_hidden()
    assert taken[1] == "q=by+keyboard&sort=score&more=&less=&k=3000"
    page.keyboard.press("m")
    page.wait_for_url(re.compile(r"more=\d+$"))
    settled(page)
    page.locator(".likes a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"q=by\+keyboard$"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help", exact=True)).to_be_visible()
    page.get_by_label("Shortcuts of single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#box")).not_to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#box")).to_be_focused()


def test_what_stands_on_photos_is_clicked_one_after_the_other(server: Any, page: "Page", aided: None) -> None:
    other = page.context.new_page()
    other.goto(f"{server.url}/basket")
    page.goto(f"{server.url}/?q=a+bedroom")
    settled(page)
    try:
        for place, count in [(0, "1"), (2, "2"), (3, "3")]:
            tile = page.locator(".tile").nth(place)
            tile.hover()
            tile.get_by_role("button", name="Into the basket").click()
            for tab in (page, other):
                expect(tab.locator("nav").get_by_role("link", name="Basket").first).to_contain_text(count)
        page.locator(".tile").nth(1).hover()
        page.locator(".tile").nth(1).get_by_role("button", name="More like this").click()
        page.wait_for_url("**more=*")
    finally:
        page.request.post(f"{server.url}/basket/clear", headers={"Origin": server.url})


def test_a_dropped_photo_becomes_a_chip(
    server: Any, page: "Page", many: None, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"id": "u_1", "term": "image:u_1"}
    monkeypatch.setattr(server.app.state.opened.uploads, "vectors", lambda text: {})
    page.route("**/api/v1/uploads", lambda route: route.fulfill(json=answer, status=201))
    photo = next((samples / "images").rglob("*.jpg"))
    page.route("**/api/v1/uploads/u_1/image", lambda route: route.fulfill(path=photo))
    page.goto(f"{server.url}/?q=dropped+here")
    settled(page)
    page.get_by_label("Search by a photo").set_input_files(photo)
    page.wait_for_url("**/?q=dropped+here+image%3Au_1")
    expect(page.locator("#box")).to_have_value("dropped here")
    expect(page.locator("#dropped img")).to_have_attribute("src", re.compile("^blob:"))
    for event in ("DragEvent('drop', { dataTransfer", "ClipboardEvent('paste', { clipboardData"):
        page.locator("#dropped a").click()
        page.wait_for_url("**/?q=dropped+here")
        page.evaluate(
            f"""() => {{
              const transfer = new DataTransfer();
              transfer.items.add(new File(["x"], "photo.png", {{ type: "image/png" }}));
              document.dispatchEvent(new {event}: transfer, bubbles: true, cancelable: true }}));
            }}"""
        )
        expect(page.locator("#dropped a")).to_have_count(1)
    page.locator("#dropped a").click()
    page.wait_for_url("**/?q=dropped+here")
    phones = {"name": "IMG_1.HEIC", "mimeType": "application/octet-stream", "buffer": b"x"}
    page.get_by_label("Search by a photo").set_input_files(phones)  # which no browser but Safari could show
    expect(page.locator("#dropped img")).to_have_attribute("src", "/api/v1/uploads/u_1/image")
    page.reload()
    expect(page.locator("#dropped a")).to_have_count(1)
    expect(page.locator("#box")).to_have_value("dropped here")


def test_the_map_narrows(server: Any, page: "Page", aided: None) -> None:
    page.goto(f"{server.url}/?q=a+pool")
    page.get_by_role("link", name="On a map").click()
    page.wait_for_url("**/?q=a+pool&view=map")
    expect(page.locator(".place")).to_have_count(2)
    assert faults(page) == []
    page.get_by_role("button", name="Casa: 3 photos").click()
    page.wait_for_url("**chain*view=map")
    page.get_by_role("button", name="Only photos in this part of the map").click()
    page.wait_for_url("**near*")
    page.get_by_role("link", name="As a grid").click()
    expect(page.locator("#map")).to_be_hidden()


def test_searches_are_kept_by_name(server: Any, page: "Page") -> None:
    page.goto(f"{server.url}/?q=a+balcony")
    settled(page)
    page.get_by_role("button", name="Saved searches").click()
    page.get_by_label("Name of this search").fill("balconies & views")
    page.get_by_role("button", name="Save", exact=True).click()
    link = page.get_by_role("link", name="balconies & views")
    expect(link).to_have_attribute("href", "/?q=a+balcony")
    page.get_by_role("button", name="Forget: balconies & views").click()
    expect(link).to_have_count(0)


def test_on_a_phone_in_the_dark(server: Any, phone: "Page", aided: None) -> None:
    phone.goto(f"{server.url}/?q=a+pool")
    settled(phone)
    assert not is_too_wide(phone)
    assert phone.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 23)"
    assert faults(phone) == []
    phone.locator("#filters-button").tap()
    expect(phone.locator("#sheet .facet")).to_be_visible()
    assert faults(phone) == []
    phone.locator("#sheet .facet a").tap()
    phone.wait_for_url("**chain*")
    phone.locator("#sheet button").tap()
    expect(phone.locator("#sheet")).to_be_hidden()
    phone.locator(".pick").first.tap()
    expect(phone.locator("#selection")).to_be_visible()
    assert not is_too_wide(phone)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_for_axe(server: Any, page: "Page", aided: None, theme: str) -> None:
    page.goto(f"{server.url}/?q=a+pool")
    settled(page)
    page.get_by_role("button", name="Look and language").click()
    page.get_by_role("radio", name=theme.title()).check()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == theme
    page.locator("#box").fill("parliament chian:x")
    expect(page.locator("#problem")).to_be_visible()
    page.locator(".tile a").first.focus()
    assert faults(page) == []
