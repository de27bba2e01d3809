"""A real Milvus beside the exact scan: what it finds and how long it takes, by share of photos that a filter leaves.

python benchmarks/milvus_server.py [--photos 100000] [--dim 512] [--uri http://HOST:19530]

The vectors are made up with the structure of CLIP's (benchmarks/clip_like.py). Without a URI the server of the package
`milvus` is started (2.3.5, Linux on x86-64), with its data in a folder that is removed. Recall is measured with texts
that the number of candidates was not raised on. Times of one query are taken in turns with our exact scan over the same
photos, so that their ratio is what counts: the server runs on the same machine, in memory, its requests over loopback.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from clip_like import ClipLike
from measuring import medians_ms
from records import figure, recorded
from segmented import as_merged, stored

sys.path.append(str(Path(__file__).parents[1]))

from embedding.index.building import CLOSE, IndexChoice
from embedding.index.exact import exact_search
from embedding.index.left import Left
from embedding.index.milvus import MilvusEngine
from embedding.index.milvus_fields import PARTS, parts_of_ids
from embedding.index.milvus_sync import leave, sync
from embedding.index.photo_index import PhotoIndex

WORK = Path(__file__).parent / "work"
KEY = "made-up-00000000"
PROBES, OTHERS, TIMED = 215, 200, 9
SHARES = (1.0, 0.9, 0.5, 0.1, 0.01, 0.001)


@contextmanager
def served(uri: str | None) -> Iterator[str]:
    """Give the URI of a server."""
    if uri is not None:
        yield uri
        return
    from tests.milvus_server import MilvusServer, reason_to_skip

    if reason := reason_to_skip():
        sys.exit(f"{reason}; or name a server: --uri http://HOST:19530")
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        (Path(folder) / "data").mkdir()
        server = MilvusServer(Path(folder) / "data", Path(folder) / "programs")
        server.start()
        try:
            yield server.uri
        finally:
            server.kill()


def row(base: PhotoIndex, engine: MilvusEngine, texts: np.ndarray, share: float) -> str:
    """Return what is found through a filter that leaves a share of the photos, and what it takes beside the scan."""
    bound = round(share * PARTS)
    left = base.base.where(lambda ids: parts_of_ids(ids) < bound)
    among = Left(expression=f"part < {bound}", count=len(left), find=lambda some: left.ids)
    searched = base.with_engine(engine)
    truth, _ = exact_search(left, texts, 10)
    whole = share == 1
    asked = (lambda text: searched.search(text, 10)) if whole else (lambda text: searched.search(text, 10, among=among))
    found, of = 0, max(truth.size, 1)
    for text, scores in zip(texts, truth, strict=True):
        found += int((asked(text[None])[0] >= scores[-1] - CLOSE).sum()) if len(scores) else 0

    def named() -> np.ndarray:
        return engine.candidates(texts[:1], 10, None if whole else among, share)

    taken = medians_ms(
        {
            "exact": lambda: exact_search(left, texts[:1], 10),
            "milvus": lambda: asked(texts[:1]),
            "naming": named,
        },
        TIMED,
    )
    ids = left.ids
    by_ids = "-"
    if engine.answers(ids, len(base)):
        ms = medians_ms({"ids": lambda: engine.candidates(texts[:1], 10, ids, share)}, 3)["ids"]
        by_ids = f"{ms:.1f}" if not whole else "-"
    figure(f"recall@10, {share:g} left", found / of, "of the best 10")
    figure(f"one query / exact scan, {share:g} left", taken["milvus"] / taken["exact"], "times as long")
    return (
        f"  {share:6.1%} {len(left):9,} {found / of:9.4f} {taken['milvus']:9.1f} {taken['naming']:9.1f} "
        f"{taken['exact']:9.1f} {taken['milvus'] / taken['exact']:7.2f} {by_ids:>9}"
    )


@recorded
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--uri")
    asked = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    world = ClipLike(asked.dim)
    with tempfile.TemporaryDirectory(dir=WORK) as name, served(asked.uri) as uri:
        folder = Path(name)
        base = PhotoIndex(stored(folder, asked.dim, as_merged(asked.photos), lambda: world.photos(asked.photos)))
        probes, others = world.texts(PROBES), world.texts(PROBES + OTHERS)[PROBES:]
        start = time.perf_counter()
        choice = IndexChoice(milvus=uri)
        try:
            sync(folder, base, KEY, choice)
            sent = time.perf_counter() - start
            about, _ = sync(folder, base, KEY, choice, texts=lambda: probes)
            print(f"{len(base):,} x {asked.dim}: sent in {sent:.0f} s ({len(base) / sent:,.0f} photos/s),", end=" ")
            figure("sent", len(base) / sent, "photos/s")
            print(f"indexed by Milvus and measured in {time.perf_counter() - start - sent:.0f} s more")
            print(f"{about.candidates} candidates; recall@10 {about.recall:.4f} over {about.queries} texts", end=" ")
            print(f"(asked for: {about.least_recall:g}); filters answered above {about.least_share:.0%} of the photos")
            print(f"\n  over {len(others)} other texts; times of one query in ms, medians of {TIMED} in turns")
            print(f"  {'leaves':>6} {'photos':>9} {'recall@10':>9} {'in all':>9} {'naming':>9} {'exact':>9}", end=" ")
            print(f"{'ratio':>7} {'by ids':>9}")
            engine = MilvusEngine(replace(about, least_share=0.0))  # what it would find is shown all the same
            for share in SHARES:
                print(row(base, engine, others, share), flush=True)
            if engine.problem:
                sys.exit(engine.problem)
        finally:
            with suppress(Exception):
                leave(folder)


if __name__ == "__main__":
    main()
