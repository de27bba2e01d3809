"""What the frozen part of the backbone makes of pictures: computed once, kept in parts, gone on with after a kill.

A picture gives several crops: the middle, as the encoder takes it, and random ones, mirrored and in changed light.
Kept is what goes into the backbone's last blocks, which are trained: 17 x 17 places of 120 channels for each crop.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from base.arrays import read_npy
from base.errors import SourceError
from base.files import atomic_write
from training.backbone import SIDE_PX

FROZEN = 5  # of the backbone's seven stages
CROPS = 4  # of a picture
PART = 64  # pictures to a file
Half = NDArray[np.float16]
Made = TypeVar("Made")


def middle(image: Image.Image) -> Image.Image:
    """Return the middle square, as the encoder takes it."""
    scale = SIDE_PX / min(image.size)
    size = (max(round(image.width * scale), SIDE_PX), max(round(image.height * scale), SIDE_PX))
    large = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (large.width - SIDE_PX) // 2, (large.height - SIDE_PX) // 2
    return large.crop((left, top, left + SIDE_PX, top + SIDE_PX))


def random_crop(image: Image.Image, r: random.Random) -> Image.Image:
    """Return most of a picture as a square, perhaps mirrored, in other light, less sharp."""
    share, ratio = r.uniform(0.6, 1.0), r.uniform(0.8, 1.25)
    width = min(image.width, round((image.width * image.height * share * ratio) ** 0.5))
    height = min(image.height, round((image.width * image.height * share / ratio) ** 0.5))
    left, top = r.randint(0, image.width - width), r.randint(0, image.height - height)
    box = (left, top, left + width, top + height)
    square = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box)
    if r.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        square = change(square).enhance(r.uniform(0.75, 1.25))
    if r.random() < 0.25:
        square = square.filter(ImageFilter.GaussianBlur(r.uniform(0.3, 1.2)))
    if r.random() < 0.4:
        grain = np.random.default_rng(r.randrange(1 << 30)).normal(0, r.uniform(2, 10), (SIDE_PX, SIDE_PX, 1))
        square = Image.fromarray(np.clip(np.asarray(square, np.float32) + grain, 0, 255).astype(np.uint8))
    return square


def crops_of(path: Path, count: int = CROPS) -> NDArray[np.uint8]:
    """Return a picture's crops, shape (count, 260, 260, 3); the same ones each time."""
    r = random.Random(path.stem)
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    return np.stack([np.asarray(middle(image)), *(np.asarray(random_crop(image, r)) for _ in range(count - 1))])


def compute(paths: Sequence[Path], folder: Path, backbone: Any, tell: Callable[[int], None]) -> None:
    """Compute the features of pictures, PART by PART; whole parts that are there already are left as they are."""
    for first in range(0, len(paths) // PART * PART or len(paths), PART):
        target = folder / f"{first:06d}.npy"
        if not target.exists():
            crops = np.concatenate([crops_of(path) for path in paths[first : first + PART]])
            with atomic_write(target) as file:
                np.save(file, frozen_part(backbone, crops))
        tell(min(first + PART, len(paths)))


def read(folder: Path) -> Half:
    """Return the features of all pictures, shape (pictures, CROPS, channels, 17, 17).

    Raises: SourceError: there are none, or a file is damaged.
    """
    parts = [made_before(part, read_npy) for part in sorted(folder.glob("*.npy"))]
    if not parts:
        raise SourceError(f"there are no features in {folder}: python -m training features")
    whole = np.concatenate(parts)
    return whole.reshape(len(whole) // CROPS, CROPS, *whole.shape[1:])


def made_before(path: Path, read: Callable[[Path], Made]) -> Made:
    """Return what a file that a step has written holds. Raises: SourceError: it is absent or damaged."""
    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path} cannot be used ({error}): remove it, and run the step again that writes it"
        ) from error


def frozen_part(backbone: Any, crops: NDArray[np.uint8], at_once: int = 16) -> Half:
    """Return what the frozen stages make of squares, shape (n, channels, 17, 17)."""
    import torch

    made = []
    with torch.inference_mode():
        for first in range(0, len(crops), at_once):
            pixels = torch.from_numpy(crops[first : first + at_once]).permute(0, 3, 1, 2).float() / 127.5 - 1
            x = backbone.bn1(backbone.conv_stem(pixels.contiguous(memory_format=torch.channels_last)))
            for stage in backbone.blocks[:FROZEN]:
                x = stage(x)
            made.append(x.half().numpy())
    return np.concatenate(made)


def last_part(backbone: Any) -> Any:
    """Return the rest of the backbone as a module, from the frozen part's (n, channels, 17, 17) to (n, 1280)."""
    import torch

    class Rest(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks, self.conv_head, self.bn2 = backbone.blocks[FROZEN:], backbone.conv_head, backbone.bn2

        def forward(self, x: Any) -> Any:
            for stage in self.blocks:
                x = stage(x)
            return self.bn2(self.conv_head(x)).mean((2, 3))

    return Rest().eval()
