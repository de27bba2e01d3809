"""Faces in a photo, and what keeps its own colours for their sake: heads, and skin near them. Recognises nobody.

Colours alone do not tell skin from peach walls, wood or terracotta. So a detector finds faces, each face tells what
colour its skin has, and pixels of that colour are skin where they hang together with the face, unless what stands
behind the head has that colour too.

Source: Dalal and Triggs 2005 for the detector, in dlib's form (King 2015, arXiv:1502.00046): five windows over oriented
gradients for faces that look ahead, aside or are tilted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, label

from base.arrays import Bools, Floats, Pixels
from embedding.colour import lab_of, resized, within

LOOK_PIXELS = 2_800_000  # of the size at which faces are looked for: the detector's are 80 px wide and more
MOST_ENLARGED = 4.0  # times: no face of less than 20 px is found
LEAST_SURE = 0.3  # of the scores: of 1,259 photos of rooms three have over 0.2, pictures of faces with 0.54 and more
WORK_PX = 640  # the longer side at which heads and skin are told from the room

# Ellipses around the middle of a face: half-axes across and down, and how far up their middle lies, in widths of it.
CORE = 0.30, 0.38, 0.0  # skin and nothing else
FACE = 0.48, 0.66, 0.0
HEAD = 0.75, 1.0, 0.15  # with its hair
BEYOND = 1.3, 1.6, 0.15  # outside of HEAD, inside of this and above the chin is what stands behind the head
REACH = 2.5, 5.0  # widths aside and below in which skin is looked for
CELL = 8.0, 5.0, 5.0  # L*, a*, b* of colours that are counted as one
CELLS = 14, 52, 52
ROOM, HEAD_OWN = 0.3, 0.6  # shares of a colour's pixels that lie in the head, up to and from which it is room or head
LEAST_SPREAD = 9.0, 3.5, 3.5  # L*, a*, b*: skin of one face is at least so uneven
SHADE = 22.0  # L* by which skin may be darker or lighter than the face, by no likeness less
ALIKE = 0.1, 0.45  # likeness to the face's colour up to which a pixel is no skin, and from which on it is
COMMON = 0.25  # share of what stands behind the head from which on skin cannot be told from it
COMMON_FAR = 0.06  # share of what lies out of reach from which on only skin that hangs together with the face is told
FEATHER = 0.05  # widths of the face over which edges are soft


@dataclass(frozen=True, slots=True)
class FaceSquare:
    """A face's square, in pixels: from the brows to the chin."""

    left: float
    top: float
    side: float

    def scaled(self, factor: float) -> "FaceSquare":
        """Return the same square where the picture is so many times as large."""
        return FaceSquare(self.left * factor, self.top * factor, self.side * factor)


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of a photo.

    count: how many. keep: how much of its own colours each pixel keeps, (h, w) float32 in 0..1; None without faces.
    """

    count: int = 0
    keep: Floats | None = None


def faces_of(pixels: Pixels) -> Faces:
    """Find the faces of a photo, (h, w, 3) uint8 sRGB, and what keeps its colours for them."""
    squares = squares_in(pixels)
    if not squares:
        return Faces()
    small = within(pixels, WORK_PX)
    scale = max(small.shape) / max(pixels.shape)
    kept = Image.fromarray(kept_for([square.scaled(scale) for square in squares], lab_of(small)))
    return Faces(len(squares), np.asarray(kept.resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)))


@lru_cache(maxsize=1)
def detector() -> tuple[Any, Lock]:
    """Return dlib's detector, which is a part of the library, and the lock of who uses it: it looks at one photo."""
    import dlib

    return dlib.get_frontal_face_detector(), Lock()


def squares_in(pixels: Pixels) -> list[FaceSquare]:
    """Return the faces of a photo, the surest first."""
    height, width = pixels.shape[:2]
    scale = min((LOOK_PIXELS / (height * width)) ** 0.5, MOST_ENLARGED)
    looked_at = resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    finder, lock = detector()
    with lock:
        found, _, _ = finder.run(np.ascontiguousarray(looked_at), 0, LEAST_SURE)
    return [FaceSquare(each.left(), each.top(), each.width()).scaled(1 / scale) for each in found]


def kept_for(squares: Sequence[FaceSquare], lab: Floats) -> Floats:
    """Return how much of its own colours each pixel keeps, (h, w) in 0..1, of L*a*b* (h, w, 3) and its faces."""
    shape = lab.shape[:2]
    kept = np.zeros(shape, np.float32)
    heads = np.any([ellipse(square, HEAD, shape) for square in squares], axis=0)
    far = ~np.any([reach(square, shape) for square in squares], axis=0)
    above = np.arange(shape[0])[:, None]
    for square in squares:
        behind = ellipse(square, BEYOND, shape) & ~heads & (above < square.top + square.side)
        sharp = np.maximum(head_of(square, lab, behind), skin_of(square, lab, behind, far))
        kept = np.maximum(kept, gaussian_filter(sharp, max(FEATHER * square.side, 1.0), truncate=3))
    return kept


def head_of(square: FaceSquare, lab: Floats, behind: Bools) -> Floats:
    """Return how surely pixels belong to a head, (h, w): what has the colours of what stands behind it does not."""
    head = ellipse(square, HEAD, behind.shape)
    inside, outside = commonness(lab, head), commonness(lab, behind)
    own = inside / np.maximum(inside + outside, 1e-9)
    sure = np.where(head, np.clip((own - ROOM) / (HEAD_OWN - ROOM), 0, 1), 0).astype(np.float32)
    sure[ellipse(square, FACE, behind.shape)] = 1
    return sure


def skin_of(square: FaceSquare, lab: Floats, behind: Bools, far: Bools) -> Floats:
    """Return how surely pixels are skin, (h, w): of the face's colour, near it, and not of the room's.

    What hangs together with the face is, unless what stands behind the head has that colour too. Other parts, such as
    hands, are where moreover hardly anything further off has it.
    """
    core = lab[ellipse(square, CORE, behind.shape)]
    if not core.size:  # a face that is cut off by the photo's edge
        return np.zeros(behind.shape, np.float32)
    low, middle, high = np.percentile(core, [20, 50, 80], axis=0)
    off = np.abs(lab - middle)
    off[..., 0] = np.maximum(off[..., 0] - SHADE, 0)
    spread = np.maximum((high - low) / 1.68, LEAST_SPREAD)  # which is what lies between them, in standard deviations
    likeness = np.exp(-0.5 * ((off / spread) ** 2).sum(axis=-1))
    alike: Floats = np.clip((likeness - ALIKE[0]) / (ALIKE[1] - ALIKE[0]), 0, 1).astype(np.float32)
    common, elsewhere = (float(alike[where].mean()) if where.any() else 0.0 for where in (behind, far))
    alike[~reach(square, behind.shape)] = 0
    parts, _ = label(alike > 0.5)
    touching = np.unique(parts[ellipse(square, FACE, behind.shape)])
    apart = ~np.isin(parts, touching[touching > 0])
    alike[apart] *= trustworthy(elsewhere, COMMON_FAR)
    alike[parts == 0] = 0
    alike *= trustworthy(common, COMMON)
    return alike


def trustworthy(common: float, most: float) -> float:
    """Return how far to go by a colour that others have a share of: wholly up to half of `most`, then less."""
    return min(max(2 - 2 * common / most, 0.0), 1.0)


def commonness(lab: Floats, where: Bools) -> Floats:
    """Return how common each pixel's colour is among those of a region, (h, w): shares of its pixels."""
    middle = np.array(CELLS, np.float32) / (np.inf, 2, 2)
    cells = np.clip(lab / np.array(CELL, np.float32) + middle, 0, np.array(CELLS) - 1).astype(np.intp)
    flat = np.ravel_multi_index(tuple(np.moveaxis(cells, -1, 0)), CELLS)
    counts = np.bincount(flat[where], minlength=int(np.prod(CELLS))).reshape(CELLS) / max(int(where.sum()), 1)
    shares: Floats = gaussian_filter(counts.astype(np.float32), 1.0).ravel()[flat]
    return shares


def ellipse(square: FaceSquare, axes: tuple[float, float, float], shape: tuple[int, ...]) -> Bools:
    """Return which pixels lie in an ellipse around a face, (h, w); see CORE."""
    across, down, up = axes
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    aside = (columns - square.left - square.side / 2) / (across * square.side)
    below = (rows - square.top - square.side * (0.5 - up)) / (down * square.side)
    inside: Bools = aside**2 + below**2 <= 1
    return inside


def reach(square: FaceSquare, shape: tuple[int, ...]) -> Bools:
    """Return where skin is looked for, (h, w): aside of a face and below it."""
    aside, below = (widths * square.side for widths in REACH)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near = np.abs(columns - square.left - square.side / 2) <= aside
    inside: Bools = near & (rows >= square.top - HEAD[1] * square.side / 2) & (rows <= square.top + square.side + below)
    return inside
