"""What hangs into the picture from above at one side: strands close together at the corner, shorter away from it."""

from collections.abc import Iterator

import numpy as np

from base.arrays import Reals
from restyle.growing.plant import DOWN, Plant, PlantSheet
from restyle.growing.scene import Scene
from restyle.growing.vines import EVERY, Vine, leaves_along, open_until, stem

STRANDS = 7
LONGEST = 0.62  # of the photo's height
SHORTEST = 0.12  # of the height: what is shorter would be bunting
NEAR = 0.085  # longer sides: how far from the corner a strand hangs, on average


def hanging_plants(vine: Vine, scene: Scene, at_left: bool, rng: np.random.Generator) -> Iterator[Plant]:
    """Yield strands that hang from an upper corner, the one at the corner first."""
    for points in strands_of(vine, scene, at_left, rng):
        sheet = PlantSheet.around(points, 0.05 * vine.unit_px)
        stem(sheet, points, vine)
        leaves_along(sheet, points, vine, 1.25, rng)
        plant = sheet.plant(scene.width_px, scene.height_px)
        if plant is not None:
            yield plant


def strands_of(vine: Vine, scene: Scene, at_left: bool, rng: np.random.Generator) -> list[Reals]:
    """Return the ways of strands, (n, 2) each."""
    aside = np.sort(rng.exponential(NEAR, STRANDS))
    found = []
    for off in aside:
        length = LONGEST * scene.height_px * float(np.exp(-off / 0.16) * rng.uniform(0.45, 1.0))
        steps = max(4, int(length / (EVERY * vine.unit_px)))
        along = np.arange(steps)
        sway = 0.16 * np.sin(along / float(rng.uniform(5, 11)) + float(rng.uniform(0, 6)))
        heading = DOWN + sway + float(rng.normal(0, 0.08))
        moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * EVERY * vine.unit_px
        x = (off + 0.01) * scene.longer_px
        root = np.array([x if at_left else scene.width_px - x, -0.02 * scene.longer_px])
        points = (root + np.cumsum(moves, axis=0)).astype(np.float32)
        kept = open_until(points, scene)
        if kept * EVERY * vine.unit_px > SHORTEST * scene.height_px:
            found.append(points[:kept])
    return found
