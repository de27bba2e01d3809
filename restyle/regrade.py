"""Regrading: a photo in an alien palette's colours without any weights, and the engine that does no more than that."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import ClassVar, Self

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from base.arrays import Floats, Pixels
from embedding.colour import lab_of, reduced
from restyle.colour_tables import colour_table, grid_colours
from restyle.engines.engine import Job, Settings
from restyle.engines.weightless import WeightlessEngine
from restyle.faces import faces_of
from restyle.palettes import Palette
from restyle.protanopia import seen_lab
from restyle.sky import SIDE_PX, sky_in
from restyle.smoothing import GuidedFit, as_mask, guided_fits, smoothstep

VERSION = 3  # of the method: results are made anew where it changes
FINE_PX = 512  # a longer side up to which colours change pixel by pixel, beyond by 2 x 2, as JPEG stores them
STRIP_PIXELS = 1 << 17  # worked on at a time: no thread waits long for another, and memory does not grow with the photo
UNSEEN = 1 / 512  # share of a colour that rounds to no level

# What decides between leaf and sky. Lengths are shares of the longer side.
LEAST_WIDTH = 14.0  # protan b* over which leaf turns to sky, at least: noise in a flat wall is not torn apart
CLEAR = 0.6  # widths that the border lies below the median at least: most of the photo is leaves
FURTHEST_BORDER = (-5.0, 24.0)  # protan b* that the border may lie at: blue stays sky, yellow stays leaf
GREY_BORDER = (-1.5, 4.0)  # a border below the second would run through greys, and lies at the first at most
SHADE, DEEP = 0.6, 30.0  # widths that shade counts as bluer, and how many L* below the median all of it does
CALM, EVEN = 0.016, 12.0  # how far noise is smoothed, and the variance of L* that is still noise
OTHER_COLOUR = (3.5, 9.0)  # b* by which a colour differs from its calm neighbourhood that is no noise
GREY = (4.0, 10.0)  # chroma: below the first all is neutral, above the second nothing
BY_LIGHT = 0.9  # how much of a neutral is decided by its light: leaf where it is light, sky where it is dark
LIT, LIT_OVER = 12.0, 9.4  # L* below the median of what is half leaf; over how many it turns

# What stays of the photo's own colours, 0..1.
OWN_COLOUR, OWN_GREY = 0.35, 0.4  # of the distance from the mean colour: things differ on Earth; of that in greys
OWN_SKY = 0.4  # of skies and water
WHITE, WHITE_CHROMA = (70.0, 92.0), (8.0, 20.0)  # L* and chroma of whites
WHITENESS = 0.82  # of whites
PLAIN_BLUE = (8.0, 24.0)  # protan b* below 0 from which on all is sky, wherever it is
PLAIN_YELLOW = (10.0, 26.0)  # protan b* above the border from which on all is leaf
REDDEST = 5.0  # a* over the palette's: what is left of reds


@dataclass(frozen=True, slots=True)
class Tones:
    """What is learnt of a photo.

    border: protan b* below which its colours are bluish. width: over how many b* they become so. lightness: its median
    protan L*, below which there is shade. mean_ab: its mean a* and b*, (2,).
    """

    border: float
    width: float
    lightness: float
    mean_ab: Floats


@dataclass(frozen=True, slots=True)
class Small:
    """A photo of SIDE_PX at most: L*a*b* of it and of what a protanope sees, (h, w, 3), and its lightness, (h, w)."""

    lab: Floats
    protan: Floats
    light: Floats

    @classmethod
    def of(cls, pixels: Pixels) -> Self:
        """Return that of a photo of any size."""
        small = reduced(pixels, SIDE_PX)
        return cls(lab_of(small), seen_lab(small), luma_of(Image.fromarray(small)))


@dataclass(frozen=True, slots=True)
class Shares:
    """What each place of a photo becomes, fitted to its lightness, so that any size of it can be asked for.

    leaf: how much leaf rather than sky, 0..1. own: how much of the photo's own colour stays, 0..1;
    None: nothing anywhere.
    """

    leaf: GuidedFit
    own: GuidedFit | None

    def within(self, guide: Floats, top: float, bottom: float) -> tuple[Floats, Floats]:
        """Return both shares where lightness is as given, (h, w): all of the photo, or rows between shares of it."""
        leaf = np.clip(self.leaf.of(guide, top, bottom), 0, 1)
        return leaf, np.zeros_like(leaf) if self.own is None else np.clip(self.own.of(guide, top, bottom), 0, 1)


def regrade(pixels: Pixels, palette: Palette, strength: float = 1.0, *, keep: Floats | None = None) -> Pixels:
    """Return a photo, (h, w, 3) uint8 sRGB, with its colours moved towards a palette.

    Args:
        pixels: the photo, (h, w, 3) uint8 sRGB.
        palette: where to.
        strength: 0 leaves the photo as it is, 1 goes all the way.
        keep: how much of the photo's own colours stays, (h, w) in 0..1, such as of faces; nowhere unless it is given.

    Raises: ValueError: `keep` is not of the photo's size.
    """
    if keep is not None and keep.shape != pixels.shape[:2]:
        raise ValueError(
            f"keep has the shape {keep.shape}, the photo {pixels.shape[:2]}: give one share for each pixel"
        )
    if strength <= 0:
        return pixels.copy()
    if max(pixels.shape) <= FINE_PX:
        return recoloured(pixels, palette, strength, keep)
    coarse = np.asarray(Image.fromarray(pixels).reduce(2))
    kept = None if keep is None else np.asarray(Image.fromarray(keep).reduce(2))
    colours = recoloured(coarse, palette, strength, kept)
    return with_changes(pixels, coarse, colours)


def recoloured(pixels: Pixels, palette: Palette, strength: float, keep: Floats | None) -> Pixels:
    """Return the same of a photo each of whose pixels is decided for itself."""
    small = Small.of(pixels)
    tones = tones_of(small)
    result, height = np.empty_like(pixels), len(pixels)

    def strip(top: int, bottom: int) -> None:
        photo = Image.fromarray(pixels[top:bottom])
        leaf, sky = (photo.filter(table) for table in tables)
        leaf_share, own = shares.result().within(luma_of(photo), top / height, bottom / height)
        sky.paste(leaf, mask=as_mask(leaf_share, photo.size))
        own = 1 - strength * (1 - own)
        if own.max() > UNSEEN:
            sky.paste(photo, mask=as_mask(own, photo.size))
        if keep is not None:
            sky.paste(photo, mask=as_mask(keep[top:bottom], photo.size))
        result[top:bottom] = np.asarray(sky)

    with ThreadPoolExecutor(cpu_count()) as pool:
        shares = pool.submit(shares_of, small, tones)  # begun before the strips that wait for it
        tables = [colour_table(lab) for lab in colour_maps(tones, palette)]
        in_strips(pool, strip, pixels)
    return result


def with_changes(photo: Pixels, before: Pixels, after: Pixels) -> Pixels:
    """Return a photo, (h, w, 3), changed as its half of the size was, from before to after, with its own detail."""
    result, width = np.empty_like(photo), photo.shape[1]

    def strip(top: int, bottom: int) -> None:
        above = max(top // 2 - 1, 0)  # a row more on either side, since those between are interpolated
        rows, size = slice(above, bottom // 2 + 2), (width, bottom - top)
        box = (0, top / 2 - above, width / 2, bottom / 2 - above)
        changed = photo[top:bottom].astype(np.int16)
        for part, change in ((before, np.subtract), (after, np.add)):
            between = Image.fromarray(part[rows]).resize(size, Image.Resampling.BILINEAR, box)
            change(changed, np.asarray(between), out=changed)
        np.clip(changed, 0, 255, out=result[top:bottom], casting="unsafe")

    with ThreadPoolExecutor(cpu_count()) as pool:
        in_strips(pool, strip, photo)
    return result


def in_strips(pool: ThreadPoolExecutor, work: Callable[[int, int], None], pixels: Pixels) -> None:
    """Have threads work on a photo in strips, of the rows from one number to another."""
    tops = np.linspace(0, len(pixels), -(-pixels.size // (3 * STRIP_PIXELS)), endpoint=False).astype(int)
    edges = [*np.unique(tops).tolist(), len(pixels)]
    list(pool.map(work, edges[:-1], edges[1:]))


def luma_of(photo: Image.Image) -> Floats:
    """Return about L*, (h, w) in 0..100: the luma of ITU-R 601, which Pillow computes at once."""
    return np.asarray(photo.convert("L"), np.float32) * np.float32(100 / 255)


def tones_of(small: Small) -> Tones:
    """Return what regrading has to know of a photo."""
    protan = small.protan
    low, middle, high = np.percentile(protan[::2, ::2, 2], [25, 50, 60])
    width = max(float(high - low), LEAST_WIDTH)
    border = float(np.clip(min(low, middle - CLEAR * width), *FURTHEST_BORDER))
    return Tones(
        border=min(border, GREY_BORDER[0]) if border < GREY_BORDER[1] else border,
        width=width,
        lightness=float(np.median(protan[::2, ::2, 0])),
        mean_ab=small.lab[..., 1:].reshape(-1, 2).mean(axis=0),
    )


def shares_of(small: Small, tones: Tones) -> Shares:
    """Return what each place of a photo becomes.

    Colours decide where there are any: without their noise, or it would tear flat walls apart. Near grey light decides.
    Skies and water are sky, and keep much of their own blue.
    """
    lab, light, side = small.lab, small.light, max(small.light.shape)
    reach = max(1, round(CALM * side))
    colours = (small.protan[..., 2], lab[..., 1], lab[..., 2])
    even, *fits = (fit.of(light) for fit in guided_fits(light, reach, EVEN, light, *colours))
    protan_b, a, b = (but_for_other_colours(calm, colour) for calm, colour in zip(fits, colours, strict=True))

    shade = SHADE * np.clip((tones.lightness - even) / DEEP, 0, 1)
    leaf = (1 + np.tanh(2 * ((protan_b - tones.border) / tones.width - shade))) / 2
    neutral = 1 - smoothstep(*GREY, np.hypot(a, b))
    leaf += BY_LIGHT * neutral * (0.5 + 0.45 * np.tanh((even - tones.lightness + LIT) / LIT_OVER) - leaf)
    sky = sky_in(lab)
    leaf *= 1 - sky

    own = OWN_SKY * sky
    leaf_fit, *own_fit = guided_fits(light, reach, EVEN, leaf, *([own] if own.any() else []))
    return Shares(leaf_fit, own_fit[0] if own_fit else None)


def but_for_other_colours(calm: Floats, colour: Floats) -> Floats:
    """Return calm colours, (h, w), but where the colour plainly differs: things that are as light as their wall."""
    near = uniform_filter(colour, 3, mode="nearest")
    kept: Floats = calm + smoothstep(*OTHER_COLOUR, np.abs(near - calm)) * (near - calm)
    return kept


def colour_maps(tones: Tones, palette: Palette) -> Floats:
    """Return what the grid's colours become where there is leaf, and where there is sky: L*a*b*, (2, ..., 3).

    What is plainly blue is sky in any place, and what is plainly yellow leaf: no noise decides that.
    """
    lab, protan_b = grid_colours()
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    leaf = np.stack([1 - smoothstep(*PLAIN_BLUE, -protan_b), smoothstep(*PLAIN_YELLOW, protan_b - tones.border)])
    target = leaf[..., None] * palette.leaf.at(lightness) + (1 - leaf[..., None]) * palette.sky.at(lightness)
    share = OWN_COLOUR * (OWN_GREY + (1 - OWN_GREY) * smoothstep(*GREY, chroma))
    moved = target + share[..., None] * (lab[..., 1:] - tones.mean_ab)
    moved[..., 0] = np.minimum(moved[..., 0], target[..., 0] + REDDEST)
    white = WHITENESS * smoothstep(*WHITE, lightness) * (1 - smoothstep(*WHITE_CHROMA, chroma))
    moved *= 1 - white[..., None]
    return np.concatenate([np.stack([lab[..., :1]] * 2), moved], axis=-1)


@dataclass(slots=True)
class RegradeEngine(WeightlessEngine):
    """Regrades towards a palette; see restyle.regrade."""

    name: ClassVar[str] = "regrade"
    version: ClassVar[str] = f"{VERSION}"
    painting: ClassVar[None] = None  # it only regrades

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the photo regraded, faces in their own colours; nothing else of the job counts."""
        return regrade(job.original, self.palette, settings.strength, keep=faces_of(job.original).keep)

    def __str__(self) -> str:
        return f"regrade: colours moved towards {self.palette.name}, no diffusion model is used"
