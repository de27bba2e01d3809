"""What growing has to know of a photo: plain surfaces, lines, where the light comes from, where nothing may grow.

All of it is learnt from a small copy, and nothing is drawn.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import ndimage

from base.arrays import Bools, Floats, Pixels
from embedding.colour import lab_of, within
from restyle.sky import sky_of
from restyle.smoothing import smoothstep

ANALYSED_PX = 256  # the longer side of the small copy
LEAST_SIDE_PX = 40  # of the small copy: a strip or a speck has no corners that anything could grow in
TENSOR_PX = 2.4  # blur of the structure tensor: over what a line has to be straight
STEEP = 6.0  # L* a pixel from which on a line is as strong as can be
PLAIN_BLUR, PLAIN = 0.016, (2.4, 0.9)  # share of the longer side; L* a pixel above and below which nothing and all is
SURROUNDING = 0.035  # share of the longer side that lights a plant
SKY = 0.5  # how surely it is sky where nothing grows
BRIGHT = 85  # percentile of L* from which on a pixel counts as light

AnyMap = TypeVar("AnyMap", Floats, Bools)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A photo's maps at the small copy's size, (h, w) float32.

    width_px, height_px: of the photo. lightness: L*, 0..100. lines: 0..1, how much of a straight edge there is. plain:
    0..1, 1 on surfaces without anything. people: bool, where nothing may be drawn. open: 1 where vines may be, 0 there
    and in the sky. indoors: the same, and less where it looks like a view: bluish, or green already. surroundings:
    0..1, how light it is around. busy: slope of L*, blurred. light_x: -1 where the light comes from the left, 1 from
    the right.
    """

    width_px: int
    height_px: int
    lightness: Floats
    lines: Floats
    plain: Floats
    people: Bools
    open: Floats
    indoors: Floats
    surroundings: Floats
    busy: Floats
    light_x: float

    @property
    def longer_px(self) -> int:
        """The photo's longer side."""
        return max(self.width_px, self.height_px)

    @property
    def scale(self) -> float:
        """How many pixels of the photo one of the small copy is."""
        return float(self.width_px / self.lightness.shape[1])

    @property
    def fertile(self) -> bool:
        """Whether it is large enough for anything to grow."""
        return bool(min(self.lightness.shape) >= LEAST_SIDE_PX)

    @property
    def digest(self) -> int:
        """A number that differs from photo to photo, but not by how exactly one was decoded."""
        height, width = self.lightness.shape
        coarse = [part.mean() / 10 for rows in np.array_split(self.lightness, 3) for part in np.array_split(rows, 3, 1)]
        return int(np.dot(np.round(coarse), 11 ** np.arange(9)) + height + width)

    @property
    def bareness(self) -> float:
        """How bare the room is, 0..1: 1 where hardly anything stands in it."""
        return float(1 - smoothstep(0.8, 1.9, self.busy.mean(keepdims=True))[0, 0])


def scene_in(pixels: Pixels, forbidden: Bools | None = None) -> Scene:
    """Return what growing has to know of a photo.

    Args:
        pixels: the photo, (h, w, 3) uint8 sRGB.
        forbidden: bool (h, w), where nothing may grow, such as faces.
    """
    small = within(pixels, ANALYSED_PX)
    lab = lab_of(small)
    lightness, longer = lab[..., 0], max(small.shape[:2])
    across, down = (ndimage.gaussian_filter(lightness, 1.0, order=order) for order in ((0, 1), (1, 0)))
    slope = np.hypot(across, down)
    busy = ndimage.gaussian_filter(slope, PLAIN_BLUR * longer)
    barred = as_large(sky_of(small), small.shape[:2]) > SKY
    people = np.zeros(small.shape[:2], bool)
    if forbidden is not None:
        people = ndimage.binary_dilation(as_large(forbidden, small.shape[:2]), iterations=2)
    grows = 1 - ndimage.gaussian_filter(ndimage.binary_dilation(barred | people).astype(np.float32), 1.0)
    view = np.maximum(smoothstep(-4, -14, lab[..., 2]), smoothstep(-7, -14, lab[..., 1] + 0.3 * np.abs(lab[..., 2])))
    view = ndimage.gaussian_filter(view, 0.01 * longer)
    return Scene(
        width_px=pixels.shape[1],
        height_px=pixels.shape[0],
        lightness=lightness,
        lines=straight_edges(across, down, slope),
        plain=smoothstep(*PLAIN, busy),
        people=people,
        open=grows,
        indoors=grows * (1 - 0.9 * view),
        surroundings=ndimage.gaussian_filter(lightness, SURROUNDING * longer) / 100,
        busy=busy,
        light_x=light_side(lightness),
    )


def straight_edges(across: Floats, down: Floats, slope: Floats) -> Floats:
    """Return how much of a straight edge there is, 0..1: steepness times the cube of the coherence of its direction.

    Source: the structure tensor, Förstner and Gülch 1987.
    """
    xx, yy, xy = (ndimage.gaussian_filter(p, TENSOR_PX) for p in (across * across, down * down, across * down))
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-3)
    lines: Floats = (np.clip(slope / STEEP, 0, 1) * coherence**3).astype(np.float32)
    return lines


def light_side(lightness: Floats) -> float:
    """Return where most light is, from -1 (left) to 1 (right), never nearer to the middle than 0.4."""
    bright = lightness >= np.percentile(lightness, BRIGHT)
    columns = np.nonzero(bright)[1]
    side = 2 * float(columns.mean()) / max(lightness.shape[1] - 1, 1) - 1
    return float(np.copysign(np.clip(2.5 * abs(side), 0.4, 1.0), side if abs(side) > 1e-6 else -1.0))


def as_large(maps: AnyMap, shape: tuple[int, int]) -> AnyMap:
    """Return a map, (h, w) of anything, at another size: each place has the value that lies there."""
    rows, columns = (np.arange(wanted) * had // wanted for wanted, had in zip(shape, maps.shape, strict=True))
    taken: AnyMap = maps[rows[:, None], columns]
    return taken
