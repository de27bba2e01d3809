import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from starlette.testclient import TestClient

import aliens
from aliens.library import Library
from search.facets import Facet, FacetValue
from tests.conftest import FakeEncoder, fill_folder, photo_bytes
from tests.other_model import OTHER, OtherEncoder
from tests.web.conftest import client_of
from web.jobs.job_records import JobStore


@pytest.fixture
def own(library_with_failures: Library) -> Iterator[TestClient]:
    with client_of(library_with_failures) as client:
        client.app.state.opened.jobs.is_stopping = True  # type: ignore[attr-defined] - so that jobs are not run
        yield client


@pytest.fixture
def library_with_failures(tmp_path: Path) -> Iterator[Library]:
    """A library of two photos and a broken one, in a folder with a hostile name."""
    folder = fill_folder(tmp_path / "photos" / "<i>hotel", range(2))
    (folder / "broken.jpg").write_bytes(photo_bytes(3)[:200])
    with aliens.create(tmp_path / "library", encoder=FakeEncoder()) as library:
        library.add(tmp_path / "photos")
        yield library


def test_the_page_says_what_the_library_holds(own: TestClient, tmp_path: Path) -> None:
    page = own.get("/library").text
    assert "2 photos can be found." in page
    assert "1 photo could not be used." in page
    assert str(tmp_path / "photos") in page
    assert "Look for new photos in" in page
    assert own.get("/library/report").status_code == 200


def test_models_are_listed_where_there_are_several(own: TestClient, library_with_failures: Library) -> None:
    assert "Models" not in own.get("/library").text
    library_with_failures.embed(encoder=OtherEncoder())
    page = own.get("/library").text
    assert re.search(rf"{OTHER}</code></th><td[^>]*>2</td><td[^>]*>0</td>", page)
    assert "not in use" not in page
    library_with_failures.use("other")
    assert "These pages search by a model that is not in use" in own.get("/library").text


def test_an_empty_library_says_how_to_begin(tmp_path: Path) -> None:
    with aliens.create(tmp_path / "empty", encoder=FakeEncoder()) as library:
        client = client_of(library)
        page = client.get("/library").text
        assert "No folder was added yet." in page
        assert "aliens add FOLDER" in page
        assert "Choose a folder on the server" in client_of(library, roots=(tmp_path,)).get("/library").text
        for path in ("/basket", "/restyled", "/quiz", "/jobs"):
            assert client.get(path).status_code == 200, path
        assert client.get("/quiz/play").status_code == 422


def test_the_library_is_told_in_numbers_on_a_page_of_its_own(own: TestClient, library_with_failures: Library) -> None:
    assert 'href="/library/numbers"' in own.get("/library").text
    answer = own.get("/library/numbers")
    assert "photos can be found" in answer.text
    assert "<svg" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src" not in policy and policy.startswith("default-src 'none'")
    found = own.get("/api/v1/stats").json()
    assert found["library"] == library_with_failures.path.name  # and not where it lies on the server
    assert (found["summary"]["photos"], found["failures"]) == (2, [{"kind": "truncated", "photos": 1}])


def test_failures_have_reasons_and_may_be_tried_again(own: TestClient, library_with_failures: Library) -> None:
    page = own.get("/library/failures").text
    assert "broken.jpg" in page
    assert "&lt;i&gt;hotel" in page
    assert "<i>hotel" not in page
    assert own.get("/library/failures?kind=missing").text.count("broken.jpg") == 0
    assert own.post("/library/retry", follow_redirects=False).headers["location"] == "/jobs/1"
    assert JobStore(library_with_failures).all()[0].request["retry_failed"] is True


def test_folders_are_browsed_by_name_and_added(own: TestClient, library_with_failures: Library) -> None:
    runner = own.app.state.opened.jobs  # type: ignore[attr-defined]
    root = runner.places.roots()[0].key
    assert "&lt;i&gt;hotel" in own.get("/library/folders", params={"root": root}).text
    assert own.get("/library/folders", params={"root": root, "inside": "../.."}).status_code == 422
    form = {"root": root, "inside": "<i>hotel", "hotel_from": "path"}
    answer = own.post("/library/add", data=form, follow_redirects=False)
    assert answer.status_code == 303
    job = JobStore(library_with_failures).all()[0]
    assert job.request["places"] == [{"root": root, "inside": "<i>hotel"}]
    assert own.post("/library/add", data={"root": root, "inside": "/etc"}).status_code == 422


def test_a_list_is_there_though_it_is_not_looked_at_from_a_page(
    own: TestClient, library_with_failures: Library, tmp_path: Path
) -> None:
    (tmp_path / "9.jpg").write_bytes(photo_bytes(9))
    (listed := tmp_path / "list.csv").write_text("path\n9.jpg\n", encoding="utf-8")
    library_with_failures.add(photo_list=listed)
    page = own.get("/library").text
    assert (str(listed) in page, "not there now" in page, page.count("Look for new photos in")) == (True, False, 1)
    listed.unlink()
    assert own.get("/library").text.count("not there now") == 1


def test_all_folders_are_looked_at_again_by_one_button(
    own: TestClient, library_with_failures: Library, tmp_path: Path
) -> None:
    assert "/library/again" not in own.get("/library").text  # there is one, which has a button of its own
    library_with_failures.add(fill_folder(tmp_path / "more", [9]))
    assert "Look at all folders again" in own.get("/library").text
    answer = own.post("/library/again", follow_redirects=False)
    assert JobStore(library_with_failures).all()[0].request["places"] == []
    assert "Look at all folders again" in own.get(answer.headers["location"]).text


def test_a_library_that_another_program_changes_says_so(own: TestClient, library_with_failures: Library) -> None:
    assert own.get("/library/now").text.strip() == ""
    with FileLock(library_with_failures.folder.lock_file):
        assert "Another program is changing the library now" in own.get("/library/now").text


def test_care_starts_jobs_and_findings_are_shown(own: TestClient, library_with_failures: Library) -> None:
    for kind, data in [("verify", {"quick": "true"}), ("verify", {"repair": "true"}), ("index", {})]:
        assert own.post(f"/library/{kind}", data=data, follow_redirects=False).status_code == 303
        assert JobStore(library_with_failures).all()[0].kind == kind
    store = JobStore(library_with_failures)
    job = store.all()[-1]
    store.append(job.id, '{"part": "segment", "what": "<x> is gone", "remedy": "`aliens verify --repair`"}')
    store.save(replace(job, state="done", lines=1))
    page = own.get(f"/jobs/{job.id}").text
    assert "1 thing is not as it should be" in page
    assert "&lt;x&gt; is gone" in page
    assert "Mend what can be mended" in page
    library = own.get("/library").text
    assert "Check the library" in library
    assert "Waits" in library or "waits" in library


def test_a_library_that_cannot_be_written_offers_no_change(
    own: TestClient, library_with_failures: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aliens.desk_methods.os.access", lambda path, how: False)
    page = own.get("/library").text
    assert "cannot be written from here" in page
    assert "Look again" not in page
    assert "Check quickly" not in page


def test_the_report_counts_by_chain_source_and_year(own: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    facets = [
        Facet("tag", (FacetValue("a pool", "tag:pool", 9),)),
        Facet("chain", (FacetValue("<b>", 'chain:"<b>"', 1234),), others=3),
        Facet("year", ()),
    ]
    monkeypatch.setattr(Library, "facets", lambda self, order: facets)
    page = own.get("/library/report").text
    assert "1,234" in page
    assert "and 3 more" in page
    assert "chain%3A%22%3Cb%3E%22" in page
    assert "pool" not in page
    assert "<b>" not in page
    assert "Years" not in page
