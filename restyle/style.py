"""How alien a result is: what a protanope sees of the change, and how near the palette it is. Judges no structure."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from skimage.color import deltaE_ciede2000

from restyle.colour import Floats, lab_of, linear_of_lab
from restyle.palettes import Ramp
from restyle.pixels import Pixels, within
from restyle.protanopia import seen_lab, seen_linear_lab

CANONICAL_PX = 256  # the longer side that photos are compared at
BLUR_PX = 1.0  # standard deviation: single pixels are no change that anybody sees
VISIBLE_DE = 5.0  # dE2000 from which on a change is plain to see
BIN, BINS = 4.0, 128  # L* and b* that a bin of a histogram covers, and how many bins of b* there are
LIGHTNESSES = np.linspace(0, 100, 51, dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Visibility:
    """What a protanope sees of a change.

    median_de: the median over the picture, in dE2000. share: of the picture that changes by more than 5 dE2000.
    wasted: the share of the change, as people with three kinds of cones see it, that a protanope does not see.
    """

    median_de: float
    share: float
    wasted: float


@dataclass(frozen=True, slots=True)
class Colours:
    """A photo's colours at the canonical size, lightly blurred: L*a*b* (h, w, 3), plain and as a protanope sees it."""

    plain: Floats
    protan: Floats


def colours_of(pixels: Pixels) -> Colours:
    """Return a photo's colours at the canonical size."""
    small = within(pixels, CANONICAL_PX)
    plain, protan = (gaussian_filter(lab, (BLUR_PX, BLUR_PX, 0)) for lab in (lab_of(small), seen_lab(small)))
    return Colours(plain, protan)


def visibility(original: Colours, result: Colours) -> Visibility:
    """Return what a protanope sees of a change. Both are of one size.

    Source: dE2000, Sharma, Wu and Dalal 2005, by scikit-image.
    """
    protan = deltaE_ciede2000(original.protan, result.protan)
    plain = deltaE_ciede2000(original.plain, result.plain)
    return Visibility(
        median_de=float(np.median(protan)),
        share=float((protan > VISIBLE_DE).mean()),
        wasted=max(0.0, 1 - float(protan.mean()) / float(plain.mean())) if plain.any() else 0.0,
    )


def palette_distance(colours: Colours, leaf: Ramp, sky: Ramp) -> float:
    """Return how far a picture's colours lie from a palette's for a protanope: 0 where all are the palette's.

    The mean distance, in the plane of L* and b* of what a protanope sees, between the histogram of the picture and the
    nearest colour of the palette: what it costs to move the one into the other, however much of which colour it takes.
    """
    lightness, b = colours.protan[..., 0].ravel(), colours.protan[..., 2].ravel()
    places = np.round(lightness / BIN).astype(int) * BINS + np.round(b / BIN).astype(int) + BINS // 2
    counts = np.bincount(places)
    filled = np.flatnonzero(counts)
    bins = np.stack([filled // BINS, filled % BINS - BINS // 2], axis=1) * BIN
    nearest = cdist(bins, protan_curve(leaf, sky)).min(axis=1)
    return float(nearest @ counts[filled] / counts.sum())


def protan_curve(leaf: Ramp, sky: Ramp) -> Floats:
    """Return the palette's colours as a protanope sees them: L* and b*, (n, 2)."""
    points = []
    for ramp in (leaf, sky):
        lab = np.concatenate([LIGHTNESSES[:, None], ramp.at(LIGHTNESSES)], axis=1)
        points.append(seen_linear_lab(np.clip(linear_of_lab(lab), 0, 1))[:, [0, 2]])
    return np.concatenate(points)
