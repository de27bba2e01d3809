"""Where vines run: from the corners and sides of a photo along its lines, the cheapest way over a map of costs."""

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.graph import MCP_Geometric

from base.arrays import Bools, Floats, Reals
from restyle.growing.scene import Scene
from restyle.smoothing import smoothstep

ENDS = 14  # that are tried: the vines of full strength
SHORTEST = 0.17  # of the longer side
STRAYS = 0.10  # mean of the line under a stretch below which a vine would hang in the air
STRETCH_PX = 9  # over which that mean is taken
SMOOTH_PX = 1.6
EVERYWHERE = 60.0  # what it costs to cross a pixel where nothing may grow


def routes_of(scene: Scene, rng: np.random.Generator) -> list[Reals]:
    """Return ways of vines, each (n, 2) of x and y in pixels of the photo, from the root to the tip.

    A later way that joins an earlier one begins where they part. Fewer or more of them are wanted by strength, so the
    first are the same whatever the others do.
    """
    height, width = scene.lines.shape
    wanted = border_weight(height, width) * scene.open
    lines = np.maximum(scene.lines, ndimage.grey_dilation(scene.lines, 3) * 0.6)
    rough = np.exp(1.2 * noise((height, width), 0.05 * max(height, width), rng))
    cost = ((1.2 - wanted) / (0.03 + lines) + EVERYWHERE * (1 - scene.open) + 20 * (wanted < 0.12)) * rough
    finder = MCP_Geometric(cost)
    finder.find_costs(starts_of(height, width))
    chances = (wanted**1.5 * np.clip(lines - 0.15, 0, 1)).ravel()
    if not chances.any():
        return []
    taken = np.zeros((height, width), bool)
    routes: list[Reals] = []
    for _ in range(ENDS):
        end = int(np.searchsorted(np.cumsum(chances), rng.random() * chances.sum()))
        way = np.array(finder.traceback(np.unravel_index(min(end, chances.size - 1), (height, width))))
        part = own_part(way, taken, lines, scene)
        if part is not None:
            routes.append(part)
    return routes


def border_weight(height: int, width: int) -> Reals:
    """Return how welcome vines are, (h, w) in 0..1: along the top, at the sides, most of all in the upper corners."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    down, aside = rows / height, np.minimum(columns, width - 1 - columns) / width
    top = 0.85 * smoothstep(0.42, 0.05, down)
    sides = smoothstep(0.24, 0.03, aside) * smoothstep(1.0, 0.6, down)
    corners = 0.35 * smoothstep(0.5, 0.1, np.hypot(down, aside))
    weight: Reals = np.clip(np.maximum(top, 0.9 * sides) + corners, 0, 1)
    return weight


def starts_of(height: int, width: int) -> list[tuple[int, int]]:
    """Return where vines come from, (row, column): the upper corners and both sides."""
    quarter = height // 4
    return [(0, 0), (0, width - 1), (quarter, 0), (quarter, width - 1)]


def own_part(way: Reals, taken: Bools, lines: Reals, scene: Scene) -> Reals | None:
    """Return what a way of rows and columns, (n, 2), adds to those before it, as x and y in the photo; take it."""
    under = ndimage.uniform_filter1d(lines[way[:, 0], way[:, 1]], STRETCH_PX, mode="nearest")
    stray = np.flatnonzero(under < STRAYS)
    first = np.flatnonzero(under >= 2 * STRAYS)
    if not len(first) or len(way) < 4:
        return None
    stop = next((int(place) for place in stray if place > first[0]), len(way))
    way = way[:stop]
    met = np.flatnonzero(taken[way[:, 0], way[:, 1]])
    way = way[met[-1] :] if len(met) else way
    if len(way) < SHORTEST * max(lines.shape) or first[0] > 0.25 * max(lines.shape):
        return None
    near = np.zeros_like(taken)
    near[way[:, 0], way[:, 1]] = True
    taken |= ndimage.binary_dilation(near, iterations=2)
    smooth = ndimage.gaussian_filter1d(way.astype(np.float32), SMOOTH_PX, axis=0, mode="nearest")
    inside: Reals = (smooth[:, ::-1] + 0.5) * np.float32(scene.scale)
    return inside


def noise(shape: tuple[int, int], cell_px: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise, (h, w) float32 of mean 0 and about unit variance, whose bumps are `cell_px` wide.

    Source: value noise, Perlin and Hoffert 1989, as a grid of normal numbers that is enlarged bicubically.
    """
    height, width = shape
    rows, columns = int(np.ceil(height / cell_px)) + 3, int(np.ceil(width / cell_px)) + 3
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    size = max(width, round(columns * cell_px)), max(height, round(rows * cell_px))
    enlarged = np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC))
    return enlarged[:height, :width] * np.float32(1.4)
