"""Exports from the page and by program are the bytes that the command writes, whole or not at all."""

import asyncio
import base64
import errno
import hashlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from fastapi import HTTPException
from playwright.sync_api import Page
from starlette.testclient import TestClient

from aliens.library import Library
from base.errors import QueryError
from tests.web.axe_checks import faults
from tests.web.conftest import Running, client_of
from tests.web.running import run_apart
from web import export_streams
from web.export_streams import ClientGone, ExportSlots, Pipe

Asked = dict[str, Any]
AZURA = 'chain:"Azura Bay Resorts"'


@pytest.fixture(autouse=True)
def all_slots_free(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No export keeps its place when it is over, however it ended."""
    made: list[ExportSlots] = []

    class Watched(ExportSlots):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr("web.opened.ExportSlots", Watched)
    yield
    assert all(are_free(slots) for slots in made)


def are_free(slots: ExportSlots) -> bool:
    """Wait until all places are free."""
    return all(slots._free.acquire(timeout=60) for _ in range(export_streams.SIDE_BY_SIDE))


@pytest.mark.parametrize(
    ("file_format", "asked", "options"),
    [
        ("csv", {}, {}),
        ("tsv", {"q": "bathtub -shower", "k": 30}, {"query": "bathtub -shower", "k": 30}),
        ("jsonl", {"q": "a pool"}, {"query": "a pool", "k": 240}),
        ("csv", {"q": AZURA}, {"query": AZURA}),  # of filters alone all that they leave
        ("csv", {"tag": ["pool"], "vocabulary": "hotel"}, {"tags": ["pool"], "vocabulary": "hotel"}),
        ("xlsx", {"q": "a pool", "k": 9}, {"query": "a pool", "k": 9}),
        ("parquet", {"vocabulary": "case-study"}, {"vocabulary": "case-study"}),
        ("coco", {"tag": ["bathtub", "case-study/a mirror"][:1]}, {"tags": ["bathtub"]}),
        ("csv", {"column": ["photo_id", "tags", "caption"]}, {"columns": ["photo_id", "tags", "caption"]}),
    ],
)
def test_the_bytes_are_the_commands(
    client: TestClient, tagged_library: Library, tmp_path: Path, file_format: str, asked: Asked, options: Asked
) -> None:
    if "tags" in options and "vocabulary" not in options:
        asked, options = asked | {"vocabulary": "hotel"}, options | {"vocabulary": "hotel"}
    path = tmp_path / f"tags.{'json' if file_format == 'coco' else file_format}"
    written = tagged_library.export(path, format=file_format, **options)  # type: ignore[arg-type]
    answer = client.get("/api/v1/exports", params={"format": file_format, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.content == path.read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="{path.name}"'
    if file_format in ("xlsx", "parquet", "coco"):
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-checksum"] == written.sha256
        digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    manifest = client.get("/api/v1/exports/manifest", params={"format": file_format, **asked}).json()
    kept = json.loads((tmp_path / f"{path.name}.manifest.json").read_text())
    assert manifest | {"made_at": ""} == kept | {"made_at": ""}


def test_the_form_gives_the_same(client: TestClient) -> None:
    page = client.get("/export", params={"q": "a pool"})
    assert page.status_code == 200
    assert "best first" in page.text
    form = [("q", "a pool"), ("k", "number"), ("number", "12"), ("format", "csv"), ("tag", "")]
    got = client.get("/export/file", params=form)
    assert got.content == client.get("/api/v1/exports", params={"q": "a pool", "k": 12}).content
    every = client.get("/export/file", params=[("q", "a pool"), ("k", "all"), ("number", "12"), ("format", "csv")])
    assert every.content.count(b"\n") == 241
    filters = client.get("/export/file", params=[("q", AZURA), ("k", "44"), ("format", "csv")])
    assert filters.content == client.get("/api/v1/exports", params={"q": AZURA}).content
    manifest = client.get("/export/manifest", params=form)
    assert manifest.headers["content-disposition"] == 'attachment; filename="tags.csv.manifest.json"'
    assert "all photos that the filters leave" in client.get("/export", params={"q": AZURA}).text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"q": 'like:"'}, ""),
        ({"q": "image:u_1"}, "picture of yours"),
        ({"q": "image:/etc/passwd"}, ""),
        ({"more": [3]}, "more or less like"),
        ({"column": ["nothing"]}, "no column"),
        ({"tag": ["nothing at all"]}, "no tag"),
        ({"q": AZURA, "k": 3}, "queries with words"),
        ({"format": "imagefolder"}, ""),
        ({"vocabulary": "/etc/passwd.toml"}, "not tagged"),
        ({"q": "hotel:nowhere-at-all"}, "hotel"),
    ],
)
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_what_cannot_be_exported_is_said_before_the_first_byte(
    client: TestClient, asked: Asked, words: str, file_format: str
) -> None:
    answer = client.get("/api/v1/exports", params={"format": file_format} | asked)
    assert answer.status_code == 422
    assert words in answer.text
    page = client.get("/export/file", params={"format": file_format} | asked)
    if words == "queries with words":  # a form sends how many even where no words say which are the best
        assert page.status_code == 200
        return
    assert page.status_code == 422
    assert "<html" in page.text


def test_more_like_and_pictures_are_said_on_the_page(client: TestClient) -> None:
    assert "left out here" in client.get("/export", params={"q": "a pool", "more": "1,2"}).text
    assert "picture of yours" in client.get("/export", params={"q": "image:u_1"}).text


def test_photos_without_tags_are_not_passed_over_in_silence(own_library: Library, tmp_path: Path) -> None:
    first = own_library.search("a pool", k=1)[0]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.jpg").write_bytes(Path(first.path).read_bytes() + b"\0")
    own_library.add(tmp_path / "more")
    answer = client_of(own_library).get("/api/v1/exports")
    assert answer.status_code == 422
    assert "came after the last tagging" in answer.text


def disk_full_after(bytes_before: int) -> Callable[..., Any]:
    """Return what writes a little in place of an export, then the disk is full."""

    def export_to(library: Library, file: Any, **options: Any) -> Any:
        file.write(b"x" * bytes_before)
        raise OSError(errno.ENOSPC, "No space left on device")

    return export_to


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_full_disk_is_said_before_the_first_byte(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    monkeypatch.setattr(Library, "export_to", disk_full_after(100))
    answer = client.get("/api/v1/exports", params={"format": file_format})
    assert answer.status_code == 507
    assert "disk is full" in answer.text


def test_an_export_that_breaks_off_is_no_whole_file(tagged_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "export_to", disk_full_after(1_000_000))
    with Running(tagged_library) as running:
        connection = http.client.HTTPConnection(running.url.removeprefix("http://"))
        connection.request("GET", "/api/v1/exports")
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        connection.close()


def filled_without_end(pipe: Pipe) -> threading.Thread:
    """Return a thread that writes into a pipe until it is stopped."""

    def endless(file: Any) -> Any:
        while True:
            file.write(b"x" * export_streams.CHUNK_BYTES)

    thread = threading.Thread(target=pipe.fill, args=(endless,))
    thread.start()
    return thread


def test_a_client_that_goes_stops_the_export() -> None:
    pipe = Pipe()
    thread, chunks = filled_without_end(pipe), pipe.chunks()
    assert next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    thread.join(60)
    assert not thread.is_alive()


def test_a_client_that_takes_nothing_is_given_up_and_gets_no_whole_file() -> None:
    pipe = Pipe(patience_s=0.01)
    thread = filled_without_end(pipe)
    thread.join(60)
    assert not thread.is_alive()
    chunks = pipe.chunks()  # it comes back: what is there, and an error
    assert [len(next(chunks)) for _ in range(export_streams.MOST_CHUNKS)]
    with pytest.raises(ClientGone, match="too long"):
        next(chunks)


def test_a_place_is_free_only_when_its_writer_has_ended() -> None:
    class Stays:
        async def is_disconnected(self) -> bool:
            return False

    slots, begun, goes_on = ExportSlots(), threading.Event(), threading.Event()

    def slow(file: Any) -> Any:
        begun.set()
        assert goes_on.wait(60)
        file.write(b"x")

    async def cancelled() -> None:
        slots.take()
        spooling = asyncio.create_task(export_streams.spooled(cast(Any, Stays()), slots, slow, "application/json", {}))
        await asyncio.to_thread(begun.wait, 60)
        spooling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spooling
        slots.take()  # the other one
        with pytest.raises(HTTPException, match="503"):
            slots.take()
        slots.give_back()
        goes_on.set()

    run_apart(cancelled())
    assert are_free(slots)


def test_a_client_that_goes_while_a_file_is_written_stops_the_export() -> None:
    class Gone:
        async def is_disconnected(self) -> bool:
            return True

    files = []

    def endless(file: Any) -> Any:
        files.append(file)
        while True:
            file.write(b"x")

    slots = ExportSlots()
    slots.take()
    with pytest.raises(HTTPException, match="client has gone"):
        run_apart(export_streams.spooled(cast(Any, Gone()), slots, endless, "application/json", {}))
    assert are_free(slots)
    assert files[0].closed  # and a file without a name is gone with that


def test_few_exports_are_made_at_a_time(client: TestClient) -> None:
    slots = client.app.state.opened.exports  # type: ignore[attr-defined]
    for _ in range(export_streams.SIDE_BY_SIDE):
        slots.take()
    answer = client.get("/api/v1/exports")
    for _ in range(export_streams.SIDE_BY_SIDE):
        slots.give_back()
    assert answer.status_code == 503
    assert "ask again" in answer.text


def test_a_folder_is_a_job(tagged_library: Library) -> None:
    client, started = client_of(tagged_library), list[tuple[str, Asked]]()

    class Kept:
        async def start(self, kind: str, arguments: Asked) -> int:
            started.append((kind, arguments))
            return 7

    client.app.state.opened.jobs = Kept()  # type: ignore[attr-defined]
    assert client.post("/api/v1/exports/folders", json={"q": "a pool", "k": 5}).json() == {"job": 7}
    form = {"q": "a pool", "k": "number", "number": "5", "format": "csv", "tag": "", "vocabulary": ""}
    seen = client.post("/export/folder", data=form, follow_redirects=False)
    assert "job=7" in seen.headers["location"]
    assert started == [("export", {"format": "imagefolder", "link": False, "query": "a pool", "k": 5})] * 2


def test_a_query_of_filters_alone_exports_all_they_leave(tagged_library: Library, tmp_path: Path) -> None:
    manifest = tagged_library.export(tmp_path / "t.csv", query=AZURA, tags="pool", vocabulary="hotel")
    assert 0 < manifest.photos < 240
    with pytest.raises(QueryError, match="queries with words"):
        tagged_library.export(tmp_path / "t.csv", query=AZURA, k=3)
    both = tagged_library.export(tmp_path / "t.csv", query=f"{AZURA} tag:hotel/pool", vocabulary="hotel")
    assert both.photos == manifest.photos


def test_a_download_from_the_page(server: Running, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server.url}/export?{urlencode({'q': 'a pool'})}")
    assert faults(page) == []
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    waiting.value.save_as(tmp_path / "got.csv")
    order = server.library.order("a pool")
    server.library.export(tmp_path / "t.csv", query="a pool", k=order.above or order.total)
    assert (tmp_path / "got.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()
