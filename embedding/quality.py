"""Whether a photo is fit to be shown: its size and shape, exposure, sharpness and tilt; what is text or shows people.

All is measured at one size, so that photos of any size compare. Chooses nothing.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.feature import canny
from skimage.transform import hough_line

from base.arrays import Bools, Doubles, Floats, Pixels
from base.errors import PhotoError
from base.files import PhotoFile
from embedding.colour import lab_of, within
from embedding.decode import MAX_PIXELS, decode_to_fit, upright_size
from embedding.encoder import Encoder

LONGEST_PX = 320  # the size that all is measured at; Hotels-50K's photos are hardly larger
SMALLEST_PX = (256, 160)  # longer and shorter side; Hotels-50K's photos have 350 x 233
MOST_ASPECT = 2.4  # longer over shorter side: 21:9 still passes
MOST_DARK, MOST_WHITE = 0.5, 0.4  # share of the photo: silhouettes and nights, blown out skies and white borders
DARKEST, BRIGHTEST = 12.0, 94.0  # mean L*
LEAST_CONTRAST = 15.0  # L*
LEAST_SHARPNESS = 1.2  # of 1,259 sample and real photos none lies below; blurred by 0.4 % of the longer side, all do
SAME_THUMBNAIL = 0.9  # correlation; of 1,019 real photos 8 pairs lie above, all of them the same shot
SAME_COSINE = 0.9  # of the embeddings, which may be sure of it being the same kind of room alone
EDGE_SIGMA_PX = 1.4
EDGE_LOW, EDGE_HIGH = 4.0, 10.0  # L* a pixel: Canny's thresholds of hysteresis
FLAT_SLOPE = 1.0  # L* a pixel: what lies below looks even
DARK, WHITE = 12.0, 97.0  # L*
STEEPEST = 99.8  # percentile: even a bare wall has so many pixels on edges
LOWEST, HIGHEST_OF = 1, 99  # percentiles of L*
THUMBNAIL = (16, 16)
NEARLY_UPRIGHT = 20.0  # degrees: edges that lean more are of no wall
MOST_TILT, TILT_STEP = 12.0, 0.5  # degrees that are tried
FEWEST_EDGES = 50  # pixels on nearly upright edges, below which nothing can be told


class Unfit(NamedTuple):
    """Why a photo is not shown. kind: what is counted by, such as blurred. reason: the same, with its numbers."""

    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How a photo was taken.

    sharpness: 99.8th percentile of the Laplacian of L* over that of its slope, 1/px: 1.4 to 7.4 for photos in
    focus, 0.5 to 1.2 once they are blurred by a Gaussian of 0.4 % of the longer side, below 0.95 by one of 0.5 %.
    lightness, contrast: mean of L*, and its 99th less its 1st percentile. dark, white: shares below 12, above 97.
    """

    sharpness: float
    lightness: float
    contrast: float
    dark: float
    white: float


@dataclass(frozen=True, slots=True)
class OpenedPhoto:
    """A photo that was opened: its size, upright, its bytes' SHA-256, itself small, and smaller still."""

    width_px: int
    height_px: int
    sha256: str
    pixels: Pixels  # (h, w, 3), the longer side of LONGEST_PX at most
    thumbnail: Floats


class Pictured(Protocol):
    """What tells one picture from another."""

    @property
    def sha256(self) -> str:
        """Of the photo's bytes."""
        ...

    @property
    def thumbnail(self) -> Floats:
        """See `small_copy`."""
        ...


def opened_photo(file: PhotoFile, max_pixels: int = MAX_PIXELS) -> OpenedPhoto | Unfit:
    """Open a photo, or say why it cannot be shown: it cannot be read, or is too small, or too long."""
    try:
        with file.lent() as data:
            width, height = upright_size(data, max_pixels)
            if reason := misshapen(width, height):
                return reason
            sha256 = hashlib.sha256(data).hexdigest()
            pixels = np.asarray(decode_to_fit(data, (LONGEST_PX, LONGEST_PX), max_pixels))
    except PhotoError as error:
        return Unfit("unreadable", f"{error.kind}: {error.reason}")
    except OSError as error:
        return Unfit("unreadable", error.strerror or str(error))
    return OpenedPhoto(width, height, sha256, pixels, small_copy(pixels))


def misshapen(width_px: int, height_px: int) -> Unfit | None:
    """Return why a photo's size makes it unfit, or None."""
    longer, shorter = max(width_px, height_px), min(width_px, height_px)
    if longer < SMALLEST_PX[0] or shorter < SMALLEST_PX[1]:
        return Unfit("too small", f"{width_px} x {height_px} px, less than {SMALLEST_PX[0]} x {SMALLEST_PX[1]}")
    if longer > MOST_ASPECT * shorter:
        kind = "panorama" if width_px > height_px else "very tall"
        return Unfit(kind, f"{width_px} x {height_px} px, its sides are as {longer / shorter:.1f} to 1")
    return None


def spoilt(quality: Quality) -> Unfit | None:
    """Return why a photo's exposure or sharpness makes it unfit, or None."""
    q = quality
    if q.dark > MOST_DARK or q.lightness < DARKEST:
        return Unfit("too dark", f"{100 * q.dark:.0f} % of it is black, its mean lightness {q.lightness:.0f} of 100")
    if q.white > MOST_WHITE or q.lightness > BRIGHTEST:
        return Unfit("too bright", f"{100 * q.white:.0f} % of it is white, its mean lightness {q.lightness:.0f} of 100")
    if q.contrast < LEAST_CONTRAST:
        return Unfit("no contrast", f"its darkest and its brightest parts differ by {q.contrast:.0f} of 100")
    if q.sharpness < LEAST_SHARPNESS:
        return Unfit("blurred", f"nothing in it is sharp (sharpness {q.sharpness:.2f}, {LEAST_SHARPNESS:g} is needed)")
    return None


def same_shot(one: Pictured, other: Pictured, cosine: float, name: str) -> str | None:
    """Return in words why two photos, the other of this name, are the same picture, or None where they are not.

    A model of rooms places any two bedrooms side by side, so that its cosine alone says little: the photos' 16 x 16
    lightnesses have to agree as well.
    """
    if one.sha256 == other.sha256:
        return f"the same bytes as {name}"
    correlation = float(one.thumbnail @ other.thumbnail)
    if cosine >= SAME_COSINE and correlation >= SAME_THUMBNAIL:
        return f"nearly {name} (cosine {cosine:.2f}, lightnesses correlate by {correlation:.2f})"
    return None


def quality_of(lightness: Floats, slope: Floats) -> Quality:
    """Return how a photo was taken, by its L* (h, w) and their `slope_of`."""
    low, high = np.percentile(lightness, (LOWEST, HIGHEST_OF))
    return Quality(
        sharpness=sharpness(lightness, slope),
        lightness=float(lightness.mean()),
        contrast=float(high - low),
        dark=share(lightness < DARK),
        white=share(lightness > WHITE),
    )


def slope_of(lightness: Floats) -> Floats:
    """Return how much L* changes, a pixel, (h, w)."""
    slope: Floats = ndimage.gaussian_gradient_magnitude(lightness, 1.0)
    return slope


def sharpness(lightness: Floats, slope: Floats) -> float:
    """Return how steeply slopes change where they are steepest, 1/px; 0 for a photo without any slope."""
    steepest = np.percentile(slope, STEEPEST)
    if steepest < FLAT_SLOPE:
        return 0.0
    return float(np.percentile(np.abs(ndimage.laplace(lightness)), STEEPEST) / steepest)


def canny_edges(lightness: Floats) -> Bools:
    """Return which pixels (h, w) lie on edges. Source: Canny 1986, in scikit-image; none in a photo of a few pixels."""
    edges: Bools = canny(lightness, EDGE_SIGMA_PX, low_threshold=EDGE_LOW, high_threshold=EDGE_HIGH)
    return edges


def share(mask: Bools) -> float:
    """Return the share of pixels that are so."""
    return float(mask.mean())


def density_of_edges(pixels: Pixels) -> float:
    """Return a photo's share of pixels on edges, 0..1; pixels (h, w, 3) of any size."""
    return share(canny_edges(lab_of(within(pixels, LONGEST_PX))[..., 0]))


def tilt_degrees(lightness: Floats) -> float:
    """Return by how many degrees a photo hangs askew, from -12 to 12, by its L* (h, w); 0 where nothing tells.

    It is the lean at which the pixels of nearly upright edges lie on the fewest straight lines: walls, doors and posts
    are upright, while what runs to the side also runs away from the camera. Of 40 sample and 40 real photos turned by
    0, 2, 4 and 8 degrees it says 0, 2, 4 and 8 in the median (tests/embedding/test_quality.py).

    Source: Hough 1962, in scikit-image.
    """
    across, down = ndimage.sobel(lightness, 1), ndimage.sobel(lightness, 0)
    lean = (np.degrees(np.arctan2(down, across)) + 90) % 180 - 90
    edges = canny_edges(lightness) & (np.abs(lean) <= NEARLY_UPRIGHT)
    if edges.sum() < FEWEST_EDGES:
        return 0.0
    angles = np.arange(-MOST_TILT, MOST_TILT + TILT_STEP / 2, TILT_STEP)
    counts, _, _ = hough_line(edges, np.radians(angles))
    return float(angles[(counts.astype(np.float64) ** 3).sum(axis=0).argmax()])


def small_copy(pixels: Pixels) -> Floats:
    """Return 16 x 16 lightnesses, less their mean, as a unit vector (256,); zeros for a photo of one colour.

    Its product with another photo's is their correlation.
    """
    small = np.asarray(Image.fromarray(pixels).convert("L").resize(THUMBNAIL, Image.Resampling.BOX), np.float32).ravel()
    centred = small - small.mean()
    norm = float(np.linalg.norm(centred))
    unit: Floats = (centred / norm if norm > 1 else np.zeros_like(centred)).astype(np.float32)
    return unit


UNWANTED = {
    "text": (
        "a document",
        "a page of text",
        "printed text",
        "a newspaper",
        "a floor plan",
        "a logo",
        "a sign with words",
        "a banner with letters",
    ),
    "people": (
        "a photo of a person",
        "a portrait of people",
        "people in a photo",
        "a group of people",
        "a woman",
        "a man",
        "a human face",
    ),
}
BACKGROUND = (
    "a hotel room",
    "a bedroom",
    "a bathroom",
    "a kitchen",
    "a living room",
    "a restaurant",
    "a swimming pool",
    "a balcony",
    "a hotel",
    "a house",
    "a building",
    "a garden",
    "a plant",
    "water",
    "a view of a landscape",
    "the night sky",
    "furniture",
    "a pattern",
    "food on a plate",
    "a car",
    "an animal",
)
# From this on, of 1, a photo is taken for text or people and not for a room (see `Guesser`): galleries and candidates
# leave it out. Rooms, houses and pools reach 0.55 at most, on 1,259 photos; pages, signs and portraits are above it.
UNWANTED_FROM = 0.6


class Guesser:
    """Which photos a model takes for something else than a room; the texts are encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        """`encoder`: the model that made the photos' vectors."""
        self._background = encoder.encode_texts(BACKGROUND)
        self._unwanted = {kind: encoder.encode_texts(texts) for kind, texts in UNWANTED.items()}
        self._scale = float(encoder.logit_scale)

    def guesses(self, vectors: Floats) -> dict[str, Doubles]:
        """Return, by kind, how surely each photo is that and no room, (n,), from 0 to 1.

        The softmax of two logits: the best cosine with the kind's texts, and the best with those of the background.
        `vectors`: unit vectors of photos, (n, d).
        """

        def best(texts: Floats) -> Floats:
            """Return the best cosine of each photo, (n,)."""
            nearest: Floats = (vectors @ texts.T).max(axis=1)
            return nearest

        background = best(self._background)
        return {
            kind: 1 / (1 + np.exp(self._scale * (background - best(texts)).astype(np.float64)))
            for kind, texts in self._unwanted.items()
        }
