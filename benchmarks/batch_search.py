"""Many queries at once, as an evaluation asks them, beside FAISS's own batch: ratios within this run.

python benchmarks/batch_search.py [--photos 1124215] [--queries 512 2048] [--k 100]

The yardsticks: FAISS's IndexFlat over the same vectors in float32 (twice the memory), which multiplies matrices where
there are 20 queries or more, and its scan of the float16 segments where they lie. Vectors and texts are made up with
the structure of CLIP's (benchmarks/clip_like.py). FAISS's float16 is measured on 64 of the queries: it compares them
one by one.
"""

import argparse
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np
import torch
from clip_like import DIM, PHOTOS, ClipLike
from measuring import medians_ms, memory_mb
from records import figure, recorded
from segmented import as_merged, stored

from embedding.index.exact import exact_search
from embedding.segments import Vectors

WORK = Path(__file__).parent / "work"
FEW = 64  # queries that FAISS's scan of float16 is measured on


def flat_of(vectors: Vectors) -> faiss.IndexFlat:
    """Return FAISS's index of the vectors in float32, in memory."""
    flat = faiss.IndexFlat(vectors.dim, faiss.METRIC_INNER_PRODUCT)
    for _, part in vectors.parts():
        flat.add(part.astype(np.float32))
    return flat


def agreement(vectors: Vectors, flat: faiss.IndexFlat, queries: np.ndarray, k: int) -> float:
    """Return the share of FAISS's best photos that are ours as well; float16 rounds both alike."""
    ids = vectors.ids
    _, ours = exact_search(vectors, queries, k)
    _, rows = flat.search(queries, k)
    return float(
        np.mean([len(np.intersect1d(mine, ids[row])) / len(mine) for mine, row in zip(ours, rows, strict=True)])
    )


def growth_mb(work: Callable[[], object]) -> float:
    """Return the most memory of its own, in MB, that the process holds more while a call runs; looked at often."""
    before, held, done = memory_mb("RssAnon"), [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            held.append(memory_mb("RssAnon") - before)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        work()
    finally:
        done.set()
        looker.join()
    return max(held)


def beside_faiss(vectors: Vectors, texts: np.ndarray, counts: Sequence[int], k: int, repeats: int) -> None:
    """Print how many queries are answered a second, beside FAISS's batch and its scan of float16."""
    flat = flat_of(vectors)
    for count in counts:
        queries = texts[:count]
        works = {"ours": lambda q=queries: exact_search(vectors, q, k), "flat": lambda q=queries: flat.search(q, k)}
        taken = medians_ms(works, repeats)
        ours, theirs = (1000 * count / taken[name] for name in ("ours", "flat"))
        times = f"{ours / theirs:.2f} of FAISS's batch ({theirs:.1f} a second)"
        print(f"  {count:6,} queries: {ours:8.1f} a second, {times}")
        figure(f"{count:,} queries", ours, "queries/s")
        figure(f"{count:,} queries / FAISS's batch", ours / theirs, "times")
    few = texts[:FEW]
    taken = medians_ms(
        {
            "ours": lambda: exact_search(vectors, few, k),
            "float16": lambda: [segment.flat.search(few, k) for segment in vectors.segments],
        },
        repeats,
    )
    times = f"{taken['float16'] / taken['ours']:.1f} times as long as ours"
    print(f"  {len(few):6,} queries: FAISS's scan of float16 takes {times}")
    print(f"  of FAISS's best {k}, ours are {agreement(vectors, flat, few, k):.4f}")
    figure("FAISS's scan of float16 / ours", taken["float16"] / taken["ours"], "times as long")


@recorded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--queries", type=int, nargs="+", default=[512, 2_048])
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    folder = WORK / f"search-{options.photos}"  # search_speed.py's
    vectors = stored(folder, DIM, as_merged(options.photos), lambda: ClipLike().photos(options.photos))
    texts, k = ClipLike().texts(max(options.queries)), options.k
    print(f"{len(vectors):,} x {DIM}, k = {k}, {torch.get_num_threads()} threads; FAISS's batch: float32 in memory")
    beside_faiss(vectors, texts, options.queries, k, options.repeats)
    for count in options.queries:
        grown = growth_mb(lambda queries=texts[:count]: exact_search(vectors, queries, k))
        print(f"  {count:6,} queries hold {grown:.0f} MB more while they are answered")
        figure(f"{count:,} queries, memory more", grown, "MB")


if __name__ == "__main__":
    main()
