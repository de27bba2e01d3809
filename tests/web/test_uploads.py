"""Photos to search by: what is taken, refused and kept, and by what process they are encoded."""

import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal
from PIL import Image
from starlette.testclient import TestClient

from aliens.library import Library
from base.errors import PhotoError
from embedding.decode import open_image
from tests.conftest import photo_bytes
from tests.embedding.conftest import encoded, png
from tests.photo_files import heic
from tests.web.conftest import client_of
from web.app import make_app
from web.uploads import (
    AT_ONCE,
    KEPT_S,
    MOST_KEPT,
    MOST_WAITING,
    EncodingProcess,
    NoUpload,
    Upload,
    Uploads,
)
from web.web_settings import WebSettings


@pytest.fixture
def encoding(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of an app that encodes in this process, as the other one would."""
    opened = client.app.state.opened  # type: ignore[attr-defined]
    monkeypatch.setattr("web.uploads._opened", opened.library)

    def encode(data: bytes) -> Any:
        from web.uploads import encoded_upload

        return encoded_upload(data, opened.settings.upload_px)

    monkeypatch.setattr(opened.uploads._encoder, "encode", encode)
    yield client


def handed_in(client: TestClient, data: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> Any:
    return client.post("/api/v1/uploads", files={"photo": (name, data, kind)})


def test_a_photo_is_taken_and_found_by(encoding: TestClient, samples: Path) -> None:
    photo = sorted(samples.glob("images/train/11/**/*.jpg"))[3]
    answer = handed_in(encoding, photo.read_bytes())
    assert answer.status_code == 201
    upload_id = answer.json()["id"]
    assert answer.json() == {"id": upload_id, "term": f"image:{upload_id}"}
    assert re.fullmatch(r"u_[\w-]{22}", upload_id)
    opened = encoding.app.state.opened  # type: ignore[attr-defined]
    vectors = opened.uploads.vectors(f"a pool image:{upload_id}:0.5 -image:{upload_id}")
    best = opened.library.search(image=photo, k=1, copies=True)[0]
    assert list(vectors) == [upload_id] and vectors[upload_id].shape == (opened.library.model.dim,)
    with opened.library.catalog.session() as session:
        stored = opened.library.searcher.vectors(session, [best.photo_id])[best.photo_id]
    assert float(vectors[upload_id] @ stored.astype(np.float32)) > 0.999
    shown = encoding.get(f"/api/v1/uploads/{upload_id}/image")
    assert shown.headers["content-type"] == "image/webp" and Image.open(io.BytesIO(shown.content)).size == (350, 233)


def test_what_is_no_photo_is_refused_by_name(encoding: TestClient) -> None:
    refused = {
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>": (415, "a drawing (SVG)"),
        b"<?xml version='1.0'?>\n<svg/>": (415, "a drawing (SVG)"),
        b"<!DOCTYPE html><script>alert(1)</script>": (415, "a web page (HTML)"),
        photo_bytes(1, file_format="GIF"): (415, "a GIF"),
        photo_bytes(1, file_format="TIFF"): (415, "a TIFF"),
        b"%PDF-1.7": (415, "a PDF"),
        b"MZ\x90": (415, "no photo"),
        b"": (422, "0 bytes"),
        photo_bytes(1)[:300]: (422, "cannot be used"),
        b"\xff\xd8\xff<script>": (422, "cannot be used"),
        b"RIFF\0\0\0\0WEBPVP8 ": (422, "cannot be used"),
        b"RIFF\0\0\0\0WAVEfmt ": (415, "no photo"),
        png(60_000, 60_000, bytes(9)): (413, "more than 50 megapixels"),
        bytes(20_000_001): (413, "more than 20 MB"),
    }
    for data, (status, said) in refused.items():
        for kind in ("image/jpeg", "text/html"):  # whatever the client says that it is
            answer = handed_in(encoding, data, "../../photo.jpg", kind)
            assert answer.status_code == status and said in answer.json()["detail"], (data[:20], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


def test_forms_without_a_photo(encoding: TestClient) -> None:
    assert encoding.post("/api/v1/uploads").status_code == 422
    assert encoding.post("/api/v1/uploads", data={"photo": "text"}).status_code == 422
    assert encoding.post("/api/v1/uploads", files={"picture": b"x"}).status_code == 422
    two = [("photo", ("1", photo_bytes(1))), ("photo", ("2", photo_bytes(2)))]
    assert encoding.post("/api/v1/uploads", files=two).status_code == 422
    broken = encoding.post("/api/v1/uploads", content=b"x", headers={"content-type": "multipart/form-data"})
    assert broken.status_code == 422
    long = encoding.post("/api/v1/uploads", content=b"x", headers={"content-length": "99999999999"})
    assert long.status_code == 413

    def chunks() -> Iterator[bytes]:  # which say nothing of their length
        for _ in range(30):
            yield bytes(1_000_000)

    form = {"content-type": "multipart/form-data; boundary=b"}
    streamed = encoding.post("/api/v1/uploads", content=chunks(), headers=form)
    assert streamed.status_code in (413, 422)


def test_photos_are_kept_for_an_hour(tagged_library: Library) -> None:
    now = [0.0]
    uploads = Uploads(tagged_library, WebSettings(), clock=lambda: now[0])
    for number in range(MOST_KEPT + 1):
        uploads._kept[f"u_{number}"] = Upload(np.zeros(4, np.float32), b"", KEPT_S + number)
    assert uploads.vectors("image:u_3")["u_3"].shape == (4,)
    now[0] = KEPT_S + 3
    with pytest.raises(NoUpload, match="hand it in again"):
        uploads.vectors("pool image:u_3")
    assert uploads.find("u_4").until_s == KEPT_S + 4
    assert uploads.vectors("pool image:/etc/passwd") == {}
    with client_of(tagged_library) as client:
        for upload_id in ("u_3", "u_", "x", "%2e%2e"):
            assert client.get(f"/api/v1/uploads/{upload_id}/image").status_code in (404, 410)


def test_many_at_once_are_told_to_wait(tagged_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand requests hold two photos in memory, and the bytes of no others."""
    app = make_app(tagged_library, WebSettings())
    held, taken, largest = threading.Event(), [], [0]

    def encode(data: bytes) -> Any:
        taken.append(1)
        largest[0] = max(largest[0], len(taken))
        held.wait()
        taken.pop()
        return np.zeros(4, np.float32), b"picture"

    monkeypatch.setattr(app.state.opened.uploads._encoder, "encode", encode)
    head = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
    body = head + photo_bytes(1) + b"\r\n--b--\r\n"
    statuses: list[int] = []
    read = [0]

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            read[0] += 1
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                if len(statuses) == 1_000 - AT_ONCE - MOST_WAITING:
                    held.set()

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=b")]
        scope = {"type": "http", "method": "POST", "path": "/api/v1/uploads", "headers": headers, "query_string": b""}
        scope |= {"scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "http_version": "1.1"}
        await app(scope, receive, send)

    async def ask_all() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(1_000):
                tasks.start_soon(ask)

    with start_blocking_portal() as portal:  # in a thread of its own: a browser's tests have a loop in this one
        portal.call(ask_all)
    assert largest[0] <= AT_ONCE and statuses.count(201) == AT_ONCE + MOST_WAITING
    assert set(statuses) <= {201, 503, 429} and len(statuses) == 1_000
    assert read[0] <= 3 * (AT_ONCE + MOST_WAITING)


def test_a_dead_process_is_replaced() -> None:
    """Of the library only what encodes is asked for, so that no model has to be loaded."""
    process = EncodingProcess(SimpleNamespace(encode_photo=open_image), 10_000)  # type: ignore[arg-type]
    data = photo_bytes(3)
    try:
        assert process.encode(data)[0].size == (96, 64)
        (pid,) = process.pids
        os.kill(pid, signal.SIGKILL)
        assert process.encode(data)[0].size == (96, 64)
        assert process.pids != [pid]
        with pytest.raises(PhotoError, match="over the cap"):
            process.encode(encoded(Image.new("RGB", (200, 200)), "PNG"))
        process._end_if_idle()
        assert process.pids == []
    finally:
        process.end()
    assert process._idle is None or not process._idle.is_alive()


def test_photos_are_encoded_beside_the_server(tagged_library: Library, samples: Path) -> None:
    """The other process opens the library for itself; the server's own need no PyTorch."""
    process = EncodingProcess(tagged_library, 50_000_000)
    photo = sorted(samples.glob("images/train/11/**/*.jpg"))[0]
    try:
        vector, picture = process.encode(photo.read_bytes())
    finally:
        process.end()
    mine = tagged_library.encode_photo(photo.read_bytes(), max_pixels=50_000_000)
    assert float(vector @ mine) > 0.99 and Image.open(io.BytesIO(picture)).format == "WEBP"


def test_a_phones_photo_is_taken_and_shown(encoding: TestClient) -> None:
    """Whatever a browser says that it is: many systems know no kind for it."""
    scene = Image.open(io.BytesIO(photo_bytes(7, size=(350, 233))))
    avif, heif = photo_bytes(7, size=(350, 233), file_format="AVIF"), heic(scene)
    for data, name in ((heif, "IMG_1.HEIC"), (avif, "a.avif")):
        answer = handed_in(encoding, data, name, "application/octet-stream")
        assert answer.status_code == 201, answer.text
        shown = encoding.get(f"/api/v1/uploads/{answer.json()['id']}/image")
        assert shown.headers["content-type"] == "image/webp"
        assert Image.open(io.BytesIO(shown.content)).size == (350, 233)
    claims = (20_000).to_bytes(4) * 2  # of width and height, which nothing clips
    large = re.sub(rb"(ispe....)........", rb"\1" + claims, heif, flags=re.DOTALL).replace(b"clap", b"free")
    refused = {
        heif[:-1]: (422, "truncated"),
        heif[:16] + b"x" * 200: (422, "cannot be used"),
        large: (413, "more than 50 megapixels"),
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom": (415, "a film (MP4 or MOV)"),
        b"\0\0\0\x18ftypcrx \0\0\0\1": (415, "a camera's raw photo"),
        b"\xff\x0a\x08\x04": (415, "a JPEG XL"),
    }
    for data, (status, said) in refused.items():
        answer = handed_in(encoding, data, "photo.heic", "image/heic")
        assert answer.status_code == status and said in answer.json()["detail"], (data[:20], answer.text)
