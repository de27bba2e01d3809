"""How light pixels are: linear light, its luminance, CIE lightness L*, and a photo's brightness. Decodes nothing."""

import numpy as np

from base.arrays import Floats, Pixels

XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
EPSILON, KAPPA = 216 / 24389, 24389 / 27  # CIE's: below EPSILON the cube root is a straight line
GREY_SPREAD = 10  # R, G and B of a grey photo differ by no more than JPEG's rounding, out of 255
EVERY = 2  # of rows and columns of pixels that a brightness is of: within 0.3 of all of them, at a quarter of the time

_levels = np.arange(256) / 255
LINEAR = np.where(_levels <= 0.04045, _levels / 12.92, ((_levels + 0.055) / 1.055) ** 2.4).astype(np.float32)


def cie_lightness(luminance: Floats) -> Floats:
    """Return CIE lightness L*, 0 to 100, of relative luminances Y in 0..1, of the same shape.

    Source: CIE 15:2018, section 8.2.1; sRGB's Y by IEC 61966-2-1.
    """
    root = np.where(luminance > EPSILON, np.cbrt(luminance), (KAPPA * luminance + 16) / 116)
    lightness: Floats = (116 * root - 16).astype(np.float32)
    return lightness


LUMINANCES = LINEAR[:, None] * XYZ_FROM_RGB[1].astype(np.float32)  # (256, 3): what a level of R, G, B adds to Y


def brightness_of(pixels: Pixels) -> float:
    """Return a photo's brightness: the mean of its pixels' CIE lightness L*, 0 (black) to 100 (white).

    pixels: (h, w, 3) uint8 sRGB, at least one.
    """
    part = pixels[::EVERY, ::EVERY]
    luminance = LUMINANCES[part[..., 0], 0] + LUMINANCES[part[..., 1], 1] + LUMINANCES[part[..., 2], 2]
    return round(float(cie_lightness(luminance).mean()), 2)


def is_grey(pixels: Pixels) -> bool:
    """Tell whether a uint8 (s, s, 3) photo has no colour."""
    red, green, blue = np.moveaxis(pixels[::4, ::4].astype(np.int16), 2, 0)
    return all(np.abs(one - other).max() <= GREY_SPREAD for one, other in ((red, green), (green, blue), (blue, red)))
