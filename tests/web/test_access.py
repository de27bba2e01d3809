"""Who may ask, from where: hosts, other sites, tokens, limits; and what every answer forbids a browser."""

import http.client
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from aliens.library import Library
from base.errors import QueryError
from tests.web.conftest import Running, client_of
from web.access import POLICY, session_cookie
from web.pages.access_pages import own_address
from web.web_settings import WebSettings, new_token

TOKEN = "kM_g6sTLA5tKMOkdk_k7OE-AQXnZNNAIQ9FrKevV3U4"  # as one is made, and the same in each process
HERE = "http://photos.example.com"
ELSEWHERE: dict[str, Any] = {"host": "0.0.0.0", "token": TOKEN, "hosts": ("Photos.example.com",)}


STRANGE = ["evil.com", "localhost.evil.com", "localhost.", "127.1", "2130706433", "0x7f000001", "127.0.0.1@evil.com"]
STRANGE += ["127.0.0.1:8765:80", "[::1", "::1", "[::ffff:127.0.0.1]", "", " localhost", "0.0.0.0", "192.168.0.7"]


@pytest.fixture
def guarded(tagged_library: Library) -> Iterator[TestClient]:
    """A client, not signed in, of a server that others can reach."""
    with client_of(tagged_library, HERE, **ELSEWHERE) as client:
        yield client


def sign_in(client: TestClient, token: str = TOKEN, **headers: str) -> Any:
    return client.post(
        "/sign-in",
        data={"token": token, "next": "/?q=pool"},
        headers={"origin": HERE} | headers,
        follow_redirects=False,
    )


def test_every_answer_forbids_what_no_page_needs(client: TestClient) -> None:
    for address in ("/", "/nowhere", "/api/v1/nowhere", "/static/style.css", "/problems/query", "/sign-in", "/healthz"):
        headers = client.get(address).headers
        assert headers["content-security-policy"] == POLICY, address
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "unsafe" not in POLICY
    assert client.get("/static/style.css").headers["cache-control"] == "no-cache"
    assert client.get("/").headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "LOCALHOST:8765", "[::1]:8765"])
def test_names_of_this_machine_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGE)
def test_other_names_and_odd_spellings_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/search", headers={"host": host})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/host")
    page = client.get("/", headers={"host": host})
    assert page.status_code == 400
    assert "--host-name" in page.text


def test_where_all_addresses_are_listened_at_each_is_answered_but_no_strange_name(guarded: TestClient) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host, status in (("192.168.0.7:8765", 200), ("photos.example.com", 200), ("rebound.evil.com", 400)):
        assert guarded.get("/healthz", headers=bearer | {"host": host}).status_code == status


CHANGE = {"id": 1 << 62}  # a photo that no basket holds: nothing changes


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8765"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_changes_that_other_sites_ask_for_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/basket/remove", data=CHANGE, headers=headers)
    assert answer.status_code == 403
    assert "other sites" in answer.text
    assert client.post("/api/v1/uploads", headers=headers).json()["type"] == "/problems/cross-site"


def test_changes_that_come_from_here_or_from_no_browser_are_made(client: TestClient) -> None:
    for headers in ({"origin": "http://127.0.0.1:8765"}, {"sec-fetch-site": "same-origin"}, {}):
        assert client.post("/basket/remove", data=CHANGE, headers=headers).status_code == 200


def test_without_the_token_pages_ask_for_it_and_programs_are_told(guarded: TestClient) -> None:
    page = guarded.get("/?q=pool")
    assert page.status_code == 401
    assert 'name="next" value="/?q=pool"' in page.text
    for address in ("/api/v1/search", "/healthz", "/metrics", "/api/v1/openapi.json"):
        answer = guarded.get(address)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/token")
        assert answer.headers["www-authenticate"] == "Bearer"
    line = guarded.get("/results", headers={"hx-request": "true"})
    assert (line.status_code, line.text.strip()[:17]) == (401, '<p class="note">S')
    assert guarded.get("/static/style.css").status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"])
def test_what_is_not_the_token_opens_nothing(guarded: TestClient, given: str) -> None:
    assert guarded.get("/healthz", headers={"authorization": given.encode("latin-1")}).status_code == 401
    assert guarded.get(f"/healthz?token={TOKEN}").status_code == 401


def test_programs_show_the_token_in_a_header(guarded: TestClient) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/healthz", headers=bearer).json()["photos"] == 240
    assert guarded.post("/basket/remove", data=CHANGE, headers=bearer).status_code == 200


def test_people_sign_in_once_and_go_on_to_what_they_asked_for(guarded: TestClient) -> None:
    assert sign_in(guarded, "wrong").status_code == 401
    answer = sign_in(guarded)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=pool")
    kept = answer.headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=strict" in kept
    assert TOKEN not in answer.headers["set-cookie"]
    assert guarded.get("/").status_code == 200
    # By the cookie a change needs to say where it comes from; over plain HTTP that is Origin alone.
    assert guarded.post("/basket/remove", data=CHANGE).status_code == 403
    assert guarded.post("/basket/remove", data=CHANGE, headers={"origin": HERE}).status_code == 200
    assert guarded.post("/basket/remove", data=CHANGE, headers={"origin": "http://evil.com"}).status_code == 403


def test_a_forged_cookie_and_one_of_another_token_are_worth_nothing(
    guarded: TestClient, tagged_library: Library
) -> None:
    sign_in(guarded)
    name = session_cookie(WebSettings(**ELSEWHERE))
    signed = guarded.cookies[name]
    with client_of(tagged_library, HERE, **ELSEWHERE | {"token": new_token()}) as stranger:
        for forged in (signed, signed[:-3] + "AAA", "eyJzaWduZWRfaW4iOnRydWV9", ""):
            assert stranger.get("/", headers={"cookie": f"{name}={forged}"}).status_code == 401


@pytest.mark.parametrize("back", ["//evil.com", "/\\evil.com", "http://evil.com", "", "javascript:alert(1)", "/\n/x"])
def test_signing_in_leads_nowhere_else(back: str) -> None:
    assert own_address(back) == "/"
    assert own_address("/?q=a pool") == "/?q=a pool"


@pytest.mark.parametrize("address", ["/api/v1/search?limit=x", "/results?first=x", "/suggestions?caret=x"])
def test_who_asks_too_often_is_told_when_to_ask_again(
    tagged_library: Library, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=lambda: 1_000.5))  # all at one moment
    with client_of(tagged_library, host="0.0.0.0", token=TOKEN, searches_per_s=2) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        answers = [client.get(address) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert answers[2].headers["retry-after"] == "1"
    assert "sked more than 2 times a second" in answers[2].text


def test_a_query_of_a_megabyte_is_told_that_it_is_too_long(server: Running) -> None:
    asked = http.client.HTTPConnection(server.url.removeprefix("http://"))
    asked.request("GET", "/api/v1/search?q=" + "a" * 1_000_000)
    answer = asked.getresponse()
    assert (answer.status, json.load(answer)["type"]) == (414, "/problems/too-long")
    asked.close()


def test_long_queries_and_large_bodies_are_refused(client: TestClient) -> None:
    assert client.get("/?q=" + "a" * 64_500).status_code == 414
    answer = client.get("/api/v1/search?q=" + "a" * 20_000)
    assert answer.status_code == 422
    assert len(answer.text) < 500  # what was sent is not repeated
    for address, size in (
        ("/api/v1/uploads", 21_000_000),
        ("/api/v1/basket", 2_100_000),
        ("/api/v1/nowhere", 2_100_000),
    ):
        large = client.post(address, content=b"x" * size)
        assert (large.status_code, large.json()["type"]) == (413, "/problems/too-large")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "0.0.0.0"}, "give --token new, or --insecure"),
        ({"token": "secret"}, "can be guessed"),
        ({"hosts": ("http://photos.example.com",)}, "no host's name"),
        ({"hosts": ("*",)}, "no host's name"),
    ],
)
def test_settings_that_are_not_safe_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        WebSettings(**options)


def test_a_token_is_in_no_settings_that_are_printed() -> None:
    assert TOKEN not in repr(WebSettings(**ELSEWHERE))
    assert len(TOKEN) >= 43
