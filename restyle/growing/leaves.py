"""Single leaves and flowers as small pictures: shaped by formulas, turned, sized and coloured when asked for."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter
from scipy.interpolate import PchipInterpolator

from base.arrays import Floats
from restyle.growing.dyes import HEART, HUES, TONES, Dyes, dyed

Shape = Literal["ivy", "heart", "oval", "lance"]
SHAPED_PX = 112  # of the square that a leaf is shaped in
TURNS = 36  # directions that leaves are drawn in
LEVELS = 9  # brightnesses that a leaf is drawn in, tones apart by LEVEL
LEVEL = 0.06
MOST_KEPT = 6000  # coloured leaves: some 10 MB
FOLD = 0.17  # of tone that the halves of a leaf differ by from its middle
SHADE_INK, SHADE_ALPHA, SHADE_SIZE = (6, 16, 18), 0.5, 1.22  # under each leaf, on those behind it

# Half widths along the midrib, as shares of the length.
WIDTHS: dict[Shape, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "heart": ((0, 0.03, 0.12, 0.28, 0.5, 0.75, 0.9, 1), (0.02, 0.2, 0.36, 0.41, 0.33, 0.16, 0.055, 0)),
    "oval": ((0, 0.1, 0.25, 0.45, 0.65, 0.85, 1), (0.02, 0.12, 0.22, 0.26, 0.22, 0.1, 0)),
    "lance": ((0, 0.1, 0.3, 0.5, 0.75, 1), (0.02, 0.07, 0.13, 0.13, 0.07, 0)),
}
# Radii of an ivy leaf around where its veins meet, over the angle from its tip in degrees.
IVY_DEGREES = (0, 14, 30, 48, 60, 76, 95, 112, 130, 155, 172, 180)
IVY_RADII = (1, 0.8, 0.6, 0.66, 0.78, 0.62, 0.5, 0.56, 0.5, 0.38, 0.22, 0.1)
IVY_VEINS = (0.0, 58.0, 115.0)
IVY_CENTRE = 0.34  # along the square


@dataclass(frozen=True, slots=True)
class Formed:
    """A leaf that points to the right, (s, s) float32 each: what it covers, its tone 0..1, and -1..1 over its fold."""

    alpha: Floats
    tone: Floats
    fold: Floats


@lru_cache(maxsize=8)
def formed(shape: Shape) -> Formed:
    """Return a leaf's shape."""
    rows, columns = np.mgrid[0:SHAPED_PX, 0:SHAPED_PX].astype(np.float32) / (SHAPED_PX - 1)
    across = rows - 0.5
    along = (columns - 0.04) / 0.92
    return ivy(columns - IVY_CENTRE, across) if shape == "ivy" else simple(shape, along, across)


def simple(shape: Shape, along: Floats, across: Floats) -> Formed:
    """Return a leaf with one midrib, of `along` 0..1 from stalk to tip and `across`, in lengths."""
    across = across - 0.05 * along * along  # it bends a little
    profile = PchipInterpolator(*WIDTHS[shape])
    width = np.where((along >= 0) & (along <= 1), profile(np.clip(along, 0, 1)), 0).astype(np.float32)
    alpha = np.clip((width - np.abs(across)) * SHAPED_PX / 1.6 + 0.5, 0, 1) * (width > 0)
    part = np.clip(np.abs(across) / np.maximum(width, 0.01), 0, 1.2)
    veins = 0.03 * np.cos(2 * np.pi * (along * 8 - part * 1.6)) * np.minimum(part * 3, 1)
    midrib = 0.16 * np.exp(-((across / 0.014) ** 2)) * (1 - 0.6 * along)
    tone = 0.5 + 0.10 * (along - 0.5) - 0.07 * part**2 + midrib + veins
    return Formed(alpha.astype(np.float32), tone.astype(np.float32), side_of_fold(across, np.maximum(width, 0.05)))


def ivy(right: Floats, across: Floats) -> Formed:
    """Return an ivy leaf, of coordinates from where its veins meet, in widths of the square."""
    degrees = np.degrees(np.arctan2(np.abs(across), right))
    radius = np.hypot(right, across) / 0.62
    edge = PchipInterpolator(IVY_DEGREES, IVY_RADII)(degrees).astype(np.float32)
    alpha = np.clip((edge - radius) * SHAPED_PX * 0.62 / 1.6 + 0.5, 0, 1)
    part = np.clip(radius / np.maximum(edge, 0.05), 0, 1.2)
    aside = np.min([np.abs(np.sin(np.radians(degrees - vein))) * radius for vein in IVY_VEINS], axis=0)
    veins = 0.17 * np.exp(-((aside / 0.03) ** 2)) * (1 - 0.7 * np.minimum(part, 1))
    tone = 0.48 - 0.06 * part**2 + veins
    return Formed(alpha.astype(np.float32), tone.astype(np.float32), side_of_fold(across, np.float32(0.25)))


def side_of_fold(across: Floats, width: Floats | np.float32) -> Floats:
    """Return on which side of the fold there is what, -1..1."""
    fold: Floats = np.clip(across / (0.18 * width), -1, 1).astype(np.float32)
    return fold


@lru_cache(maxsize=4096)
def turned_leaf(shape: Shape, length_px: int, turn: int, light_x: float) -> tuple[Image.Image, Image.Image]:
    """Return tones and mask of a leaf of a length, turned, its halves lit from above and one side."""
    leaf, angle = formed(shape), 2 * np.pi * turn / TURNS
    facing = -np.sin(angle) * light_x * 0.6 - np.cos(angle) * 0.8  # of its lower half, when it points to the right
    tone = np.clip(leaf.tone + FOLD * leaf.fold * facing, 0, 1)
    both = Image.merge("LA", [Image.fromarray(np.round(each * 255).astype(np.uint8)) for each in (tone, leaf.alpha)])
    both = both.rotate(-np.degrees(angle), Image.Resampling.BICUBIC, expand=True)
    side = max(3, round(length_px * both.width / SHAPED_PX))
    tones, alpha = both.resize((side, side), Image.Resampling.LANCZOS).split()
    return tones, alpha


@dataclass(slots=True)
class Brush:
    """What stamps leaves and flowers, lit from one side; it keeps what it has coloured."""

    dyes: Dyes
    light_x: float
    coloured: dict[tuple[object, ...], Image.Image] = field(default_factory=dict)
    tables: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def leaf(self, shape: Shape, length_px: float, angle: float, level: int, hue: int) -> Image.Image:
        """Return a leaf. angle: that it points in, in radians, clockwise from right. level, hue: 0 is the usual."""
        size, turn = rounded_px(length_px), round(angle / (2 * np.pi) * TURNS) % TURNS
        level, hue = int(np.clip(level, -LEVELS // 2, LEVELS // 2)), int(np.clip(hue + 2, 0, len(HUES) - 1))
        key = (shape, size, turn, level, hue)
        if key not in self.coloured:
            self.coloured[key] = dyed(*turned_leaf(shape, size, turn, self.light_x), self._table(hue, level))
        return self.coloured[key]

    def _table(self, hue: int, level: int) -> bytes:
        """Return the inks of a hue, so much lighter."""
        if (hue, level) not in self.tables:
            shifted = np.clip(np.arange(TONES) + round(level * LEVEL * TONES), 0, TONES - 1)
            self.tables[hue, level] = self.dyes.leaves[hue][shifted].tobytes()
        return self.tables[hue, level]

    def rested(self) -> "Brush":
        """Return it for the next photo: without what it has coloured where that is much."""
        if len(self.coloured) > MOST_KEPT:
            self.coloured.clear()
        return self

    def shade(self, shape: Shape, length_px: float, angle: float) -> Image.Image:
        """Return the shade that such a leaf casts on those right behind it."""
        size, turn = rounded_px(length_px * SHADE_SIZE), round(angle / (2 * np.pi) * TURNS) % TURNS
        key = (shape, size, turn)
        if key not in self.coloured:
            _, alpha = turned_leaf(shape, size, turn, self.light_x)
            soft = alpha.filter(ImageFilter.GaussianBlur(0.07 * size))
            picture = Image.new("RGBA", alpha.size, SHADE_INK)
            picture.putalpha(soft.point([round(level * SHADE_ALPHA) for level in range(256)]))
            self.coloured[key] = picture
        return self.coloured[key]

    def flower(self, across_px: float, turn: int, level: int = 0) -> Image.Image:
        """Return a flower of five petals; `turn` 0..4 turns it, `level` 0 is the usual brightness."""
        size = max(5, round(across_px))
        key = ("flower", size, turn, level)
        if key not in self.coloured:
            shaped = flower_of(self.dyes, turn, level * LEVEL)
            self.coloured[key] = shaped.resize((size, size), Image.Resampling.LANCZOS)
        return self.coloured[key]


def rounded_px(length_px: float) -> int:
    """Return a length rounded to a tenth of itself, so that few sizes are drawn."""
    if length_px <= 12:
        return max(3, round(length_px))
    return round(12 * 1.1 ** round(math.log(length_px / 12, 1.1)))


@lru_cache(maxsize=64)
def petals(turn: int, side_px: int = 48) -> tuple[Floats, Floats, Floats]:
    """Return of a flower, (s, s) each: what it covers, the tone of its petals, and how much of it is its heart."""
    rows, columns = np.mgrid[0:side_px, 0:side_px].astype(np.float32) / (side_px - 1) * 2 - 1
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns) + turn * 2 * np.pi / 25
    wave = np.abs(np.cos(2.5 * angle))
    edge = 0.42 + 0.52 * wave**0.55
    alpha = np.clip((edge - radius) * side_px / 4 + 0.5, 0, 1)
    tone = 0.50 + 0.34 * np.clip(radius / edge, 0, 1) - 0.24 * (1 - wave) + 0.08 * -rows
    heart = np.clip((0.2 - radius) * 20, 0, 1)
    return alpha.astype(np.float32), np.clip(tone, 0, 1).astype(np.float32), heart.astype(np.float32)


def flower_of(dyes: Dyes, turn: int, brighter: float) -> Image.Image:
    """Return a flower at the size that it is shaped in."""
    alpha, tone, heart = petals(turn)
    tone = np.clip(tone + brighter, 0, 1)
    colours = dyes.petals[np.round(tone * (TONES - 1)).astype(int)].astype(np.float32)
    colours += (1 + min(brighter, 0)) * heart[..., None] * (np.array(HEART, np.float32) - colours)
    picture = np.concatenate([colours, 255 * alpha[..., None]], axis=-1)
    return Image.fromarray(np.round(picture).astype(np.uint8), "RGBA")
