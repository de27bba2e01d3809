"""A photo's pixels for restyling: upright, 8-bit sRGB, no larger than asked for. Knows no colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aliens.files import PhotoFile
from embedding.decode import MAX_PIXELS, Preprocessing, decode_to_fit, square

Pixels = NDArray[np.uint8]  # (height, width, 3), sRGB

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


def encoder_square(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Return the square (s, s, 3) that an encoder takes of a photo, as `embedding.decode.decode` cuts it."""
    return square(Image.fromarray(pixels), preprocessing)
