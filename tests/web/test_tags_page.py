"""Pages and API of vocabularies, tags and drafts."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

import aliens
from aliens.library import Library
from tests.web.axe_checks import faults, is_too_wide
from tests.web.conftest import DoneAtOnce, Running, client_of

HOSTILE = "<script>alert(\"x\")</script> & 'y'"


def jobs_of(client: TestClient) -> list[tuple[str, dict[str, Any]]]:
    return client.app.state.opened.jobs.started  # type: ignore[attr-defined, no-any-return]


def test_vocabularies_and_their_tags_are_listed(client: TestClient, tagged_library: Library) -> None:
    known = client.get("/api/v1/vocabularies").json()
    assert [(each["name"], each["origin"], each["current"]) for each in known] == [
        ("hotel", "tagged", True),
        ("case-study", "tagged", False),
    ]
    page = client.get("/tags").text
    assert "case-study" in page
    assert known[0]["key"] in page
    for name in ("hotel", "case-study"):
        figures = client.get(f"/api/v1/vocabularies/{name}/tags").json()
        counted = {count.tag: (count.photos, count.sure, count.muted) for count in tagged_library.tags(name)}
        assert {each["tag"]: (each["photos"], each["sure"], each["muted"]) for each in figures["tags"]} == counted
        for each in figures["tags"]:
            assert sum(each["histogram"][32:]) == each["photos"]  # the histogram says what a threshold leaves
            assert sum(each["histogram"]) + sum(each["others"]) == figures["photos"]
        table = client.get("/tags/table", params={"vocabulary": name})
        assert "a bathtub" in table.text
        assert "240 photos" in table.text


def test_the_page_of_a_tag(client: TestClient, tagged_library: Library) -> None:
    page = client.get("/tags/tag", params={"vocabulary": "case-study", "tag": "bathtub"}).text
    assert 'id="counts"' in page
    assert page.count("data-bin=") == 64
    assert "tag%3A%22case-study/a%20bathtub%22" in page
    silent = next(count.tag for count in tagged_library.tags("hotel") if count.muted)
    assert "cannot tell this tag" in client.get("/tags/tag", params={"vocabulary": "hotel", "tag": silent}).text
    for path, status in (("tag=nothing&vocabulary=hotel", 422), ("tag=bathtub&vocabulary=nope", 422)):
        assert client.get(f"/tags/tag?{path}").status_code == status
    assert client.get("/api/v1/vocabularies/%2e%2e%2fetc%2fpasswd.toml/tags").status_code in (404, 422)


def test_two_vocabularies_with_the_same_tag_are_told_apart(own_library: Library, own_client: TestClient) -> None:
    photo = own_library.search("a bathtub")[0].photo_id
    said = own_client.post(f"/api/v1/photos/{photo}/labels", json={"tag": "a bathtub", "present": False})
    assert said.json() == {"photo_id": photo, "tag": "a bathtub", "present": False}
    for name in ("hotel", "case-study"):  # a label counts in both
        figures = own_client.get(f"/api/v1/vocabularies/{name}/tags").json()
        assert next(each for each in figures["tags"] if each["tag"] == "a bathtub")["no"] == 1
        page = own_client.get("/tags/tag", params={"vocabulary": name, "tag": "a bathtub"}).text
        assert f"{name}/a%20bathtub" in page


def test_a_draft_is_tried_saved_and_tagged(own_library: Library, own_client: TestClient) -> None:
    asked = {"vocabulary": "case-study", "name": "a stove", "unlike": ["a kitchen"], "prompts": ["a stove", "a cooker"]}
    look = own_client.post("/api/v1/drafts", json=asked).json()
    assert look["photos"] == 240
    assert look["decided"] == len(look["surest"]) + len(look["above"]) or look["decided"] > 12
    made = own_client.post("/api/v1/vocabularies", json={**asked, "called": "Мои слова"})
    assert made.status_code == 201
    assert made.json()["name"] == "Мои-слова"
    ((kind, arguments),) = jobs_of(own_client)
    assert kind == "tag"
    assert arguments["vocabulary"] == made.json()["key"]  # no path of this machine
    assert next(c.photos for c in own_library.tags() if c.tag == "a stove") == look["decided"]
    assert own_client.get("/api/v1/vocabularies").json()[0]["name"] == "Мои-слова"
    assert "a stove" in own_client.get("/tags/table", params={"vocabulary": made.json()["key"]}).text
    less = own_client.delete(f"/api/v1/vocabularies/{made.json()['key']}/tags", params={"tag": "a stove"}).json()
    assert (less["name"], less["tags"], less["job"]) == ("Мои-слова", 15, 2)


def test_forms_edit_mute_and_remove_tags(own_client: TestClient) -> None:
    form = {"vocabulary": "case-study", "instead_of": "a sofa", "name": HOSTILE, "prompts": "a couch\n\n a settee "}
    page = own_client.post("/tags/draft/look", data=form)
    assert "would get it" in page.text
    saved = own_client.post("/tags/draft", data={**form, "muted": "true", "tag_now": "true"}, follow_redirects=False)
    assert saved.status_code == 303
    assert "my-case-study" in saved.headers["location"]
    own_client.get(saved.headers["location"]).raise_for_status()
    table = own_client.get("/tags/table", params={"vocabulary": "my-case-study"}).text
    assert HOSTILE not in table
    assert "&lt;script&gt;" in table
    assert "muted by you" in table
    page = own_client.get("/tags/draft", params={"vocabulary": "my-case-study", "tag": HOSTILE}).text
    assert "a couch\na settee" in page.replace("&#10;", "\n")
    gone = own_client.post("/tags/remove", data={"vocabulary": "my-case-study", "tag": HOSTILE})
    assert gone.status_code == 200
    assert "&lt;script&gt;" not in own_client.get("/tags/table", params={"vocabulary": "my-case-study"}).text
    shipped = own_client.get("/api/v1/vocabularies/case-study/tags").json()
    assert "a sofa" in [each["tag"] for each in shipped["tags"]]  # what comes along stays as it is


@pytest.mark.parametrize("called", ["../../evil", "a/b", "x" * 80, "..", "\x00"])
def test_hostile_names_of_vocabularies_are_refused(own_library: Library, own_client: TestClient, called: str) -> None:
    answer = own_client.post("/api/v1/vocabularies", json={"name": "a stove", "called": called, "tag": False})
    assert answer.status_code == 422
    assert not (own_library.path / "vocabularies").exists()


def test_thresholds_and_labels_are_used_by_jobs(own_library: Library, own_client: TestClient) -> None:
    own_client.post("/tags/start", data={"vocabulary": "case-study", "threshold": "0.375"})
    assert jobs_of(own_client)[-1][1]["threshold"] == 0.375
    assert own_library.tags("case-study").threshold == 0.375
    for hit in own_library.search("a bathtub", k=8):
        own_library.label(hit.photo_id, "a bathtub")
    for hit in own_library.search("a pool", k=8):
        own_library.label(hit.photo_id, "a bathtub", False)
    own_client.post("/tags/start", data={"vocabulary": "case-study", "calibrate": "labels"})
    assert own_client.get("/api/v1/vocabularies/case-study/tags").json()["fitted"] == 1
    assert own_client.post("/tags/start", data={"vocabulary": "/etc/passwd.txt"}).status_code == 422


def test_an_untagged_and_an_empty_library_say_what_to_do(sample_library: Library, tmp_path: Path) -> None:
    shutil.copytree(sample_library.path, tmp_path / "untagged")
    with aliens.open(tmp_path / "untagged", encoder=sample_library.encoder) as library:
        client = client_of(library)
        assert "Tag all photos with it" in client.get("/tags").text
        assert client.get("/api/v1/vocabularies/case-study/tags").status_code == 422
        look = client.post("/api/v1/drafts", json={"name": "a bathtub", "instead_of": "a bathtub"}).json()
        assert look["decided"] > 5  # nothing need be tagged for that
    with aliens.create(tmp_path / "empty", encoder=sample_library.encoder) as library:
        client = client_of(library)
        assert client.get("/tags").status_code == 200
        answer = client.post("/api/v1/drafts", json={"name": "a stove"})
        assert answer.status_code == 422
        assert "add some" in answer.json()["detail"]


def test_a_library_that_has_grown_is_seen_as_it_is(
    own_library: Library, own_client: TestClient, tmp_path: Path
) -> None:
    asked = {"name": "a stove", "vocabulary": "case-study"}
    assert own_client.post("/api/v1/drafts", json=asked).json()["photos"] == 240
    first = next(iter(own_library.search("a pool", k=1)))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.jpg").write_bytes(Path(first.path).read_bytes() + b"\0")
    own_library.add(tmp_path / "more")
    assert own_client.post("/api/v1/drafts", json=asked).json()["photos"] == 241
    assert own_client.get("/api/v1/vocabularies/case-study/tags").json()["unscored"] == 1
    assert "came after the last tagging" in own_client.get("/tags/table?vocabulary=case-study").text
    form = own_client.get("/export").text  # which would be refused, and says so before
    assert "1 photo came after the last tagging with case-study" in form
    refused = own_client.get("/export/file", params={"format": "csv", "vocabulary": "case-study"})
    assert '<code>aliens tag</code> (<a href="/tags">Tags</a>)' in refused.text
    own_client.post("/tags/start", data={"vocabulary": "case-study"})
    assert own_client.get("/api/v1/vocabularies/case-study/tags").json()["photos"] == 241


def test_a_busy_library_can_be_drafted_on_and_saved_in(own_library: Library, own_client: TestClient) -> None:
    with own_library.catalog.lock():
        asked = {"name": "a stove", "vocabulary": "case-study", "tag": False}
        assert own_client.post("/api/v1/drafts", json={**asked, "tag": None} | {"tag": None}).status_code == 422
        assert own_client.post("/api/v1/drafts", json={"name": "a stove"}).status_code == 200
        assert own_client.post("/api/v1/vocabularies", json=asked).status_code == 201
        answer = own_client.post("/api/v1/vocabularies", json={**asked, "tag": True})
    assert answer.status_code == 409
    assert "another" in answer.json()["detail"]
    saved = [each for each in own_client.get("/api/v1/vocabularies").json() if each["origin"] == "saved"]
    assert [each["name"] for each in saved] == ["my-case-study"]  # what was saved is there, to be tagged with later
    assert "not tagged with yet" in own_client.get("/tags").text


@pytest.fixture
def own_server(own_library: Library) -> Iterator[Running]:
    with Running(own_library) as running:
        running.app.state.opened.jobs = DoneAtOnce(own_library)
        yield running


def test_draft_slide_and_label_by_keyboard(own_server: Running, page: Page) -> None:
    """From a tag that is typed to one that people have labelled, without a mouse; light, dark and on a phone."""
    library = own_server.library
    page.route("**/jobs/*/line", lambda route: route.fulfill(status=200, content_type="text/html", body="<p>done</p>"))
    page.goto(f"{own_server.url}/tags/draft?vocabulary=case-study")
    page.keyboard.type("a stove")  # the field has the focus
    expect(page.locator("#decided")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/tags?vocabulary=my-case-study*")
    expect(page.get_by_role("link", name="a stove")).to_be_visible()
    assert faults(page) == []

    page.goto(f"{own_server.url}/tags/tag?vocabulary=case-study&tag=a%20bathtub")
    slider = page.get_by_role("slider")
    now = int(page.locator("#count").inner_text())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/image" not in request.url else None)
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#at")).to_have_text("0.41")
    assert int(page.locator("#count").inner_text()) > now
    assert asked == []
    expect(page.locator("#above img").first).to_be_visible()
    assert faults(page) == []

    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert faults(page) == []
    assert not is_too_wide(page)
    page.goto(f"{own_server.url}/tags/label?vocabulary=case-study&tag=a%20bathtub")
    for done, key in enumerate("ynynynynsn"):
        expect(page.locator("#labelling")).to_have_attribute("data-said", str(done))
        page.keyboard.press(key)
    expect(page.locator("#labelled")).to_have_text("4 / 5")
    page.keyboard.press("u")
    expect(page.locator("#labelled")).to_have_text("4 / 4")
    assert faults(page) == []

    page.goto(f"{own_server.url}/tags/label?vocabulary=case-study")
    chips = page.locator("#choices .chip")
    expect(chips).to_have_count(15)
    chips.nth(0).click()  # a pool; Enter keeps it, and does not press it again
    page.keyboard.press("d")  # a mirror
    for place in (0, 12):
        expect(chips.nth(place)).to_have_attribute("aria-pressed", "true")
    assert faults(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("#labels")).to_have_text(re.compile("^6 / "))
    page.keyboard.press("s")
    for left in ("2", "1"):
        expect(page.locator("#labelling")).to_have_attribute("data-said", left)
        page.keyboard.press("u")
    expect(page.locator("#labelled")).to_have_text("0")
    expect(page.locator("#labels")).to_have_text("4 / 4")
    page.goto(f"{own_server.url}/tags/label?vocabulary=case-study&tag=a%20bathtub")
    expect(page.locator("#labelled")).to_have_text("4 / 4")
    page.keyboard.press("Escape")
    page.wait_for_url("**/tags/tag?*")
    expect(page.locator("#learn")).to_be_visible()
    bathtub = next(count for count in library.look_at_tags("case-study").tags if count.tag == "a bathtub")
    assert (bathtub.yes, bathtub.no) == (4, 4)
