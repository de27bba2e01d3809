"""Which photos are not fit to be restyled: by what they measure, and by what the library's model guesses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from base.arrays import Doubles, Floats
from base.errors import PhotoError
from base.files import PhotoFile
from db.photo_rows import PhotoRecord
from embedding.decode import MAX_PIXELS, decode_to_fit, open_image, upright_size
from embedding.encoder import Encoder
from restyle.candidates.measures import LONGEST_PX, Measures, measure, small_copy
from restyle.palettes import Palette

SMALLEST_PX = (256, 160)  # longer and shorter side; Hotels-50K's photos have 350 x 233
MOST_ASPECT = 2.4  # longer over shorter side: 21:9 still passes
MOST_DARK, MOST_WHITE = 0.5, 0.4  # share of the photo: silhouettes and nights, blown out skies and white borders
DARKEST, BRIGHTEST = 12.0, 94.0  # mean L*
LEAST_CONTRAST = 15.0  # L*
LEAST_SHARPNESS = 1.2  # of 1,259 sample and real photos none lies below; blurred by 0.4 % of the longer side, all do
SAME_THUMBNAIL = 0.9  # correlation; of 1,019 real photos 8 pairs lie above, all of them the same shot
SAME_COSINE = 0.9  # of the embeddings, which may be sure of it being the same kind of room alone


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo that is not picked. kind: what rejections are counted by. reason: the same, with its numbers."""

    photo_id: int
    path: str
    member: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A photo that was opened: its record, its size, upright, its bytes' SHA-256, its measures and thumbnail."""

    record: PhotoRecord
    width_px: int
    height_px: int
    sha256: str
    measures: Measures
    thumbnail: Floats


def look(record: PhotoRecord, palette: Palette, max_pixels: int = MAX_PIXELS) -> Looked | Rejection:
    """Open a photo and measure it; a photo that cannot be opened is rejected with the reason."""
    try:
        with PhotoFile(record.path, record.member).lent() as data:
            with open_image(data, max_pixels) as image:
                width, height = upright_size(image)
            if reason := misshapen(width, height):
                return rejected(record, *reason)
            sha256 = hashlib.sha256(data).hexdigest()
            pixels = np.asarray(decode_to_fit(data, (LONGEST_PX, LONGEST_PX), max_pixels))
    except PhotoError as error:
        return rejected(record, "unreadable", f"{error.kind}: {error.reason}")
    except OSError as error:
        return rejected(record, "unreadable", error.strerror or str(error))
    return Looked(record, width, height, sha256, measure(pixels, palette), small_copy(pixels))


def rejected(record: PhotoRecord, kind: str, reason: str) -> Rejection:
    """Return the rejection of a photo."""
    return Rejection(record.photo_id, record.path, record.member, kind, reason)


def misshapen(width_px: int, height_px: int) -> tuple[str, str] | None:
    """Return the kind and the reason by which a photo's size rejects it, or None."""
    longer, shorter = max(width_px, height_px), min(width_px, height_px)
    if longer < SMALLEST_PX[0] or shorter < SMALLEST_PX[1]:
        return "too small", f"{width_px} x {height_px} px, less than {SMALLEST_PX[0]} x {SMALLEST_PX[1]}"
    if longer > MOST_ASPECT * shorter:
        kind = "panorama" if width_px > height_px else "very tall"
        return kind, f"{width_px} x {height_px} px, its sides are as {longer / shorter:.1f} to 1"
    return None


def spoilt(measures: Measures) -> tuple[str, str] | None:
    """Return the kind and the reason by which a photo's exposure or sharpness rejects it, or None."""
    m = measures
    if m.dark > MOST_DARK or m.lightness < DARKEST:
        return "too dark", f"{100 * m.dark:.0f} % of it is black, its mean lightness {m.lightness:.0f} of 100"
    if m.white > MOST_WHITE or m.lightness > BRIGHTEST:
        return "too bright", f"{100 * m.white:.0f} % of it is white, its mean lightness {m.lightness:.0f} of 100"
    if m.contrast < LEAST_CONTRAST:
        return "no contrast", f"its darkest and its brightest parts differ by {m.contrast:.0f} of 100"
    if m.sharpness < LEAST_SHARPNESS:
        return "blurred", f"nothing in it is sharp (sharpness {m.sharpness:.2f}, {LEAST_SHARPNESS:g} is needed)"
    return None


def same_shot(one: Looked, other: Looked, cosine: float) -> str | None:
    """Return in words why two photos are the same picture, or None where they are not.

    A model of rooms places any two bedrooms side by side, so that its cosine alone says little: the photos' 16 x 16
    lightnesses have to agree as well.
    """
    if one.sha256 == other.sha256:
        return f"the same bytes as photo {other.record.photo_id}"
    correlation = float(one.thumbnail @ other.thumbnail)
    if cosine >= SAME_COSINE and correlation >= SAME_THUMBNAIL:
        return f"nearly photo {other.record.photo_id} (cosine {cosine:.2f}, lightnesses correlate by {correlation:.2f})"
    return None


UNWANTED = {
    "text": (
        "a document",
        "a page of text",
        "printed text",
        "a newspaper",
        "a floor plan",
        "a logo",
        "a sign with words",
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
SURE = 0.7  # of 1,259 photos of rooms, houses and pools none is rejected; pages, plans, signs and portraits are


def guesses(vectors: Floats, encoder: Encoder) -> dict[str, Doubles]:
    """Return, by kind, how surely each photo is that and no room, (n,), from 0 to 1.

    The softmax of two logits: the best cosine with the kind's texts, and the best with those of the background.

    Args:
        vectors: unit vectors of photos, (n, d).
        encoder: the model that made them.
    """

    def best(texts: Sequence[str]) -> Floats:
        """Return the best cosine of each photo, (n,)."""
        nearest: Floats = (vectors @ encoder.encode_texts(texts).T).max(axis=1)
        return nearest

    background = best(BACKGROUND)
    scale = float(encoder.logit_scale)
    return {
        kind: 1 / (1 + np.exp(scale * (background - best(texts)).astype(np.float64)))
        for kind, texts in UNWANTED.items()
    }
