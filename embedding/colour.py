"""Pixels as arrays, and their colours in L*a*b*."""

import numpy as np
from PIL import Image

from base.arrays import Floats, Pixels
from base.files import PhotoFile
from embedding.brightness import EPSILON, KAPPA, LINEAR, XYZ_FROM_RGB
from embedding.decode import MAX_PIXELS, Preprocessing, decode_to_fit, square

FAR_PX = 1 << 16  # a side that no photo reaches
REDUCING_GAP = 3.0  # times the wanted size that pixels are averaged down to before they are resampled: twice as fast


def read_pixels(file: PhotoFile, longest_px: int | None = None, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return a photo's pixels, (h, w, 3) uint8 sRGB, upright, its longer side at most `longest_px`; never enlarged.

    Greyscale, CMYK, 16-bit and animated photos (the first frame) come as people see them, transparency on white.

    Raises:
        OSError: the file is gone or cannot be read.
        PhotoError: it is no photo, damaged, or holds more than `max_pixels` pixels.
    """
    side_px = longest_px or FAR_PX
    return np.asarray(decode_to_fit(file.read(), (side_px, side_px), max_pixels))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the pixels resampled (Lanczos) to a size given as (width, height) in pixels."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP))


def within(pixels: Pixels, longest_px: int) -> Pixels:
    """Return the pixels with a longer side of at most so many pixels, the aspect ratio kept."""
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    return pixels if scale >= 1 else resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))


def reduced(pixels: Pixels, longest_px: int) -> Pixels:
    """Return the pixels averaged over whole squares, the longer side at most so long, and more than half of that.

    Several times as quick as `within`, for what is only learnt from.
    """
    factor = -(-max(pixels.shape[:2]) // longest_px)
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


def encoder_square(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Return the square (s, s, 3) that an encoder takes of a photo, as `embedding.decode.decode` cuts it."""
    return square(Image.fromarray(pixels), preprocessing)


WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


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
