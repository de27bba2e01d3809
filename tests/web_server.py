"""A web server of photos in a thread: what is found on the web, good and bad, by address."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from threading import Event, Thread

from PIL import Image

from tests.conftest import photo_bytes


class Answers(BaseHTTPRequestHandler):
    """Answers an address by its first folder; a photo's number is its seed."""

    protocol_version = "HTTP/1.1"
    server: "PhotoServer"

    def do_GET(self) -> None:
        kind = self.path.strip("/").partition("/")[0]
        self.path = self.path.partition("?")[0]
        self.server.asked.append(self.path)
        getattr(self, f"_{kind}", self._missing)()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def _say(self, data: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def _photo(self) -> None:
        self._say(photo_bytes(int(PurePosixPath(self.path).stem)), Content_Type="image/jpeg")

    def _wide(self) -> None:
        self._say(photo_bytes(1, (1600, 1200)))

    def _png(self) -> None:
        self._say(photo_bytes(1, file_format="PNG", mode="RGBA"))

    def _missing(self) -> None:
        self._say(b"gone", 404)

    def _broken(self) -> None:
        self._say(b"oops", 500)

    def _html(self) -> None:
        self._say(b"<html><body>This photo has moved</body></html>", Content_Type="text/html")

    def _huge(self) -> None:
        data = io.BytesIO()
        Image.new("1", (20_000, 10_000)).save(data, "PNG")
        self._say(data.getvalue())

    def _redirect(self) -> None:
        self._say(b"", 302, Location="/photo/" + PurePosixPath(self.path).name)

    def _cut(self) -> None:
        data = photo_bytes(1)
        self._say(data[: len(data) // 2], length=len(data))
        self.close_connection = True

    def _unwanted(self) -> None:
        self._say(photo_bytes(1), X_Robots_Tag="noai")

    def _wait(self) -> None:
        if self.server.open.is_set():
            self._photo()
            return
        self.server.waiting.set()
        self.connection.recv(1)  # nothing comes, until the other side is gone
        self.server.left.set()
        self.close_connection = True


class PhotoServer(ThreadingHTTPServer):
    """asked: the addresses, in order. open: whether what waits is answered. waiting, left: somebody waits, and went."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        self.open, self.waiting, self.left = Event(), Event(), Event()

    def handle_error(self, *_: object) -> None:
        """Say nothing of those that went away."""

    def at(self, place: str) -> str:
        """Return the address of a place."""
        return f"http://127.0.0.1:{self.server_address[1]}/{place}"


@contextmanager
def serving_photos() -> Iterator[PhotoServer]:
    """Serve until the end of the block."""
    with PhotoServer() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
