"""What adding costs, and what many segments cost: a library of 240 photos beside one of 1,124,215, in one run.

python benchmarks/growing.py [--photos 1124215] [--parts add open segments batches] [--rows 1000000] [--batches 1000]
python benchmarks/growing.py --photos 10000000 --parts add open      # by hand: 16 GB of disk, 12 GB of page cache

add: `add` of one new photo, a small JPEG in a folder of its own, in processes that take turns; the library is opened
and closed around it. A stand-in for the model gives a random vector, so that nothing else is measured. First: in a
fresh process; more: the mean of ten others, one of which merges the small segments that have come together by then.
open: opening the vectors, one exact query beside reading all bytes once, memory, bytes on disk.
segments: one exact query over a single segment, over those of the library, and over as many as merging leaves at most.
batches: a million made-up vectors in a thousand batches, each one written, recorded and, where due, merged.

Bytes written are what was handed to the system's write calls, the database's log included (wchar of /proc/self/io), and
what of it goes to the disk, in whole pages (write_bytes). Everything lies in the page cache.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from measuring import medians_ms, memory_mb, reader, written_bytes
from million import DIM, KEY, PHOTOS, empty_library, filled, million_library, random_vectors
from records import figure, recorded
from segmented import stored

import aliens
import indexer.add  # imported only when it is needed, and importing is not measured here
import indexer.hotels50k  # noqa: F401 - as well
from base.files import SegmentFile
from base.progress import silent
from base.settings import LibraryFolder, asset
from db.vector_rows import EmbeddedRows, record_segment, segments_of
from embedding.decode import Preprocessing
from embedding.index.exact import exact_search
from embedding.segments import SegmentStore, Vectors
from indexer.merging import FAN_OUT, SMALLEST_ROWS, merge_due

ROOT = Path(__file__).parents[1]
WORK = Path(__file__).parent / "work"
SCRATCH = WORK / "growing"
PARTS = ("add", "open", "segments", "batches")
FEW, MORE = 240, 10  # photos of the small library; photos added after the first

Figures = dict[str, float]


class RandomEncoder:
    """Stands in for a model: a photo's vector is drawn by its pixels."""

    name, key, dim, batch_photos, keeps_cpu_busy, logit_scale = "random", KEY, DIM, 32, False, 100.0
    preprocessing = Preprocessing(size_px=224, mean=(0.5,) * 3, std=(0.5,) * 3)

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Return unit vectors (n, d) float32."""
        return np.concatenate([next(random_vectors(1, zlib.crc32(square.tobytes()))) for square in pixels])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors (n, d) float32, drawn by the texts."""
        return np.concatenate([next(random_vectors(1, zlib.crc32(text.encode()))) for text in texts])


class CountingStore(SegmentStore):
    """A store that knows how many bytes of segments it has written."""

    size_bytes = 0

    def write_parts(self, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> SegmentFile:
        """Write a new segment."""
        file = super().write_parts(parts)
        self.size_bytes += file.size_bytes
        return file


def spent(work: Callable[[], object]) -> Figures:
    """Return what a piece of work costs: seconds, of the clock and of the process on all cores, and kB written."""
    written, cpu, wall = written_bytes(), time.process_time(), time.perf_counter()
    work()
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    handed, to_disk = (now - before for now, before in zip(written_bytes(), written, strict=True))
    return {"wall_s": wall_s, "cpu_s": cpu_s, "handed_kb": handed / 1000, "to_disk_kb": to_disk / 1000}


def together(costs: list[Figures], how: Callable[[list[float]], float]) -> Figures:
    """Return several figures of each name as one."""
    return {name: how([cost[name] for cost in costs]) for name in costs[0]}


def add_one_by_one(root: str, photos: str) -> dict[str, Figures]:
    """Add a photo, then others; return what they cost."""

    def add(folder: Path) -> None:
        with aliens.open(root, encoder=RandomEncoder()) as library:
            report = library.add(folder, progress=silent)
        assert report.run.encoded == report.scan.found == 1, report

    before_mb = memory_mb("VmRSS")
    first, *more = [spent(lambda folder=folder: add(folder)) for folder in sorted(Path(photos).iterdir())]
    peak_mb = memory_mb("VmHWM")
    memory = {"peak_mb": peak_mb, "above_mb": peak_mb - before_mb}
    return {"first": first, "more": together(more, statistics.fmean), "memory": memory}


def open_and_search(root: str) -> Figures:
    """Open a library's vectors and search them exactly; return times, memory, and bytes on disk."""
    query = next(random_vectors(1, seed=1))
    before = {kind: memory_mb(kind) for kind in ("RssAnon", "RssFile")}
    start = time.perf_counter()
    with aliens.open(root, encoder=RandomEncoder()) as library, library.catalog.session() as session:
        vectors = library.index(session).base
        opened = time.perf_counter()
        exact_search(vectors, query, 10)
        told = {
            "opened_ms": (opened - start) * 1000,
            "first_ms": (time.perf_counter() - opened) * 1000,
            "own_mb": memory_mb("RssAnon") - before["RssAnon"],
            "mapped_mb": memory_mb("RssFile") - before["RssFile"],
            "segments": len(vectors.segments),
            "disk_bytes": sum(path.stat().st_size for path in library.store.folder.iterdir()) / len(vectors),
        }
        return told | medians_ms({"search_ms": lambda: search(vectors, query), "read_ms": reading(vectors)})


def search(vectors: Vectors, query: np.ndarray) -> object:
    """Compare every photo."""
    return exact_search(vectors, query, 10)


def reading(vectors: Vectors) -> Callable[[], int]:
    """Return what reads every photo's vector once, on as many cores as a search takes."""
    return reader([segment.vectors for segment in vectors.segments], faiss.omp_get_max_threads())


def add_batches(root: str, rows: int, batches: int) -> Figures:
    """Write the vectors of a library that has none yet, batch by batch, as `add` does; return what it cost."""
    size, most_segments, merges, before_mb = rows // batches, 0, 0, memory_mb("VmRSS")
    writing, merging = [], []
    with aliens.open(root, encoder=RandomEncoder()) as library, library.catalog.writing() as session:
        store, model = CountingStore(library.store.folder, DIM), library.model

        def write(ids: np.ndarray, vectors: np.ndarray) -> None:
            record_segment(session, model, store.write(ids, vectors), ids.tolist())
            session.commit()

        def merge() -> None:
            nonlocal merges
            merges += merge_due(library.catalog, session, store)

        for number in range(batches):
            ids, vectors = np.arange(size) + size * number + 1, np.concatenate(list(random_vectors(size, number)))
            writing.append(spent(lambda ids=ids, vectors=vectors: write(ids, vectors)))
            most_segments = max(most_segments, len(segments_of(session, model)))
            merging.append(spent(merge))
        found = len(store.current(EmbeddedRows(session, model)))
        assert found == size * batches, found
        segments = len(segments_of(session, model))
    written, merged = together(writing, sum), together(merging, sum)
    per_byte = 1 / (2 * DIM * size * batches)
    return {
        "segment_bytes": store.size_bytes * per_byte,
        "handed_bytes": 1000 * (written["handed_kb"] + merged["handed_kb"]) * per_byte,
        "to_disk_bytes": 1000 * (written["to_disk_kb"] + merged["to_disk_kb"]) * per_byte,
        "writing_s": written["wall_s"] * 1e6 / (size * batches),
        "merging_s": merged["wall_s"] * 1e6 / (size * batches),
        "merging_cpu_s": merged["cpu_s"] * 1e6 / (size * batches),
        "merges": merges,
        "segments": segments,
        "most_segments": most_segments,
        "above_mb": memory_mb("VmHWM") - before_mb,
    }


CHILDREN = {work.__name__: work for work in (add_one_by_one, open_and_search, add_batches)}


def in_a_child(work: Callable[..., Any], *arguments: object) -> Any:
    """Return what a piece of work returns that has a process of its own."""
    told = json.dumps([work.__name__, *arguments], default=str)
    command = [sys.executable, "-W", "ignore", __file__, "--child", told]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def copy_of(folder: LibraryFolder, name: str) -> LibraryFolder:
    """Return a library to be changed: the database is copied, the segments, which nobody changes, are linked."""
    target = LibraryFolder(SCRATCH / name)
    shutil.copytree(folder.vectors(KEY), target.vectors(KEY), copy_function=os.link)
    shutil.copy(folder.database_file, target.database_file)
    os.sync()  # what adding waits for is its own
    return target


def new_photos(run: int) -> Path:
    """Return a folder of folders of one photo each, others for every run."""
    samples, folder = sorted((asset("aliens/samples") / "images").rglob("*.jpg")), SCRATCH / "photos" / str(run)
    for number in range(MORE + 1):
        place = folder / f"{number:02d}"
        place.mkdir(parents=True)
        shutil.copy(samples[(run * (MORE + 1) + number) % len(samples)], place / "photo.jpg")
    return folder


def row(name: str, few: float, many: float, unit: str, digits: int = 1) -> None:
    """Print one figure of both libraries and its ratio."""
    ratio = f"{many / few:8.2f}" if few else ""
    print(f"  {name:<58} {few:10,.{digits}f} {many:12,.{digits}f} {unit:<3}{ratio}")
    figure(name, many, unit or "times")


def print_adding(libraries: dict[int, LibraryFolder], runs: int) -> None:
    """Measure and print what one more photo costs."""
    few, many = libraries
    copies = {photos: copy_of(folder, f"adding-{photos}") for photos, folder in libraries.items()}
    told: dict[int, list[dict[str, Figures]]] = {photos: [] for photos in libraries}
    for run in range(runs):
        photos = new_photos(run)
        for count, folder in copies.items():
            told[count].append(in_a_child(add_one_by_one, folder.root, photos))
    print(f"\nadding one photo, medians of {runs} runs in turns{'':14} {few:10,} {many:12,} photos, ratio")
    for which in ("first", "more"):
        small, large = (together([run[which] for run in told[count]], statistics.median) for count in libraries)
        row(f"{which}: CPU", 1000 * small["cpu_s"], 1000 * large["cpu_s"], "ms")
        row(f"{which}: wall", 1000 * small["wall_s"], 1000 * large["wall_s"], "ms")
        row(f"{which}: written (wchar)", small["handed_kb"], large["handed_kb"], "kB")
        row(f"{which}: of it to the disk, in pages (write_bytes)", small["to_disk_kb"], large["to_disk_kb"], "kB")
    small, large = (together([run["memory"] for run in told[count]], statistics.median) for count in libraries)
    row("peak memory of the process", small["peak_mb"], large["peak_mb"], "MB")
    row("above what it held with everything imported", small["above_mb"], large["above_mb"], "MB")
    for folder in copies.values():
        shutil.rmtree(folder.root)


def print_opening(libraries: dict[int, LibraryFolder]) -> None:
    """Measure and print what opening and one exact query cost."""
    few, many = libraries
    small, large = (in_a_child(open_and_search, folder.root) for folder in libraries.values())
    gone = []
    for photos, folder in libraries.items():
        copy = copy_of(folder, f"gone-{photos}")
        with filled(copy, "vector_segment") as database:  # as a scan does that does not find a file
            missing = "state = 'failed', failure_kind = 'missing', failure_reason = 'the file is no longer there'"
            database.execute(f"UPDATE photo SET {missing} WHERE id = 1")
            database.execute("INSERT INTO dead_vector (segment_id, photo_id) VALUES (1, 1)")
            database.execute("UPDATE vector_segment SET alive = alive - 1 WHERE id = 1")
        gone.append(in_a_child(open_and_search, copy.root))
    print(f"\nsearching exactly, in a new process{'':25} {few:10,} {many:12,} photos, ratio")
    row("segments", small["segments"], large["segments"], "", 0)
    row("opening library and vectors", small["opened_ms"], large["opened_ms"], "ms")
    row("the same, when a photo of the largest segment is gone", gone[0]["opened_ms"], gone[1]["opened_ms"], "ms")
    row("first query, which maps the files", small["first_ms"], large["first_ms"], "ms")
    row("one query", small["search_ms"], large["search_ms"], "ms")
    row("one query, when a photo is gone", gone[0]["search_ms"], gone[1]["search_ms"], "ms")
    row("reading all vectors once", small["read_ms"], large["read_ms"], "ms", 2)
    row(
        "one query, times reading",
        small["search_ms"] / small["read_ms"],
        large["search_ms"] / large["read_ms"],
        "",
        2,
    )
    row("memory of its own", small["own_mb"], large["own_mb"], "MB")
    row("mapped pages, which the system takes back at will", small["mapped_mb"], large["mapped_mb"], "MB")
    row("bytes of segments on disk, of 2 d n", *(told["disk_bytes"] / 2 / DIM for told in (small, large)), "", 4)


def most_segments(photos: int) -> list[int]:
    """Return the sizes of about as many segments as merging may leave: one fewer in each tier than are merged."""
    sizes, most = [], SMALLEST_ROWS
    while most <= 100 * SMALLEST_ROWS:
        count = min(FAN_OUT - 1, photos // (most - 1))
        sizes += [most - 1] * count
        photos, most = photos - count * (most - 1), most * FAN_OUT
    return sizes + [photos] * (photos > 0)


def print_segments(folder: LibraryFolder, photos: int) -> None:
    """Measure and print what exact search over several segments costs beside one."""
    with aliens.open(folder.root, encoder=RandomEncoder()) as library, library.catalog.session() as session:
        here = library.index(session).base

    def at(name: str, sizes: list[int]) -> Vectors:
        return stored(folder.root / name, DIM, sizes, lambda: (part for _, part in here.parts()))

    query, one = next(random_vectors(1, seed=1)), at("one", [photos])
    kinds = {
        "a single segment": one,
        "as the library has them": here,
        "as many as may be": at("most", most_segments(photos)),
    }
    works = {name: lambda vectors=vectors: search(vectors, query) for name, vectors in kinds.items()}
    taken = medians_ms({"reading": reading(one), **works})
    once, single = taken["reading"], taken["a single segment"]
    print(f"\none exact query over {photos:,} photos, in turns; reading them once {once:.2f} ms")
    for name, vectors in kinds.items():
        print(
            f"  {name:<24} {len(vectors.segments):3} segments {taken[name]:8.2f} ms, {taken[name] / once:.2f} times "
            f"reading, {taken[name] / single:.2f} times a single segment"
        )
        figure(f"one query, {name} / reading", taken[name] / once, "times as long")


def print_batches(rows: int, batches: int) -> None:
    """Measure and print what growing costs."""
    folder = LibraryFolder(SCRATCH / "batches")
    empty_library(folder, rows)
    told = in_a_child(add_batches, folder.root, rows, batches)
    print(f"\n{rows // batches * batches:,} vectors in {batches:,} batches; bytes in units of 2 d for each vector")
    print(f"  written as segments, merges included          {told['segment_bytes']:8.2f}")
    print(f"  all that was written (wchar), with database   {told['handed_bytes']:8.2f}")
    print(f"  all that goes to the disk (write_bytes)       {told['to_disk_bytes']:8.2f}")
    print(f"  writing and recording, for a million vectors  {told['writing_s']:8.1f} s")
    print(
        f"  merging, for a million vectors                {told['merging_s']:8.1f} s; CPU {told['merging_cpu_s']:.1f} s"
    )
    print(f"  merges                                        {told['merges']:8.0f}")
    print(
        f"  segments at the end                           {told['segments']:8.0f}; at most {told['most_segments']:.0f}"
    )
    print(f"  peak memory above the imports                 {told['above_mb']:8.0f} MB")
    figure("in batches: written and recorded, a million vectors", told["writing_s"], "s")
    figure("in batches: merged, a million vectors", told["merging_s"], "s")
    figure("in batches: peak memory above the imports", told["above_mb"], "MB")


@recorded
def main() -> None:
    """Parse the arguments, make the libraries, measure each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of all batches together")
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5, help="of adding, in turns")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        name, *arguments = json.loads(chosen.child)
        print(json.dumps(CHILDREN[name](*arguments)))
        return
    shutil.rmtree(SCRATCH, ignore_errors=True)
    libraries = {}
    if set(chosen.parts) - {"batches"}:
        libraries = {count: million_library(WORK / f"growing-{count}", count) for count in (FEW, chosen.photos)}
    SCRATCH.mkdir()
    print(f"{DIM} dimensions, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if "add" in chosen.parts:
        print_adding(libraries, chosen.runs)
    if "open" in chosen.parts:
        print_opening(libraries)
    if "segments" in chosen.parts:
        print_segments(libraries[chosen.photos], chosen.photos)
    if "batches" in chosen.parts:
        print_batches(chosen.rows, chosen.batches)
    shutil.rmtree(SCRATCH)


if __name__ == "__main__":
    main()
