"""PyTorch and OpenVINO on a processor: the image tower alone and `aliens add`, in turns; and what int8 loses.

Photos/s are of the wall clock; `ms` is what a photo takes of all cores together, which others here disturb less.
ViT-B-32 has random weights: right for speed, without meaning, so that nothing is said of what it loses.

    python benchmarks/backends.py [--model starter] [--model vit-b-32] [--rounds 9] [--add 400]
    python benchmarks/backends.py --photos ../shared/photos    also the drift on real photos, where they are at hand
"""

import argparse
import csv
import os
import shutil
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from embed import make_photos, random_vit_b_32, size_px
from measuring import timed
from records import figure, recorded

import aliens
from aliens.library import Library
from base.arrays import unit
from base.errors import EncoderError, PhotoError
from base.settings import asset
from embedding import image_files
from embedding.decode import decode
from embedding.device import cpu_threads
from embedding.int8 import calibrated, drift_of
from embedding.open_clip_encoder import OpenClipEncoder
from search.tags.tagging import text_vectors
from search.tags.vocabulary import read_vocabulary

WORK = Path(__file__).parent / "work"
MOST_CALIBRATED = 128


def squares_of(paths: list[Path], encoder: OpenClipEncoder) -> np.ndarray:
    """Return photos as the model sees them, (n, s, s, 3), without those that cannot be read."""
    found = []
    for path in paths:
        try:
            found.append(decode(path.read_bytes(), encoder.preprocessing).pixels)
        except (OSError, PhotoError):
            continue
    return np.stack(found)


def encoders_of(name: str, calibration: int, *, means_something: bool) -> dict[str, OpenClipEncoder]:
    """Return a model by both backends and precisions, and calibrated to int8 on the first of the sample photos."""
    found = {
        f"{label} {precision}": OpenClipEncoder.load(name, device="cpu", precision=precision, backend=backend)
        for precision in ("float32", "bfloat16")
        for label, backend in (("PyTorch", "torch"), ("OpenVINO", "openvino"))
    }
    paths = sorted((asset("aliens/samples") / "images").rglob("*.jpg"))[::2]
    plain = OpenClipEncoder.load(name, device="cpu", precision="float32", backend="torch")
    photos, others = (squares_of(part[:calibration], plain) for part in (paths, paths[::-1]))
    if not means_something:  # nothing is to be read from the cosines of random weights
        image_files.LEAST_MEAN_COSINE, image_files.LEAST_RECALL = -1.0, 0.0
    texts, _ = text_vectors(plain, read_vocabulary("case-study"))
    try:
        found["OpenVINO int8"] = calibrated(plain, photos, others, texts, WORK / "towers")
    except EncoderError as error:
        print(f"  no int8: {error}")
    return found


def speeds(encoders: Mapping[str, OpenClipEncoder], rounds: int) -> None:
    """Print how fast each computes photos in memory, in turns."""
    first = next(iter(encoders.values()))
    side, photos = first.preprocessing.size_px, max(encoder.batch_photos for encoder in encoders.values())
    pixels = np.random.default_rng(0).integers(0, 256, (photos, side, side, 3), dtype=np.uint8)
    wall: dict[str, list[float]] = {name: [] for name in encoders}
    cores: dict[str, list[float]] = {name: [] for name in encoders}
    for encoder in encoders.values():  # warms up
        encoder.encode_images(pixels)
    for _ in range(rounds):
        for name, encoder in encoders.items():
            taken, work = timed(partial(encoder.encode_images, pixels))
            wall[name].append(taken)
            cores[name].append(work)
    base = "PyTorch bfloat16"
    for name in encoders:
        ratio = statistics.median(one / other for one, other in zip(wall[base], wall[name], strict=True))
        work = statistics.median(cores[base]) / statistics.median(cores[name])
        figure(f"{encoders[name].key}, {name}: encoder / {base}", ratio, "times as fast")
        print(
            f"  {name:<18} {photos / statistics.median(wall[name]):7.1f} photos/s, "
            f"{1000 * statistics.median(cores[name]) / photos:6.2f} ms a photo, "
            f"{ratio:5.2f} times {base}, {work:5.2f} by work",
            flush=True,
        )


def drifts(encoders: Mapping[str, OpenClipEncoder], paths: list[Path], what: str) -> None:
    """Print how far the vectors of photos lie from PyTorch's in float32."""
    exact = encoders["PyTorch float32"]
    photos = squares_of(paths, exact)
    texts, _ = text_vectors(exact, read_vocabulary("case-study"))

    def vectors(encoder: OpenClipEncoder) -> np.ndarray:
        return np.concatenate([encoder.encode_images(photos[at : at + 64]) for at in range(0, len(photos), 64)])

    known = vectors(exact)
    print(f"  against PyTorch float32, on {len(photos)} {what}:")
    for name, encoder in encoders.items():
        if encoder is not exact:
            drift = drift_of(known, unit(vectors(encoder)), texts, 0)
            figure(f"{name}, {what}: cosine", drift.cosine_mean, "in the mean")
            figure(f"{name}, {what}: least cosine", drift.cosine_least, "at the least")
            figure(f"{name}, {what}: recall@10", drift.recall, "of the best 10")
            print(
                f"    {name:<18} cosine {drift.cosine_mean:.5f} in the mean, {drift.cosine_least:.4f} at the least, "
                f"recall@10 of {drift.prompts} tags {drift.recall:.3f}",
                flush=True,
            )


def fresh_library(encoder: OpenClipEncoder, name: str) -> Library:
    """Return an empty library by a model."""
    root = WORK / f"backends-{name.replace(' ', '-')}"
    shutil.rmtree(root, ignore_errors=True)
    return aliens.create(root, encoder=encoder)


def tags(encoders: Mapping[str, OpenClipEncoder]) -> None:
    """Print the mean average precision of the case study's tags on the sample hotels, by float32 and by int8."""
    samples = asset("aliens/samples")
    for name in ("PyTorch float32", "OpenVINO int8"):
        if name in encoders:
            with fresh_library(encoders[name], name) as library:
                library.add(hotels50k=samples)
                library.tag("case-study")
                found = library.evaluate(samples / "labels.csv")[0]
                value = found.measures.mean_average_precision
                figure(f"{name}, samples: mAP", value, "of 1")
                print(f"  {name:<18} mean average precision of the 15 tags on the samples {value:.3f}", flush=True)


def adding(encoders: Mapping[str, OpenClipEncoder], photos: int, size: tuple[int, int]) -> None:
    """Print how fast folders of new photos are added, in turns, and of how much of the encoder's own speed that is."""
    libraries = {name: fresh_library(encoder, name) for name, encoder in encoders.items() if "float32" not in name}
    wall: dict[str, list[float]] = {name: [] for name in libraries}
    cores: dict[str, list[float]] = {name: [] for name in libraries}
    alone: dict[str, list[float]] = {name: [] for name in libraries}
    counts = []
    for folder in make_photos(photos, size):
        counts.append(len(list(folder.iterdir())))
        for name, library in libraries.items():
            encoder = encoders[name]
            taken, work = timed(partial(library.add, folder))
            wall[name].append(taken)
            cores[name].append(work)
            pixels = squares_of(sorted(folder.iterdir()), encoder)
            n = encoder.batch_photos
            batches = [pixels[at : at + n] for at in range(0, len(pixels), n)]
            alone[name].append(timed(lambda encode=encoder.encode_images, parts=batches: list(map(encode, parts)))[0])
    print(f"  aliens add of {sum(counts)} photos of {size[0]} x {size[1]} px:")
    for name, library in libraries.items():
        library.close()
        faster = sum(wall["PyTorch bfloat16"]) / sum(wall[name])
        figure(f"{encoders[name].key}, {name}: aliens add", sum(counts) / sum(wall[name]), "photos/s")
        figure(f"{encoders[name].key}, {name}: aliens add / PyTorch bfloat16", faster, "times as fast")
        figure(
            f"{encoders[name].key}, {name}: aliens add / encoder", sum(alone[name]) / sum(wall[name]), "of its speed"
        )
        print(
            f"    {name:<18} {sum(counts) / sum(wall[name]):7.1f} photos/s, "
            f"{1000 * sum(cores[name]) / sum(counts):6.2f} ms a photo, {faster:5.2f} times PyTorch bfloat16, "
            f"{sum(alone[name]) / sum(wall[name]):.2f} of the encoder alone",
            flush=True,
        )


def real_photos(folder: Path) -> list[Path]:
    """Return the labelled photos of hotels in a folder."""
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        return [folder / row["path"] for row in csv.DictReader(file) if row["source"] == "hotels"]


@recorded
def main() -> None:
    """Parse the arguments and print the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=["starter", "vit-b-32", "tiny"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calibration", type=int, default=MOST_CALIBRATED, help="photos to calibrate on, at most")
    parser.add_argument("--add", type=int, default=400, help="photos to add, 0 for none")
    parser.add_argument("--size", type=size_px, default=(350, 233), help="of photos that are added")
    parser.add_argument("--photos", type=Path, help="a folder of real photos with labels.csv")
    asked = parser.parse_args()
    os.environ["ALIENS_CACHE"] = str(WORK / "cache")
    for model in asked.model or ["starter", "vit-b-32"]:
        name = model if model == "starter" else random_vit_b_32(tiny=model == "tiny")
        encoders = encoders_of(name, asked.calibration, means_something=model == "starter")
        print(f"\n{model}, {cpu_threads()} threads")
        speeds(encoders, asked.rounds)
        if model == "starter":
            samples = sorted((asset("aliens/samples") / "images").rglob("*.jpg"))[1::2]
            drifts(encoders, samples, "sample photos")
            if asked.photos:
                drifts(encoders, real_photos(asked.photos), "real hotel photos")
            tags(encoders)
        if asked.add:
            adding(encoders, asked.add, asked.size)


if __name__ == "__main__":
    main()
