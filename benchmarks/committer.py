"""What recording costs as a library grows: made-up photos through the committer of `aliens add`, up to 10,000,000.

python benchmarks/committer.py [--photos 1000000] [--steps 10] [--database URL] [--keep]
python benchmarks/committer.py --photos 10000000      # by hand: 25 GB of disk, hours

Rows are added as a scan adds them and waited for as `add` waits, in `steps` parts; nothing is read or decoded, and a
stand-in for the model draws vectors of 512 dimensions. Batches, segments, transactions, merging and the checks for
known bytes are those of `indexer.pipeline.Run`. Then one exact search, and an `add` of one photo, each in a process.

--database: an empty database of another kind, such as postgresql+psycopg://user@host/name, instead of SQLite.
"""

import argparse
import hashlib
import shutil
import time
from collections.abc import Generator, Iterable
from pathlib import Path

import numpy as np
from growing import RandomEncoder, add_one_by_one, in_a_child, new_photos, open_and_search
from measuring import memory_mb, written_bytes
from million import DIM
from records import figure, recorded

import aliens
from base.arrays import Floats, Pixels
from base.progress import silent
from db.models import Photo, PhotoState
from db.photo_rows import insert_photos
from embedding.decode import DecodedPhoto, Facts
from embedding.exif import SILENT
from indexer.pipeline import Run
from indexer.reading import Content
from indexer.stages import Knows, LocalStages

WORK = Path(__file__).parent / "work"
SCRATCH = WORK / "committer"
ADDED_AT_ONCE = 10_000  # rows that a scan adds in one transaction
SEEN = Facts(width_px=350, height_px=233, format="JPEG", grey=False, brightness=50.0)
SQUARE: Pixels = np.zeros((1, 1, 3), np.uint8)


class DrawingEncoder(RandomEncoder):
    """Stands in for a model: draws a vector for every photo, whatever it shows."""

    batch_photos = 256

    def __init__(self) -> None:
        self._draw = np.random.default_rng(0)

    def encode_images(self, pixels: np.ndarray) -> Floats:
        """Return unit vectors (n, d) float32."""
        vectors = self._draw.standard_normal((len(pixels), DIM), np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class MadeUpStages(LocalStages):
    """Reads pending photos that are nowhere: each has bytes of its own."""

    def outcomes(self, photos: Iterable[Photo], known: Knows, *, elsewhere: bool) -> Generator[tuple[Photo, Content]]:
        """Yield what became of each."""
        for photo in photos:
            decoded = DecodedPhoto(pixels=SQUARE, facts=SEEN, camera=SILENT)
            yield photo, Content(hashlib.sha256(photo.path.encode()).digest(), 50_000, decoded)


def wait_to_be_embedded(library: aliens.Library, first: int, count: int) -> None:
    """Add rows of photos that are pending, as a scan does."""
    with library.catalog.session() as session:
        for start in range(first, first + count, ADDED_AT_ONCE):
            numbers = range(start, min(start + ADDED_AT_ONCE, first + count))
            insert_photos(
                session,
                [
                    {
                        "path": f"/photos/{number // 1000:06d}/{number:09d}.jpg",
                        "member": "",
                        "state": PhotoState.PENDING,
                        "size_bytes": 50_000,
                        "mtime_ns": number,
                    }
                    for number in numbers
                ],
            )
            session.commit()


def grow(library: aliens.Library, photos: int, steps: int) -> list[float]:
    """Record photos in parts, print what each cost, and return the processor's time for a row of each, in us."""
    print(f"\n{'photos':>12} {'rows/s':>8} {'CPU a row':>12} {'own memory':>12} {'most held':>12} {'to disk':>14}")
    costs, size = [], photos // steps
    for step in range(steps):
        written, cpu, start = written_bytes()[1], time.process_time(), time.perf_counter()
        with library.catalog.lock():
            wait_to_be_embedded(library, step * size, size)
            report = Run(library.catalog, library.store, MadeUpStages(DrawingEncoder())).embed(silent)
        assert report.encoded == size, report
        costs.append(1e6 * (time.process_time() - cpu) / size)
        to_disk = (written_bytes()[1] - written) / size / 1000
        print(
            f"{(step + 1) * size:>12,} {size / (time.perf_counter() - start):>8,.0f} {costs[-1]:>9,.0f} us "
            f"{memory_mb('RssAnon'):>9,.0f} MB {memory_mb('VmHWM'):>9,.0f} MB {to_disk:>7,.1f} kB/row",
            flush=True,
        )
    return costs


@recorded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--database", help="SQLAlchemy URL of an empty database; by default SQLite")
    parser.add_argument("--keep", action="store_true", help="leave the library in benchmarks/work/committer")
    told = parser.parse_args()
    shutil.rmtree(SCRATCH, ignore_errors=True)
    root = SCRATCH / "library"
    try:
        with aliens.create(root, encoder=DrawingEncoder(), database=told.database) as library:
            print(f"{told.photos:,} made-up photos of {DIM} dimensions, by {library.catalog.engine.dialect.name}")
            costs = grow(library, told.photos, told.steps)
        figure("CPU a row, last part / first", costs[-1] / costs[0], "times")
        print(f"\nCPU a row of the last part, times the first's {costs[-1] / costs[0]:8.2f}")
        searched = in_a_child(open_and_search, root)
        figure("one exact query", searched["search_ms"], "ms")
        figure("one exact query / reading", searched["search_ms"] / searched["read_ms"], "times as long")
        print(f"one exact query                              {searched['search_ms']:8,.0f} ms")
        print(f"the same, times reading all vectors once     {searched['search_ms'] / searched['read_ms']:8.2f}")
        print(f"segments                                     {searched['segments']:8,.0f}")
        added = in_a_child(add_one_by_one, root, new_photos(0))
        figure("add of one photo, the first in a process", 1000 * added["first"]["wall_s"], "ms")
        figure("add of one photo, peak memory", added["memory"]["peak_mb"], "MB")
        print(f"add of one photo, the first in a process     {1000 * added['first']['wall_s']:8,.0f} ms")
        print(f"the mean of ten more                         {1000 * added['more']['wall_s']:8,.0f} ms")
        print(f"most memory that it held                     {added['memory']['peak_mb']:8,.0f} MB")
    finally:
        if not told.keep:
            shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
