"""Things that stand outside hotels: railings, houses, pools, hot tubs. Each is drawn as those of training.shapes."""

from training.builder import Piece
from training.drawing import Draw
from training.materials import Material, linear, painted, see_through, surface


def railing(draw: Draw, p: Piece) -> None:
    """A balcony's railing: bars, glass, or a low wall."""
    w, h = p.width / 2, p.height
    metal = Material(linear(p.rgb), 0.4).made
    if p.kind == "wall":
        draw.box((-w, -0.08, 0), (w, 0.04, h), Material(linear(p.rgb), 0.8).made, 0.01)
        return
    draw.rod((-w, 0, h), (w, 0, h), 0.025, metal)
    posts = max(int(p.width / (0.12 if p.kind == "bars" else 1.1)), 2)
    for i in range(posts + 1):
        x = -w + p.width * i / posts
        draw.box((x - 0.01, -0.01, 0.05), (x + 0.01, 0.01, h), metal)
    if p.kind == "glass":
        draw.what = "glass"
        draw.box((-w, -0.006, 0.08), (w, 0.006, h - 0.05), see_through((0.85, 0.92, 0.93), 0.12))
        draw.what = "thing"


def house(draw: Draw, p: Piece) -> None:
    """The wall of the house behind a balcony, with a door of glass."""
    wall, w = surface(draw.plan.wall_kind, p.rgb, "x", draw.r).made, p.width / 2
    draw.what = "wall"
    sides = [((-w, -0.1, 0), (-0.9, 0.1, p.height)), ((0.9, -0.1, 0), (w, 0.1, p.height))]
    draw.boxes([*sides, ((-0.9, -0.1, 2.2), (0.9, 0.1, p.height))], wall)
    draw.box((-0.9, -0.02, 0), (0.9, 0.0, 2.2), Material((0.05, 0.06, 0.07), 0.05).made)
    draw.what = "thing"


def facade(draw: Draw, p: Piece) -> None:
    """A building with rows of windows."""
    w, d = p.width / 2, p.depth / 2
    draw.box((-w, -d, 0), (w, d, p.height), Material(linear(p.rgb), 0.8).made)
    pane = Material((0.08, 0.1, 0.13), 0.05).made
    for row in range(int(p.height / 3)):
        for place in range(int(p.width / 2)):
            x, z = -w + 0.5 + place * 2, row * 3 + 0.9
            draw.box((x, -d - 0.03, z), (x + 1.1, -d + 0.05, z + 1.5), pane)


def pool(draw: Draw, p: Piece) -> None:
    """A basin of tiles full of water, its edge."""
    r, w, d = draw.r, p.width / 2, p.depth / 2
    blue = r.choice(((70, 160, 190), (50, 130, 190), (110, 190, 200), (60, 150, 150)))
    tiles = surface("tiles", blue, "z", r).made
    rim = Material(linear(r.choice(((235, 232, 225), (200, 190, 175), (150, 150, 150)))), 0.6).made
    draw.level((-w, -d), (w, d), -1.3, tiles)
    corners = [(-w, -d), (w, -d), (w, d), (-w, d)]
    for (a, b), (c, e) in zip(corners, corners[1:] + corners[:1], strict=True):
        draw.mesh([(a, b, -1.3), (c, e, -1.3), (c, e, 0), (a, b, 0)], [(3, 2, 1, 0)], tiles)
    ends = [((-w - 0.3, -d - 0.3), (w + 0.3, -d)), ((-w - 0.3, d), (w + 0.3, d + 0.3))]
    sides = [((-w - 0.3, -d), (-w, d)), ((w, -d), (w + 0.3, d))]
    draw.boxes([((*low, -0.05), (*high, 0.02)) for low, high in ends + sides], rim)
    if p.kind == "round":
        ground = surface(draw.plan.floor_kind, draw.plan.floor_rgb, "z", r).made
        ring = [(1.0, 0.015), (1.5, 0.015)]
        draw.turned(ring, ground, stretch=(w, d), power=2)
    draw.what = "thing"
    water = see_through(linear(blue, 1.25), r.uniform(0.12, 0.25), r.uniform(0.2, 0.6))
    draw.level((-w, -d), (w, d), -0.12, water)
    if r.random() < 0.4:
        for x in (-0.25, 0.25):
            draw.rod((w * 0.6 + x, -d, -0.6), (w * 0.6 + x, -d - 0.05, 0.7), 0.022, draw.chrome)


def hot_tub(draw: Draw, p: Piece) -> None:
    """A whirlpool with its water."""
    r, h, stretch = draw.r, p.height, (p.width / 2, p.depth / 2)
    power = 2.0 if p.kind == "round" else 6.0
    around = surface("wood", p.rgb, "o", r).made if r.random() < 0.5 else painted(p.rgb, 0.5)
    for profile, material in (
        ([(1, 0), (1, h - 0.05)], around),
        ([(1.02, h - 0.05), (1.02, h), (0.86, h), (0.8, h * 0.4), (0, h * 0.35)], painted((225, 230, 232), 0.2)),
        ([(0, h - 0.12), (0.85, h - 0.12)], see_through((0.55, 0.82, 0.9), 0.25, 0.9)),
    ):
        draw.turned(profile, material, stretch=stretch, power=power)
