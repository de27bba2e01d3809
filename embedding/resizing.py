"""A large picture becomes as small as an encoder takes it, antialiased as Pillow does it, by PyTorch's vector code.

Both give the same levels but for rounding, and for what is clipped between a pass along the rows and one along the
columns: the first is always along the rows here. Pillow's own takes two to five times as long.
"""

from typing import Any

import numpy as np
from PIL import Image

FEWEST_PIXELS = 1 << 17  # smaller pictures are quick in any way, and need no PyTorch
FILTERS = {Image.Resampling.BICUBIC: "bicubic", Image.Resampling.BILINEAR: "bilinear"}


def whole_resized(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling, most: int
) -> Image.Image | None:
    """Return a whole RGB image at another size, with what it says of itself; None where Pillow had better do it.

    Args:
        image: the picture.
        size: width and height in pixels.
        resample: bicubic or bilinear.
        most: how many pixels of the result are worth being computed.
    """
    if image.width * image.height < FEWEST_PIXELS or size[0] * size[1] > most:
        return None
    pixels = pixels_where_they_lie(image)
    if pixels is None:
        return None
    import torch  # which is there already wherever a model is

    batch = pixels.permute(2, 0, 1)[None]  # (1, 4, h, w), channels last
    small = torch.nn.functional.interpolate(batch, size=size[::-1], mode=FILTERS[resample], antialias=True)
    picture = Image.fromarray(np.ascontiguousarray(small[0].permute(1, 2, 0).numpy()[..., :3]))
    picture.info = image.info
    return picture


def pixels_where_they_lie(image: Image.Image) -> Any:
    """Return an RGB image's pixels as a uint8 tensor (h, w, 4), the last byte of each without a meaning; not copied.

    None: they lie in several pieces, as those of images of more than 16 MB do.
    """
    import pyarrow as pa
    import torch.utils.dlpack

    try:
        values = pa.array(image).values
    except ValueError:
        return None
    return torch.utils.dlpack.from_dlpack(values).view(image.height, image.width, 4)


def fitted_square(size: tuple[float, float], side_px: int) -> tuple[int, int]:
    """Return the size with the same shape whose longer side is `side_px`."""
    scale = side_px / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
