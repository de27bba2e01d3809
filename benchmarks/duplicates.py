"""Pairs of nearly the same vectors: what finding all of them takes, against FAISS's range search over the same pairs.

python benchmarks/duplicates.py [--rows 65536] [--cosine 0.95] [--repeats 3] [--whole]

Vectors of 512 dimensions, a hundredth of them near to another one: random ones, in which all directions are alike, and
ones as models give, which share a mean and differ in a few directions above all. FAISS compares float32, as its fastest
exact index does, some queries with all rows that come after them; both in turns, per pair. Beside the time stands what
of it processors have worked, which other programs disturb less. --whole: the library of 1,124,215 random vectors as
well (see million.py), all of its pairs, by ours alone.
"""

import argparse
import shutil
import time
from pathlib import Path

import faiss
import numpy as np
from measuring import memory_mb
from million import PHOTOS, million_library, random_vectors
from records import figure, recorded

from db.catalog import Catalog
from db.vector_rows import EmbeddedRows
from embedding.index.near_pairs import PairSearch
from embedding.segments import SegmentStore, Vectors

WORK = Path(__file__).parent / "work"
DIM, QUERIES = 512, 2_048


def like_photos(count: int) -> np.ndarray:
    """Return unit vectors (count, d) of a mean that all share, and of directions that matter less and less."""
    vectors = np.concatenate(list(random_vectors(count))) * np.arange(1, DIM + 1, dtype=np.float32) ** -0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:, -1] += 1  # so that two have a cosine of 0.5 in the mean, as of CLIP
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_copies(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of which a hundredth is moved near to another one, to cosines of 0.9 to 1."""
    draw, few = np.random.default_rng(2), len(vectors) // 100
    noise = draw.standard_normal((few, DIM), np.float32) / np.sqrt(DIM) * draw.uniform(0, 0.48, (few, 1))
    vectors[-few:] = vectors[:few] + noise.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def opened(vectors: np.ndarray) -> Vectors:
    """Return vectors as a segment on disk."""
    folder = WORK / "duplicates"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = SegmentStore(folder, DIM)
    return Vectors(DIM, [store.open(store.write(np.arange(1, len(vectors) + 1), vectors))], [None])


def clocks() -> np.ndarray:
    """Return the time, and what of it processors have worked for this process, in s."""
    return np.array([time.perf_counter(), time.process_time()])


def ours(vectors: Vectors, cosine: float) -> tuple[np.ndarray, int]:
    """Return the seconds that all pairs take, by both clocks, and how many are near."""
    start, near = clocks(), 0
    for found in PairSearch(vectors, cosine):
        near += len(found.ones)
    return clocks() - start, near


def of_faiss(whole: np.ndarray, cosine: float) -> np.ndarray:
    """Return the seconds a pair, by both clocks, of some queries with all rows from themselves on."""
    taken, pairs = np.zeros(2), 0
    for start in range(0, len(whole), max(len(whole) // 4, 1)):
        rows = whole[start:]
        index = faiss.IndexFlatIP(DIM)
        index.add(rows)
        begin = clocks()
        index.range_search(rows[:QUERIES], cosine)
        taken += clocks() - begin
        pairs += min(QUERIES, len(rows)) * len(rows)
    return taken / pairs


def compare(name: str, vectors: np.ndarray, cosine: float, repeats: int) -> None:
    """Print what both take for the pairs of some vectors."""
    rows, pairs = opened(vectors), len(vectors) * (len(vectors) - 1) // 2
    whole = rows.gather(rows.ids)
    mine, theirs, near = [], [], 0
    for _ in range(repeats):
        seconds, near = ours(rows, cosine)
        mine.append(seconds / pairs)
        theirs.append(of_faiss(whole, cosine))
    (one, worked), (other, its_work) = np.median(mine, axis=0), np.median(theirs, axis=0)
    of_all = PHOTOS * (PHOTOS - 1) / 2
    print(
        f"{name}: {near:,} of {pairs:,} pairs reach {cosine:g}; ours {one * 1e9:.2f} ns a pair, "
        f"FAISS {other * 1e9:.2f} ns: {one / other:.2f} times as long, {worked / its_work:.2f} times by "
        "the processor's time"
    )
    print(
        f"  of {PHOTOS:,} photos, extrapolated: ours {one * of_all / 60:.0f} min, FAISS {other * of_all / 60:.0f} min"
    )
    figure(f"{name}, a pair", one * 1e9, "ns")
    figure(f"{name} / FAISS", one / other, "times as long")
    figure(f"{name} / FAISS, of processor time", worked / its_work, "times as long")


def whole_library(cosine: float) -> None:
    """Print what all pairs of the library of random vectors take, and the memory that this takes."""
    folder = million_library(WORK / f"million-{PHOTOS}")
    with Catalog.open(folder) as catalog, catalog.session() as session:
        store = SegmentStore(folder.vectors(catalog.model.key), DIM)
        vectors = store.current(EmbeddedRows(session, catalog.model))
        before = memory_mb("RssAnon")
        (seconds, _), near = ours(vectors, cosine)
        after = memory_mb("RssAnon")
        print(
            f"all pairs of {len(vectors):,} vectors: {seconds / 60:.1f} min, {near:,} near, "
            f"{after - before:.0f} MB more"
        )
        figure("all pairs of the library", seconds / 60, "min")


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--cosine", type=float, default=0.95)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--whole", action="store_true")
    asked = parser.parse_args()
    ours(opened(like_photos(64)), asked.cosine)  # which imports what takes seconds
    random = np.concatenate(list(random_vectors(asked.rows)))
    compare("random vectors", with_copies(random), asked.cosine, asked.repeats)
    before = memory_mb("RssAnon")
    compare("as models give", with_copies(like_photos(asked.rows)), asked.cosine, asked.repeats)
    print(f"the second held {max(memory_mb('RssAnon') - before, 0):.0f} MB more than the first")
    shutil.rmtree(WORK / "duplicates")
    if asked.whole:
        whole_library(asked.cosine)


if __name__ == "__main__":
    main()
