"""Smooth fields over a picture: steps without corners, noise, and fields as masks of Pillow's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.arrays import Floats

Numbers = NDArray[np.floating[Any]]  # of either precision

LEVELS = 255


def smooth_step(values: Numbers, low: float, high: float) -> Floats:
    """Return 0 below `low`, 1 above `high`, and a cubic without corners between; falls where `low` is the larger."""
    t = np.clip((values - low) / (high - low), 0, 1)
    stepped: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return stepped


def noise(shape: tuple[int, int], cell_px: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise, (h, w) float32 of mean 0 and about unit variance, whose bumps are `cell_px` wide.

    Source: value noise, Perlin and Hoffert 1989, as a grid of normal numbers that is enlarged bicubically.
    """
    height, width = shape
    rows, columns = int(np.ceil(height / cell_px)) + 3, int(np.ceil(width / cell_px)) + 3
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    size = max(width, round(columns * cell_px)), max(height, round(rows * cell_px))
    enlarged = np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC))
    return enlarged[:height, :width] * np.float32(1.4)


def field_mask(field: Numbers, size: tuple[int, int]) -> Image.Image:
    """Return a field of 0..1, (h, w), as a greyscale picture of (width, height)."""
    levels = np.round(np.clip(field, 0, 1) * LEVELS).astype(np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


def multiplied(mask: Image.Image, factor: float) -> Image.Image:
    """Return a mask, or a picture, with every level multiplied."""
    return mask.point([min(LEVELS, round(level * factor)) for level in range(LEVELS + 1)] * len(mask.getbands()))
