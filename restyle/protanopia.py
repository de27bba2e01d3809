"""What a protanope sees of a photo and of a change: simulated, measured, and shown side by side."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from os import cpu_count
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from skimage.color import deltaE_ciede2000

from base.arrays import Floats, Pixels
from base.errors import PhotoError, QueryError
from base.files import PhotoFile
from embedding.brightness import LINEAR
from embedding.colour import (
    encoded,
    lab_of,
    lab_of_linear,
    linear_of,
    linear_of_lab,
    read_pixels,
    resized,
    within,
)
from embedding.sheet import check_ending, write_picture
from restyle.palettes import Ramp

STRIP_PIXELS = 1 << 15  # worked on at a time: they stay in the processor's cache
XYZ_475_NM = np.array([0.1421, 0.1126, 1.0419])  # the anchors of the two half-planes: CIE 1931, 2 degrees
XYZ_575_NM = np.array([0.8425, 0.9154, 0.0018])

_steps = (np.arange(1 << 16) / 0xFFFF).astype(np.float32)
SRGB_OF_LINEAR16 = (encoded(_steps) * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=1)
def projections() -> tuple[Floats, Floats, Floats]:
    """Return what projects linear RGB onto a protanope's colours: a matrix (3, 3), a fold (3,), a direction (3,).

    Seen is `rgb @ matrix.T + max(rgb @ fold, 0) * direction`: two half-planes that meet in the greys, one for bluish
    and one for yellowish colours.
    """
    from daltonlens.convert import LMSModel_sRGB_SmithPokorny75
    from daltonlens.simulate import Deficiency, lms_confusion_axis, plane_projection_matrix

    model = LMSModel_sRGB_SmithPokorny75()
    neutral = model.LMS_from_linearRGB @ np.ones(3)
    separation = np.cross(neutral, lms_confusion_axis(Deficiency.PROTAN))
    sides = {}
    for xyz in (XYZ_475_NM, XYZ_575_NM):
        anchor = model.LMS_from_XYZ @ xyz
        plane = plane_projection_matrix(np.cross(neutral, anchor), Deficiency.PROTAN)
        sides[separation @ anchor > 0] = model.linearRGB_from_LMS @ plane @ model.LMS_from_linearRGB
    fold = separation @ model.LMS_from_linearRGB
    difference = sides[True] - sides[False]  # of rank 1, and nothing where `fold` is nothing
    direction = difference @ fold / (fold @ fold)
    return sides[False].astype(np.float32), fold.astype(np.float32), direction.astype(np.float32)


def seen_linear(linear: Floats) -> Floats:
    """Return the linear RGB that a protanope sees of linear RGB (..., 3); it may lie a little beyond 0..1."""
    matrix, fold, direction = projections()
    seen: Floats = linear @ matrix.T + np.maximum(linear @ fold, 0)[..., None] * direction
    return seen


@lru_cache(maxsize=1)
def contributions() -> Floats:
    """Return what each level of R, G and B adds to what is seen, and to the fold: (3, 256, 4) float32.

    Adding rows of a table is several times quicker than multiplying millions of pixels with a matrix of three rows.
    """
    matrix, fold, _ = projections()
    table: Floats = LINEAR[None, :, None] * np.vstack([matrix, fold]).T[:, None, :]
    return table


def seen(pixels: Pixels) -> Pixels:
    """Return what a protanope sees of a photo: sRGB uint8 (h, w, 3) for sRGB uint8 (h, w, 3)."""
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    view = np.empty_like(flat)
    red, green, blue = contributions()
    direction = projections()[2]

    def strip(start: int) -> None:
        part = flat[start : start + STRIP_PIXELS]
        sums = red.take(part[:, 0], axis=0)
        sums += green.take(part[:, 1], axis=0)
        sums += blue.take(part[:, 2], axis=0)
        linear = sums[:, :3] + np.maximum(sums[:, 3:], 0) * direction
        steps = np.clip(linear * 0xFFFF + 0.5, 0, 0xFFFF).astype(np.uint16)
        view[start : start + STRIP_PIXELS] = SRGB_OF_LINEAR16.take(steps)

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(strip, range(0, len(flat), STRIP_PIXELS)))
    return view.reshape(pixels.shape)


def seen_lab(pixels: Pixels) -> Floats:
    """Return L*a*b* (..., 3) of what a protanope sees of sRGB uint8 (..., 3); a* says nothing that L* and b* do not."""
    return seen_linear_lab(linear_of(pixels))


def seen_linear_lab(linear: Floats) -> Floats:
    """Return L*a*b* (..., 3) of what a protanope sees of linear RGB (..., 3)."""
    return lab_of_linear(np.clip(seen_linear(linear), 0, 1))


CANONICAL_PX = 256  # the longer side that photos are compared at
BLUR_PX = 1.0  # standard deviation: single pixels are no change that anybody sees
VISIBLE_DE = 5.0  # dE2000 from which on a change is plain to see
BIN, BINS = 4.0, 128  # L* and b* that a bin of a histogram covers, and how many bins of b* there are
LIGHTNESSES = np.linspace(0, 100, 51, dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Visibility:
    """What a protanope sees of a change.

    median_de: the median over the picture, in dE2000. share: of the picture that changes by more than 5 dE2000.
    wasted: the share of the change, as people with three kinds of cones see it, that a protanope does not see.
    """

    median_de: float
    share: float
    wasted: float


@dataclass(frozen=True, slots=True)
class Colours:
    """A photo's colours at the canonical size, lightly blurred: L*a*b* (h, w, 3), plain and as a protanope sees it."""

    plain: Floats
    protan: Floats


def colours_of(pixels: Pixels) -> Colours:
    """Return a photo's colours at the canonical size."""
    small = within(pixels, CANONICAL_PX)
    plain, protan = (gaussian_filter(lab, (BLUR_PX, BLUR_PX, 0)) for lab in (lab_of(small), seen_lab(small)))
    return Colours(plain, protan)


def visibility(original: Colours, result: Colours) -> Visibility:
    """Return what a protanope sees of a change. Both are of one size.

    Source: dE2000, Sharma, Wu and Dalal 2005, by scikit-image.
    """
    protan = deltaE_ciede2000(original.protan, result.protan)
    plain = deltaE_ciede2000(original.plain, result.plain)
    return Visibility(
        median_de=float(np.median(protan)),
        share=float((protan > VISIBLE_DE).mean()),
        wasted=max(0.0, 1 - float(protan.mean()) / float(plain.mean())) if plain.any() else 0.0,
    )


def palette_distance(colours: Colours, leaf: Ramp, sky: Ramp) -> float:
    """Return how far a picture's colours lie from a palette's for a protanope: 0 where all are the palette's.

    The mean distance, in the plane of L* and b* of what a protanope sees, between the histogram of the picture and the
    nearest colour of the palette: what it costs to move the one into the other, however much of which colour it takes.
    """
    lightness, b = colours.protan[..., 0].ravel(), colours.protan[..., 2].ravel()
    places = np.round(lightness / BIN).astype(int) * BINS + np.round(b / BIN).astype(int) + BINS // 2
    counts = np.bincount(places)
    filled = np.flatnonzero(counts)
    bins = np.stack([filled // BINS, filled % BINS - BINS // 2], axis=1) * BIN
    nearest = cdist(bins, protan_curve(leaf, sky)).min(axis=1)
    return float(nearest @ counts[filled] / counts.sum())


def protan_curve(leaf: Ramp, sky: Ramp) -> Floats:
    """Return the palette's colours as a protanope sees them: L* and b*, (n, 2)."""
    points = []
    for ramp in (leaf, sky):
        lab = np.concatenate([LIGHTNESSES[:, None], ramp.at(LIGHTNESSES)], axis=1)
        points.append(seen_linear_lab(np.clip(linear_of_lab(lab), 0, 1))[:, [0, 2]])
    return np.concatenate(points)


GAP_SHARE, TEXT_SHARE = 0.02, 0.045  # of a picture's longer side
SMALLEST_TEXT_PX = 12
LEAST_PX = 240  # a picture is as wide as that, so that its caption fits, and a tiny one enlarged to it
WIDE = 2.0  # aspect ratio from which on pictures stand below one another
BACKGROUND, INK = "#fbfaf7", "#22262b"


def side_by_side(photo: Pixels, changed: Pixels | None = None) -> Image.Image:
    """Return a photo beside what a protanope sees of it; below, the same of a changed photo, at the photo's size."""
    rows = [[("as most people see it", photo), ("as a protanope sees it", seen(photo))]]
    if changed is not None:
        changed = resized(changed, (photo.shape[1], photo.shape[0]))
        rows.append([("changed", changed), ("changed, as a protanope sees it", seen(changed))])
    return sheet(rows)


def sheet(rows: list[list[tuple[str, Pixels]]]) -> Image.Image:
    """Return pictures of one size in rows, each below its caption; panoramas each in a row of its own."""
    height, width = rows[0][0][1].shape[:2]
    if width > WIDE * height:
        rows = [[picture] for row in rows for picture in row]
    scale = max(1, -(-LEAST_PX // max(height, width)))
    height, width = height * scale, width * scale
    gap = round(max(height, width) * GAP_SHARE)
    column_px = max(width, LEAST_PX)
    text_px = max(SMALLEST_TEXT_PX, min(round(max(height, width) * TEXT_SHARE), column_px // 18, height // 8))
    line = round(text_px * 1.6)
    size = (len(rows[0]) * (column_px + gap) + gap, len(rows) * (height + line + gap) + gap)
    page = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(text_px)
    for row, pictures in enumerate(rows):
        for column, (caption, pixels) in enumerate(pictures):
            left, top = gap + column * (column_px + gap), gap + row * (height + line + gap)
            draw.text((left, top), caption, INK, font)
            enlarged = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
            page.paste(Image.fromarray(enlarged), (left, top + line))
    return page


def write_comparison(photo: PhotoFile, changed: PhotoFile | None, output: Path, longest_px: int) -> Visibility | None:
    """Write a photo beside what a protanope sees of it; with a changed one both, and return what is seen of the change.

    Raises:
        QueryError: a file is gone or no photo, the output is one of them, or its ending names no picture.
        OutputError: the picture cannot be written.
    """
    check_ending(output)
    files = [file for file in (photo, changed) if file is not None]
    for file in files:
        if not os.path.isfile(file.path):
            raise QueryError(f"no file {file}: name a photo, or the number of a photo of the library")
    if output.exists() and any(output.samefile(file.path) for file in files):
        raise QueryError(f"{output} is the photo itself: name another file for the picture")
    pixels, *others = (pixels_to_see(file, longest_px) for file in files)
    write_picture(side_by_side(pixels, others[0] if others else None), output)
    if not others:
        return None
    fitted = resized(others[0], (pixels.shape[1], pixels.shape[0]))
    return visibility(colours_of(pixels), colours_of(fitted))


def pixels_to_see(file: PhotoFile, longest_px: int) -> Pixels:
    """Return a photo's pixels. Raises: QueryError: it cannot be read, or is none."""
    try:
        return read_pixels(file, longest_px)
    except OSError as error:
        raise QueryError(f"{file} cannot be read: {error.strerror or error}") from error
    except PhotoError as error:
        raise QueryError(f"{file} is no photo that can be shown: {error.reason}") from error
