"""What regrading does to photos: noise on plain walls, what a protanope sees, outlines, whites; and how long it takes.

python benchmarks/regrading.py [--photos ../shared/photos] [-n 21] [--tiny]

n sample photos and, where they are at hand, n real ones, evenly spread, 1024 px at most. --tiny: three small samples.

noise: how far colours stray from what light explains on plain surfaces near grey, times what they do in the photo, the
median of the photos that have such surfaces. dE, >5: median over the photos of the change that a protanope sees, in
dE2000, and mean share of the picture where it is over 5. distance: from the palette, in protan L*b*. HOG, F1: the least
likeness of outlines. Then the time of one photo of 1024 x 728, and of one bare colour map by Pillow on the same cores:
the ratio counts.
"""

# ruff: noqa: E402
import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

import numpy as np
from measuring import medians_ms
from PIL import Image, ImageFilter
from records import figure, recorded
from scipy.ndimage import gaussian_filter, minimum_filter

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

from base.arrays import Bools, Pixels
from base.files import PhotoFile
from base.settings import asset
from embedding.colour import lab_of, read_pixels, resized
from restyle.palettes import Palette, palette_names, read_palette
from restyle.protanopia import colours_of, palette_distance, visibility
from restyle.regrade import regrade
from restyle.smoothing import guided_fits
from restyle.structure import compare, structure_of

T = TypeVar("T")
LONGEST_PX = 1024
FEWEST = 0.02  # of a photo's pixels that its noise is told by
ROUNDING = 0.4  # a*, b*


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """What is measured of one regraded photo; noise: None where it has no plain surface near grey."""

    noise: float | None
    median_de: float
    share: float
    distance: float
    hog: float
    edge_f1: float


def plain_greys(pixels: Pixels) -> Bools:
    """Return which pixels lie on plain surfaces near grey, (h, w): walls, ceilings, sheets."""
    lab = lab_of(pixels)
    lightness = lab[..., 0]
    rough = np.sqrt(gaussian_filter((lightness - gaussian_filter(lightness, 8)) ** 2, 6))
    chroma = np.hypot(gaussian_filter(lab[..., 1], 6), gaussian_filter(lab[..., 2], 6))
    return np.asarray(minimum_filter((chroma < 7) & (rough < 1) & (lightness > 15) & (lightness < 96), 9))


def chroma_noise(pixels: Pixels, where: Bools) -> float:
    """Return how far a* and b* stray from what light explains, root mean square over some pixels.

    That is from the straight line of L* that fits best within 25 x 25 px; levels' rounding is blurred away before.
    """
    lightness, *ab = np.moveaxis(gaussian_filter(lab_of(pixels), (1, 1, 0)), -1, 0)
    fits = guided_fits(lightness, 12, 0.05, *ab)
    strays = sum(((part - fit.of(lightness)) ** 2)[where].mean() for part, fit in zip(ab, fits, strict=True))
    return float(np.sqrt(strays))


def noise_added(photo: Pixels, result: Pixels) -> float | None:
    """Return the noise of a result on the photo's plain surfaces near grey, times the photo's; None: there are none.

    Less than what rounding to 256 levels makes counts as that.
    """
    where = plain_greys(photo)
    if where.mean() < FEWEST:
        return None
    return max(chroma_noise(result, where), ROUNDING) / max(chroma_noise(photo, where), ROUNDING)


def looks_of(photo: Pixels, palette: Palette) -> Looks:
    """Regrade a photo and measure."""
    result = regrade(photo, palette)
    colours = colours_of(result)
    seen = visibility(colours_of(photo), colours)
    likeness = compare(structure_of(photo), structure_of(result))
    return Looks(
        noise=noise_added(photo, result),
        median_de=seen.median_de,
        share=seen.share,
        distance=palette_distance(colours, palette.leaf, palette.sky),
        hog=likeness.hog,
        edge_f1=likeness.edge_f1,
    )


def spread(everything: Sequence[T], n: int) -> list[T]:
    """Return n of some things, evenly spread."""
    places = np.unique(np.linspace(0, len(everything) - 1, n).astype(int)) if everything else []
    return [everything[place] for place in places]


def report(group: str, photos: Sequence[Pixels]) -> None:
    """Print and note what each palette makes of a group of photos."""
    for name in palette_names():
        looks = [looks_of(photo, read_palette(name)) for photo in photos]
        noises = [each.noise for each in looks if each.noise is not None]
        seen, share = median(each.median_de for each in looks), mean(each.share for each in looks)
        distance = median(each.distance for each in looks)
        hog, edge_f1 = min(each.hog for each in looks), min(each.edge_f1 for each in looks)
        noise = median(noises) if noises else float("nan")
        print(
            f"{group}\t{name}\t{len(looks)}\t{noise:.2f} ({len(noises)})\t{seen:.1f}\t{share:.0%}\t{distance:.1f}\t"
            f"{hog:.2f}\t{edge_f1:.2f}",
            flush=True,
        )
        figure(f"{group}, {name}: noise on plain greys, the photo's", noise, "times")
        figure(f"{group}, {name}: seen", seen, "dE2000")
        figure(f"{group}, {name}: from the palette", distance, "protan L*b*")


def report_speed(photo: Pixels, repeats: int) -> None:
    """Print and note the time of a photo, and of one bare colour map on as many threads."""
    palette, threads = read_palette(), cpu_count() or 1
    table = ImageFilter.Color3DLUT.generate(17, lambda r, g, b: (g, b, r))
    strips = [Image.fromarray(strip) for strip in np.array_split(photo, threads)]

    def bare() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda strip: strip.filter(table), strips))

    ms = medians_ms({"regrade": lambda: regrade(photo, palette), "bare": bare}, repeats)
    ratio = ms["regrade"] / ms["bare"]
    print(
        f"\n{photo.shape[1]} x {photo.shape[0]} px on {threads} threads: {ms['regrade']:.1f} ms, "
        f"{1000 / ms['regrade']:.1f} photos/s; one bare colour map {ms['bare']:.1f} ms: {ratio:.1f} times that"
    )
    figure("a photo", ms["regrade"], "ms")
    figure("a photo, of one bare colour map", ratio, "times")


@recorded
def main() -> None:
    """Regrade, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "photos")
    parser.add_argument("-n", type=int, default=21, help="photos of each group (21)")
    parser.add_argument("--tiny", action="store_true", help="three small samples: whether it works")
    options = parser.parse_args()
    groups = {"samples": sorted(asset("aliens/samples").rglob("*.jpg"))}
    if not options.tiny and options.photos.is_dir():
        groups["real"] = sorted(options.photos.rglob("*.jpg"))
    print("photos\tpalette\tn\tnoise (of n)\tdE\t>5\tdistance\tHOG\tF1", flush=True)
    for group, paths in groups.items():
        chosen = spread(paths, 3 if options.tiny else options.n)
        photos = [read_pixels(PhotoFile(str(path)), 128 if options.tiny else LONGEST_PX) for path in chosen]
        report(group, photos)
    report_speed(resized(photos[0], (1024, 728)), 1 if options.tiny else 15)


if __name__ == "__main__":
    sys.exit(main())
