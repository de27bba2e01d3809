"""A hub of models on this machine, which answers huggingface_hub as the real one does: lists, heads, ranges, files."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """Serves folders under the names of repositories. sent: the files that were sent whole, with their repository."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.repositories = repositories
        self.sent: list[tuple[str, str]] = []

    @cached_property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        for name, folder in self.server.repositories.items():
            if path.startswith(f"api/models/{name}"):
                files = sorted(file for file in folder.rglob("*") if file.is_file())
                self.tell(listed(files, folder) if "/tree/" in path else described(name, files, folder))
                return
            if path.startswith(f"{name}/resolve/") and (folder / path.split("/", 4)[4]).is_file():
                self.send_file(name, folder, path.split("/", 4)[4])
                return
        self.tell({"error": "Repository not found"}, 404, {"X-Error-Code": self.code_of(path)})

    def code_of(self, path: str) -> str:
        known = any(path.startswith(f"{name}/") for name in self.server.repositories)
        return "EntryNotFound" if known else "RepoNotFound"

    def send_file(self, name: str, folder: Path, inside: str) -> None:
        data = (folder / inside).read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        status, whole = 200, len(data)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            data = data[int(first) : int(last) + 1 if last else None]
            headers["Content-Range"], status = f"bytes {first}-{int(first) + len(data) - 1}/{whole}", 206
        elif self.command == "GET":
            self.server.sent.append((name, inside))
        self.answer(data, status, headers)

    def tell(self, said: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.answer(json.dumps(said).encode(), status, {"Content-Type": "application/json"} | (headers or {}))

    def answer(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *said: object) -> None: ...


def described(name: str, files: list[Path], folder: Path) -> dict[str, Any]:
    siblings = [{"rfilename": file.relative_to(folder).as_posix(), "size": file.stat().st_size} for file in files]
    return {"id": name, "modelId": name, "sha": COMMIT, "tags": [], "private": False, "siblings": siblings}


def listed(files: list[Path], folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
        }
        for file in files
    ]


@contextmanager
def serving(repositories: dict[str, Path]) -> Iterator[Hub]:
    """Serve as long as the block runs."""
    hub = Hub(repositories)
    Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
