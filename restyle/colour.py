"""sRGB and CIE L*a*b* (D65, 2 degrees), quickly enough for whole photos. Knows no colour vision.

Source: IEC 61966-2-1 for sRGB; CIE 15:2004 for L*a*b*. scikit-image's rgb2lab gives the same, some ten times slower.
"""

import numpy as np
from numpy.typing import NDArray

from restyle.pixels import Pixels

Floats = NDArray[np.float32]

XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
EPSILON, KAPPA = 216 / 24389, 24389 / 27  # CIE's: below EPSILON the cube root is a straight line

_levels = np.arange(256) / 255
LINEAR = np.where(_levels <= 0.04045, _levels / 12.92, ((_levels + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_of(pixels: Pixels) -> Floats:
    """Return linear RGB in 0..1, float32, of sRGB uint8 (..., 3)."""
    linear: Floats = LINEAR[pixels]
    return linear


def encoded(linear: Floats) -> Floats:
    """Return sRGB in 0..1 of linear RGB, clipped to what sRGB can show."""
    linear = np.clip(linear, 0, 1)
    srgb: Floats = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)
    return srgb


def lab_of_linear(linear: Floats) -> Floats:
    """Return L*a*b* (..., 3) float32 of linear RGB."""
    xyz = linear @ (XYZ_FROM_RGB / WHITE[:, None]).T.astype(np.float32)
    f = np.where(xyz > EPSILON, np.cbrt(xyz), (KAPPA * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    lab: Floats = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)
    return lab


def lab_of(pixels: Pixels) -> Floats:
    """Return L*a*b* (..., 3) float32 of sRGB uint8 (..., 3)."""
    return lab_of_linear(linear_of(pixels))


def linear_of_lab(lab: Floats) -> Floats:
    """Return linear RGB (..., 3) of L*a*b*; beyond 0..1 where sRGB cannot show the colour."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f**3 > EPSILON, f**3, (116 * f - 16) / KAPPA) * WHITE
    linear: Floats = (xyz @ np.linalg.inv(XYZ_FROM_RGB).T).astype(np.float32)
    return linear
