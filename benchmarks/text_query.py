"""A text query of 6 tokens to its vector: open_clip's encode_text at 77 tokens, ours in PyTorch, in NumPy; in turns.

python benchmarks/text_query.py [--runs 30] [--model vit-b-32] # or tiny: whether it works

ViT-B-32 with random weights by default: its shape decides the time. The weights' reading once is the least that any of
them could take: a sum over all matrices of the layers, from memory.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from embed import random_vit_b_32
from measuring import timed
from records import figure, recorded

from embedding.open_clip_encoder import OpenClipEncoder
from embedding.text_export import export_text_tower
from embedding.text_tower import TextTower

TEXT = "bathtub with a view"  # 4 words, and the tokens that begin and end them
TOKENS, GOAL = 6, 5.0


def ways(encoder: OpenClipEncoder, tower: TextTower) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; each computes the vector anew, tokens included."""

    def whole_context() -> None:
        with torch.inference_mode():
            encoder.model.encode_text(encoder.tokenizer([TEXT]), normalize=True)

    layers = [weight for name, weight in tower._weights.items() if name.startswith("transformer.")]

    def read_once() -> None:
        for weight in layers:
            np.add.reduce(weight.reshape(-1).view("<u8"))

    return {
        "open_clip's encode_text, 77 tokens": whole_context,
        "ours in PyTorch, 6 tokens": lambda: encoder._encode_uncached([TEXT]),
        "ours in NumPy, 6 tokens": lambda: tower.encode_texts([TEXT]),
        "reading the layers' weights once": read_once,
    }


@recorded
def main() -> None:
    """Parse the arguments, export the tower, measure in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--model", default="vit-b-32", help="vit-b-32 or tiny (random weights), or a model's name")
    chosen = parser.parse_args()
    made_up = chosen.model in ("vit-b-32", "tiny")
    name = random_vit_b_32(tiny=chosen.model == "tiny") if made_up else chosen.model
    encoder = OpenClipEncoder.load(name, device="cpu", precision="float32")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "tower"
        if problem := export_text_tower(encoder, folder):
            raise SystemExit(f"{name} leaves no text tower: {problem}")
        opening = [1000 * timed(lambda: TextTower.open(folder, encoder.key))[0] for _ in range(5)]
        tower = TextTower.open(folder, encoder.key)
        if tower is None or len(tower._tokenizer([TEXT])[0]) != TOKENS:
            raise SystemExit("the tower cannot be opened, or reads the text as other than 6 tokens")
        works = ways(encoder, tower)
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(chosen.runs + 2):
            for way, work in works.items():
                taken[way].append(1000 * timed(work)[0])
        cosine = float(tower.encode_texts([TEXT])[0] @ encoder.encode_texts([TEXT])[0])
    medians = {way: statistics.median(times[2:]) for way, times in taken.items()}
    first = next(iter(medians.values()))
    print(
        f"{encoder.key}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {chosen.runs} runs in turns"
    )
    for way, median in medians.items():
        print(f"  {way:<36} {median:7.1f} ms (best {min(taken[way][2:]):6.1f})  {first / median:5.1f} times as fast")
        figure(way, median, "ms")
        figure(f"{way} / open_clip", first / median, "times as fast")
    print(f"  opening the tower, its sum checked   {statistics.median(opening):7.1f} ms")
    print(f"  cosine of NumPy's and PyTorch's vectors: {cosine:.7f}; goal: at least {GOAL} times as fast")


if __name__ == "__main__":
    main()
