"""A web server of this machine's that gives files of a folder, by parts too, lists folders, and can misbehave."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class FileServer:
    """What it was asked, and how it answers some addresses: {path: (status, headers, body)}."""

    root: Path
    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    gives_parts: bool = True
    tells_times: bool = True

    def bytes_sent(self) -> list[str]:
        """Return what was asked for with its bytes."""
        return [path for method, path in self.asked if method == "GET"]


@contextmanager
def serving_files(root: Path) -> Iterator[FileServer]:
    """Serve a folder until the end."""
    state = FileServer(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            state.asked.append((self.command, self.path))
            status, headers, body = state.answers.get(self.path) or self.of_file(unquote(self.path.partition("?")[0]))
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if status == 200 and asked and state.gives_parts:
                first, last = int(asked[1]), min(int(asked[2]), len(body) - 1)
                headers = headers | {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
                status, body = 206, body[first : last + 1]
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                if value:  # of a length that is not told the end is that of the connection
                    self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)
                self.close_connection = "Content-Length" in headers  # one that is no true one

        def of_file(self, path: str) -> tuple[int, dict[str, str], bytes]:
            file = state.root / path.lstrip("/")
            if file.is_dir():
                names = sorted(each.name + "/" * each.is_dir() for each in file.iterdir())
                links = "".join(f'<a href="{name}">{name}</a>' for name in ["?C=N;O=D", "../", "/elsewhere/", *names])
                return 200, {"Content-Type": "text/html"}, f"<html>{links}</html>".encode()
            if not file.is_file():
                return 404, {}, b"<html>not found</html>"
            told = {"Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)} if state.tells_times else {}
            return 200, told, file.read_bytes()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
