"""Vines: leaves, hanging shoots, flowers, and moss at the root, along a way, in stretches: short or long."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from base.arrays import Reals
from restyle.growing.leaves import Brush, Shape
from restyle.growing.plant import DOWN, Plant, PlantSheet, stalk
from restyle.growing.scene import Scene
from restyle.smoothing import smoothstep

LEAF = 0.021  # length of a leaf, in longer sides
EVERY = 0.0078  # a leaf each, along the way
SHOOT_EVERY, SHOOT_LONG = 0.045, (2.0, 0.022)  # longer sides between shoots; shape and scale of their lengths
STRETCH = 0.13  # longer sides of a vine that are one plant
FLOWER, FLOWERS = 0.020, 0.10  # its width, in longer sides, and how many leaves have one beside them
STEM = (62, 72, 36)
MOSS = 0.009  # length of one of its leaves, in longer sides
MOSS_EVERY = 0.0013  # longer sides along the line between two
MOSS_THICK = 0.0105  # how far it spreads from the line, in longer sides


@dataclass(frozen=True, slots=True)
class Vine:
    """What a vine is drawn with: shape of its leaves, and the sizes of things in pixels."""

    shape: Shape
    unit_px: float  # the photo's longer side
    brush: Brush


def vine_plants(route: Reals, vine: Vine, scene: Scene, rng: np.random.Generator) -> Iterator[Plant]:
    """Yield a vine along a way (n, 2), stretch by stretch from its root."""
    distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(route, axis=0), axis=1))])
    whole = float(distance[-1])
    places = np.arange(0, whole, EVERY * vine.unit_px)
    points = np.stack([np.interp(places, distance, route[:, axis]) for axis in (0, 1)], axis=1)
    count = max(1, round(whole / (STRETCH * vine.unit_px)))
    for number, stretch in enumerate(np.array_split(points, count)):
        if len(stretch) < 2:
            continue
        taper = 1 - 0.35 * (number / count)
        plant = one_stretch(stretch, vine, scene, taper, rng, at_root=number == 0)
        if plant is not None:
            yield plant


def one_stretch(
    points: Reals, vine: Vine, scene: Scene, taper: float, rng: np.random.Generator, *, at_root: bool
) -> Plant | None:
    """Return one stretch of a vine with its shoots; what lies behind is stamped first."""
    sheet = PlantSheet.around(points, 0.30 * vine.unit_px)
    if at_root:
        stamp_moss(sheet, points, vine.unit_px, vine.brush, rng)
    strands = [points, *shoots_of(points, vine, scene, rng)]
    for strand in strands:
        stem(sheet, strand, vine)
    for strand in reversed(strands):
        leaves_along(sheet, strand, vine, taper, rng)
    return sheet.plant(scene.width_px, scene.height_px)


def shoots_of(points: Reals, vine: Vine, scene: Scene, rng: np.random.Generator) -> list[Reals]:
    """Return shoots that hang from a stretch, each (n, 2): they sink more and more."""
    found, place = [], float(rng.exponential(SHOOT_EVERY) / EVERY)
    while place < len(points):
        length = min(float(rng.gamma(*SHOOT_LONG)), 0.24) * vine.unit_px
        steps = max(int(length / (EVERY * vine.unit_px)), 2)
        heading = DOWN + rng.normal(0, 0.9) * np.exp(-np.arange(steps) / 4) + 0.12 * np.sin(np.arange(steps) / 3)
        moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * EVERY * vine.unit_px
        shoot = points[int(place)] + np.cumsum(moves, axis=0)
        kept = open_until(shoot, scene)
        if kept > 1:
            found.append(shoot[:kept].astype(np.float32))
        place += max(1.0, float(rng.exponential(SHOOT_EVERY) / EVERY))
    return found


def open_until(points: Reals, scene: Scene) -> int:
    """Return how many points from the first on lie where plants may be."""
    height, width = scene.open.shape
    columns = np.clip((points[:, 0] / scene.scale).astype(int), 0, width - 1)
    rows = np.clip((points[:, 1] / scene.scale).astype(int), 0, height - 1)
    closed = np.flatnonzero(scene.open[rows, columns] < 0.6)
    return int(closed[0]) if len(closed) else len(points)


def stem(sheet: PlantSheet, points: Reals, vine: Vine) -> None:
    """Draw what carries the leaves."""
    stalk(sheet, points, 0.0022 * vine.unit_px, STEM)


def leaves_along(sheet: PlantSheet, points: Reals, vine: Vine, taper: float, rng: np.random.Generator) -> None:
    """Stamp leaves on both sides of a strand, smaller to its tip, each a little lighter than those before it."""
    count = len(points)
    headings = np.arctan2(*np.gradient(points, axis=0).T[::-1]) if count > 1 else np.array([DOWN])
    sides = np.where(np.arange(count) % 2, 1.0, -1.0)
    angles = headings + sides * rng.uniform(0.5, 1.4, count)
    angles += 0.55 * np.sin(DOWN - angles) + rng.normal(0, 0.25, count)
    sizes = LEAF * vine.unit_px * taper * rng.uniform(0.62, 1.25, count) * np.linspace(1.1, 0.6, count)
    levels = np.round(np.linspace(-2.2, 1.6, count) + rng.normal(0, 1.3, count)).astype(int)
    hues = np.round(rng.normal(0, 0.8, count)).astype(int)
    blooms, offsets = rng.random(count) < FLOWERS, rng.normal(0, 0.35, (count, 2))
    turns = rng.integers(0, 5, count)
    shade_y = 0.12
    for i, (x, y) in enumerate(points.tolist()):
        size, angle = float(sizes[i]), float(angles[i])
        middle_x, middle_y = x + 0.46 * size * np.cos(angle), y + 0.46 * size * np.sin(angle)
        sheet.stamp(vine.brush.shade(vine.shape, size, angle), middle_x, middle_y + shade_y * size)
        sheet.stamp(vine.brush.leaf(vine.shape, size, angle, int(levels[i]), int(hues[i])), middle_x, middle_y)
        if blooms[i]:
            across = FLOWER * vine.unit_px * (0.75 + 0.5 * abs(float(offsets[i, 0])))
            flower = vine.brush.flower(across, int(turns[i]))
            sheet.stamp(flower, x + float(offsets[i, 0]) * size, y + float(offsets[i, 1]) * size)


def stamp_moss(sheet: PlantSheet, points: Reals, unit_px: float, brush: Brush, rng: np.random.Generator) -> None:
    """Stamp a cushion along points of the photo, (n, 2): thick at the first, thinner outwards, with gaps."""
    distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    reach = float(distance[-1])
    places = np.sort(rng.uniform(0, reach, int(reach / (MOSS_EVERY * unit_px)) + 1))
    bumps = np.interp(places, np.linspace(0, reach, 7), rng.uniform(0, 1, 7))
    thick = MOSS_THICK * unit_px * (1 - 0.6 * places / max(reach, 1e-6)) * smoothstep(0.2, 0.65, bumps)
    offsets = rng.normal(0, 0.5, (len(places), 2))
    middles = np.stack([np.interp(places, distance, points[:, axis]) for axis in (0, 1)], axis=1)
    middles = middles + offsets * thick[:, None]
    sizes = MOSS * unit_px * rng.uniform(0.7, 1.3, len(places))
    angles, hues = rng.uniform(0, 2 * np.pi, len(places)), np.round(rng.normal(-0.5, 0.7, len(places))).astype(int)
    levels = np.round(-2.0 - 2.6 * offsets[:, 1] + rng.normal(0, 0.8, len(places))).astype(int)
    for i in np.flatnonzero(thick > 0.22 * MOSS_THICK * unit_px).tolist():
        leaf = brush.leaf("oval", float(sizes[i]), float(angles[i]), int(levels[i]), int(hues[i]))
        sheet.stamp(leaf, *middles[i].tolist())
