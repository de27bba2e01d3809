"""`aliens add` by a Ray cluster on this one machine against the same without: the same photos, in turns, start apart.

Start is what it takes until the first group is to be embedded: looking for photos, connecting with the cluster, loading
the model in its workers, reading the first photos. The cluster is started once, by this script.

    python benchmarks/ray_speed.py [--photos 5000] [--size 350x233] [--model starter] [--rounds 2]
"""

import argparse
import os
import shutil
import time
from pathlib import Path

import embed
import ray
from measuring import tree_processor_s
from records import figure, recorded

import aliens
from base.progress import Step
from embedding.open_clip_encoder import OpenClipEncoder
from indexer.ray_cluster import SETTINGS

GOAL = 1.15


def add_s(folders: list[Path], encoder: OpenClipEncoder, engine: str) -> tuple[float, float, float]:
    """Return the seconds that a new library takes for folders: from the first group on, of processors, before."""
    root = embed.WORK / "library"
    shutil.rmtree(root, ignore_errors=True)
    begun: list[tuple[float, float]] = []

    def tell(step: Step) -> None:
        if step.what == "embedding" and not begun:
            begun.append((time.perf_counter(), tree_processor_s()))

    with aliens.create(root, encoder=encoder) as library:
        start = time.perf_counter()
        report = library.add(*folders, engine=engine, progress=tell)
        end, processor_s = time.perf_counter(), tree_processor_s()
        assert report.run.done == report.scan.found and not report.run.failed, report
    shutil.rmtree(root)
    return end - begun[0][0], processor_s - begun[0][1], begun[0][0] - start


def measure(name: str, folders: list[Path], rounds: int) -> None:
    """Print the times of both, and their ratios, for one model."""
    encoder = embed.encoder_of(name)
    print(f"\n{encoder}", flush=True)
    photos = sum(len(list(folder.iterdir())) for folder in folders)
    taken: dict[str, list[float]] = {"local": [], "ray": []}
    processor: dict[str, list[float]] = {"local": [], "ray": []}
    for number in range(rounds):
        for engine in ("local", "ray") if number % 2 == 0 else ("ray", "local"):
            seconds, processor_s, before_s = add_s(folders, encoder, engine)
            taken[engine].append(seconds)
            processor[engine].append(processor_s)
            print(
                f"  {engine:<6} {photos} photos: {seconds:6.1f} s, {processor_s:.1f} s of processors, "
                f"and {before_s:.1f} s before",
                flush=True,
            )
    local_s, ray_s = sum(taken["local"]), sum(taken["ray"])
    figure(f"{encoder.key}: ray / local", ray_s / local_s, "times as long")
    figure(f"{encoder.key}: local", photos * rounds / local_s, "photos/s")
    ratios = sorted(there / here for here, there in zip(taken["local"], taken["ray"], strict=True))
    print(
        f"  local {local_s:.1f} s, ray {ray_s:.1f} s: {ray_s / local_s:.2f} times as long "
        f"(pairs {ratios[0]:.2f} to {ratios[-1]:.2f}; goal: at most {GOAL}), with "
        f"{sum(processor['ray']) / sum(processor['local']):.2f} times the processor time"
    )


@recorded
def main() -> None:
    """Parse the arguments and measure each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--model", action="append", choices=["starter", "vit-b-32"])
    parser.add_argument("--size", type=embed.size_px, default=(350, 233), help="of photos that are made")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    folders = embed.make_photos(arguments.photos, arguments.size)
    os.environ.update(SETTINGS)  # as a cluster has them that `aliens add` starts
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    for model in arguments.model or ["starter", "vit-b-32"]:
        measure(model, folders, arguments.rounds)
    ray.shutdown()


if __name__ == "__main__":
    main()
