"""The colours that plants are drawn in and light falls in, of a palette: leaves, petals, golden light, blue shade."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageFilter

from base.arrays import Floats, Pixels
from restyle.colour_tables import colour_table, grid_colours, srgb_of
from restyle.palettes import Palette, Ramp
from restyle.smoothing import smoothstep

TONES = 256
HUES = (-16.0, -7.0, 0.0, 7.0, 16.0)  # degrees that leaves' hues are turned by
DARKEST_LEAF, LIGHTEST_LEAF = 7.0, 90.0  # L* of tone 0 and 1
LEAF_CHROMA, PETAL_CHROMA = 1.25, 1.6  # times that of the palette's
HEART = (255, 222, 96)  # of a flower: yellow to everybody
BRIGHTER = 9.0  # L* at most that golden light adds
GILDED = -6.0, 10.0  # b* below which no colour turns golden, and above which all do: blue stays blue
QUIET, LOUD = 0.6, (35.0, 75.0)  # of its blue, what shade in the dark has, and L* over which it comes to all of it

Inks = Pixels  # (256, 3): a colour for each tone


@dataclass(frozen=True)
class Dyes:
    """What a palette's plants and light are coloured by."""

    palette: Palette

    @cached_property
    def leaves(self) -> tuple[Inks, ...]:
        """Inks of leaves, one for each of HUES."""
        return tuple(inks(self.palette.leaf, DARKEST_LEAF, LIGHTEST_LEAF, LEAF_CHROMA, turn) for turn in HUES)

    @cached_property
    def petals(self) -> Inks:
        """Inks of petals: what a protanope sees as blue."""
        return inks(self.palette.sky, 22.0, 88.0, PETAL_CHROMA, 0.0)

    @cached_property
    def golden(self) -> ImageFilter.Color3DLUT:
        """What golden light makes of colours: less green than yellow, as light as they are."""
        return changed_table(lambda lab: self._lit(lab, 0.0))

    @cached_property
    def bright(self) -> ImageFilter.Color3DLUT:
        """What golden light makes of colours where it makes them lighter too."""
        return changed_table(lambda lab: self._lit(lab, BRIGHTER))

    @cached_property
    def blue(self) -> ImageFilter.Color3DLUT:
        """What blue shade makes of colours, as light as they are."""
        return changed_table(lambda lab: self._shaded(lab, 1.0))

    @cached_property
    def dark(self) -> ImageFilter.Color3DLUT:
        """What blue shade makes of colours where it darkens them too."""
        return changed_table(lambda lab: self._shaded(lab, 0.78))

    def _lit(self, lab: Floats, lighter: float) -> Floats:
        lightness: Floats = lab[..., :1] + np.float32(lighter) * np.sin(np.float32(np.pi / 100) * lab[..., :1])
        ab = self.palette.leaf.at(lightness[..., 0])
        warm = np.stack([0.26 * ab[..., 0], 0.92 * ab[..., 1] + 11], axis=-1)
        mixed = lab[..., 1:] * np.array([0.2, 0.4], np.float32) + np.float32(0.6) * warm
        gold = smoothstep(*GILDED, lab[..., 2:])
        return np.asarray(lab + gold * (np.concatenate([lightness, mixed], axis=-1) - lab), np.float32)

    def _shaded(self, lab: Floats, kept: float) -> Floats:
        lightness = lab[..., :1] * kept
        blue = QUIET + (1 - QUIET) * smoothstep(*LOUD, lab[..., :1])
        ab = 0.12 * lab[..., 1:] + 0.95 * blue * self.palette.sky.at(lightness[..., 0])
        return np.concatenate([lightness, ab], axis=-1)


def inks(ramp: Ramp, darkest: float, lightest: float, chroma: float, turned: float) -> Inks:
    """Return a colour for each tone, (256, 3) sRGB uint8: the ramp's, its hue turned by so many degrees."""
    lightness = np.linspace(darkest, lightest, TONES, dtype=np.float32)
    cosine, sine = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    a, b = np.moveaxis(ramp.at(np.minimum(lightness, 74)), -1, 0) * chroma
    lab = np.stack([lightness, a * cosine - b * sine, a * sine + b * cosine], axis=-1).astype(np.float32)
    return np.round(srgb_of(lab) * 255).astype(np.uint8)


def changed_table(change: Callable[[Floats], Floats]) -> ImageFilter.Color3DLUT:
    """Return a map from colour to colour as Pillow's filter, of a change of L*a*b* (..., 3)."""
    lab = change(grid_colours()[0]).astype(np.float32)
    lab[..., 0] = np.clip(lab[..., 0], 0, 100)
    return colour_table(lab)


def dyed(tones: Image.Image, alpha: Image.Image, colours: bytes) -> Image.Image:
    """Return tones, greyscale, as a picture in inks, (256, 3) bytes, with a mask of what is not transparent."""
    indexed = tones.copy()
    indexed.putpalette(colours)
    picture = indexed.convert("RGB")
    picture.putalpha(alpha)
    return picture
