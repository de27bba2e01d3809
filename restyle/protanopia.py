"""Seeing as a protanope does, who has no L cones: photos, and the colours of photos. Judges nothing.

Source: Brettel, Viénot and Mollon 1997, "Computerized simulation of color appearance for dichromats", with the colour
model and the projections of the library daltonlens, whose own simulation this agrees with to one level of 255: it is
arranged here for whole photos at once (tests/restyle/test_protanopia.py compares both, and Machado 2009 besides).
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from os import cpu_count

import numpy as np

from restyle.colour import LINEAR, Floats, encoded, lab_of_linear, linear_of
from restyle.pixels import Pixels

STRIP_PIXELS = 1 << 15  # worked on at a time: they stay in the processor's cache
XYZ_475_NM = np.array([0.1421, 0.1126, 1.0419])  # the anchors of the two half-planes: CIE 1931, 2 degrees
XYZ_575_NM = np.array([0.8425, 0.9154, 0.0018])

_steps = (np.arange(1 << 16) / 0xFFFF).astype(np.float32)
SRGB_OF_LINEAR16 = (encoded(_steps) * 255 + 0.5).astype(np.uint8)


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
    return sides[False].astype(np.float32), fold.astype(np.float32), direction.astype(np.float32)


def seen_linear(linear: Floats) -> Floats:
    """Return the linear RGB that a protanope sees of linear RGB (..., 3); it may lie a little beyond 0..1."""
    matrix, fold, direction = projections()
    seen: Floats = linear @ matrix.T + np.maximum(linear @ fold, 0)[..., None] * direction
    return seen


@lru_cache(maxsize=1)
def contributions() -> Floats:
    """Return what each level of R, G and B adds to what is seen, and to the fold: (3, 256, 4) float32.

    Adding rows of a table is several times quicker than multiplying millions of pixels with a matrix of three rows.
    """
    matrix, fold, _ = projections()
    table: Floats = LINEAR[None, :, None] * np.vstack([matrix, fold]).T[:, None, :]
    return table


def seen(pixels: Pixels) -> Pixels:
    """Return what a protanope sees of a photo: sRGB uint8 (h, w, 3) for sRGB uint8 (h, w, 3)."""
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    view = np.empty_like(flat)
    red, green, blue = contributions()
    direction = projections()[2]

    def strip(start: int) -> None:
        part = flat[start : start + STRIP_PIXELS]
        sums = red.take(part[:, 0], axis=0)
        sums += green.take(part[:, 1], axis=0)
        sums += blue.take(part[:, 2], axis=0)
        linear = sums[:, :3] + np.maximum(sums[:, 3:], 0) * direction
        steps = np.clip(linear * 0xFFFF + 0.5, 0, 0xFFFF).astype(np.uint16)
        view[start : start + STRIP_PIXELS] = SRGB_OF_LINEAR16.take(steps)

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(strip, range(0, len(flat), STRIP_PIXELS)))
    return view.reshape(pixels.shape)


def seen_lab(pixels: Pixels) -> Floats:
    """Return L*a*b* (..., 3) of what a protanope sees of sRGB uint8 (..., 3); a* says nothing that L* and b* do not."""
    return seen_linear_lab(linear_of(pixels))


def seen_linear_lab(linear: Floats) -> Floats:
    """Return L*a*b* (..., 3) of what a protanope sees of linear RGB (..., 3)."""
    return lab_of_linear(np.clip(seen_linear(linear), 0, 1))
