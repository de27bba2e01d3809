"""Decisions without hard steps: a step with rounded corners, masks, and the guided filter, which smooths but for edges.

Source: He, Sun and Tang 2013, guided image filtering; He and Sun 2015, its coefficients computed of a small picture and
applied to a large one.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from base.arrays import Floats, Reals


def smoothstep(low: float, high: float, values: Reals) -> Floats:
    """Return 0 up to `low`, 1 from `high` on, smooth between (Hermite's); falling where `low` is the larger."""
    t = np.clip((values - low) / (high - low), 0, 1)
    smooth: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return smooth


def as_mask(
    shares: Reals, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Return shares, (h, w) in 0..1, as a mask of 256 levels, of a size (width, height)."""
    return Image.fromarray((np.clip(shares, 0, 1) * 255 + 0.5).astype(np.uint8)).resize(size, resample)


@dataclass(frozen=True, slots=True)
class GuidedFit:
    """Values as straight lines of a guide around each pixel: slopes and offsets, (h, w) float32."""

    slopes: Floats
    offsets: Floats

    def of(self, guide: Floats, top: float = 0.0, bottom: float = 1.0) -> Floats:
        """Return the values by a guide of any size, whose edges they take: all of it, or rows between two shares."""
        height, width = self.slopes.shape
        box = (0, top * height, width, bottom * height)
        slopes, offsets = (
            np.asarray(Image.fromarray(part).resize(guide.shape[::-1], Image.Resampling.BILINEAR, box))
            for part in (self.slopes, self.offsets)
        )
        values: Floats = slopes * guide + offsets
        return values


def guided_fits(guide: Floats, radius_px: int, epsilon: float, *values: Floats) -> list[GuidedFit]:
    """Fit maps to a guide, all (h, w), in squares of `2 * radius_px + 1` pixels.

    Args:
        guide: whose edges are kept, such as lightness.
        radius_px: how far to smooth.
        epsilon: variance of the guide below which it counts as even.
        values: what is to be smoothed.
    """

    def mean(part: Floats) -> Floats:
        smooth: Floats = uniform_filter(part, 2 * radius_px + 1, mode="nearest")
        return smooth

    centre = mean(guide)
    variance = mean(guide * guide) - centre * centre
    fits = []
    for part in values:
        middle = mean(part)
        slope = np.asarray((mean(guide * part) - centre * middle) / (np.maximum(variance, 0) + epsilon), np.float32)
        fits.append(GuidedFit(mean(slope), mean(middle - slope * centre)))
    return fits
