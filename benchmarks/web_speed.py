"""The web app on a million photos: what searching, counting and fifty searchers at once take, over HTTP on loopback.

python benchmarks/web_speed.py [--photos 1124215] [--queries 20] [--searchers 50]

The library is made up (benchmarks/million.py): random vectors, rows in the database, no photo; the sample hotels'
pictures are shown in their place. It is tagged with the two vocabularies that come along, by a stand-in for the model
that draws vectors by texts. The server runs in a process of its own, as `aliens serve` runs it. First results: a
request for the first 60 photos of a query that was not asked before; counts: the request for facets that follows it.
Ratios: to one exact scan of all vectors, in this process. Searchers: threads, each of which asks one query after the
other, its counts and what is typed next.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import statistics
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from growing import RandomEncoder
from measuring import medians_ms, memory_mb
from million import DIM, HEIGHT_PX, PHOTOS, WIDTH_PX, million_library, random_vectors
from records import figure, recorded

import aliens
from aliens.library import Library
from base.busy_process import suit_many_threads
from base.settings import LibraryFolder, asset
from commands.serve_command import listening_at
from db.picture_rows import PictureFacts, PictureFile
from embedding.index.exact import exact_search

WORK = Path(__file__).parent / "work"


class DrawnTexts(RandomEncoder):
    """Stands in for a model: a text's vector is drawn by its letters."""

    def encode_prompts(self, text: str, templates: Sequence[str]) -> np.ndarray:
        """Return a unit vector (d,) float32."""
        return next(random_vectors(1, zlib.crc32(text.encode())))[0]


def serve(root: str, said: Any) -> None:
    """Serve a library until this process is ended; say at which address, then, when asked, how much memory it holds."""
    from web.app import run_server
    from web.opened import warm_up
    from web.web_settings import WebSettings

    suit_many_threads()
    library = aliens.open(root, encoder=DrawnTexts())
    show_samples(library)
    before = memory_mb("RssAnon")
    start = time.perf_counter()
    warm_up(library)
    ready_s = time.perf_counter() - start
    listening = listening_at("127.0.0.1", 0)

    def answer() -> None:
        said.send({"url": f"http://127.0.0.1:{listening.getsockname()[1]}", "ready_s": ready_s})
        while said.recv():
            said.send({"private_mb": memory_mb("RssAnon") - before, "whole_mb": memory_mb("RssAnon")})

    threading.Thread(target=answer, daemon=True).start()
    run_server(library, WebSettings(), listening)


@contextmanager
def serving(folder: LibraryFolder) -> Iterator[Connection]:
    """Have `serve` run in a process of its own, and yield what is said to it."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(str(folder.root), theirs), daemon=True)
    server.start()
    try:
        yield ours
    finally:
        server.kill()
        server.join()


def show_samples(library: Library) -> None:
    """Have every photo of a library show a picture of the sample hotels."""
    paths = sorted(asset("aliens/samples").glob("images/**/*.jpg"))
    samples = []
    for path in paths:
        data, stat = path.read_bytes(), path.stat()
        sha256 = hashlib.sha256(data).digest()
        samples.append(PictureFile(path=str(path), sha256=sha256, size_bytes=len(data), mtime_ns=stat.st_mtime_ns))

    def file_of(photo_id: int) -> PictureFile:
        return samples[photo_id % len(samples)]

    def facts_of(photo_ids: Sequence[int]) -> dict[int, PictureFacts]:
        return {i: PictureFacts(WIDTH_PX, HEIGHT_PX, file_of(i).sha256) for i in photo_ids}

    vars(library).update(picture_file=file_of, picture_facts=facts_of)


def tagged_million(photos: int) -> LibraryFolder:
    """Return the made-up library, tagged."""
    WORK.mkdir(exist_ok=True)
    folder = million_library(WORK / f"million-{photos}", photos)
    with aliens.open(folder.root, encoder=DrawnTexts()) as library:
        for name in ("case-study", "hotel"):
            library.tag(name)
    return folder


def scan_ms(library: Library) -> float:
    """Return how long one exact scan of all vectors takes, in ms."""
    query = next(random_vectors(1, 7))
    with library.catalog.session() as session:
        vectors = library.index(session).base
    return medians_ms({"scan": lambda: exact_search(vectors, query, 10)}, 5)["scan"]


def quantiles(times: Sequence[float]) -> str:
    """Return the median and the 95th percentile, in ms."""
    return f"p50 {statistics.median(times):8.1f} ms, p95 {float(np.quantile(times, 0.95)):8.1f} ms"


def timed(client: httpx2.Client, path: str, **parameters: Any) -> float:
    """Ask once and return how long it took, in ms. Raises: SystemExit: it is an error."""
    start = time.perf_counter()
    answer = client.get(path, params=parameters)
    taken = (time.perf_counter() - start) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{path} {parameters}: {answer.status_code} {answer.text[:200]}")
    return taken


def show_single(client: httpx2.Client, queries: int, scan: float) -> None:
    """Print what one searcher waits for."""
    kinds = {
        "words": "a photo of thing {}",
        "words and a small filter": 'a thing {} chain:"Chain 5"',
        "words and a large filter": "a thing {} chain:none",
        "a filter alone": "hotel:{}",
        "like a photo": "like:{}",
    }
    print(f"\none searcher, {queries} different queries each; one exact scan takes {scan:.1f} ms")
    for name, text in kinds.items():
        first, again, counts, tiles = [], [], [], []
        for number in range(1, queries + 1):
            q = text.format(number)
            first.append(timed(client, "/api/v1/search", q=q, limit=60))
            counts.append(timed(client, "/api/v1/search/facets", q=q))
            again.append(timed(client, "/api/v1/search", q=q, limit=60))
            tiles.append(timed(client, "/api/v1/search", q=q, limit=100, rank=1_000))
        ratio = f"{statistics.median(first) / scan:.1f} scans"
        print(f"  {name:<26} first results {quantiles(first)}, {ratio}")
        figure(f"{name}: first results, p50", statistics.median(first), "ms")
        figure(f"{name}: first results / a scan", statistics.median(first) / scan, "times as long")
        print(f"  {'':<26} counts        {quantiles(counts)}, {statistics.median(counts) / scan:.1f} scans")
        print(f"  {'':<26} asked again   {quantiles(again)}")
        print(f"  {'':<26} from rank 1000 {quantiles(tiles)}")
    typed = [timed(client, "/api/v1/suggestions", q=q) for q in ("g", "grand", "hotel:42", "qauy", "cha") * queries]
    print(f"  {'what may be typed next':<26}               {quantiles(typed)}")
    mapped = []
    for number in range(1, queries + 1):
        timed(client, "/api/v1/search", q=f"mapped {number}")
        mapped.append(timed(client, "/api/v1/search/map", q=f"mapped {number}"))
    print(f"  {'the map':<26}               {quantiles(mapped)}")


def show_searchers(url: str, searchers: int, queries: int) -> None:
    """Print what many searchers at once wait for, and how many were answered by an error."""
    taken: list[float] = []
    errors: list[str] = []
    gate = threading.Barrier(searchers)

    def search(number: int) -> None:
        with httpx2.Client(base_url=url, timeout=600) as client:
            gate.wait()
            for turn in range(queries):
                q = f"{('a pool', 'a bed', 'the sea', 'a view')[(number + turn) % 4]} {number % 10}"
                for path in ("/api/v1/search", "/api/v1/search/facets", "/api/v1/suggestions"):
                    start = time.perf_counter()
                    answer = client.get(path, params={"q": q})
                    taken.append((time.perf_counter() - start) * 1000)
                    if answer.status_code != 200:
                        errors.append(f"{answer.status_code} {answer.text[:80]}")

    start = time.perf_counter()
    threads = [threading.Thread(target=search, args=(number,)) for number in range(searchers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(taken) / (time.perf_counter() - start)
    print(f"\n{searchers} searchers at once, {len(taken)} requests: {quantiles(taken)}, {rate:.1f} a second")
    figure(f"{searchers} searchers at once", rate, "answers/s")
    print(f"  answered by an error: {len(errors)} {errors[:2] if errors else ''}")


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--queries", type=int, default=20, help="different queries of each kind")
    parser.add_argument("--searchers", type=int, default=50)
    arguments = parser.parse_args()
    folder = tagged_million(arguments.photos)
    print(f"{arguments.photos:,} photos; load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with serving(folder) as server:
        told = server.recv()
        print(f"ready after {told['ready_s']:.1f} s: columns, tags and the first query")
        with aliens.open(folder.root, encoder=DrawnTexts()) as library:
            scan = scan_ms(library)
        with httpx2.Client(base_url=told["url"], timeout=600) as client:
            show_single(client, arguments.queries, scan)
        show_searchers(told["url"], arguments.searchers, max(arguments.queries // 5, 1))
        server.send(True)
        memory = server.recv()
        index_mb = arguments.photos * DIM * 2 / 1e6
        private, whole = memory["private_mb"], memory["whole_mb"]
        print(f"\nprivate memory {private:.0f} MB, {private / index_mb:.2f} of the vectors' bytes")
        figure("private memory", private, "MB")
        print(f"  with all that was imported {whole:.0f} MB, {whole / index_mb:.2f}")
        print(f"load of the machine: {os.getloadavg()[0]:.1f}")
        print(json.dumps({"photos": arguments.photos, "scan_ms": scan}))


if __name__ == "__main__":
    main()
