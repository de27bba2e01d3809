"""Searching by program: pages, facets, places, suggestions; forged cursors, files that strangers ask for."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from aliens.library import Library

API = "/api/v1"


def asked(client: TestClient, path: str = "/search", status: int = 200, **parameters: Any) -> Any:
    answer = client.get(f"{API}{path}", params=parameters)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.json()


@pytest.mark.parametrize("q", ["a bathtub", "", "a pool chain:none", "like:7", "chain:11"])
@pytest.mark.parametrize("sort", ["score", "newest", "hotel"])
def test_pages_put_together_are_the_order(client: TestClient, tagged_library: Library, q: str, sort: Any) -> None:
    order = tagged_library.order(q, sort=sort)
    found, cursor, pages = [], None, 0
    while True:
        page = asked(client, q=q, sort=sort, limit=50, **({"cursor": cursor} if cursor else {}))
        assert (page["total"], page["above"], page["photos"]) == (order.total, order.above, order.photos)
        found += [(hit["rank"], hit["photo_id"]) for hit in page["hits"]]
        cursor, pages = page["cursor"], pages + 1
        if cursor is None:
            break
    assert found == list(enumerate(order.photo_ids.tolist(), start=1))
    assert pages == -(-len(order) // 50)


def test_a_rank_is_asked_for_as_of_an_earlier_page(client: TestClient) -> None:
    first = asked(client, q="a room", limit=30)
    later = asked(client, q="a room", limit=10, rank=21, as_of=first["as_of"])
    assert later["hits"] == first["hits"][20:]
    assert asked(client, q="a room", rank=10**6)["hits"] == []
    assert asked(client, q="a room", as_of=3, limit=500)["reachable"] == 240
    assert {hit["photo_id"] for hit in asked(client, q="a room", as_of=3, limit=500)["hits"]} == {1, 2, 3}


def test_a_hit_says_what_a_page_shows(client: TestClient, tagged_library: Library) -> None:
    hit = asked(client, q="a bathtub", limit=1)["hits"][0]
    best = tagged_library.search("a bathtub", k=1)[0]
    assert hit["photo_id"] == best.photo_id
    assert hit["score"] == pytest.approx(best.score, abs=1e-6)
    assert hit["beats"] == pytest.approx(best.percentile)
    assert hit["above_line"] is True
    assert "a bathtub" in hit["tags"]
    assert hit["name"] and "/" not in hit["name"]
    unranked = asked(client, limit=1)["hits"][0]
    assert (unranked["score"], unranked["beats"], unranked["above_line"]) == (None, None, None)


@pytest.mark.parametrize("cursor", ["x", "eyJ9", "W10", "WyJhIiwiYiIsMSwwLjUsMSwxXQ", "ä", "W" * 900])
def test_a_forged_cursor_is_a_problem(client: TestClient, cursor: str) -> None:
    assert "cursor" in asked(client, status=422, q="a pool", cursor=cursor)["detail"]


def test_a_cursor_of_another_query_is_a_problem(client: TestClient) -> None:
    cursor = asked(client, q="a pool", limit=5)["cursor"]
    for other in ({"q": "a bed"}, {"q": "a pool", "sort": "newest"}, {"q": "a pool", "more": [3]}):
        assert "of another query" in asked(client, status=422, cursor=cursor, **other)["detail"]
    assert asked(client, q="a pool", limit=5, cursor=cursor)["hits"][0]["rank"] == 6


@pytest.mark.parametrize(
    "q", ["image:/etc/passwd", "like:/etc/passwd", "a pool like:../../etc/passwd", "-image:x a pool"]
)
def test_no_file_of_this_machine_is_read_or_told_of(client: TestClient, q: str) -> None:
    said = asked(client, status=422, q=q)["detail"]
    assert "no such" not in said.lower()
    assert "folder" not in said
    assert said == asked(client, status=422, q=q.replace("passwd", "nothing"))["detail"].replace("nothing", "passwd")


def test_facets_write_the_query_language(client: TestClient, tagged_library: Library) -> None:
    said = asked(client, "/search/facets", q="a bathtub")
    assert {facet["name"] for facet in said["facets"]} == {"tag", "chain", "hotel", "source", "size", "colour", "year"}
    assert {f["vocabulary"] for f in said["facets"] if f["name"] == "tag"} == {"case-study", "hotel"}
    chain = next(facet for facet in said["facets"] if facet["name"] == "chain")["values"][0]
    assert asked(client, q=f"a bathtub {chain['term']}")["above"] == chain["count"]


def test_hotels_are_found_by_their_names(client: TestClient) -> None:
    found = asked(client, "/search/hotels", q="", name="casa")
    assert found
    assert all("casa" in hotel["value"].lower() for hotel in found)
    assert asked(client, q=found[0]["term"])["total"] == found[0]["count"]


def test_the_map_has_the_photos_above_the_line(client: TestClient) -> None:
    places = asked(client, "/search/map", q="a pool")["places"]
    assert sum(place["count"] for place in places) == asked(client, q="a pool")["above"]
    assert places[0]["photo_id"] == asked(client, q="a pool", limit=1)["hits"][0]["photo_id"]


def test_suggestions(client: TestClient) -> None:
    found = asked(client, "/suggestions", q="a room chain:casa")["suggestions"]
    assert found[0] == {
        "text": 'a room chain:"Casa Coral" ',
        "caret": 26,
        "kind": "chain",
        "label": "Casa Coral",
        "about": "",
    }
    assert asked(client, "/suggestions", q="pool x", caret=4)["suggestions"][0]["text"].endswith(" x")


@pytest.mark.parametrize(
    "parameters", [{"limit": 0}, {"limit": 501}, {"sort": "size"}, {"q": "x" * 10_001}, {"more": ["x"]}, {"rank": 0}]
)
def test_parameters_out_of_range_are_refused(client: TestClient, parameters: dict[str, Any]) -> None:
    assert client.get(f"{API}/search", params=parameters).status_code == 422
