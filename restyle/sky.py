"""Where a photo shows sky and water: told by colour, evenness and place, without a model. Changes nothing.

A guess: a blue bedspread lies where a pool could, a bluish white ceiling where an overcast sky is.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from base.arrays import Bools, Floats, Longs, Pixels
from embedding.colour import lab_of, reduced

SIDE_PX = 200  # the longer side of what is looked at, and of the answer, at most
BLUISH, PLAINLY_BLUE = -3.0, -8.0  # b*
DUSK, NIGHT, PALE = 35.0, 10.0, 80.0  # L* of bluish skies, of plainly blue ones, and of clouds and haze
EVEN_SKY, EVEN_WATER = 2.2, 5.0  # L* a pixel: the steepest slope of clouds and of ripples
REACH_PX = 5  # that a patch grows over what is as blue or pale, but not even: its rim, gaps between clouds
EDGE_PX = 1.0  # standard deviation of what the border is softened by


@dataclass(frozen=True, slots=True)
class Patches:
    """Connected pixels.

    number: of each pixel's patch, from 1, 0 for none, (h, w). share: of the photo. b: mean b*. bluish: share of bluish
    pixels. down: how far down its middle lies, 0 top, 1 bottom. at_top: whether it touches the top.
    """

    number: Longs
    share: Floats
    b: Floats
    bluish: Floats
    down: Floats
    at_top: Bools

    def shown(self, wanted: Bools) -> Bools:
        """Return the pixels of the patches that are wanted, (h, w)."""
        return np.concatenate([[False], wanted])[self.number]


def sky_of(pixels: Pixels) -> Floats:
    """Return how surely each part of a photo is sky or water, (h, w) float32 in 0..1, its longer side at most 200 px.

    pixels: the photo, (h, w, 3) uint8 sRGB, of any size.
    """
    return sky_in(lab_of(reduced(pixels, SIDE_PX)))


def sky_in(lab: Floats) -> Floats:
    """Return the same of L*a*b*, (h, w, 3), of a photo that is no larger than 200 px."""
    slope = ndimage.gaussian_gradient_magnitude(lab[..., 0], 1.0)
    shown = skies(lab, slope) | waters(lab, slope)
    soft: Floats = ndimage.gaussian_filter(shown.astype(np.float32), EDGE_PX)
    return soft


def skies(lab: Floats, slope: Floats) -> Bools:
    """Return which pixels are sky: even and bluish or pale, in patches that touch the top or lie high and are blue."""
    lightness, b = lab[..., 0], lab[..., 2]
    bluish = ((b < BLUISH) & (lightness > DUSK)) | ((b < PLAINLY_BLUE) & (lightness > NIGHT))
    pale = (lightness > PALE) & (b < -BLUISH)
    colour = bluish | pale
    found = patches(colour & (slope < EVEN_SKY), b)
    at_top = found.at_top & (found.share > 0.015) & (found.b < -5) & (found.bluish > 0.5)
    high = (found.down < 0.55) & (found.share > 0.004) & (found.b < PLAINLY_BLUE)
    return grown(found.shown(at_top | high), colour)


def waters(lab: Floats, slope: Floats) -> Bools:
    """Return which pixels are water: turquoise to blue, with ripples at most, in large patches that lie low."""
    lightness, a, b = lab[..., 0], lab[..., 1], lab[..., 2]
    watery = (-b - 0.3 * a > 8) & (b < 2) & (a < 8) & (lightness > 20)
    found = patches(watery & (slope < EVEN_WATER), b)
    return grown(found.shown((found.down > 0.4) & (found.share > 0.02) & (found.b < -4)), watery)


def grown(found: Bools, colour: Bools) -> Bools:
    """Return what was found, (h, w), grown a little over what has the same colour."""
    return np.asarray(ndimage.binary_dilation(found, iterations=REACH_PX, mask=colour)) if found.any() else found


def patches(chosen: Bools, b: Floats) -> Patches:
    """Return the connected patches of chosen pixels, (h, w); of their b* and place see `Patches`."""
    number, count = ndimage.label(chosen)
    flat = number.ravel()

    def mean(values: Floats) -> Floats:
        sums = np.bincount(flat, values.ravel(), count + 1)[1:]
        return np.asarray(sums / sizes, np.float32)

    sizes = np.bincount(flat, minlength=count + 1)[1:]
    rows = ((np.indices(chosen.shape)[0] + 0.5) / len(chosen)).astype(np.float32)
    at_top = np.isin(np.arange(1, count + 1), number[0])
    share = (sizes / chosen.size).astype(np.float32)
    return Patches(number, share, mean(b), mean((b < BLUISH).astype(np.float32)), mean(rows), at_top)
