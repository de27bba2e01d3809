from typing import Any

from playwright.sync_api import Page


def test_a_query_shows_its_best_photo_first(server: Any, page: Page) -> None:
    page.goto(server.url)
    page.get_by_role("searchbox").fill("swimming pool")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/?q=swimming+pool")
    first = page.locator(".tile").first
    best = server.library.search("swimming pool", k=1)[0].photo_id
    assert first.get_attribute("data-id") == str(best)
