"""Leaf shadows: what light is left behind palms, big leaves or twigs that nobody sees, on walls and on the floor."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from base.arrays import Floats
from restyle.growing.fronds import flat, grown_frond
from restyle.growing.scene import Scene
from restyle.smoothing import smoothstep

Caster = Literal["feather", "monstera", "twig"]
CASTERS: tuple[Caster, ...] = ("feather", "twig", "monstera", "feather")  # the last for bare rooms
DRAWN_PX = 448  # the longer side that shadows are drawn at: none is sharper
FLOOR = 0.68  # of the height: below, light falls on the floor
SQUEEZED, SHEARED = 1.7, 1.0  # how shadows on the floor are foreshortened, and how far they lean away from the light
SLITS = (20, 42, 65, 90, 118)  # degrees from the tip of a monstera's leaf at which it is cut
BARE = 0.5  # of `Scene.bareness`, from which on big leaves would be blots
SHADED = 0.12, 0.80  # share of the light that is kept off where shade begins and where it is full: half shade is grey
GOLD_OVER_THINGS, SHADE_OVER_THINGS = 0.6, 0.5  # how much of both falls on what is no plain surface
TANGLED = 3.5, 7.0  # L* a pixel, blurred, from which on hardly any is seen to: hedges, gravel
WHITE = (99.0, 90.0)  # L* from which on a surface shines by itself: lamps, windows


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """A distance of what casts shadows. count: of branches. blur, long: in longer sides. density: 0..1."""

    count: int
    blur: float
    density: float
    long: float


DEPTHS = (
    Depth(count=3, blur=0.0030, density=0.90, long=0.46),
    Depth(count=1, blur=0.008, density=0.55, long=0.55),
)


def light_and_shade(scene: Scene, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return how much golden light and how much blue shade falls on a photo, (h, w) each in 0..1, of a small size."""
    scale = DRAWN_PX / scene.longer_px
    width, height = max(8, round(scene.width_px * scale)), max(8, round(scene.height_px * scale))
    left = passed(scene, width, height, rng)
    shade = surface_of(scene, width, height, SHADE_OVER_THINGS) * smoothstep(*SHADED, 1 - left)
    return surface_of(scene, width, height, GOLD_OVER_THINGS), shade


def surface_of(scene: Scene, width: int, height: int, over_things: float) -> Floats:
    """Return on how much of every place light is seen to fall, (height, width) in 0..1."""
    shining = 1 - 0.85 * smoothstep(*WHITE[::-1], scene.lightness)
    rows = np.linspace(0, 1, len(scene.lightness), dtype=np.float32)[:, None]
    things = over_things * (1 - smoothstep(*TANGLED, scene.busy))
    field = (things + (1 - things) * scene.plain) * scene.indoors * shining
    field = field * (0.55 + 0.45 * smoothstep(0.0, 0.25, rows))
    field = ndimage.gaussian_filter(field.astype(np.float32), 0.8)
    return np.asarray(Image.fromarray(field).resize((width, height), Image.Resampling.BILINEAR))


def passed(scene: Scene, width: int, height: int, rng: np.random.Generator) -> Floats:
    """Return what share of the light passes the leaves, (height, width) in 0..1, on walls and on the floor."""
    which = int(rng.integers(len(CASTERS)))
    caster = CASTERS[-1 if scene.bareness > BARE and CASTERS[which] == "monstera" else which]
    wall = shadows(scene, caster, width, height, rng)
    floor = shadows(scene, caster, width, max(8, round((1 - FLOOR) * SQUEEZED * height)), rng)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    below = np.maximum(rows - FLOOR * height, 0)
    lying = ndimage.map_coordinates(
        floor, [SQUEEZED * below, columns + SHEARED * below * scene.light_x], order=1, mode="mirror"
    )
    down = smoothstep(FLOOR - 0.05, FLOOR + 0.05, rows / height)
    left: Floats = wall + down * (lying - wall)
    return left


def shadows(scene: Scene, caster: Caster, width: int, height: int, rng: np.random.Generator) -> Floats:
    """Return what share of the light passes leaves at several distances from a wall, (height, width) in 0..1."""
    longer, bare = max(width, height), scene.bareness
    left = np.ones((height, width), np.float32)
    for depth in DEPTHS:
        picture = Image.new("L", (width, height))
        draw = ImageDraw.Draw(picture)
        offset = rng.random()
        count = depth.count - (depth.count > 1 and (caster == "monstera" or bare > BARE))
        for number in range(count):
            place = (number + offset) / count
            cast(draw, caster, (width, height), scene.light_x, depth.long * longer, place, rng)
        blur = depth.blur * longer * (1 + 0.8 * bare)
        shadow = ndimage.gaussian_filter(np.asarray(picture, np.float32) / 255, blur)
        left *= 1 - depth.density * shadow
    return left


def cast(
    draw: ImageDraw.ImageDraw,
    caster: Caster,
    size: tuple[int, int],
    light_x: float,
    long_px: float,
    place: float,
    rng: np.random.Generator,
) -> None:
    """Draw the outline of one branch, which comes in from above or from the light's side.

    place: where it does, 0..1: from half way up the side that the light comes from to the far end of the top.
    """
    width, height = size
    length = long_px * float(rng.uniform(0.75, 1.2))
    if place < 0.3:
        root, down = (-0.05 * width, (0.55 - 1.8 * place) * height), float(rng.uniform(0.0, 0.6))
    else:
        root, down = ((place - 0.3) / 0.7 * 0.9 * width, -0.06 * height), float(rng.uniform(0.6, 1.3))
    angle = down if light_x < 0 else np.pi - down
    root = root if light_x < 0 else (width - root[0], root[1])
    if caster == "monstera":
        stalk = 0.35 * length
        base = (root[0] + stalk * np.cos(angle), root[1] + stalk * np.sin(angle))
        draw.line([root, base], fill=255, width=max(1, round(0.012 * length)))
        draw.polygon(flat(monstera(base, angle + float(rng.normal(0, 0.5)), 0.6 * length)), fill=255)
        return
    frond = grown_frond(caster, root, angle, length, float(rng.uniform(0.1, 0.4)), rng)
    for outline in frond.outlines:
        draw.polygon(flat(outline), fill=255)
    draw.line(flat(frond.rib), fill=255, width=max(1, round(0.008 * length)))


def monstera(base: tuple[float, float], angle: float, long_px: float) -> Floats:
    """Return the outline of a big heart-shaped leaf with slits, (n, 2), from where its stalk ends."""
    turn = np.linspace(-np.pi, np.pi, 361)
    radius = 0.14 + 0.60 * np.abs(np.cos(turn / 2)) ** 0.75 + 0.16 * np.exp(-((turn / 0.28) ** 2))
    for slit in np.radians(SLITS):
        radius *= 1 - 0.58 * np.exp(-(((np.abs(turn) - slit) / 0.04) ** 2))
    x, y = 0.18 + radius * np.cos(turn), 0.95 * radius * np.sin(turn)
    outline = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
    return np.asarray(np.array(base) + long_px * outline)
