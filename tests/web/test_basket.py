import errno
import json
import os
import threading
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from aliens.library import Library
from base.errors import LibraryError, QueryError
from tests.conftest import raising
from web.baskets import Basket
from web.jobs.job_records import JobStore

HTMX = {"HX-Request": "true"}


def ids_in(library: Library) -> list[int]:
    return Basket(library).record().now.photo_ids


def test_a_basket_outlives_servers_and_each_change_can_be_taken_back(small_library: Library) -> None:
    basket = Basket(small_library)
    assert (len(basket), basket.put([3, 1, 3]), basket.put([1, 2])) == (0, 2, 1)
    assert ids_in(small_library) == [3, 1, 2]
    assert basket.remove([1, 99]) == 1
    basket.undo()
    assert ids_in(small_library) == [3, 1, 2]
    basket.undo()  # which makes it again
    assert ids_in(small_library) == [3, 2]
    assert basket.clear() == 2
    basket.undo()
    assert len(Basket(small_library)) == 2


def test_two_changes_in_one_tick_of_the_clock_are_told_apart(small_library: Library) -> None:
    ours, theirs = Basket(small_library), Basket(small_library)
    ours.put([1])
    assert len(ours) == 1
    file = small_library.desk / "basket.json"
    changed_ns = file.stat().st_mtime_ns
    theirs.put([2])
    os.utime(file, ns=(changed_ns, changed_ns))
    assert len(ours) == 2


def test_what_cannot_be_in_a_basket_is_said(small_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    basket = Basket(small_library)
    with pytest.raises(QueryError, match="no photo 99 in the library any more"):
        basket.put([1, 99])
    monkeypatch.setattr("web.baskets.MOST_PHOTOS", 2)
    with pytest.raises(QueryError, match="at most 2"):
        basket.put([1, 2, 3])
    assert ids_in(small_library) == []

    monkeypatch.setattr("base.records.atomic_write", raising(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(LibraryError, match="is full"):
        basket.put([1])


def test_several_who_put_at_once_lose_nothing(small_library: Library) -> None:
    threads = [threading.Thread(target=Basket(small_library).put, args=([number],)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids_in(small_library)) == list(range(1, 13))


def test_a_damaged_basket_is_an_empty_one(small_library: Library) -> None:
    Basket(small_library).put([1])
    (small_library.desk / "basket.json").write_text('{"now": 3}')
    assert len(Basket(small_library)) == 0
    assert Basket(small_library).put([2]) == 1


def test_the_basket_by_forms(small: TestClient, small_library: Library) -> None:
    answer = small.post("/basket/photos", data={"id": ["1", "2"]}, headers=HTMX)
    assert (answer.text, answer.headers["hx-trigger"]) == ("2", "basket-changed")
    assert small.post("/basket/photos", data={"q": "a bathtub", "k": "5"}, headers=HTMX).text == str(
        len(ids_in(small_library))
    )
    assert 5 <= len(ids_in(small_library)) <= 7
    assert small.get("/basket/count").text == str(len(ids_in(small_library)))
    without_script = small.post(
        "/basket/remove", data={"id": "1"}, headers={"Accept": "text/html"}, follow_redirects=False
    )
    assert (without_script.status_code, without_script.headers["location"]) == (303, "/basket")
    assert 1 not in ids_in(small_library)
    small.post("/basket/clear", headers=HTMX)
    assert small.get("/basket/count").text == ""
    small.post("/basket/undo", headers=HTMX)
    assert 1 not in ids_in(small_library)
    for wrong in ({}, {"id": "x"}, {"q": "a", "more": "1;2"}):
        assert small.post("/basket/photos", data=wrong, headers=HTMX).status_code == 422, wrong


def test_the_page_shows_reasons_and_photos_that_have_left(small: TestClient, small_library: Library) -> None:
    Basket(small_library).put([1, 2], {1: "<b>bright</b>"})
    small_library.forget(small_library.photo(2).path)
    page = small.get("/basket").text
    assert "&lt;b&gt;bright&lt;/b&gt;" in page
    assert "Photo 2 has left the library" in page
    assert page.count('name="engine"') == 5
    assert page.count(" disabled") == sum(not engine.here for engine in small_library.engines())


def test_many_photos_come_in_parts(small: TestClient, small_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    Basket(small_library).put(list(range(1, 13)))
    monkeypatch.setattr("web.pages.basket_page.basket_values.__defaults__", (0, 5))
    assert small.get("/basket/body").text.count('class="pick"') == 5
    rest = small.get("/basket/tiles?first=10").text
    assert (rest.count('class="pick"'), "tiles?first" in rest) == (2, False)


def test_candidates_go_into_the_basket_with_their_reasons(idle: TestClient, small_library: Library) -> None:
    store = JobStore(small_library)
    job = store.add("candidates", {"query": "", "n": 2})
    for photo_id in (4, 99):
        store.append(job.id, json.dumps({"photo_id": photo_id, "kind": "minimal", "why": ["bare", "few colours"]}))
    store.save(replace(job, state="done", lines=2))
    assert "2 candidates were found" in idle.get("/basket/found").text
    assert idle.post(f"/basket/candidates/{job.id}", headers=HTMX).text == "1"  # the other has left the library
    assert Basket(small_library).record().now.why == {4: "bare; few colours"}
    assert idle.post("/basket/candidates/77", headers=HTMX).status_code == 404


def test_restyling_starts_a_job_with_typed_fields(idle: TestClient, small_library: Library) -> None:
    assert idle.post("/basket/restyle", follow_redirects=False).status_code == 422  # nothing is in it
    Basket(small_library).put([3, 1])
    form = {"palette": "moss", "strength": "80", "seed": "5"}
    answer = idle.post("/basket/restyle", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/jobs/1"
    job = JobStore(small_library).all()[0]
    said = {"photos": [3, 1], "engine": "regrade", "palette": "moss", "strength": 0.8, "seed": 5}
    assert job.request == said | {"add": False, "again": False}
    for wrong in ({"palette": "/etc/x.toml"}, {"strength": "101"}, {"strength": "nan"}, {"engine": "x"}):
        assert idle.post("/basket/restyle", data=wrong).status_code == 422, wrong


def test_the_basket_by_program(small: TestClient) -> None:
    put = small.post("/api/v1/basket", json={"ids": [1, 2], "why": {"1": "bright"}})
    assert put.json() == {"changed": 2, "total": 2}
    part = small.get("/api/v1/basket", params={"first": 0, "limit": 1}).json()
    assert part == {"total": 2, "first": 0, "photo_ids": [1], "why": {"1": "bright"}}
    assert small.delete("/api/v1/basket/1").json() == {"changed": 1, "total": 1}
    assert small.post("/api/v1/basket/undo").json() == {"changed": 1, "total": 2}
    assert small.delete("/api/v1/basket").json() == {"changed": 2, "total": 0}
    assert small.post("/api/v1/basket", json={"ids": [99]}).status_code == 422
    palettes = [palette["name"] for palette in small.get("/api/v1/palettes").json()]
    assert palettes == ["fern", "emerald", "lagoon", "moss"]  # the default first: the page has it chosen
    for place, name in enumerate(("regrade", "grow")):  # which need nothing more
        assert small.get("/api/v1/engines").json()[place] == {"name": name, "here": True, "fetch": []}
