"""Pictures that tests of restyling share, made by rule."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


def room(seed: int = 0, size: tuple[int, int] = (320, 240), hue: tuple[int, int, int] = (214, 170, 130)) -> np.ndarray:
    """Return a picture with the structure of a room, (h, w, 3): walls, floor, furniture, a little noise."""
    random = np.random.default_rng(seed)
    width, height = size
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = hue
    horizon = int(height * random.uniform(0.5, 0.7))
    picture[horizon:] *= 0.7
    for _ in range(12):
        top, left = random.integers(0, height * 3 // 4), random.integers(0, width * 3 // 4)
        bottom, right = top + random.integers(8, height // 3), left + random.integers(8, width // 3)
        picture[top:bottom, left:right] = random.integers(20, 250, 3)
    picture += random.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def texture(seed: int = 0, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """Return a picture full of details."""
    noise = np.random.default_rng(seed).normal(size=(size[1], size[0], 3))
    blurred = gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 300 * blurred, 0, 255).astype(np.uint8)


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Return one colour."""
    return np.asarray(Image.new("RGB", size, colour))


def mosaic(seed: int = 0, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """Return a picture full of sharp details: tiles of 4 x 4 pixels."""
    tiles = np.random.default_rng(seed).integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
    return tiles.repeat(4, axis=0).repeat(4, axis=1)


def wall(colour: tuple[int, int, int], size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """Return a wall with one dark thing at it."""
    picture = flat(colour, size).copy()
    picture[size[1] * 5 // 8 : size[1] * 7 // 8, size[0] // 8 : size[0] // 3] = (40, 45, 50)
    return picture
