"""What a user would pick instead, side by side: queries a second at recall@10 0.99, memory, time to build.

python benchmarks/peers.py [--photos 200000]      # pip install usearch hnswlib lancedb 'pymilvus[milvus_lite]'

Made-up vectors with the structure of CLIP's (benchmarks/clip_like.py), text-like queries, one core for searching (as
far as a library lets itself be told), all cores for building. Each library runs in a process of its own; its effort is
raised on 200 texts until recall@10 is at least 0.99, and speed is measured on 300 others. Memory: what the process
holds beyond the vectors that it was given, in its own memory (anonymous) and in mapped pages of its own files.
Libraries that are not installed are left out.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from clip_like import DIM, ClipLike
from records import figure, recorded

ROOT = Path(__file__).parents[1]
WORK = Path(__file__).parent / "work"
K, GOAL = 10, 0.99
EFFORTS = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096]

Search = Callable[[np.ndarray, int], np.ndarray]  # a query (d,), an effort: row numbers


def cv_aliens(vectors: np.ndarray, kind: str) -> Search:
    """CV-Aliens: float16 rows in a file, an approximate index that names candidates, exact scores."""
    import faiss
    from segmented import stored

    from embedding.index.approximate import ApproximateIndex
    from embedding.index.building import IndexChoice, built
    from embedding.index.photo_index import PhotoIndex

    folder = Path(tempfile.mkdtemp(dir=WORK))
    base = PhotoIndex(stored(folder, DIM, [len(vectors)], lambda: [vectors]))
    if kind != "exact":
        built(base, kind, IndexChoice(kind=kind), "x", ClipLike().texts(200)).save(folder)
        base = base.with_engine(ApproximateIndex.open(folder, "x"))

    def search(query: np.ndarray, effort: int) -> np.ndarray:
        faiss.omp_set_num_threads(1)
        return base.search(query[np.newaxis], K)[1][0] - 1  # photo ids count from 1

    return search


def faiss_by_hand(vectors: np.ndarray, factory: str) -> Search:
    """FAISS as its tutorial has it."""
    import faiss

    index = faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // 100_000)])
    index.add(vectors)

    def search(query: np.ndarray, effort: int) -> np.ndarray:
        faiss.omp_set_num_threads(1)
        if hasattr(index, "nprobe"):
            index.nprobe = effort
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = effort
        return index.search(query[np.newaxis], K)[1][0]

    return search


def usearch(vectors: np.ndarray, _: str) -> Search:
    """USearch's graph over float16."""
    from usearch.index import Index

    index = Index(ndim=DIM, metric="ip", dtype="f16")
    index.add(np.arange(len(vectors)), vectors, threads=os.cpu_count())

    def search(query: np.ndarray, effort: int) -> np.ndarray:
        index.expansion_search = effort
        return np.asarray(index.search(query, K, threads=1).keys)

    return search


def hnswlib(vectors: np.ndarray, _: str) -> Search:
    """Hnswlib's graph over float32."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=DIM)
    index.init_index(max_elements=len(vectors), ef_construction=100, M=32)
    index.add_items(vectors, num_threads=os.cpu_count())
    index.set_num_threads(1)

    def search(query: np.ndarray, effort: int) -> np.ndarray:
        index.set_ef(effort)
        return index.knn_query(query[np.newaxis], K)[0][0].astype(np.int64)

    return search


def milvus_lite(vectors: np.ndarray, _: str) -> Search:
    """Milvus Lite, the index that it chooses itself."""
    from pymilvus import MilvusClient

    client = MilvusClient(str(Path(tempfile.mkdtemp(dir=WORK)) / "milvus.db"))
    client.create_collection("photos", dimension=DIM, metric_type="IP")
    for start in range(0, len(vectors), 2000):
        rows = [{"id": start + i, "vector": v} for i, v in enumerate(vectors[start : start + 2000])]
        client.insert("photos", rows)

    def search(query: np.ndarray, effort: int) -> np.ndarray:
        (hits,) = client.search("photos", [query], limit=K)
        return np.array([hit["id"] for hit in hits])

    return search


def lancedb(vectors: np.ndarray, _: str) -> Search:
    """LanceDB, lists of product-quantized vectors, candidates compared again."""
    import lancedb
    import pyarrow as pa

    database = lancedb.connect(tempfile.mkdtemp(dir=WORK))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    table = database.create_table("photos", pa.table({"id": np.arange(len(vectors)), "vector": flat}))
    table.create_index(metric="dot", vector_column_name="vector")

    def search(query: np.ndarray, effort: int) -> np.ndarray:
        asked = table.search(query).distance_type("dot").nprobes(effort).refine_factor(100).limit(K).select(["id"])
        return asked.to_arrow()["id"].to_numpy()

    return search


PEERS: dict[str, tuple[str, Callable[[np.ndarray, str], Search], str]] = {
    "CV-Aliens, exact": ("faiss", cv_aliens, "exact"),
    "CV-Aliens, ivf": ("faiss", cv_aliens, "ivf"),
    "FAISS by hand, Flat": ("faiss", faiss_by_hand, "Flat"),
    "FAISS by hand, IVF1024,Flat": ("faiss", faiss_by_hand, "IVF1024,Flat"),
    "FAISS by hand, HNSW32": ("faiss", faiss_by_hand, "HNSW32"),
    "USearch, f16": ("usearch", usearch, ""),
    "hnswlib, M 32": ("hnswlib", hnswlib, ""),
    "LanceDB, IVF_PQ refined": ("lancedb", lancedb, ""),
    "Milvus Lite": ("pymilvus", milvus_lite, ""),
}


def resident_mb() -> tuple[float, float]:
    """Return this process's anonymous memory and its mapped pages of files, in MB; of the processes it started, too."""
    me = str(os.getpid())
    anonymous = mapped = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if me in (lines["Pid"].strip(), lines["PPid"].strip()) and "RssAnon" in lines:
            anonymous += int(lines["RssAnon"].split()[0]) / 1000
            mapped += int(lines["RssFile"].split()[0]) / 1000
    return anonymous, mapped


def measure(name: str, photos: int) -> dict[str, Any]:
    """Build one of them and return what it is worth."""
    _, build, option = PEERS[name]
    vectors = np.concatenate(list(ClipLike().photos(photos)))
    stored = vectors.astype(np.float16).astype(np.float32)
    texts = ClipLike().texts(500)
    truth = [np.sort(stored @ text)[-K] for text in texts]
    before = resident_mb()
    start = time.perf_counter()
    search = build(vectors, option)
    built_s = time.perf_counter() - start

    def recall(effort: int, which: range) -> float:
        found = [
            int((stored[search(texts[i], effort)] @ texts[i] >= truth[i] - 1e-3 * abs(truth[i])).sum()) for i in which
        ]
        return float(np.mean(found)) / K

    efforts = EFFORTS if build not in (cv_aliens, milvus_lite) else EFFORTS[:1]  # these two choose it themselves
    effort = next((e for e in efforts if recall(e, range(200)) >= GOAL), efforts[-1])
    taken = []
    for i in range(200, 500):
        begun = time.perf_counter()
        search(texts[i], effort)
        taken.append(time.perf_counter() - begun)
    anonymous, mapped = (now - then for now, then in zip(resident_mb(), before, strict=True))
    return {
        "recall": recall(effort, range(200, 500)),
        "qps": 1 / statistics.fmean(taken),
        "p50_ms": statistics.median(taken) * 1000,
        "anonymous_mb": anonymous,
        "mapped_mb": mapped,
        "built_s": built_s,
        "effort": effort,
    }


@recorded
def main() -> None:
    """Measure all that are installed, one process each, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--only")
    options = parser.parse_args()
    if options.only:
        told = measure(options.only, options.photos)
        print(json.dumps(told))
        figure(f"{options.only}: queries", told["qps"], "queries/s")
        return
    WORK.mkdir(exist_ok=True)
    print(f"{options.photos:,} vectors of {DIM} dimensions, {options.photos * DIM * 4 / 1e6:.0f} MB as float32\n")
    print("| | queries/s | p50 | recall@10 | memory held | mapped files | built in |")
    print("|---|---|---|---|---|---|---|")
    for name, (module, _, _) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"| {name} | not installed | | | | | |")
            continue
        command = [sys.executable, "-W", "ignore", __file__, "--photos", str(options.photos), "--only", name]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            print(f"| {name} | failed: {done.stderr.strip().splitlines()[-1][:80]} | | | | | |")
            continue
        told = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"| {name} | {told['qps']:.0f} | {told['p50_ms']:.2f} ms | {told['recall']:.3f} | "
            f"{told['anonymous_mb']:.0f} MB | {told['mapped_mb']:.0f} MB | {told['built_s']:.0f} s |",
            flush=True,
        )
        figure(f"{name}: queries", told["qps"], "queries/s")
        figure(f"{name}: recall@10", told["recall"], "share")
        figure(f"{name}: memory held", told["anonymous_mb"], "MB")


if __name__ == "__main__":
    main()
