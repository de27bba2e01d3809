"""Blue flowers on tall stems between the fronds, balls of many: the blue that a protanope sees on golden leaves."""

from collections.abc import Iterator

import numpy as np

from base.arrays import Reals
from restyle.growing.leaves import Brush
from restyle.growing.plant import UP, Plant, PlantSheet, softened, stalk
from restyle.growing.scene import Scene

COUNT = 5
STEM = 0.12, 0.25  # of the longer side
THICK = 0.003  # of the longer side
BALL, FLORETS = 0.029, 34  # radius in longer sides; how many flowers are one
FLORET = 0.0165  # of the longer side
BLUR = 0.0007  # of the longer side
GREEN = (84, 122, 52)


def umbel_plants(scene: Scene, brush: Brush, at_left: bool, rng: np.random.Generator) -> Iterator[Plant]:
    """Yield balls of flowers on their stems, from a lower corner."""
    unit = scene.longer_px
    for number in range(COUNT):
        lean = 0.12 + 0.85 * (number * 0.618 % 1) + float(rng.normal(0, 0.05))
        long = float(rng.uniform(*STEM)) * unit
        along = np.linspace(0, 1, 12)
        heading = UP + (lean if at_left else -lean) * (0.35 + 0.65 * along)
        steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * long / 11
        x = float(rng.uniform(0.0, 0.10)) * unit
        root = np.array([x if at_left else scene.width_px - x, scene.height_px + 0.02 * unit])
        plant = one_umbel(root + np.cumsum(steps, axis=0), unit, brush, scene, rng)
        if plant is not None:
            yield plant


def one_umbel(stem: Reals, unit: int, brush: Brush, scene: Scene, rng: np.random.Generator) -> Plant | None:
    """Return a ball of flowers at the end of a stem (n, 2): those behind first, those at its upper front last."""
    sheet = PlantSheet.around(stem, 3 * BALL * unit)
    stalk(sheet, stem, THICK * unit, GREEN)
    size = float(rng.uniform(0.75, 1.15))
    turn, far = rng.uniform(0, 2 * np.pi, FLORETS), np.sqrt(rng.uniform(0, 1, FLORETS))
    which = rng.integers(0, 5, FLORETS)
    for i in np.argsort(-far).tolist():
        x = float(stem[-1, 0]) + BALL * unit * size * float(far[i] * np.cos(turn[i]))
        y = float(stem[-1, 1]) + 0.85 * BALL * unit * size * float(far[i] * np.sin(turn[i]))
        level = round(-1.5 - 4 * float(far[i]) * (0.6 + 0.4 * float(np.sin(turn[i]))))
        sheet.stamp(brush.flower(FLORET * unit * size * float(1 - 0.25 * far[i]), int(which[i]), level), x, y)
    sheet.picture = softened(sheet.picture, BLUR * unit)
    return sheet.plant(scene.width_px, scene.height_px)
