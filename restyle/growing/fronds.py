"""Fronds of palms and ferns: a curved rib with leaflets on both sides, as geometry, and painted with lit halves."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from base.arrays import Reals
from restyle.growing.dyes import HUES, TONES, Dyes
from restyle.growing.plant import DOWN, Plant, softened

Sort = Literal["palm", "fern", "twig", "feather"]
FINER = 2  # times that fronds are painted larger than they are shown, so that their edges are smooth
SOFT_PX = 1.5  # of blur from which on that is not needed
RIB_POINTS = 24
MARGIN_PX = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class FrondKind:
    """How a sort of frond is built.

    pairs: of leaflets. reach: of the longest leaflet, in lengths of the frond. spread: radians off the rib at the root
    and at the tip. sag: how far leaflets turn downwards. width: in lengths of the leaflet. points: along a leaflet.
    teeth: on an edge. deep: how deep they are cut, 0..1.
    """

    pairs: int
    reach: float
    spread: tuple[float, float]
    sag: float
    width: float
    points: int
    teeth: int = 0
    deep: float = 0.0


KINDS: dict[Sort, FrondKind] = {
    "palm": FrondKind(pairs=30, reach=0.40, spread=(1.15, 0.30), sag=0.45, width=0.05, points=7),
    "fern": FrondKind(pairs=26, reach=0.24, spread=(1.40, 0.75), sag=0.18, width=0.105, points=25, teeth=8, deep=0.42),
    "twig": FrondKind(pairs=8, reach=0.24, spread=(1.0, 0.5), sag=0.5, width=0.17, points=9),
    "feather": FrondKind(pairs=17, reach=0.46, spread=(1.15, 0.35), sag=0.35, width=0.040, points=9),
}


@dataclass(frozen=True, slots=True)
class Frond:
    """A frond in pixels. rib: (n, 2). middles: (k, m, 2) of leaflets. halves: (k, m, 2), from there to an edge."""

    rib: Reals
    middles: Reals
    halves: Reals

    @property
    def points(self) -> Reals:
        """All that it reaches, (n, 2)."""
        return np.concatenate([self.rib, (self.middles + self.halves).reshape(-1, 2), self.middles.reshape(-1, 2)])

    @property
    def outlines(self) -> Reals:
        """Its leaflets as polygons, (k, 2 m, 2)."""
        return np.concatenate([self.middles + self.halves, (self.middles - self.halves)[:, ::-1]], axis=1)


def towards(angle: Reals, goal: float) -> Reals:
    """Return how far angles are from a goal the short way, in radians -pi..pi."""
    turned: Reals = (goal - angle + np.pi) % (2 * np.pi) - np.pi
    return turned


def grown_frond(
    sort: Sort, root: tuple[float, float], angle: float, length_px: float, droop: float, rng: np.random.Generator
) -> Frond:
    """Return a frond from a root (x, y), that points in an angle at first and droops: 0 not at all, 1 to the ground."""
    kind = KINDS[sort]
    along = np.linspace(0, 1, RIB_POINTS)
    heading = angle + droop * along**1.4 * towards(np.array(angle), DOWN)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length_px / (RIB_POINTS - 1))
    rib = np.array(root) + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
    places = np.repeat(np.linspace(0.10, 0.985, kind.pairs), 2) + rng.normal(0, 0.004, 2 * kind.pairs)
    places = np.clip(places, 0.05, 0.99)
    sides = np.tile([1.0, -1.0], kind.pairs)
    bases = np.stack([np.interp(places, along, rib[:, axis]) for axis in (0, 1)], axis=1)
    spread = kind.spread[0] + (kind.spread[1] - kind.spread[0]) * places + rng.normal(0, 0.05, len(places))
    first = np.interp(places, along, heading) + sides * spread
    shape = np.sin(np.pi * np.clip(0.10 + 0.88 * places, 0, 1) ** 0.85) ** 0.7
    lengths = length_px * kind.reach * shape * np.exp(rng.normal(0, 0.05, len(places)))
    middles, halves = leaflets(kind, bases, first, lengths)
    return Frond(rib, middles, halves)


def leaflets(kind: FrondKind, bases: Reals, first: Reals, lengths: Reals) -> tuple[Reals, Reals]:
    """Return middle lines and half widths as vectors, (k, m, 2) each, of leaflets from (k, 2), (k,) and (k,)."""
    along = np.linspace(0, 1, kind.points)
    headings = first[:, None] + kind.sag * along * np.sin(towards(first, DOWN))[:, None]
    step = lengths[:, None, None] / (kind.points - 1)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=-1) * step
    middles = bases[:, None] + np.concatenate([np.zeros_like(moves[:, :1]), np.cumsum(moves[:, :-1], axis=1)], axis=1)
    profile = np.interp(along, (0, 0.12, 0.4, 0.75, 1), (0.35, 0.8, 1.0, 0.7, 0.0))
    if kind.teeth:
        profile = profile * (1 - kind.deep + kind.deep * np.abs(np.sin(np.pi * kind.teeth * along)))
    widths = np.maximum(lengths[:, None] * kind.width * profile, 0.35 * (profile > 0))
    normals = np.stack([-np.sin(headings), np.cos(headings)], axis=-1)
    return middles, normals * widths[..., None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """How a frond is painted. tone: of its middle, 0..1. hue: 0 the usual. blur_px: how far out of focus it is."""

    tone: float
    hue: int
    blur_px: float
    light_x: float


def painted(frond: Frond, finish: Finish, dyes: Dyes, rng: np.random.Generator) -> Plant:
    """Return a frond as a picture: every leaflet has a lit and a dark half, and stands out from those behind it."""
    margin = MARGIN_PX + round(3 * finish.blur_px)
    low = np.floor(frond.points.min(axis=0)).astype(int) - margin
    size = np.ceil(frond.points.max(axis=0)).astype(int) + margin - low
    finer = 1 if finish.blur_px >= SOFT_PX else FINER
    picture = Image.new("RGBA", (int(size[0]) * finer, int(size[1]) * finer))
    draw = ImageDraw.Draw(picture)
    palette = [(*colour, 255) for colour in dyes.leaves[int(np.clip(finish.hue + 2, 0, len(HUES) - 1))].tolist()]
    middles, halves = (frond.middles - low) * finer, frond.halves * finer
    own = finish.tone + rng.normal(0, 0.045, len(middles)) + np.linspace(-0.05, 0.07, len(middles))
    lights = np.array([finish.light_x * 0.6, -0.8])
    facing = 0.15 * (halves[:, 1] @ lights) / np.maximum(np.linalg.norm(halves[:, 1], axis=1), 1e-6)
    for middle, half, tone, lit in zip(middles, halves, own, facing, strict=True):
        leaflet(draw, palette, middle, half, tone, lit)
    rib = [tuple(point) for point in ((frond.rib - low) * finer).tolist()]
    thick = max(1, round(0.012 * finer * np.linalg.norm(frond.rib[-1] - frond.rib[0])))
    draw.line(rib, fill=ink(palette, finish.tone - 0.06), width=thick, joint="curve")
    draw.line(rib, fill=ink(palette, finish.tone + 0.20), width=max(1, thick // 2))
    return Plant(softened(picture.reduce(finer), finish.blur_px), int(low[0]), int(low[1]))


def leaflet(
    draw: ImageDraw.ImageDraw,
    palette: list[tuple[int, ...]],
    middle: Reals,
    half: Reals,
    tone: float,
    lit: float,
) -> None:
    """Paint one leaflet: a dark edge beneath it, then both its halves in strips that grow lighter to the tip."""
    outer = np.concatenate([middle + 1.22 * half, (middle - 1.22 * half)[::-1]])
    draw.polygon(flat(outer), fill=ink(palette, tone - 0.30))
    strips = min(4, len(middle) - 1)
    cuts = np.linspace(0, len(middle) - 1, strips + 1).astype(int)
    for side, facing in ((1.0, lit), (-1.0, -lit)):
        for start, stop in pairwise(cuts.tolist()):
            part = slice(start, stop + 1)
            shade = tone + facing + 0.16 * (stop / len(middle)) - 0.10 * (1 - start / len(middle)) ** 3
            outline = np.concatenate([middle[part], (middle[part] + side * half[part])[::-1]])
            draw.polygon(flat(outline), fill=ink(palette, shade))


def flat(points: Reals) -> list[tuple[float, float]]:
    """Return points, (n, 2), as Pillow takes them."""
    return [(x, y) for x, y in points.tolist()]


def ink(palette: list[tuple[int, ...]], tone: float) -> tuple[int, ...]:
    """Return the colour of a tone."""
    return palette[int(min(max(tone, 0.0), 1.0) * (TONES - 1))]
