"""A server on the sample hotels, and a browser that watches for what no page may do."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.testclient import TestClient

import aliens
from aliens.library import Library
from commands.serve_command import listening_at
from tests.conftest import made_once
from web.app import LONGEST_HEAD_BYTES, make_app
from web.web_settings import WebSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from embedding.open_clip_encoder import OpenClipEncoder

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first is the lightest
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
PATIENCE_MS = 120_000  # of a browser on a busy machine


class Running:
    """A server in a thread of this process; its address is `url`."""

    def __init__(self, library: Library, settings: WebSettings | None = None) -> None:
        self.library = library
        listening = listening_at("127.0.0.1", 0)
        self.app = make_app(library, settings or WebSettings(port=listening.getsockname()[1]))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            self.app, log_level="error", timeout_graceful_shutdown=1, h11_max_incomplete_event_size=LONGEST_HEAD_BYTES
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)

    def __enter__(self) -> "Running":
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            threading.Event().wait(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self.app.state.opened.jobs.is_stopping = True  # as at Ctrl-C: streams of events end
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="session")
def tagged_library(
    embedded_samples: Path, starter: "OpenClipEncoder", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Library]:
    """The sample hotels, tagged: for tests that read, and put back what they change."""

    def tag(root: Path) -> None:
        shutil.copytree(embedded_samples, root)
        with aliens.open(root, encoder=starter) as library:
            library.tag("case-study")
            library.tag("hotel")

    folder = tmp_path_factory.mktemp("web") / "library"
    shutil.copytree(made_once(tmp_path_factory, "tagged-samples", tag), folder)
    with aliens.open(folder, encoder=starter) as library:
        yield library


@pytest.fixture
def own_library(tagged_library: Library, tmp_path: Path) -> Iterator[Library]:
    """A copy of the tagged sample hotels that a test may change as it likes."""
    shutil.copytree(tagged_library.path, tmp_path / "library")
    with aliens.open(tmp_path / "library", encoder=tagged_library.encoder) as library:
        yield library


class DoneAtOnce:
    """Jobs that are done when they are started, in this process."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.started: list[tuple[str, dict[str, Any]]] = []

    async def start(self, kind: str, arguments: dict[str, Any]) -> int:
        self.started.append((kind, arguments))
        if kind == "tag":
            means = await asyncio.to_thread(self.library.tag_with, arguments["vocabulary"])
            await asyncio.to_thread(self.library.tag, **arguments | {"vocabulary": means})
        return len(self.started)


def client_of(library: Library, base_url: str = "http://127.0.0.1:8765", **settings: Any) -> TestClient:
    """Return a client of an app on a library, without a network, that sits at this machine."""
    app = make_app(library, WebSettings(**settings))
    return TestClient(app, base_url=base_url, client=("127.0.0.1", 50_000))


@pytest.fixture
def own_client(own_library: Library) -> Iterator[TestClient]:
    """A client of an app on `own_library`, whose jobs are done at once."""
    with client_of(own_library) as client:
        client.app.state.opened.jobs = DoneAtOnce(own_library)  # type: ignore[attr-defined]
        yield client


@pytest.fixture
def client(tagged_library: Library) -> Iterator[TestClient]:
    """A client of an app on the tagged sample hotels."""
    with client_of(tagged_library) as client:
        yield client


@pytest.fixture(scope="session")
def server(tagged_library: Library) -> Iterator[Running]:
    """A server on the tagged sample hotels."""
    with Running(tagged_library) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium without a window. Skips: there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: pages are not tried in a browser (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """What a browser's context must not do: errors in its console, requests to elsewhere."""

    def __init__(self, context: "BrowserContext") -> None:
        self.errors: list[str] = []
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", lambda asked: self._note(asked.url))

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.errors.append(f"asked {url}")


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A new page; the test fails where its console told of an error, or it asked another machine for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    watched = Watched(context)
    yield context.new_page()
    context.close()
    assert watched.errors == []


@pytest.fixture(scope="session")
def few_photos(starter: "OpenClipEncoder", samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library of a dozen sample photos, of three hotels, to be copied: jobs on it are quick."""

    def make(folder: Path) -> None:
        for number, photo in enumerate(sorted((samples / "images" / "train" / "12").rglob("*.jpg"))[::2][:12]):
            hotel = folder / "photos" / f"hotel {number % 3}"
            hotel.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, hotel / photo.name)
        with aliens.create(folder / "library", encoder=starter) as library:
            library.add(folder / "photos", hotel_from="folder")

    return made_once(tmp_path_factory, "few", make) / "library"


@pytest.fixture
def small_library(few_photos: Path, starter: "OpenClipEncoder", tmp_path: Path) -> Iterator[Library]:
    """A copy of that library, which a test may change as it likes; its photos are shared."""
    shutil.copytree(few_photos, tmp_path / "small")
    with aliens.open(tmp_path / "small", encoder=starter) as library:
        yield library


@pytest.fixture
def small(small_library: Library) -> Iterator[TestClient]:
    """A client of an app on `small_library`."""
    with client_of(small_library) as client:
        yield client


@pytest.fixture
def idle(small: TestClient) -> TestClient:
    """The same, where jobs wait and are not run."""
    small.app.state.opened.jobs.is_stopping = True  # type: ignore[attr-defined]
    return small
