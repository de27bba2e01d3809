"""Photos/s of decoding each format, against a JPEG of the same picture and against the encoder that waits for them.

A picture of a phone's size, a mosaic of the sample photos, is written in each format once, and decoded for the encoder
as when photos are added: one thread a photo, as many threads as `aliens add` has. The formats take turns.

    python benchmarks/formats.py [--size 4032x3024] [--rounds 5] [--model starter] [--model vit-b-32]
"""

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from embed import encoder_of, size_px
from PIL import Image
from records import figure, recorded

from base.settings import asset
from embedding.apart import goes_apart
from embedding.decode import Preprocessing, decode, decode_here
from embedding.open_clip_encoder import OpenClipEncoder
from indexer.reading import DECODE_THREADS

WORK = Path(__file__).parent / "work"
PHOTOS_A_ROUND = 2 * DECODE_THREADS
QUALITY = 85


def mosaic(size: tuple[int, int]) -> Image.Image:
    """Return a picture of sample photos side by side, each as sharp as it is."""
    picture, paths = Image.new("RGB", size), sorted((asset("aliens/samples") / "images").rglob("*.jpg"))
    left = top = number = 0
    while top < size[1]:
        with Image.open(paths[number % len(paths)]) as photo:
            picture.paste(photo, (left, top))
            left, number = left + photo.width, number + 1
            if left >= size[0]:
                left, top = 0, top + photo.height
    return picture


def written(picture: Image.Image, save: Callable[..., None] | None, file_format: str, **options: Any) -> bytes:
    """Return a picture in a format; `save`: a plug-in's, of a format that Pillow has not."""
    data = io.BytesIO()
    if save is None:
        picture.save(data, file_format, **options)
    else:
        picture.encoderinfo = options  # type: ignore[attr-defined]
        save(picture, data, "")
    return data.getvalue()


def writers() -> dict[str, Callable[[Image.Image], bytes]]:
    """Return what writes each format; JPEG first."""
    import pillow_heif

    def heic(picture: Image.Image) -> bytes:
        data = io.BytesIO()
        pillow_heif.options.GRID_TILE_SIZE = 512  # as phones do
        pillow_heif.from_pillow(picture).save(data, quality=QUALITY)
        return data.getvalue()

    found: dict[str, Callable[[Image.Image], bytes]] = {
        "JPEG": partial(written, save=None, file_format="JPEG", quality=QUALITY),
        "HEIC": heic,
        "AVIF": partial(written, save=None, file_format="AVIF", quality=QUALITY, speed=8),
        "WebP": partial(written, save=None, file_format="WEBP", quality=QUALITY, method=0),
        "PNG": partial(written, save=None, file_format="PNG", compress_level=1),
        "TIFF": partial(written, save=None, file_format="TIFF"),
    }
    if find_spec("pillow_jxl"):
        from pillow_jxl import JpegXLImagePlugin as plugin

        found["JPEG XL"] = partial(written, save=plugin._save, file_format="JXL", quality=QUALITY, effort=3)
    return found


def files(size: tuple[int, int]) -> dict[str, bytes]:
    """Return the picture in every format, from the work folder where it was written before."""
    folder = WORK / f"formats-{size[0]}x{size[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, bytes] = {}
    picture: Image.Image | None = None
    for name, write in writers().items():
        path = folder / name.replace(" ", "-").lower()
        if not path.exists():
            picture = picture or mosaic(size)
            path.write_bytes(write(picture))
        made[name] = path.read_bytes()
    return made


def measure(made: dict[str, bytes], preprocessing: Preprocessing, rounds: int) -> dict[str, float]:
    """Return photos/s of decoding each format: medians of rounds in which all take turns.

    Formats that go to processes of their own come once more as "HEIC here", decoded in this process.
    """
    ways: dict[str, tuple[bytes, Callable[..., object]]] = {name: (data, decode) for name, data in made.items()}
    ways |= {f"{name} here": (data, decode_here) for name, data in made.items() if goes_apart(data)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with ThreadPoolExecutor(DECODE_THREADS) as pool:
        for data, reader in ways.values():  # starts processes, imports what is needed
            list(pool.map(lambda photo, reader=reader: reader(photo, preprocessing), [data] * DECODE_THREADS))
        for _ in range(rounds):
            for name, (data, reader) in ways.items():
                start = time.perf_counter()
                list(pool.map(lambda photo, reader=reader: reader(photo, preprocessing), [data] * PHOTOS_A_ROUND))
                rates[name].append(PHOTOS_A_ROUND / (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in rates.items()}


def encoder_rate(encoder: OpenClipEncoder, square: np.ndarray, rounds: int) -> float:
    """Return photos/s of the encoder on batches in memory."""
    batch, rates = np.stack([square] * encoder.batch_photos), []
    encoder.encode_images(batch[:1])  # warms up
    for _ in range(rounds):
        start = time.perf_counter()
        encoder.encode_images(batch)
        rates.append(len(batch) / (time.perf_counter() - start))
    return statistics.median(rates)


@recorded
def main() -> None:
    """Parse the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=size_px, default=(4032, 3024))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", action="append", choices=["starter", "vit-b-32"])
    arguments = parser.parse_args()
    made = files(arguments.size)
    names, (width, height) = arguments.model or ["starter", "vit-b-32"], arguments.size
    encoders = {name: encoder_of(name) for name in names}
    preprocessing = next(iter(encoders.values())).preprocessing
    square = decode(made["JPEG"], preprocessing).pixels
    rates = measure(made, preprocessing, arguments.rounds)
    print(f"{width} x {height} px, {DECODE_THREADS} threads on {os.cpu_count()} cores; encoders, photos/s in memory:")
    alone = {}
    for name, encoder in encoders.items():
        resized = np.asarray(Image.fromarray(square).resize((encoder.preprocessing.size_px,) * 2))
        alone[name] = encoder_rate(encoder, resized, arguments.rounds)
        print(f"  {name}: {alone[name]:.1f} ({encoder})")
        figure(f"encoder in memory, {name}", alone[name], "photos/s")
    print(
        f"{'format':8}  {'MB':>6}  {'photos/s':>8}  {'of JPEG':>8}" + "".join(f"  {f'of {name}':>12}" for name in alone)
    )
    for name, rate in rates.items():
        row = f"{name:8}  {len(made[name.removesuffix(' here')]) / 1e6:6.2f}  {rate:8.1f}  {rate / rates['JPEG']:8.3f}"
        print(row + "".join(f"  {rate / encoder:12.2f}" for encoder in alone.values()))
        figure(f"decoding {name}", rate, "photos/s")
        figure(f"decoding {name} / JPEG", rate / rates["JPEG"], "times")
        if f"{name} here" in rates:
            figure(f"decoding {name} in a process of its own / here", rate / rates[f"{name} here"], "times")


if __name__ == "__main__":
    main()
