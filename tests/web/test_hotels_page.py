"""Hotels by what their photos show: listed, narrowed, ranked, exported; and the page of one."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update
from starlette.testclient import TestClient

import aliens
from aliens.library import Library
from db.hotel_rows import mark_hotels_changed
from db.models import Hotel
from tests.web.axe_checks import faults, is_too_wide
from tests.web.conftest import client_of
from tests.web.test_photo_page import HOSTILE


def titles(text: str) -> list[str]:
    return re.findall(r'<h2><a href="/hotel/\d+">([^<]*)', text)


def test_hotels_are_listed_narrowed_and_sorted(client: TestClient, tagged_library: Library) -> None:
    text = client.get("/hotels").text
    table = tagged_library.hotels()
    assert titles(text) == [hotel.hotel_name for hotel in table[:24]] and "page 1 of 2" in text
    assert titles(client.get("/hotels?page=2").text) == [hotel.hotel_name for hotel in table[24:]]
    assert titles(client.get("/hotels?page=77").text) == [hotel.hotel_name for hotel in table[24:]]
    pool = next(name for name in table.names if "pool" in name)
    narrow = client.get("/hotels", params={"tag": pool, "name": "Azura", "sort": "photos"}).text
    wanted = tagged_library.hotels("Azura", tags=pool, sort="photos")
    assert titles(narrow) == [hotel.hotel_name for hotel in wanted]
    best = next(tag for tag in wanted[0].tags if tag.tag == pool)
    first = narrow.index(f'<img src="/api/v1/photos/{best.best_photo}/image')  # what was asked for leads
    assert first == narrow.index('<img src="/api/v1/photos/')
    missing = tagged_library.hotels(missing=pool)
    assert titles(client.get("/hotels", params={"missing": pool}).text) == [hotel.hotel_name for hotel in missing]
    other = client.get("/hotels", params={"vocabulary": tagged_library.vocabulary_keys()[1]}).text
    assert titles(other) == titles(text) and other != text
    nobody = client.get("/hotels", params={"name": "no such hotel"})
    assert nobody.status_code == 200 and "no such hotel" in nobody.text and 'class="note"' in nobody.text
    assert client.get("/hotels?sort=stars").status_code == 422
    assert "none of 30 hotels is so" in client.get("/hotels", params={"tag": pool, "missing": pool}).text
    assert titles(client.get("/hotels/list").text) == titles(text)


def test_hotels_by_words(client: TestClient, tagged_library: Library) -> None:
    hits = tagged_library.search_hotels("swimming pool", k=24)
    text = client.get("/hotels?words=swimming+pool").text
    assert titles(text) == [hit.hotel_name for hit in hits]
    assert "image:" not in client.get("/hotels", params={"words": "pool chain:none-such"}).text
    ranked = client.get("/api/v1/hotels/ranked", params={"q": "swimming pool", "limit": 3}).json()
    assert [each["hotel_id"] for each in ranked["hotels"]] == [hit.hotel_id for hit in hits[:3]]
    behind = client.get(
        "/api/v1/hotels/ranked", params={"q": "swimming pool", "limit": 3, "cursor": ranked["cursor"]}
    ).json()
    assert [each["hotel_id"] for each in behind["hotels"]] == [hit.hotel_id for hit in hits[3:6]]
    forged = client.get("/api/v1/hotels/ranked", params={"q": "pool", "cursor": "Zm9yZ2Vk"})
    assert forged.status_code == 422


def test_the_page_of_a_hotel(client: TestClient, tagged_library: Library) -> None:
    hotel = tagged_library.hotels()[0]
    text = unescape(client.get(f"/hotel/{hotel.hotel_id}").text)
    for said in (hotel.hotel_name, hotel.chain_name, *hotel.sure, *hotel.likely, f"q=hotel%3A{hotel.hotel_id}"):
        assert str(said) in text
    gallery = tagged_library.gallery(hotel.hotel_id)
    fragment = client.get(f"/hotel/{hotel.hotel_id}/gallery").text
    shown = [int(found) for found in re.findall(r'href="/photo/(\d+)"', fragment)]
    assert shown == [photo.photo_id for photo in gallery] and len(shown) >= 5
    assert gallery[0].why in unescape(client.get(f"/hotel/{hotel.hotel_id}?whole=true").text)
    for number in (0, -5, 99, 2**70):
        assert client.get(f"/hotel/{number}").status_code == 404
        assert client.get(f"/api/v1/hotels/{number}").status_code == 404
    assert 'class="note"' in client.get("/hotel/99/gallery").text
    out = client.get(f"/api/v1/hotels/{hotel.hotel_id}").json()
    assert (out["sure"], out["rooms"]) == (hotel.sure, hotel.rooms) and "path" not in str(out)


def test_lists_and_exports_by_program(client: TestClient, tagged_library: Library, tmp_path: Path) -> None:
    listed = client.get("/api/v1/hotels?first=28&limit=5").json()
    assert listed["total"] == 30 and len(listed["hotels"]) == 2
    for ending in ("csv", "tsv", "jsonl", "json", "parquet", "html"):
        tagged_library.export_hotels(tmp_path / f"hotels.{ending}", name="Azura")
        answer = client.get("/api/v1/hotels/export", params={"format": ending, "name": "Azura"})
        assert answer.content == (tmp_path / f"hotels.{ending}").read_bytes(), ending
        assert answer.headers["content-disposition"] == f'attachment; filename="hotels.{ending}"'
    assert client.get("/api/v1/hotels/export?format=exe").status_code == 422
    assert client.get("/api/v1/hotels/export?name=no-such-hotel").status_code == 422


def test_the_table_follows_what_people_say(own_library: Library) -> None:
    hotel = own_library.hotels()[0]
    lacking = hotel.missing[0]
    with client_of(own_library) as client:
        assert lacking in client.get(f"/api/v1/hotels/{hotel.hotel_id}").json()["missing"]
        own_library.label(own_library.photos_of_hotel(hotel.hotel_id)[0][0], lacking)
        assert lacking in client.get(f"/api/v1/hotels/{hotel.hotel_id}").json()["sure"]
        with own_library.catalog.session() as session:
            session.execute(update(Hotel).where(Hotel.id == hotel.hotel_id).values(name=HOSTILE))
            mark_hotels_changed(session)
            session.commit()
        for address in ("/hotels", "/hotels?words=pool", f"/hotel/{hotel.hotel_id}?whole=true"):
            text = client.get(address).text
            assert "<script>alert" not in text and "\u202e" not in text and "{{ 7*7 }}" in text


def test_large_tables_are_joined_after_the_page(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.hotel_tables.AT_ONCE", 10)
    waits = client.get("/hotels?sort=photos").text
    assert 'hx-get="/hotels/list?sort=photos"' in waits and titles(waits) == []
    assert len(titles(client.get("/hotels?sort=photos&now=true").text)) == 24
    assert len(titles(client.get("/hotels?sort=photos").text)) == 24  # it is kept now


def test_libraries_without_hotels_or_tags_say_how(sample_library: Library, starter: Any, tmp_path: Path) -> None:
    with aliens.create(tmp_path / "empty", encoder=starter) as empty, client_of(empty) as client:
        text = client.get("/hotels").text
        assert "--hotel-from folder" in text and "belongs to a hotel yet" in text
        assert client.get("/api/v1/hotels").status_code == 422
        assert client.get("/hotel/1").status_code == 404
    with client_of(sample_library) as client:
        text = client.get("/hotels").text
        assert "the photos have no tags" in text and "Search hotels" in text
        assert len(titles(client.get("/hotels?words=pool").text)) == 24
        hotel = sample_library.search_hotels("pool", k=1)[0]
        assert "the photos have no tags" in client.get(f"/hotel/{hotel.hotel_id}").text
        assert client.get(f"/api/v1/hotels/{hotel.hotel_id}").status_code == 422


def test_hotels_in_a_browser(server: Any, page: Page) -> None:
    page.goto(f"{server.url}/hotels")
    assert faults(page, "light", "dark") == []
    page.get_by_text("Their photos show").click()
    page.locator("#narrow input[name=tag]").first.check()
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**/hotels?**tag=**")
    page.get_by_label("Sort by").select_option("photos")
    page.wait_for_url("**sort=photos**")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="CSV").click()
    assert downloading.value.suggested_filename == "hotels.csv"
    page.locator(".hotel h2 a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/hotel/*")
    expect(page.locator(".gallery img").first).to_be_visible()
    assert faults(page, "light", "dark") == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert not is_too_wide(page)
    page.goto(f"{server.url}/hotels")
    assert not is_too_wide(page)
