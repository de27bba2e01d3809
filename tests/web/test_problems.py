"""Errors as answers: problems for programs, a line in a fragment, a page for people; never a traceback."""

import errno
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from aliens.library import Library
from base import errors
from base.errors import AliensError, DiskFullError, LibraryBusyError, OutputError, QueryError, QuerySyntaxError
from tests.web.conftest import client_of
from web.opened import TooBusy
from web.problem_kinds import BY_ERROR, BY_SLUG, BY_STATUS
from web.problems import problem_kind_of
from web.rendering import with_pages
from web.translations import translations

EVIL = "<img src=x onerror=alert(1)>\u202e"


def full_disk() -> OutputError:
    error = OutputError("out.csv cannot be written: no space left on device")
    error.__cause__ = OSError(errno.ENOSPC, "no space left on device")
    return error


RAISED = {
    "syntax": (QuerySyntaxError("a (pool", 2, "the bracket is not closed"), 422, "query-syntax"),
    "query": (QueryError(EVIL), 422, "query"),
    "busy": (LibraryBusyError("another process is changing it"), 409, "library-busy"),
    "full": (DiskFullError("the disk is full"), 507, "disk-full"),
    "output-full": (full_disk(), 507, "disk-full"),
    "output": (OutputError("out.csv cannot be written"), 500, "output"),
    "waiting": (TooBusy("too many questions at once"), 503, "busy"),
    "refused": (AliensError("no"), 400, "refused"),
}


@pytest.fixture
def failing(tagged_library: Library) -> Iterator[TestClient]:
    """A client of an app with routes that fail, each in its way."""

    def fail(name: str) -> None:
        raise RAISED[name][0] if name in RAISED else ZeroDivisionError("secret of the server")

    with client_of(tagged_library) as client:
        for path in ("/fail/{name}", "/api/v1/fail/{name}"):
            client.app.get(path)(fail)  # type: ignore[attr-defined]
        yield client


@pytest.mark.parametrize("name", RAISED)
def test_an_error_of_ours_is_a_problem_of_its_kind(failing: TestClient, name: str) -> None:
    error, status, slug = RAISED[name]
    answer = failing.get(f"/api/v1/fail/{name}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["detail"] == (error.lines[0] if isinstance(error, QuerySyntaxError) else str(error))
    assert problem.get("position") == (2 if name == "syntax" else None)
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
    page = failing.get(f"/fail/{name}")
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    line = failing.get(f"/fail/{name}", headers={"HX-Request": "true"})
    assert line.status_code == status
    assert line.text.startswith('<p class="note">')
    assert "<img src=x" not in page.text + line.text and "\u202e" not in page.text + line.text


def test_what_nobody_expected_tells_the_terminal_and_nobody_else(
    failing: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for address in ("/fail/else", "/api/v1/fail/else"):
        answer = failing.get(address)
        assert answer.status_code == 500
        assert "secret" not in answer.text and "Traceback" not in answer.text
        assert answer.headers["content-security-policy"]
    said = capsys.readouterr().err
    assert "GET /fail/else failed: ZeroDivisionError: secret of the server" in said
    assert "Traceback" in said


def test_every_kind_of_error_and_of_problem_has_its_words_and_its_page(client: TestClient) -> None:
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AliensError)]
    assert len(ours) > 10
    for kind in ours:
        assert problem_kind_of(kind.__new__(kind)) in BY_ERROR.values()
    for slug, problem in BY_SLUG.items():
        page = client.get(f"/problems/{slug}")
        assert page.status_code == 200
        assert problem.title in page.text
    assert all(status == kind.status for status, kind in BY_STATUS.items())
    assert client.get("/problems/none").status_code == 404


def test_values_that_are_wrong_are_named_in_words(client: TestClient) -> None:
    problem = client.get("/api/v1/search?limit=none").json()
    assert problem["detail"].startswith("limit: input should be a valid integer")
    assert problem["errors"][0]["loc"] == ["query", "limit"]
    assert client.put("/api/v1/search").json()["type"] == "/problems/method"


def test_health_says_what_is_amiss(client: TestClient, own_library: Library) -> None:
    well = client.get("/healthz").json()
    assert (well["ok"], well["photos"], well["amiss"]) == (True, 240, [])
    (segment,) = own_library.folder.vectors(own_library.catalog.model.key).glob("*.faiss")
    segment.unlink()
    with client_of(own_library) as damaged:
        answer = damaged.get("/healthz")
    assert answer.status_code == 503
    (said,) = answer.json()["amiss"]
    assert segment.stem in said


def test_figures_of_steps_and_requests_are_told(client: TestClient) -> None:
    client.get("/?q=pool")
    client.get("/nowhere")
    figures = client.get("/metrics")
    assert figures.headers["content-type"].startswith("text/plain")
    for step in ("wait", "order", "rows", "render"):
        assert f'aliens_step_seconds_count{{step="{step}"}}' in figures.text
    assert 'http_requests_total{handler="/"' in figures.text
    told = dict(line.rsplit(" ", 1) for line in figures.text.splitlines() if line.startswith("aliens_"))
    assert float(told['aliens_cache_bytes{cache="orders"}']) > 0
    assert float(told["aliens_cached_orders"]) >= 1
    assert float(told['aliens_cache_bytes{cache="thumbnails"}']) >= 0
    for idle in ("uploads", "waiting_computations", 'jobs{state="queued"}', 'jobs{state="running"}'):
        assert float(told[f"aliens_{idle}"]) == 0


def test_commands_that_a_page_does_lead_there() -> None:
    said = (
        "<b>run</b> `aliens tag` or `aliens tag --calibrate labels`, not `aliens export tags`: see `aliens add FOLDER`"
    )
    assert with_pages(said, translations("ru")) == (
        '&lt;b&gt;run&lt;/b&gt; <code>aliens tag</code> (<a href="/tags">Теги</a>) or '
        "<code>aliens tag --calibrate labels</code>, not <code>aliens export tags</code>: see "
        '<code>aliens add FOLDER</code> (<a href="/library">Библиотека</a>)'
    )
    assert with_pages(EVIL, translations("en")) == "&lt;img src=x onerror=alert(1)&gt;\\u202e"


def test_a_library_that_was_moved_away_is_not_well(own_library: Library) -> None:
    own_library.folder.database_file.rename(own_library.path / "elsewhere.db")
    (said,) = own_library.health().amiss
    assert "library.db is not there any more" in said
