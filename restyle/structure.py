"""What stays of a photo when its colours change: outlines and where they are, and how alike two photos are in that.

Measures only: what is alike enough is decided by `restyle.floors`. All is computed on lightness L*, without weights.
Every photo is squashed to one square first, so that any two photos can be compared, panoramas too; a shift is told in
the photo's own proportions.

Source: Dalal and Triggs 2005 for histograms of oriented gradients (HOG); Canny 1986 for edges; Kuglin and Hines 1975
for phase correlation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.arrays import Bools, Floats, Pixels
from embedding.brightness import LINEAR, XYZ_FROM_RGB, cie_lightness
from embedding.colour import resized

SIDE_PX = 256  # of the square in which edges and shifts are measured
HOG_SIDE_PX = 128  # of the square that is cut into cells of 8 x 8 px with 9 orientations each
HOG_SIGMA_PX = 1.0
HOG_FAINTEST = 2.0  # L*: cells with slopes fainter than this are not blown up to the strength of outlines
LEAST_CONTRAST = 1.0  # of all cells together: photos have about 10, a bare wall with sensor noise has 0.5
EDGE_SIGMA_PX = 1.5  # blur before edges are looked for: sensor noise and JPEG's blocks are no outlines
EDGE_QUANTILES = 0.8, 0.9  # of the gradients of the photo: Canny's lower and upper threshold
FAINTEST_EDGE = 4.0  # L* units, by Sobel's operator (8 times the slope a pixel): fainter ones are noise
TOLERANCE_PX = 2
SHIFT_SIDE_PX = 128  # slopes are correlated at half the size, to an eighth of a pixel


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of one photo.

    hog: (d,) float32, of mean 0 and norm 1; all zeros for a photo without contrast. edges: (s, s) bool.
    gradient: (s / 2, s / 2) float32, how steep lightness is, less its mean, faded out to the border.
    width_px, height_px: the photo's size.
    """

    hog: Floats
    edges: Bools
    gradient: Floats
    width_px: int
    height_px: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """How alike two photos are in structure.

    hog: correlation of gradient histograms, -1..1. edge_f1: share of the edges of each that the other has within 2 px
    of 256 (harmonic mean of both), 0..1. shift: how far the one lies off the other, as a share of the longer side.
    """

    hog: float
    edge_f1: float
    shift: float


def structure_of(pixels: Pixels) -> Structure:
    """Return the structure of a photo, sRGB uint8 (h, w, 3)."""
    from scipy import ndimage
    from skimage.feature import canny

    lightness = lightness_of(pixels, SIDE_PX)
    smooth = ndimage.gaussian_filter(lightness, EDGE_SIGMA_PX)
    slopes = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
    low, high = np.maximum(np.quantile(slopes, EDGE_QUANTILES), FAINTEST_EDGE)
    edges = canny(lightness, EDGE_SIGMA_PX, low_threshold=low, high_threshold=high)
    coarse = slopes.reshape(SHIFT_SIDE_PX, 2, SHIFT_SIDE_PX, 2).mean(axis=(1, 3))
    window = np.hanning(SHIFT_SIDE_PX)
    gradient = ((coarse - coarse.mean()) * window[:, None] * window).astype(np.float32)
    height, width = pixels.shape[:2]
    return Structure(hog_of(pixels), edges, gradient, width, height)


def hog_of(pixels: Pixels) -> Floats:
    """Return a photo's gradient histograms, (d,) float32 of mean 0 and norm 1: the dot product of two correlates them.

    A photo without contrast has zeros only.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.feature import hog

    lightness = gaussian_filter(lightness_of(pixels, HOG_SIDE_PX), HOG_SIGMA_PX)
    unit = 1e-5 / HOG_FAINTEST  # scikit-image adds (1e-5) ** 2 to what it normalises by
    cells = hog(lightness * unit, 9, (8, 8), (2, 2), block_norm="L2", feature_vector=False)  # (15, 15, 2, 2, 9)
    vector: Floats = (cells - cells.mean(axis=(0, 1))).astype(np.float32).ravel()
    norm = np.linalg.norm(vector)
    return vector / norm if norm >= LEAST_CONTRAST else np.zeros_like(vector)


def compare(original: Structure, result: Structure) -> Likeness:
    """Return how alike two photos are in structure."""
    return Likeness(
        hog=correlation(original.hog, result.hog),
        edge_f1=edge_f1(original.edges, result.edges),
        shift=shift_share(original, result),
    )


def correlation(a: Floats, b: Floats) -> float:
    """Return the correlation of two photos' gradient histograms; two photos without contrast are alike."""
    return float(a @ b) if a.any() or b.any() else 1.0


def edge_f1(a: Bools, b: Bools) -> float:
    """Return F1 of two edge maps of one shape with a tolerance of 2 px; two maps without edges are alike."""
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision, recall = thick(a)[b].mean(), thick(b)[a].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def thick(edges: Bools) -> Bools:
    """Return all that lies within the tolerance of an edge: a square of 5 x 5 px around each pixel."""
    from scipy.ndimage import maximum_filter

    near: Bools = maximum_filter(edges.view(np.uint8), 2 * TOLERANCE_PX + 1).view(np.bool_)
    return near


def shift_between(original: Structure, result: Structure) -> tuple[float, float]:
    """Return how far down and right the result lies off the original, as shares of the height and of the width.

    Photos without edges cannot be told to have moved. The spectra are not whitened: on photos warped by 1 % whitening
    strays four times as often (80 photos).
    """
    from skimage.registration import phase_cross_correlation

    if not original.edges.any() or not result.edges.any():
        return 0.0, 0.0
    back, _, _ = phase_cross_correlation(original.gradient, result.gradient, upsample_factor=8, normalization=None)
    return -float(back[0]) / SHIFT_SIDE_PX, -float(back[1]) / SHIFT_SIDE_PX


def shift_share(original: Structure, result: Structure) -> float:
    """Return how far the result lies off the original, as a share of the original's longer side."""
    down, right = shift_between(original, result)
    width, height = original.width_px, original.height_px
    return float(np.hypot(down * height, right * width) / max(width, height))


def registered(original: Pixels, result: Pixels) -> Pixels:
    """Return the result moved back onto the original and of its size; what moves in at the border is reflected.

    It is moved as a whole, and only if it is the more alike for it.
    """
    height, width = original.shape[:2]
    result = resized(result, (width, height))
    first, second = structure_of(original), structure_of(result)
    down, right = shift_between(first, second)
    moved = moved_by(result, -round(down * height), -round(right * width))
    better = edge_f1(first.edges, structure_of(moved).edges) > edge_f1(first.edges, second.edges)
    return moved if better else result


def moved_by(pixels: Pixels, down_px: int, right_px: int) -> Pixels:
    """Return the pixels moved by so many, the border reflected."""
    height, width = pixels.shape[:2]
    rows = mirrored(np.arange(height) - down_px, height)
    columns = mirrored(np.arange(width) - right_px, width)
    return pixels[rows[:, None], columns]


def mirrored(indices: NDArray[np.int_], size: int) -> NDArray[np.int_]:
    """Return indices folded back into 0..size-1, as if the picture were mirrored at its border."""
    folded = indices % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def lightness_of(pixels: Pixels, side_px: int) -> Floats:
    """Return L*, 0..100 float32 (s, s), of a photo squashed to a square."""
    square = np.asarray(Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.BILINEAR))
    return cie_lightness(LINEAR[square] @ XYZ_FROM_RGB[1].astype(np.float32))
