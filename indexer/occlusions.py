"""What covers the photos of Hotels-50K's test: a mask beside each photo, and how much of the picture it covers.

Source: the README of Hotels-50K: shapes of people of MS COCO, drawn over photos in three sizes. Which of a mask's two
values stands for what is covered is not said there, and is told by the photo: what is covered has one colour.
"""

import os
from dataclasses import dataclass

import numpy as np

from base.arrays import Bools
from base.files import read_regular
from embedding.decode import MAX_PIXELS, damage_as_photo_error, decode_to_fit, open_image
from indexer.sources import FoundPhoto

MASKS = "masks"  # the folder of masks, beside the photos


@dataclass(frozen=True, slots=True)
class Mask:
    """A photo of the test, by its number, and the file that says what of it is covered."""

    image_id: int
    photo: str
    path: str

    def covered_share(self) -> float:
        """Return the share of the picture that is covered, 0 to 1.

        Raises:
            OSError: the mask or the photo cannot be read.
            PhotoError: one of them is no picture.
        """
        shape = shape_of(read_regular(self.path))
        if shape.all() or not shape.any():  # which says nothing of where
            return 0.0
        height, width = shape.shape
        photo = decode_to_fit(read_regular(self.photo), (width, height)).resize((width, height))
        pixels = np.asarray(photo, np.float32)
        inside, outside = (float(pixels[part].var(axis=0).sum()) for part in (shape, ~shape))
        covered = shape if inside <= outside else ~shape
        return float(covered.mean())


def shape_of(data: bytes) -> Bools:
    """Return where a mask has the higher of its values, bool (h, w): of its alpha, if that differs, else its lightness.

    Raises: PhotoError: it is no picture.
    """
    with damage_as_photo_error(), open_image(data, MAX_PIXELS) as image:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        values = alpha if alpha.min() != alpha.max() else np.asarray(image.convert("L"))
    middle = (int(values.min()) + int(values.max())) / 2
    return np.asarray(values > middle)


def mask_of(found: FoundPhoto) -> Mask | None:
    """Return the mask of a photo of the test, or None where there is none."""
    folder = os.path.join(os.path.dirname(found.path), MASKS)
    path = os.path.join(folder, f"{found.image_id}.png")
    return Mask(found.image_id, found.path, path) if found.image_id is not None and os.path.isfile(path) else None
