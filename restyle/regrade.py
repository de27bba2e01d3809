"""Regrading: a photo in an alien palette's colours without any weights, and the engine that does no more than that."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from PIL import Image, ImageFilter

from base.arrays import Bools, Floats, Pixels
from embedding.colour import encoded, lab_of, linear_of_lab, within
from restyle.engines.engine import Job, Settings
from restyle.faces import faces_of
from restyle.palettes import Palette
from restyle.protanopia import seen_lab

VERSION = 2  # of the method: results are made anew where it changes
GRID = 25  # colours along R, G and B that the map is computed for; those between are interpolated
SMALL_PX = 160  # the longer side of what a photo's own colours are learnt from
LEAST_BORDER = 9.0  # protan b* over which leaf turns to sky, at least: noise in a flat wall is not torn apart
CLEAR = 0.6  # widths that the border lies below the median at least: most of the photo is leaves
SHADE, DEEP = 0.6, 30.0  # widths that shade counts as bluer, and how many L* below the median all of it does
FURTHEST_BORDER = (-12.0, 24.0)  # protan b* that the border may lie at: blue stays sky, yellow stays leaf
OWN_COLOUR = 0.35  # of a colour's distance from the photo's mean colour that stays, so that things differ on Earth too
GAMUT_STEPS = 6  # halvings of the search for the most chroma that sRGB can show


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


def regrade(pixels: Pixels, palette: Palette, strength: float = 1.0, *, keep: Floats | None = None) -> Pixels:
    """Return a photo, (h, w, 3) uint8 sRGB, with its colours moved towards a palette.

    Args:
        pixels: the photo, (h, w, 3) uint8 sRGB.
        palette: where to.
        strength: 0 leaves the photo as it is, 1 goes all the way.
        keep: how much of its own colour each pixel keeps, (h, w) in 0..1; see restyle.faces.
    """
    if strength <= 0:
        return pixels.copy()
    grid = colour_map(tones_of(pixels), palette, strength)
    table = ImageFilter.Color3DLUT((GRID,) * 3, grid.ravel())
    strips = np.array_split(pixels, min(cpu_count() or 1, len(pixels)))
    with ThreadPoolExecutor(len(strips)) as pool:
        moved = np.concatenate(list(pool.map(lambda strip: np.asarray(Image.fromarray(strip).filter(table)), strips)))
    return moved if keep is None else blended(moved, pixels, keep)


def blended(moved: Pixels, pixels: Pixels, keep: Floats) -> Pixels:
    """Return a regraded photo with as much of its own colours, (h, w, 3), as each pixel keeps, (h, w)."""
    result = moved.copy()
    somewhat = keep > 0
    before, after, share = pixels[somewhat].astype(np.float32), moved[somewhat], keep[somewhat][:, None]
    result[somewhat] = np.rint(after + share * (before - after))
    return result


def tones_of(pixels: Pixels) -> Tones:
    """Return what regrading has to know of a photo."""
    small = within(pixels, SMALL_PX)
    protan = seen_lab(small)
    low, middle, high = np.percentile(protan[..., 2], [25, 50, 60])
    width = max(float(high - low), LEAST_BORDER)
    return Tones(
        border=float(np.clip(min(low, middle - CLEAR * width), *FURTHEST_BORDER)),
        width=width,
        lightness=float(np.median(protan[..., 0])),
        mean_ab=lab_of(small)[..., 1:].reshape(-1, 2).mean(axis=0),
    )


def colour_map(tones: Tones, palette: Palette, strength: float) -> Floats:
    """Return the new colours, sRGB in 0..1, of a grid of colours, (GRID, GRID, GRID, 3): by B, then G, then R."""
    levels = np.round(np.linspace(0, 255, GRID)).astype(np.uint8)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    colours = np.stack([red, green, blue], axis=-1)
    lab = lab_of(colours)
    protan = seen_lab(colours)
    shade = SHADE * np.clip((tones.lightness - protan[..., 0]) / DEEP, 0, 1)
    warmth = (1 + np.tanh(2 * ((protan[..., 2] - tones.border) / tones.width - shade))) / 2
    lightness = lab[..., 0]
    target = warmth[..., None] * palette.leaf.at(lightness) + (1 - warmth[..., None]) * palette.sky.at(lightness)
    target = target + OWN_COLOUR * (lab[..., 1:] - tones.mean_ab)
    moved = lab.copy()
    moved[..., 1:] += strength * (target - lab[..., 1:])
    return encoded(linear_of_lab(within_gamut(moved)))


def within_gamut(lab: Floats) -> Floats:
    """Return colours of the same L* and hue whose chroma is as large as sRGB can show."""
    low, high = np.zeros(lab.shape[:-1], np.float32), np.ones(lab.shape[:-1], np.float32)
    fits = shows(lab)
    low[fits] = 1
    for _ in range(GAMUT_STEPS):
        middle = ((low + high) / 2).astype(np.float32)
        good = shows(with_chroma(lab, middle))
        low[good], high[~good] = middle[good], middle[~good]
    return with_chroma(lab, low)


def with_chroma(lab: Floats, factor: Floats) -> Floats:
    """Return colours with their chroma multiplied."""
    return np.concatenate([lab[..., :1], lab[..., 1:] * factor[..., None]], axis=-1)


def shows(lab: Floats) -> Bools:
    """Tell which colours sRGB can show, but for rounding."""
    linear = linear_of_lab(lab)
    return np.asarray(((linear > -2e-3) & (linear < 1 + 2e-3)).all(axis=-1))


NAME = "regrade"
LONGEST_PX = 2048  # of results, unless said otherwise


@dataclass(frozen=True, slots=True)
class RegradeEngine:
    """Regrades towards a palette; see restyle.regrade. Photos are not enlarged, and larger ones come smaller."""

    palette: Palette
    longest_px: int = LONGEST_PX

    @property
    def name(self) -> str:
        """What it is called."""
        return NAME

    @property
    def fingerprint(self) -> str:
        """The method's version and a hash of the palette's colours, such as regrade-1-1f3a9c02."""
        colours = hashlib.sha256(self.palette.leaf.lab.tobytes() + self.palette.sky.lab.tobytes())
        return f"{NAME}-{VERSION}-{colours.hexdigest()[:8]}"

    @property
    def diffuses(self) -> bool:
        """It does not."""
        return False

    @property
    def moves_picture(self) -> bool:
        """It does not."""
        return False

    @property
    def takes_strength(self) -> bool:
        """It does."""
        return True

    @property
    def settings(self) -> Settings:
        """All the way to the palette."""
        return Settings(strength=1.0, steps=0, guidance=0, control_scale=0)

    @property
    def controls_available(self) -> tuple[str, ...]:
        """None are needed."""
        return ()

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the photo's own size, or a smaller one with a longer side of `longest_px`."""
        scale = min(1.0, self.longest_px / max(width_px, height_px))
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the photo regraded, faces in their own colours; nothing else of the job counts."""
        return regrade(job.original, self.palette, settings.strength, keep=faces_of(job.original).keep)

    def __str__(self) -> str:
        return f"regrade: colours moved towards {self.palette.name}, no diffusion model is used"
