"""One plant as a picture in its place, the sheet that it is stamped on, and which way is down."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from base.arrays import Reals

DOWN = np.pi / 2  # radians, clockwise from right, as pictures count
UP = -DOWN
FINER = 3  # times that thin things are drawn larger than they are shown


@dataclass(frozen=True, slots=True)
class Plant:
    """A picture with transparency, and where its upper left corner lies in the photo, in pixels."""

    picture: Image.Image
    left: int
    top: int

    def reduced(self, factor: int) -> Self:
        """Return it so many times smaller, at its place in a photo as many times smaller."""
        return replace(self, picture=self.picture.reduce(factor), left=self.left // factor, top=self.top // factor)

    def covers(self, mask: Image.Image) -> bool:
        """Tell whether it lies over anything of a mask, black and white, of the photo's size."""
        box = (self.left, self.top, self.left + self.picture.width, self.top + self.picture.height)
        return (
            ImageChops.logical_and(
                self.picture.getchannel("A").convert("1", dither=Image.Dither.NONE), mask.crop(box)
            ).getbbox()
            is not None
        )

    def within(self, width_px: int, height_px: int) -> Self | None:
        """Return what of it lies in a photo; None where nothing does."""
        left, top = max(self.left, 0), max(self.top, 0)
        right, bottom = min(self.left + self.picture.width, width_px), min(self.top + self.picture.height, height_px)
        if right <= left or bottom <= top:
            return None
        box = (left - self.left, top - self.top, right - self.left, bottom - self.top)
        return replace(self, picture=self.picture.crop(box), left=left, top=top)


def softened(picture: Image.Image, sigma_px: float) -> Image.Image:
    """Return a picture blurred, its colours weighted by how opaque they are."""
    if sigma_px < 0.25:
        return picture
    return picture.convert("RGBa").filter(ImageFilter.GaussianBlur(sigma_px)).convert("RGBA")


@dataclass(slots=True)
class PlantSheet:
    """What leaves are stamped on, around points of the photo (n, 2) with a margin; it moves with them."""

    left: int
    top: int
    picture: Image.Image
    stamped: int = field(default=0)

    @classmethod
    def around(cls, points: Reals, margin_px: float) -> Self:
        """Return an empty one around points."""
        low = np.floor(points.min(axis=0) - margin_px).astype(int)
        high = np.ceil(points.max(axis=0) + margin_px).astype(int)
        width, height = (high - low).tolist()
        return cls(int(low[0]), int(low[1]), Image.new("RGBA", (max(width, 1), max(height, 1))))

    def stamp(self, picture: Image.Image, x: float, y: float) -> None:
        """Lay a picture over what is there, its middle at a point of the photo."""
        left, top = round(x - picture.width / 2) - self.left, round(y - picture.height / 2) - self.top
        if left >= 0 and top >= 0:
            self.picture.alpha_composite(picture, (left, top))
            self.stamped += 1

    def plant(self, width_px: int, height_px: int) -> Plant | None:
        """Return what was stamped as a plant of a photo of this size; None where nothing of it is seen."""
        box = self.picture.getbbox()
        if not self.stamped or box is None:
            return None
        return Plant(self.picture.crop(box), self.left + box[0], self.top + box[1]).within(width_px, height_px)


def stalk(sheet: PlantSheet, points: Reals, thick_px: float, colour: tuple[int, int, int]) -> None:
    """Draw a stem along points of the photo, (n, 2), with smooth edges however thin it is."""
    low = np.floor(points.min(axis=0)).astype(int) - 2
    size = np.ceil(points.max(axis=0)).astype(int) + 3 - low
    mask = Image.new("L", (int(size[0]) * FINER, int(size[1]) * FINER))
    line = [(x, y) for x, y in ((points - low) * FINER).tolist()]
    ImageDraw.Draw(mask).line(line, fill=255, width=max(1, round(thick_px * FINER)), joint="curve")
    picture = Image.new("RGBA", (int(size[0]), int(size[1])), colour)
    picture.putalpha(mask.reduce(FINER))
    sheet.picture.alpha_composite(picture, (max(int(low[0]) - sheet.left, 0), max(int(low[1]) - sheet.top, 0)))
    sheet.stamped += 1
