"""Searching 1,124,215 vectors: exactly, filtered, approximately; ratios within this run.

python benchmarks/search_speed.py [--photos 1124215] [--kind ivf] [--factory IVF4096,SQ8]

The vectors are made up with the structure of CLIP's (benchmarks/clip_like.py, which prints how alike they are). Recall
is measured with text-like queries away from the photos' cone: the effort is raised on 215 of them, and checked on 500
others. They lie in segments as merging leaves them, in the page cache. Reading: their bytes summed as 64-bit numbers on
all cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import torch
from clip_like import DIM, PHOTOS, ClipLike
from measuring import median_ms, medians_ms, reader
from records import figure, recorded
from segmented import as_merged, stored

from embedding.index.approximate import APPROXIMATE_FILE, ApproximateIndex
from embedding.index.building import IndexChoice, best_scores, built, recall_at_10
from embedding.index.exact import exact_search
from embedding.index.photo_index import PhotoIndex
from embedding.segments import Vectors

WORK = Path(__file__).parent / "work"
KEY = "made-up-00000000"
PROBES, OTHERS = 215, 500

MEMORY = """
import json, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[3], sys.argv[4]]
from clip_like import ClipLike
from embedding.index.approximate import ApproximateIndex
from embedding.index.photo_index import PhotoIndex
from measuring import memory_mb
from segmented import opened as opened_segments

texts = ClipLike().texts(1000)
before = {kind: memory_mb(kind) for kind in ("RssAnon", "RssFile")}
start = time.perf_counter()
folder = Path(sys.argv[1])
base = PhotoIndex(opened_segments(folder), engine=ApproximateIndex.open(folder, sys.argv[2]))
opened = time.perf_counter() - start
for text in texts:
    base.search(text[None], 10)
print(json.dumps({"opened_s": opened, **{kind: memory_mb(kind) - before[kind] for kind in before}}))
"""


def exact_speeds(vectors: Vectors, texts: np.ndarray) -> float:
    """Print what exact search takes, and return the time of one query in ms."""
    cores, parts = torch.get_num_threads(), [segment.vectors for segment in vectors.segments]
    taken = medians_ms(
        {
            "read": reader(parts, cores),
            "copy": reader([np.array(part) for part in parts], cores),
            "one": lambda: exact_search(vectors, texts[:1], 10),
        }
    )
    one, read = taken["one"], taken["read"]
    fifteen = median_ms(lambda: exact_search(vectors, texts[:15], 10), 5)
    size_mb = sum(part.nbytes for part in parts) / 1e6
    print(
        f"\nexact, {len(vectors):,} x {vectors.dim} float16 in {len(parts)} segments, {size_mb:.0f} MB, {cores} threads"
    )
    print(f"  reading it once, where it lies (mapped files)    {read:8.1f} ms; a copy in memory {taken['copy']:.1f} ms")
    print(f"  one query                                        {one:8.1f} ms; {one / read:.2f} of reading")
    print(f"  15 queries in one pass                           {fifteen:8.1f} ms; {fifteen / one:.2f} of one query")
    faiss_15 = median_ms(lambda: [segment.flat.search(texts[:15], 10) for segment in vectors.segments], 3)
    print(f"  15 queries by FAISS's own scan                   {faiss_15:8.1f} ms; {faiss_15 / one:.2f}")
    tensor = torch.from_numpy(np.array(parts[0][: 1 << 17])).bfloat16()
    turned = torch.from_numpy(texts[:15]).T.contiguous().bfloat16()
    scale = len(vectors) / len(tensor)
    product = median_ms(lambda: tensor @ turned, 5) * scale
    print(f"  torch's product of 15 in bfloat16, nothing else  {product:8.1f} ms; {product / one:.2f}")
    figure("exact, one query", one, "ms")
    figure("exact, one query / reading", one / read, "times as long")
    figure("exact, 15 queries / one", fifteen / one, "times as long")
    return one


def filtered(base: PhotoIndex, texts: np.ndarray, one: float) -> None:
    """Print speed and recall by selectivity, against brute force over the rows that a filter leaves."""
    kind = base.engine.kind if base.engine else "exact"
    print(f"\nfiltered, {kind}: recall@10 over {len(texts)} texts")
    print(
        f"  {'selectivity':>11} {'photos':>9} {'engine':>7} {'recall@10':>9} {'ms':>7}   of one unfiltered exact query"
    )
    draw = np.random.default_rng(5)
    for share in (0.9, 0.5, 0.1, 0.01, 0.0001):
        ids = np.sort(draw.choice(base.ids, max(1, round(len(base) * share)), replace=False))
        found = total = 0
        _, truth = PhotoIndex(base.base).search(texts, 10, among=ids)
        for text, best in zip(texts, truth, strict=True):
            _, hits = base.search(text[np.newaxis], 10, among=ids)
            found, total = found + len(np.intersect1d(best, hits[0])), total + len(best)
        taken = median_ms(lambda ids=ids: base.search(texts[:1], 10, among=ids), 5)
        engine = base.plan(10, among=ids).engine
        print(f"  {share:11.2%} {len(ids):9,} {engine:>7} {found / total:9.4f} {taken:7.1f}   {taken / one:.2f}")
        figure(f"{kind}, a filter that leaves {share:.2%}: recall@10", found / total, "share")
        figure(f"{kind}, a filter that leaves {share:.2%} / one exact query", taken / one, "times as long")


def approximate(base: PhotoIndex, folder: Path, kind: str, factory: str | None, probes: np.ndarray) -> ApproximateIndex:
    """Return the approximate index, built at the first call."""
    index = ApproximateIndex.open(folder, KEY)
    covers_all = index is not None and set(index.covers) == set(base.base.names)
    if index is None or not covers_all or index.about.kind != kind or factory not in (None, index.about.factory):
        start = time.perf_counter()
        choice = IndexChoice(kind=kind, factory=factory)
        index = built(base, kind, choice, KEY, probes)
        index.save(folder)
        print(f"\nbuilt in {time.perf_counter() - start:.0f} s")
    return index


def approximate_speeds(base: PhotoIndex, index: ApproximateIndex, others: np.ndarray, folder: Path) -> None:
    """Print recall, speed on one core, memory and opening."""
    about, searched = index.about, base.with_engine(index)
    print(
        f"\n{about.kind}: {about.factory}, effort {about.effort} of {about.lists or '-'}, {about.candidates} candidates"
    )
    print(f"  recall@10 over the {about.queries} texts it was tuned on   {about.recall:.4f}")
    elsewhere = recall_at_10(index, base, others, best_scores(base, others))
    print(f"  recall@10 over {len(others)} other texts            {elsewhere:.4f}")
    faiss.omp_set_num_threads(1)
    taken = []
    for text in others:
        start = time.perf_counter()
        searched.search(text[np.newaxis], 10)
        taken.append((time.perf_counter() - start) * 1000)
    faiss.omp_set_num_threads(torch.get_num_threads())
    p50, p95 = statistics.median(taken), float(np.percentile(taken, 95))
    print(
        f"  one query on one core: p50 {p50:.2f} ms, p95 {p95:.2f} ms, {1000 / statistics.fmean(taken):.0f} queries/s"
    )
    here = Path(__file__).parent
    told = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder), KEY, str(here.parent), str(here)], capture_output=True, check=True
    )
    memory = json.loads(told.stdout)
    file_mb = (folder / APPROXIMATE_FILE).stat().st_size / 1e6
    all_mb = file_mb + sum(path.stat().st_size for path in (folder / "segments").iterdir()) / 1e6
    print(f"  opened in {memory['opened_s']:.2f} s; after 1,000 queries it holds {memory['RssAnon']:.0f} MB,")
    print(
        f"  {memory['RssAnon'] / file_mb:.2f} of the index file's {file_mb:.0f} MB; besides, {memory['RssFile']:.0f} MB"
    )
    print(f"  of mapped pages of files, which the system takes back at will (all files: {all_mb:.0f} MB)")
    figure(f"{about.kind}: recall@10 of other texts", elsewhere, "share")
    figure(f"{about.kind}, one core: p50", p50, "ms")
    figure(f"{about.kind}, one core: p95", p95, "ms")
    figure(f"{about.kind}: memory held", memory["RssAnon"], "MB")


@recorded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--kind", default="ivf", choices=["ivf", "hnsw"])
    parser.add_argument("--factory")
    options = parser.parse_args()
    folder = WORK / f"search-{options.photos}"
    vectors = stored(folder, DIM, as_merged(options.photos), lambda: ClipLike().photos(options.photos))
    base = PhotoIndex(vectors)
    texts = ClipLike().texts(PROBES + OTHERS)
    one = exact_speeds(vectors, texts)
    filtered(base, texts[:100], one)
    index = approximate(base, folder, options.kind, options.factory, texts[:PROBES])
    approximate_speeds(base, index, texts[PROBES:], folder)
    filtered(base.with_engine(index), texts[:100], one)


if __name__ == "__main__":
    main()
