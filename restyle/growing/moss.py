"""Moss: a cushion of tiny leaves at the root of a vine, where it clings to a line; nothing grows on bare walls."""

import numpy as np

from restyle.growing.fields import Numbers, smooth_step
from restyle.growing.leaves import Brush
from restyle.growing.plant import PlantSheet

BLADE = 0.009  # length of one of its leaves, in longer sides
MANY = 0.0013  # longer sides along the line between two
THICK = 0.0105  # how far it spreads from the line, in longer sides


def stamp_moss(sheet: PlantSheet, points: Numbers, unit_px: float, brush: Brush, rng: np.random.Generator) -> None:
    """Stamp a cushion along points of the photo, (n, 2): thick at the first, thinner outwards, with gaps."""
    distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    reach = float(distance[-1])
    places = np.sort(rng.uniform(0, reach, int(reach / (MANY * unit_px)) + 1))
    bumps = np.interp(places, np.linspace(0, reach, 7), rng.uniform(0, 1, 7))
    thick = THICK * unit_px * (1 - 0.6 * places / max(reach, 1e-6)) * smooth_step(bumps, 0.2, 0.65)
    offsets = rng.normal(0, 0.5, (len(places), 2))
    middles = np.stack([np.interp(places, distance, points[:, axis]) for axis in (0, 1)], axis=1)
    middles = middles + offsets * thick[:, None]
    sizes = BLADE * unit_px * rng.uniform(0.7, 1.3, len(places))
    angles, hues = rng.uniform(0, 2 * np.pi, len(places)), np.round(rng.normal(-0.5, 0.7, len(places))).astype(int)
    levels = np.round(-2.0 - 2.6 * offsets[:, 1] + rng.normal(0, 0.8, len(places))).astype(int)
    for i in np.flatnonzero(thick > 0.22 * THICK * unit_px).tolist():
        leaf = brush.leaf("oval", float(sizes[i]), float(angles[i]), int(levels[i]), int(hues[i]))
        sheet.stamp(leaf, *middles[i].tolist())
