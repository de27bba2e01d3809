"""Maps from colour to colour as Pillow's tables: the grid that they are computed for, and what sRGB can show of it."""

from functools import lru_cache

import numpy as np
from PIL import ImageFilter

from base.arrays import Bools, Floats
from embedding.colour import encoded, lab_of, linear_of_lab
from restyle.protanopia import seen_lab

GRID = 17  # colours along R, G and B that the maps are computed for; those between are interpolated
GAMUT_STEPS = 6  # halvings of the search for the most chroma that sRGB can show


@lru_cache(maxsize=1)
def grid_colours() -> tuple[Floats, Floats]:
    """Return a grid of colours as L*a*b*, (GRID, GRID, GRID, 3), by B, then G, then R, and their protan b*."""
    levels = np.round(np.linspace(0, 255, GRID)).astype(np.uint8)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    colours = np.stack([red, green, blue], axis=-1)
    return lab_of(colours), seen_lab(colours)[..., 2]


def colour_table(lab: Floats) -> ImageFilter.Color3DLUT:
    """Return Pillow's filter that gives the grid's colours these L*a*b*, as far as sRGB shows them."""
    return ImageFilter.Color3DLUT((GRID,) * 3, srgb_of(lab).ravel())


def srgb_of(lab: Floats) -> Floats:
    """Return colours in sRGB, 0..1, with as much of their chroma as it can show."""
    return encoded(linear_of_lab(within_gamut(lab)))


def within_gamut(lab: Floats) -> Floats:
    """Return colours of the same L* and hue whose chroma is as large as sRGB can show."""
    fitted = lab.reshape(-1, 3).copy()
    beyond = ~shows(fitted)
    garish = fitted[beyond]
    low, high = np.zeros(len(garish), np.float32), np.ones(len(garish), np.float32)
    for _ in range(GAMUT_STEPS):
        middle: Floats = ((low + high) / 2).astype(np.float32)
        good = shows(with_chroma(garish, middle))
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    fitted[beyond] = with_chroma(garish, low)
    return fitted.reshape(lab.shape)


def with_chroma(lab: Floats, factor: Floats) -> Floats:
    """Return colours with their chroma multiplied."""
    return np.concatenate([lab[..., :1], lab[..., 1:] * factor[..., None]], axis=-1)


def shows(lab: Floats) -> Bools:
    """Tell which colours sRGB can show, but for rounding."""
    linear = linear_of_lab(lab)
    return np.asarray(((linear > -2e-3) & (linear < 1 + 2e-3)).all(axis=-1))
