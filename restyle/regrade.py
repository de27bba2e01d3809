"""Regrading: a photo's colours move towards an alien palette, its structure stays. No model, no randomness.

Every colour of a photo goes to one other colour, so edges stay where they are. L* stays as it is; a* and b* go to the
palette's colours of the same L*: what a protanope sees as the bluer part of the photo goes to the palette's sky, the
rest to its leaves, and where the one part ends is learnt from the photo; shade counts as bluer. So yellow stands
against blue in every photo, be it all peach. Skin goes the way of walls of its colour. The map is made for a grid of
colours; Pillow interpolates.

It is what diffusion starts from, and what is left where diffusion fails: never a diffusion's result itself.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from restyle.colour import Floats, encoded, lab_of, linear_of_lab
from restyle.palettes import Palette
from restyle.pixels import Pixels, within
from restyle.protanopia import seen_lab

VERSION = 1  # of the method: results are made anew where it changes
GRID = 25  # colours along R, G and B that the map is computed for; those between are interpolated
SMALL_PX = 160  # the longer side of what a photo's own colours are learnt from
LEAST_BORDER = 9.0  # protan b* over which leaf turns to sky, at least: noise in a flat wall is not torn apart
CLEAR = 0.6  # widths that the border lies below the median at least: most of the photo is leaves
SHADE, DEEP = 0.6, 30.0  # widths that shade counts as bluer, and how many L* below the median all of it does
FURTHEST_BORDER = (-12.0, 24.0)  # protan b* that the border may lie at: blue stays sky, yellow stays leaf
OWN_COLOUR = 0.35  # of a colour's distance from the photo's mean colour that stays, so that things differ on Earth too
GAMUT_STEPS = 6  # halvings of the search for the most chroma that sRGB can show


@dataclass(frozen=True, slots=True)
class Tones:
    """What is learnt of a photo.

    border: protan b* below which its colours are bluish. width: over how many b* they become so. lightness: its median
    protan L*, below which there is shade. mean_ab: its mean a* and b*, (2,).
    """

    border: float
    width: float
    lightness: float
    mean_ab: Floats


def regrade(pixels: Pixels, palette: Palette, strength: float = 1.0) -> Pixels:
    """Return a photo, (h, w, 3) uint8 sRGB, with its colours moved towards a palette.

    Args:
        pixels: the photo, (h, w, 3) uint8 sRGB.
        palette: where to.
        strength: 0 leaves the photo as it is, 1 goes all the way.
    """
    if strength <= 0:
        return pixels.copy()
    grid = colour_map(tones_of(pixels), palette, strength)
    table = ImageFilter.Color3DLUT((GRID,) * 3, grid.ravel())
    strips = np.array_split(pixels, min(cpu_count() or 1, len(pixels)))
    with ThreadPoolExecutor(len(strips)) as pool:
        return np.concatenate(list(pool.map(lambda strip: np.asarray(Image.fromarray(strip).filter(table)), strips)))


def tones_of(pixels: Pixels) -> Tones:
    """Return what regrading has to know of a photo."""
    small = within(pixels, SMALL_PX)
    protan = seen_lab(small)
    low, middle, high = np.percentile(protan[..., 2], [25, 50, 60])
    width = max(float(high - low), LEAST_BORDER)
    return Tones(
        border=float(np.clip(min(low, middle - CLEAR * width), *FURTHEST_BORDER)),
        width=width,
        lightness=float(np.median(protan[..., 0])),
        mean_ab=lab_of(small)[..., 1:].reshape(-1, 2).mean(axis=0),
    )


def colour_map(tones: Tones, palette: Palette, strength: float) -> Floats:
    """Return the new colours, sRGB in 0..1, of a grid of colours, (GRID, GRID, GRID, 3): by B, then G, then R."""
    levels = np.round(np.linspace(0, 255, GRID)).astype(np.uint8)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    colours = np.stack([red, green, blue], axis=-1)
    lab = lab_of(colours)
    protan = seen_lab(colours)
    shade = SHADE * np.clip((tones.lightness - protan[..., 0]) / DEEP, 0, 1)
    warmth = (1 + np.tanh(2 * ((protan[..., 2] - tones.border) / tones.width - shade))) / 2
    lightness = lab[..., 0]
    target = warmth[..., None] * palette.leaf.at(lightness) + (1 - warmth[..., None]) * palette.sky.at(lightness)
    target = target + OWN_COLOUR * (lab[..., 1:] - tones.mean_ab)
    moved = lab.copy()
    moved[..., 1:] += strength * (target - lab[..., 1:])
    return encoded(linear_of_lab(within_gamut(moved)))


def within_gamut(lab: Floats) -> Floats:
    """Return colours of the same L* and hue whose chroma is as large as sRGB can show."""
    low, high = np.zeros(lab.shape[:-1], np.float32), np.ones(lab.shape[:-1], np.float32)
    fits = shows(lab)
    low[fits] = 1
    for _ in range(GAMUT_STEPS):
        middle = ((low + high) / 2).astype(np.float32)
        good = shows(with_chroma(lab, middle))
        low[good], high[~good] = middle[good], middle[~good]
    return with_chroma(lab, low)


def with_chroma(lab: Floats, factor: Floats) -> Floats:
    """Return colours with their chroma multiplied."""
    return np.concatenate([lab[..., :1], lab[..., 1:] * factor[..., None]], axis=-1)


def shows(lab: Floats) -> NDArray[np.bool_]:
    """Tell which colours sRGB can show, but for rounding."""
    linear = linear_of_lab(lab)
    return np.asarray(((linear > -2e-3) & (linear < 1 + 2e-3)).all(axis=-1))
