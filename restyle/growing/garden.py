"""A photo's garden: all that may grow in it, drawn once, and laid over the photo in any amount.

Plants stand in an order, and less of them is a prefix: the same plants, fewer. Composing is cheap, drawing is not.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from os import cpu_count
from typing import Self

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from base.arrays import Pixels
from restyle.growing.dapple import light_and_shade
from restyle.growing.leaves import Brush
from restyle.growing.plant import Plant
from restyle.growing.planting import Beds, beds_of
from restyle.growing.scene import Scene
from restyle.smoothing import as_mask

BEHIND = 5  # fronds that are behind the flowers
FIRST, EARLY, LATE = 4.0, 2.2, 1.3  # how fast light and vines come with strength, and fronds go without it
DEEP = 0.55  # of the light in the shade that is left right behind a leaf
GOLD, SHADE = 0.95, 0.88  # how much of golden light and of blue shade there is at most


@dataclass(frozen=True, slots=True)
class Shadow:
    """What plants cast on what is behind them. offset, blur: in longer sides. depth: 0..1."""

    offset: float
    blur: float
    depth: float


NEAR, FAR = Shadow(0.008, 0.004, 0.55), Shadow(0.02, 0.012, 0.30)  # of vines on walls, and of fronds before the room


@dataclass(frozen=True, kw_only=True, slots=True)
class Amounts:
    """How much there is of everything, 0..1.

    light: golden light and blue shade. dark: how far light also lightens and shade darkens.
    """

    light: float = 1.0
    dark: float = 1.0
    fronds: float = 1.0
    vines: float = 1.0
    hanging: float = 1.0

    @property
    def named(self) -> dict[str, float]:
        """All of them by their names."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def times(self, share: float) -> Self:
        """Return so much of them all."""
        return replace(self, **{name: amount * share for name, amount in self.named.items()})

    def at(self, strength: float) -> Self:
        """Return what is left of them with less strength, 0..1.

        Darkness goes first, and fronds: with these a photo is soonest taken for another one, hardly ever with vines.
        """
        early, late = min(1.0, EARLY * strength), max(0.0, 1 - LATE * (1 - strength))
        shares = {"light": min(1.0, FIRST * strength), "dark": strength * strength, "fronds": late}
        return replace(self, **{name: amount * shares.get(name, early) for name, amount in self.named.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Garden:
    """The photo in several lights, RGB; where which falls, L; and the plants.

    start: as it is regraded. golden, bright: in golden light, as light as it is and lighter. blue, dark: in shade, as
    light and darker. deep: right behind leaves. lit, shaded: masks. around: how light it is around plants, RGB.
    light_x: where light comes from, -1..1.
    """

    start: Image.Image
    golden: Image.Image
    bright: Image.Image
    blue: Image.Image
    dark: Image.Image
    deep: Image.Image
    lit: Image.Image
    shaded: Image.Image
    around: Image.Image
    light_x: float
    beds: Beds

    def reduced(self, factor: int) -> Self:
        """Return it so many times smaller."""
        if factor <= 1:
            return self
        names = ("start", "golden", "bright", "blue", "dark", "deep", "lit", "shaded", "around")
        smaller = {name: getattr(self, name).reduce(factor) for name in names}
        return replace(self, **smaller, beds=self.beds.reduced(factor))

    def composed(self, amounts: Amounts) -> Image.Image:
        """Return the photo with so much of its garden."""
        light = Image.blend(self.golden, self.bright, amounts.dark)
        shade = Image.blend(self.blue, self.dark, amounts.dark)
        picture = Image.composite(light, self.start, multiplied(self.lit, GOLD * amounts.light))
        picture = Image.composite(shade, picture, multiplied(self.shaded, SHADE * amounts.light))
        for plants, shadow in zip(self.planted(amounts), (NEAR, FAR), strict=True):
            if plants:
                picture = self._planted(picture, plants, shadow)
        return picture

    def planted(self, amounts: Amounts) -> tuple[list[Plant], list[Plant]]:
        """Return the plants that are there then, on walls and before the room, those behind first."""
        on_walls = list(first(self.beds.vines, amounts.vines))
        from_above, fronds = first(self.beds.hanging, amounts.hanging), first(self.beds.fronds, amounts.fronds)
        behind, flowers = min(len(fronds), BEHIND), first(self.beds.umbels, max(0.0, 2 * amounts.fronds - 1))
        return on_walls, [*from_above, *fronds[:behind], *flowers, *fronds[behind:]]

    def _planted(self, picture: Image.Image, plants: Sequence[Plant], shadow: Shadow) -> Image.Image:
        """Return a picture with plants before it, and their shadow on it."""
        leaves = Image.new("RGBA", picture.size)
        for plant in plants:
            leaves.alpha_composite(plant.picture, (plant.left, plant.top))
        alpha, longer = leaves.getchannel("A"), max(picture.size)
        away = round(-0.6 * self.light_x * shadow.offset * longer), round(0.8 * shadow.offset * longer)
        behind = Image.new("L", picture.size)
        behind.paste(alpha, away)
        behind = behind.filter(ImageFilter.GaussianBlur(shadow.blur * longer))
        picture = Image.composite(self.deep, picture, multiplied(behind, shadow.depth))
        picture.paste(ImageChops.multiply(leaves.convert("RGB"), self.around), (0, 0), alpha)
        return picture


def first(plants: Sequence[Plant], amount: float) -> Sequence[Plant]:
    """Return so much of the plants, 0..1: the first of them."""
    return plants[: round(amount * len(plants))]


def garden_of(scene: Scene, start: Pixels, brush: Brush, seed: int) -> Garden:
    """Return the garden of a photo, (h, w, 3), as it is regraded. The same seed gives a photo the same one."""
    picture, size, dyes = Image.fromarray(start), (scene.width_px, scene.height_px), brush.dyes
    light_seed, bed_seed = np.random.SeedSequence((seed, scene.digest)).spawn(2)
    lit, shaded = light_and_shade(scene, np.random.default_rng(light_seed))
    with ThreadPoolExecutor(cpu_count()) as pool:
        golden, bright, blue, dark = pool.map(picture.filter, (dyes.golden, dyes.bright, dyes.blue, dyes.dark))
    around = as_mask(np.clip(0.46 + 0.75 * scene.surroundings, 0.5, 1), size, Image.Resampling.BICUBIC)
    return Garden(
        start=picture,
        golden=golden,
        bright=bright,
        blue=blue,
        dark=dark,
        deep=multiplied(dark, DEEP),
        lit=as_mask(lit, size, Image.Resampling.BICUBIC),
        shaded=as_mask(shaded, size, Image.Resampling.BICUBIC),
        around=Image.merge("RGB", [around] * 3),
        light_x=scene.light_x,
        beds=beds_of(scene, brush, bed_seed),
    )


def multiplied(mask: Image.Image, factor: float) -> Image.Image:
    """Return a mask, or a picture, with every level multiplied."""
    return mask.point([min(255, round(level * factor)) for level in range(256)] * len(mask.getbands()))
