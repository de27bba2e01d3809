"""What an NVIDIA GPU is worth: the encoder alone, decoding for it, `aliens add`, and exact search against the CPU's.

python benchmarks/gpu.py [--photos 20000] [--size 350x233] [--rows 1124215] [--parts encoder decoding add search]
    [--precision bfloat16] [--tiny]

ViT-B/32 with random weights. encoder: photos in memory, in batches of 64 and more, on the GPU, and on the CPU.
decoding: photos/s in so many threads of one process, and in processes, which tells whether Python's lock holds threads
up. add: `Library.add` from scan to index, its ratio to the encoder alone in the batch that is chosen, and to decoding.
search: made-up vectors as of Hotels-50K; one query and many at once on the GPU (copied before; that is told apart) and
on the CPU, in turns, and whether the answers are the same. Without a GPU it says so and measures nothing; --tiny:
measure on a CPU what needs no GPU, on next to nothing: whether it works.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from clip_like import DIM, PHOTOS, ClipLike
from embed import make_photos, random_vit_b_32, size_px
from measuring import medians_ms
from records import figure, recorded
from segmented import as_merged, stored

import aliens
from embedding.decode import Preprocessing, decode
from embedding.index.approximate import gpus
from embedding.index.exact import exact_search
from embedding.index.gpu_scan import GpuScan
from embedding.open_clip_encoder import OpenClipEncoder

WORK = Path(__file__).parent / "work"
PARTS = ("encoder", "decoding", "add", "search")
LEAST_S = 2.0  # of encoding, for each batch
QUERIES = (1, 64)
K = 100


def encoder_rate(encoder: OpenClipEncoder, batch: int, least_s: float) -> float:
    """Return how many photos a second are encoded in batches of one size, or nan where so many do not fit."""
    side = encoder.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    try:
        encoder._features(pixels)  # warms up
        start, photos = time.perf_counter(), 0
        while not photos or time.perf_counter() - start < least_s:
            encoder._features(pixels)
            photos += batch
    except torch.OutOfMemoryError:
        return float("nan")
    return photos / (time.perf_counter() - start)


def encoders(near: OpenClipEncoder, far: OpenClipEncoder, batches: Sequence[int], least_s: float) -> None:
    """Print and note what both devices encode."""
    on_cpu = encoder_rate(near, near.batch_photos, least_s)
    print(f"\nencoder alone: CPU {on_cpu:.1f} photos/s ({near}); {far}, which chooses batches of {far.batch_photos}")
    figure("encoder on the CPU", on_cpu, "photos/s")
    for batch in batches:
        rate = encoder_rate(far, batch, least_s)
        print(f"  batches of {batch:5}: {rate:9.1f} photos/s, {rate / on_cpu:.1f} times the CPU")
        figure(f"encoder, batches of {batch}", rate, "photos/s")
        figure(f"encoder, batches of {batch} / CPU", rate / on_cpu, "times")


def decode_some(paths: Sequence[Path], preprocessing: Preprocessing) -> int:
    """Decode photos and return how many."""
    return sum(decode(path.read_bytes(), preprocessing).pixels.ndim == 3 for path in paths)


def decoding(paths: Sequence[Path], preprocessing: Preprocessing, counts: Sequence[int]) -> None:
    """Print and note how quickly photos are decoded in threads, and in processes."""
    print(f"\ndecoding {len(paths)} photos")
    for count in counts:
        shares = [paths[at::count] for at in range(count)]
        kinds: dict[str, Callable[[], Executor]] = {
            "threads": partial(ThreadPoolExecutor, count),
            "processes": partial(ProcessPoolExecutor, count, get_context("forkserver")),
        }
        for kind, make in kinds.items():
            with make() as pool:
                list(pool.map(decode_some, [paths[:1]] * count, [preprocessing] * count))  # starts them
                start = time.perf_counter()
                done = sum(pool.map(decode_some, shares, [preprocessing] * count))
                rate = done / (time.perf_counter() - start)
            print(f"  {count:3} {kind:<9} {rate:9.1f} photos/s")
            figure(f"decoding in {count} {kind}", rate, "photos/s")


def adding(encoder: OpenClipEncoder, folders: Sequence[Path], least_s: float) -> None:
    """Print and note what `Library.add` takes, against the encoder alone."""
    root = WORK / "gpu-library"
    shutil.rmtree(root, ignore_errors=True)
    alone = encoder_rate(encoder, encoder.batch_photos, least_s)
    with aliens.create(root, encoder=encoder) as library:
        library.add(folders[0])  # warms up
        start = time.perf_counter()
        photos = sum(library.add(folder).run.encoded for folder in folders[1:])
        rate = photos / (time.perf_counter() - start)
    print(f"\naliens add: {rate:.1f} photos/s of {photos}, {rate / alone:.2f} of the encoder alone ({alone:.1f})")
    figure("aliens add", rate, "photos/s")
    figure("aliens add / encoder alone", rate / alone, "times")
    shutil.rmtree(root)


def searching(rows: int, scan: GpuScan | None) -> None:
    """Print and note what exact search takes on both, and whether the answers are the same."""
    vectors = stored(WORK / f"search-{rows}", DIM, as_merged(rows), lambda: ClipLike().photos(rows))
    texts = ClipLike().texts(max(QUERIES))
    print(f"\nexact search, {len(vectors):,} x {DIM}, the best {K}")
    start = time.perf_counter()
    if scan is not None:
        scan.search(vectors, texts[:1], K)
        print(f"  copied, and searched once, in {time.perf_counter() - start:.2f} s")
        figure("copying all vectors, and one query", time.perf_counter() - start, "s")
    for count in QUERIES:
        queries = texts[:count]
        works: dict[str, Callable[[], object]] = {"CPU": partial(exact_search, vectors, queries, K)}
        if scan is not None:
            works["GPU"] = partial(scan.search, vectors, queries, K)
        taken = medians_ms(works)
        for name, ms in taken.items():
            print(f"  {count:3} queries on the {name}: {ms:8.2f} ms, {taken['CPU'] / ms:.1f} times as fast as the CPU")
            figure(f"{count} queries on the {name}", ms, "ms")
            figure(f"{count} queries on the {name} / CPU", taken["CPU"] / ms, "times as fast")
    if scan is not None:
        ones = [exact_search(vectors, text[np.newaxis], K) for text in texts]
        scores, ids = scan.search(vectors, texts, K)
        same = np.mean([np.array_equal(i[0], mine) for (_, i), mine in zip(ones, ids, strict=True)])
        bits = np.mean([np.array_equal(s[0], mine) for (s, _), mine in zip(ones, scores, strict=True)])
        print(
            f"  of {len(texts)} queries {same:.1%} have the CPU's photos in its order, {bits:.1%} its scores to the bit"
        )
        figure("queries with the CPU's photos in its order", float(same), "share")


@recorded
def main() -> None:
    """Measure each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--size", type=size_px, default=(350, 233), help="of photos that are made")
    parser.add_argument("--rows", type=int, default=PHOTOS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    if not torch.cuda.is_available() and not asked.tiny:
        print("no NVIDIA GPU here that PyTorch can use: nothing is measured")
        return
    device = "cpu" if asked.tiny else "cuda"
    least_s = 0.0 if asked.tiny else LEAST_S
    folders = make_photos(asked.photos, asked.size)
    model = random_vit_b_32(tiny=asked.tiny)
    far = OpenClipEncoder.load(model, device=device, precision=asked.precision)
    if "encoder" in asked.parts:
        near = OpenClipEncoder.load(model, device="cpu", precision=asked.precision)
        encoders(near, far, (16,) if asked.tiny else (64, 128, 256, 512, 1024, 2048), least_s)
    if "decoding" in asked.parts:
        cores = os.cpu_count() or 1
        counts = (2,) if asked.tiny else sorted({1, *(2**p for p in range(1, 8) if 2**p < cores), cores})
        decoding(sorted(path for folder in folders for path in folder.iterdir()), far.preprocessing, counts)
    if "add" in asked.parts:
        adding(far, folders, least_s)
    if "search" in asked.parts:
        if not asked.tiny and not gpus():
            print("\nthe FAISS that is installed sees no GPU (pip install faiss-gpu in place of faiss-cpu)")
        searching(asked.rows, GpuScan(worth=0) if gpus() else None)


if __name__ == "__main__":
    main()
