"""What grows where in a photo: vines and moss along its lines, fronds in its corners, strands from above."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from PIL import Image

from restyle.growing.dyes import Dyes
from restyle.growing.fronds import Finish, Sort, grown_frond, painted
from restyle.growing.hanging import hanging_plants
from restyle.growing.leaves import Brush, Shape
from restyle.growing.plant import UP, Plant
from restyle.growing.routes import routes_of
from restyle.growing.scene import Scene
from restyle.growing.umbels import umbel_plants
from restyle.growing.vines import Vine, vine_plants

FULL, FEW = 7, 4  # fronds in the calmer and in the busier bottom corner
LONG, SHORT = 0.40, 0.26  # of the longer side: fronds there
NEAR_BLUR, FAR_BLUR = 0.0016, 0.001  # of the longer side: how far out of focus they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Beds:
    """All plants by their kinds; of each the first are there at little strength already, and the last come last.

    vines: with the moss at their roots. hanging: from above. fronds: in the lower corners. umbels: flowers among them.
    """

    vines: tuple[Plant, ...] = ()
    hanging: tuple[Plant, ...] = ()
    fronds: tuple[Plant, ...] = ()
    umbels: tuple[Plant, ...] = ()

    def reduced(self, factor: int) -> Self:
        """Return them so many times smaller."""
        return self._each(lambda plants: tuple(plant.reduced(factor) for plant in plants))

    def clear_of(self, scene: Scene) -> Self:
        """Return those that cover nobody."""
        size = scene.width_px, scene.height_px
        people = Image.fromarray(scene.people).resize(size, Image.Resampling.NEAREST)
        return self._each(lambda plants: tuple(plant for plant in plants if not plant.covers(people)))

    def _each(self, change: Callable[[tuple[Plant, ...]], tuple[Plant, ...]]) -> Self:
        return type(self)(**{each.name: change(getattr(self, each.name)) for each in fields(self)})


def beds_of(scene: Scene, brush: Brush, seed: np.random.SeedSequence) -> Beds:
    """Return a photo's plants. Each kind has its own chance, so that none depends on how many there are of another."""
    if not scene.fertile:
        return Beds()
    for_vines, for_hanging, for_fronds, for_umbels = map(np.random.default_rng, seed.spawn(4))
    shape: Shape = "ivy" if for_vines.random() < 0.6 else "heart"
    routes = routes_of(scene, for_vines)
    vine = Vine(shape, scene.longer_px, brush)
    trailing = Vine("heart" if shape == "ivy" else "ivy", scene.longer_px, brush)
    at_left = calmer_bottom_is_left(scene)  # of umbels; strands hang over the other corner
    beds = Beds(
        vines=tuple(plant for route in routes for plant in vine_plants(route, vine, scene, for_vines)),
        hanging=tuple(hanging_plants(trailing, scene, not at_left, for_hanging)),
        fronds=tuple(corner_fronds(scene, brush.dyes, for_fronds)),
        umbels=tuple(umbel_plants(scene, brush, at_left, for_umbels)),
    )
    return beds.clear_of(scene) if scene.people.any() else beds


def calmer_bottom_is_left(scene: Scene) -> bool:
    """Return whether less stands in the lower left corner than in the lower right one."""
    height, width = scene.busy.shape
    part = scene.busy[height // 2 :]
    return bool(part[:, : width // 3].mean() <= part[:, -(width // 3) :].mean())


def corner_fronds(scene: Scene, dyes: Dyes, rng: np.random.Generator) -> Iterator[Plant]:
    """Yield fronds from both lower corners, in turn, those in the middle of a corner first."""
    left_is_calm = calmer_bottom_is_left(scene)
    sorts: tuple[Sort, Sort] = ("palm", "fern") if rng.random() < 0.5 else ("fern", "palm")
    many = list(one_corner(scene, dyes, sorts[0], left_is_calm, FULL, LONG, rng))
    few = list(one_corner(scene, dyes, sorts[1], not left_is_calm, FEW, SHORT, rng))
    while many or few:
        for plants in (many, many, few):
            if plants:
                yield plants.pop(0)


def one_corner(
    scene: Scene, dyes: Dyes, sort: Sort, at_left: bool, count: int, long: float, rng: np.random.Generator
) -> Iterator[Plant]:
    """Yield the fronds of one lower corner that reach into the photo."""
    unit = scene.longer_px
    blur = (NEAR_BLUR if count == FULL else FAR_BLUR) * unit
    leans = np.linspace(0.12, 1.30, count) + rng.normal(0, 0.06, count)
    order = np.argsort(np.abs(leans - 0.6))
    for place, which in enumerate(order.tolist()):
        angle = UP + leans[which] if at_left else UP - leans[which]
        x = float(rng.uniform(-0.04, 0.05)) * unit
        root = (x if at_left else scene.width_px - x, scene.height_px + float(rng.uniform(0.0, 0.05)) * unit)
        length = long * unit * float(rng.uniform(0.72, 1.05))
        frond = grown_frond(sort, root, angle, length, float(rng.uniform(0.22, 0.5)), rng)
        tone = 0.42 + 0.24 * place / count + float(rng.normal(0, 0.03))
        finish = Finish(tone=tone, hue=int(rng.integers(-1, 2)), blur_px=blur, light_x=scene.light_x)
        plant = painted(frond, finish, dyes, rng).within(scene.width_px, scene.height_px)
        if plant is not None:
            yield plant
