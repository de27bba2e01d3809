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
