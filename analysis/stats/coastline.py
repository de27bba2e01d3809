"""The land of the earth as polygons, from the map that comes along with the pages. Draws nothing.

Source: Natural Earth's land at 1:110 million, public domain, as world-atlas 2.0.2 packs it.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from base.arrays import Doubles
from base.records import parse_json
from base.settings import asset

LAND = "web/static/vendor/world-atlas-2.0.2/land-110m.json"


@cache
def land() -> list[Doubles]:
    """Return the rings of the land, each (n, 2) of longitude and latitude in degrees.

    A ring that crosses 180 degrees is there twice, once on either side, and reaches beyond the map there.

    Raises: AliensError: the installation is not whole.
    """
    topology = parse_json(asset(LAND).read_bytes())
    arcs = [points_of(arc, topology["transform"]) for arc in topology["arcs"]]
    return [
        side for indices in rings_of(topology["objects"]["land"]) for side in beside_180(joined_arcs(indices, arcs))
    ]


def rings_of(geometry: dict[str, object]) -> Iterator[Sequence[int]]:
    """Yield the rings of a geometry of TopoJSON, each as numbers of its arcs."""
    parts = geometry.get("geometries")
    for part in parts if isinstance(parts, list) else ():
        yield from rings_of(part)
    found = geometry.get("arcs")
    if isinstance(found, list):
        for polygon in [found] if geometry["type"] == "Polygon" else found:
            yield from polygon


def points_of(arc: Sequence[Sequence[int]], transform: dict[str, Sequence[float]]) -> Doubles:
    """Return an arc's points in degrees, (n, 2). Source: the TopoJSON format, section 2.1.4: steps of whole numbers."""
    points: Doubles = np.cumsum(np.array(arc, np.float64), axis=0) * transform["scale"] + transform["translate"]
    return points


def joined_arcs(indices: Sequence[int], arcs: Sequence[Doubles]) -> Doubles:
    """Return the ring of some arcs, (n, 2): ~i is arc i backwards, and each begins where the one before it ends."""
    parts = [arcs[index] if index >= 0 else arcs[~index][::-1] for index in indices]
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])


def beside_180(ring: Doubles) -> list[Doubles]:
    """Return a ring without jumps from 180 to -180 degrees, and a second time moved where it crosses that line."""
    steps = np.diff(ring[:, 0], prepend=ring[0, 0])
    turns = np.cumsum(np.where(steps < -180, 360, np.where(steps > 180, -360, 0)))
    whole = ring + np.column_stack([turns, np.zeros(len(ring))])
    if whole[:, 0].max() > 180:
        return [whole, whole - np.array([360, 0])]
    return [whole, whole + np.array([360, 0])] if whole[:, 0].min() < -180 else [whole]
