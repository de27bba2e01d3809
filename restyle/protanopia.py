"""Seeing as a protanope does, who has no L cones: photos, and the colours of photos. Judges nothing.

Source: Brettel, Viénot and Mollon 1997, "Computerized simulation of color appearance for dichromats", with the colour
model and the projections of the library daltonlens, whose own simulation this agrees with to one level of 255: it is
arranged here for whole photos at once (tests/restyle/test_protanopia.py compares both, and Machado 2009 besides).
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from os import cpu_count

import numpy as np

from restyle.colour import Floats, encoded, lab_of_linear, linear_of
from restyle.pixels import Pixels

STRIP_PIXELS = 1 << 16  # worked on at a time: what lies in the processor's cache
XYZ_475_NM = np.array([0.1421, 0.1126, 1.0419])  # the anchors of the two half-planes: CIE 1931, 2 degrees
XYZ_575_NM = np.array([0.8425, 0.9154, 0.0018])

SRGB_OF_LINEAR16 = np.round(encoded(np.arange(1 << 16, dtype=np.float32) / 0xFFFF) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def projections() -> tuple[Floats, Floats, Floats]:
    """Return what projects linear RGB onto a protanope's colours: a matrix (3, 3), a fold (3,), a direction (3,).

    Seen is `rgb @ matrix.T + max(rgb @ fold, 0) * direction`: two half-planes that meet in the greys, one for bluish
    and one for yellowish colours.
    """
    from daltonlens.convert import LMSModel_sRGB_SmithPokorny75
    from daltonlens.simulate import Deficiency, lms_confusion_axis, plane_projection_matrix

    model = LMSModel_sRGB_SmithPokorny75()
    neutral = model.LMS_from_linearRGB @ np.ones(3)
    separation = np.cross(neutral, lms_confusion_axis(Deficiency.PROTAN))
    sides = {}
    for xyz in (XYZ_475_NM, XYZ_575_NM):
        anchor = model.LMS_from_XYZ @ xyz
        plane = plane_projection_matrix(np.cross(neutral, anchor), Deficiency.PROTAN)
        sides[separation @ anchor > 0] = model.linearRGB_from_LMS @ plane @ model.LMS_from_linearRGB
    fold = separation @ model.LMS_from_linearRGB
    difference = sides[True] - sides[False]  # of rank 1, and nothing where `fold` is nothing
    direction = difference @ fold / (fold @ fold)
    return tuple(part.astype(np.float32) for part in (sides[False], fold, direction))  # type: ignore[return-value]


def seen_linear(linear: Floats) -> Floats:
    """Return the linear RGB that a protanope sees of linear RGB (..., 3); it may lie a little beyond 0..1."""
    matrix, fold, direction = projections()
    seen: Floats = linear @ matrix.T + np.maximum(linear @ fold, 0)[..., None] * direction
    return seen


def seen(pixels: Pixels) -> Pixels:
    """Return what a protanope sees of a photo: sRGB uint8 (h, w, 3) for sRGB uint8 (h, w, 3)."""
    height, width = pixels.shape[:2]
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    view = np.empty_like(flat)
    projections()  # before there are threads

    def strip(start: int) -> None:
        part = slice(start, start + STRIP_PIXELS)
        linear = np.clip(seen_linear(linear_of(flat[part])), 0, 1)
        view[part] = SRGB_OF_LINEAR16[(linear * 0xFFFF + 0.5).astype(np.uint16)]

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(strip, range(0, len(flat), STRIP_PIXELS)))
    return view.reshape(height, width, 3)


def seen_lab(pixels: Pixels) -> Floats:
    """Return L*a*b* (..., 3) of what a protanope sees; a* says nothing that L* and b* do not."""
    return lab_of_linear(np.clip(seen_linear(linear_of(pixels)), 0, 1))
