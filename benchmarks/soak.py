"""Adding, searching, tagging, exporting and serving together for many rounds: memory, open files and disk may not grow.

python benchmarks/soak.py [--rounds 200] [--new 4]

One process has a library open, a server on it, and does the same in every round: photos come, and as many go; all are
found, tagged and exported; pages and thumbnails are asked for. So a round ends with as much as it began with, and what
grows has leaked. The first third of the rounds warms up; of the rest the later half is compared with the earlier one.
"""

import argparse
import os
import shutil
import statistics
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from measuring import memory_mb
from PIL import Image
from records import figure, recorded

import aliens
from aliens.library import Library
from base.settings import asset
from commands.serve_command import listening_at
from web.app import make_app
from web.web_settings import WebSettings

WORK = Path(__file__).parent / "work" / "soak"
KEPT = 24  # photos that stay
QUERIES = ("a bathtub", "a sofa by a window", "a bed -plant", "a pool tag:bathtub")


@dataclass(frozen=True)
class Held:
    """What is held at the end of a round: memory of its own in MB, open files, threads, files and MB in the library."""

    memory_mb: float
    descriptors: int
    threads: int
    files: int
    disk_mb: float

    @classmethod
    def by(cls, library: Library) -> "Held":
        """Return what this process and a library hold now."""
        files = [path for path in library.path.rglob("*") if path.is_file()]
        return cls(
            memory_mb("RssAnon"),
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            len(files),
            sum(path.stat().st_size for path in files) / 1e6,
        )


@contextmanager
def served(library: Library) -> Iterator[str]:
    """Serve a library in a thread, and yield the address."""
    listening = listening_at("127.0.0.1", 0)
    app = make_app(library, WebSettings(port=listening.getsockname()[1]))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        threading.Event().wait(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def photo(to: Path, source: Path, number: int) -> None:
    """Write a small photo that no other round has: a sample with a mark of its own."""
    with Image.open(source) as picture:
        small = picture.convert("RGB").resize((96, 64))
    for place in range(24):
        small.putpixel((place, 0), (255, 255, 255) if number >> place & 1 else (0, 0, 0))
    small.save(to, quality=95)


def one_round(library: Library, url: str, photos: Path, sources: list[Path], number: int, new: int) -> None:
    """Let photos come and go, and ask for everything."""
    for old in photos.glob("new-*.jpg"):
        old.unlink()
    for place in range(new):
        photo(photos / f"new-{number}-{place}.jpg", sources[place], number * new + place)
    library.add(photos)
    library.forget(gone=True) if number else None
    library.tag("case-study")
    for query in QUERIES:
        library.search(query, k=10)
    for name in ("tags.csv", "tags.parquet"):
        library.export(photos.parent / "out" / name)
    for path in ("/", "/?q=a+sofa", "/tags", "/library", "/api/v1/search?q=a+bed", "/api/v1/jobs"):
        with urllib.request.urlopen(url + path) as answer:
            answer.read()


@recorded
def main() -> None:
    """Do rounds, and print what is held in the earlier and the later half of them, and the growth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--new", type=int, default=4, help="photos that come and go in a round")
    arguments = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    photos = WORK / "photos"
    photos.mkdir(parents=True)
    sources = sorted((asset("aliens/samples") / "images").rglob("*.jpg"))
    for number in range(KEPT):
        photo(photos / f"kept-{number:02d}.jpg", sources[number], 0)
    held: list[Held] = []
    with aliens.create(WORK / "library", model="starter", backend="torch") as library, served(library) as url:
        for number in range(arguments.rounds):
            one_round(library, url, photos, sources, number, arguments.new)
            held.append(Held.by(library))
        assert [told for told in library.verify() if told.part != "photo"] == []
        found = len(library.search("a room", k=1_000, copies=True))
        assert found == KEPT + arguments.new, f"{found} photos are found, of {KEPT + arguments.new}"
    tell(held)


def tell(held: list[Held]) -> None:
    """Print and record what was held, and how it grew."""
    rest = held[len(held) // 3 :]
    earlier, later = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    print(f"{len(held)} rounds; the first {len(held) - len(rest)} warm up")
    figure("rounds", len(held), "rounds")
    for name, unit in (
        ("memory_mb", "MB"),
        ("descriptors", "open files"),
        ("threads", "threads"),
        ("files", "files in the library"),
        ("disk_mb", "MB in the library"),
    ):
        before, after = (statistics.median(getattr(one, name) for one in half) for half in (earlier, later))
        print(
            f"{name}: {before:.1f} {unit} in the earlier half, {after:.1f} in the later one: {after / before:.3f} times"
        )
        figure(f"{name.partition('_')[0]} of the later half over the earlier", after / before, "times")


if __name__ == "__main__":
    main()
