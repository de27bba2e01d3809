import io
import re
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from aliens.library import Library
from restyle.restyled import Result
from tests.quizzes import restyle
from tests.web.axe_checks import faults, is_too_wide
from tests.web.conftest import PATIENCE_MS, Running

pytestmark = pytest.mark.usefixtures("ctrl_c")
SCORES: dict[str, Any] = {
    "hog": 0.98,
    "edge_f1": 0.97,
    "shift": 0.001,
    "nearest": True,
    "tags_lost": ["a <b>lamp</b>"],
    "protan_median_de": 12.3,
    "protan_share": 0.72,
    "protan_wasted": 0.31,
    "palette_distance": 9.9,
}


@pytest.fixture
def results(small_library: Library) -> list[Result]:
    """Three results, of the photos 1 to 3."""
    return restyle(
        small_library.folder, [1, 2, 3], scores=SCORES, settings={"strength": 1.0, "seed": 0}, rung="regraded"
    )


def test_results_are_told_in_words_with_figures_behind(small: TestClient, results: list[Result]) -> None:
    page = small.get("/restyled").text
    assert page.count("<article") == 3
    assert "People recognise it at once: 97% of its outlines are as they were." in page
    assert "Visitors notice the change on most of the picture (72%)." in page
    assert "No longer seen in it: a &lt;b&gt;lamp&lt;/b&gt;." in page
    assert "No diffusion model was used." in page
    assert "shapes kept (HOG correlation)" in page
    assert small.get("/restyled?photo=2").text.count("<article") == 1
    assert small.get(f"/restyled/{results[0].id}").text.count("<figure") == 5
    assert small.get("/restyled/99").status_code == 404
    assert small.get("/restyled?job=99").status_code == 404


def test_pictures_before_and_after_are_of_one_size(small: TestClient, results: list[Result]) -> None:
    sizes, colours = set(), set()
    for of in ("result", "original"):
        for seen in ("false", "true"):
            answer = small.get(f"/api/v1/results/{results[0].id}/image?of={of}&seen={seen}&w=200")
            with Image.open(io.BytesIO(answer.content)) as picture:
                sizes.add(picture.size)
                colours.add(picture.convert("RGB").resize((1, 1)).getpixel((0, 0)))
    assert (len(sizes), len(colours)) == (1, 4)
    assert max(next(iter(sizes))) <= 200
    again = small.get(answer.url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_result_is_downloaded_under_a_name_for_people(small: TestClient, results: list[Result]) -> None:
    answer = small.get(f"/api/v1/results/{results[0].id}/file")
    assert answer.content == results[0].path.read_bytes()
    assert results[0].readable_name in answer.headers["content-disposition"]
    listed = small.get("/api/v1/results?limit=2").json()
    assert (listed["total"], len(listed["results"])) == (3, 2)
    assert str(results[0].path.parent) not in str(listed)


def test_files_that_are_gone_are_said(small: TestClient, results: list[Result], small_library: Library) -> None:
    results[0].path.unlink()
    assert small.get(f"/api/v1/results/{results[0].id}/image").status_code == 404
    assert small.get(f"/api/v1/results/{results[0].id}/file").status_code == 404
    assert "Its file is gone" in small.get(f"/restyled/{results[0].id}").text
    small_library.forget(small_library.photo(2).path)
    lost = small.get(f"/api/v1/results/{results[1].id}/image?of=original")
    assert (lost.status_code, "not in the library any more" in lost.text) == (404, True)


def test_results_become_searchable_by_a_job(idle: TestClient, results: list[Result]) -> None:
    answer = idle.post("/restyled/add", data={"id": [result.id for result in results]}, follow_redirects=False)
    assert answer.headers["location"] == "/jobs/1"
    job = idle.app.state.opened.jobs.find(1)  # type: ignore[attr-defined]
    assert job.request == {"results": [result.id for result in results]}


@pytest.mark.usefixtures("results")
def test_the_quiz_is_played_counted_and_kept(small: TestClient, small_library: Library) -> None:
    quiz = small.get("/api/v1/quiz?seed=4").json()
    sources = {result.id: result.lineage.source_photo_id for result in small_library.restyled()}
    form: dict[str, Any] = {"quiz": quiz["quiz"], "seed": "4", "player": "Ann\x1b"}
    form["results"] = ",".join(str(question["result"]) for question in quiz["questions"])
    for number, question in enumerate(quiz["questions"]):
        right = sources[question["result"]]
        wrong = next(choice for choice in question["choices"] if choice != right)
        form[f"choices-{question['result']}"] = ",".join(map(str, question["choices"]))
        form[f"chosen-{question['result']}"] = str(right if number else wrong)
    page = small.post("/quiz/play", data=form).text
    assert "2 of 3 recognised" in page
    assert page.count("<figure>") == 3
    games = small.get("/api/v1/quiz/games").json()
    assert [(game["player"], game["right"], game["n"]) for game in games] == [("Ann", 2, 3)]
    assert "2 of 3" in small.get("/quiz").text
    missing = {name: value for name, value in form.items() if not name.startswith("chosen-")}
    assert small.post("/quiz/play", data=missing).status_code == 422
    assert small.post("/quiz/play", data=form | {"quiz": "0" * 16}).status_code == 422
    assert small.post("/quiz/play", data=form | {"results": "x"}).status_code == 422
    sheet = {"quiz": quiz["quiz"], "seed": 4, "answers": [{"result": 1, "choices": [1, 2], "chosen": 1}]}
    assert small.post("/api/v1/quiz/answers", json=sheet).status_code == 422


def test_from_candidates_to_a_game_of_the_quiz(small_library: Library, page: Page) -> None:
    """One walk: candidates, basket, a job to its end and one cancelled, before and after, the quiz."""
    expect.set_options(timeout=PATIENCE_MS)
    with Running(small_library) as server:
        page.goto(f"{server.url}/basket")
        page.get_by_label("How many").fill("3")
        page.get_by_role("button", name="Find candidates").click()
        page.get_by_role("button", name="Put them into the basket").click()
        expect(page.locator(".pick")).to_have_count(3)
        expect(page.locator("#basket-count")).to_have_text("3")
        page.locator(".pick .out").first.click()
        expect(page.locator(".pick")).to_have_count(2)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".pick")).to_have_count(3)
        page.locator(".pick .out").first.click()
        expect(page.locator("#basket-total")).to_have_text("2 photos are in the basket")
        assert faults(page, "light", "dark") == []
        page.get_by_label("moss").check()
        page.get_by_role("button", name="Restyle", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Restyle 2 photos")
        page.goto(f"{server.url}/library")
        page.get_by_role("button", name="Check every byte").click()  # which waits behind the other
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".state")).to_have_text("cancelled")
        assert faults(page, "dark") == []
        page.goto(f"{server.url}/jobs")
        page.get_by_role("link", name="See before and after").first.click()
        expect(page.locator("article")).to_have_count(2)
        slider = page.get_by_role("slider").first
        slider.focus()
        page.keyboard.press("End")
        expect(page.locator(".after").first).to_have_css("clip-path", "inset(0px 0% 0px 0px)")
        page.get_by_role("button", name="As visitors see it").first.click()
        expect(page.locator(".after").first).to_have_attribute("src", re.compile("seen=true"))
        assert faults(page, "light", "dark") == []
        page.set_viewport_size({"width": 390, "height": 844})
        for path in ("basket", "restyled", "library", "jobs"):
            page.goto(f"{server.url}/{path}")
            assert not is_too_wide(page), path
        page.goto(f"{server.url}/quiz")
        page.get_by_role("link", name="Begin").click()
        expect(page.locator("#where")).to_have_text("Question 1 of 2")
        assert faults(page, "light") == []
        page.keyboard.press("1")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#where")).to_have_text("Question 2 of 2")
        page.reload()
        expect(page.locator("#where")).to_have_text("Question 2 of 2")
        expect(page.locator("#quiz input[type=radio]:checked")).to_have_count(1)
        page.keyboard.press("2")
        page.get_by_role("button", name="Hand in").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("of 2 recognised")
        page.get_by_role("link", name="All games").click()
        expect(page.locator("#games tbody tr")).to_have_count(1)
        page.goto("about:blank")  # which asks nothing more of the server that ends here
