"""The things that hotels have and the catalogue lacks, or has too few of: beds, baths, showers, minibars.

Each is drawn around its own origin, on the floor, its front towards -y.
"""

import math

from training.builder import Piece, shade
from training.drawing import Draw, Shapes
from training.materials import Material, glowing, linear, painted, see_through, surface
from training.shapes_outside import facade, hot_tub, house, pool, railing

BOTTLES = ((30, 70, 35), (90, 50, 20), (225, 232, 235), (170, 40, 40), (40, 90, 160), (235, 190, 60), (30, 30, 32))


def bed(draw: Draw, p: Piece) -> None:
    """A mattress under a duvet, pillows, a headboard."""
    r, w, d, h = draw.r, p.width / 2, p.depth / 2, p.height
    white = painted((244, 243, 240), 0.9)
    coloured = painted(p.rgb, 0.9)
    frame = painted(shade(r, "brown", "white", "black", "grey"), 0.5)
    draw.box((-w, -d, 0.08), (w, d, h * 0.55), frame, 0.01)
    draw.box((-w + 0.02, -d + 0.02, h * 0.5), (w - 0.02, d, h), white, 0.06)
    top = white if p.kind in ("white", "runner") else coloured
    draw.box((-w - 0.03, -d - 0.03, h * 0.35), (w + 0.03, d * 0.45, h + 0.05), top, 0.05)
    if p.kind == "runner":
        draw.box((-w - 0.035, -d + 0.1, h * 0.35), (w + 0.035, -d + 0.75, h + 0.06), coloured, 0.05)
    count = 1 if p.width < 1.3 else 2
    for row in range(r.choice((1, 1, 2))):
        for place in range(count):
            x = (place - (count - 1) / 2) * p.width / count
            cloth = white if row == 0 or r.random() < 0.5 else coloured
            half = min(p.width / count / 2 - 0.05, 0.36)
            pillow = [(0, h + 0.02), (0.8, h + 0.03), (1, h + 0.09), (0.8, h + 0.16), (0, h + 0.2)]
            draw.turned(pillow, cloth, at=(x, d - 0.28 - 0.25 * row), stretch=(half, 0.22), power=3.5)
    if r.random() < 0.8:
        high = (w + 0.05, d + 0.06, h + r.uniform(0.25, 0.8))
        draw.box((-w - 0.05, d - 0.03, 0.2), high, r.choice((frame, coloured)), 0.02)


def bathtub(draw: Draw, p: Piece) -> None:
    """A tub, free or built in, with its tap."""
    enamel = painted(p.rgb, 0.12)
    stretch, power, h = (p.width / 2, p.depth / 2), 2.6 if p.kind == "free" else 3.2, p.height
    inside = [(1.0, h), (0.9, h), (0.86, h * 0.85), (0.74, h * 0.3), (0.6, h * 0.2), (0, h * 0.18)]
    if p.kind == "free":
        outside = [(0, 0), (0.7, 0), (0.78, h * 0.2), (0.95, h * 0.8), (1.02, h + 0.015)]
        draw.turned([*outside, *inside], enamel, stretch=stretch, power=power)
    else:
        a, b = stretch
        apron = enamel if draw.r.random() < 0.6 else surface("tiles", draw.plan.wall_rgb, "x", draw.r).made
        along = [((-a, -b, 0), (a, -b + 0.05, h)), ((-a, b - 0.05, 0), (a, b, h))]
        draw.boxes([*along, ((-a, -b, 0), (-a + 0.05, b, h)), ((a - 0.05, -b, 0), (a, b, h))], apron)
        draw.turned([(1.12, h + 0.004), *inside], enamel, stretch=(a * 0.97, b * 0.96), power=6)
    if draw.r.random() < 0.3:
        draw.what = "water surface"
        draw.turned([(0, h * 0.7), (0.82, h * 0.7)], see_through((0.75, 0.9, 0.95), 0.1), stretch=stretch, power=power)
        draw.what = "thing"
    x, y = -p.width / 2 + 0.12, 0.0
    draw.rod((x, y, h), (x, y, h + 0.18), 0.018, draw.chrome)
    draw.rod((x, y, h + 0.17), (x + 0.16, y, h + 0.15), 0.016, draw.chrome)


def shower(draw: Draw, p: Piece) -> None:
    """A tray with glass or a curtain before it, and a shower head."""
    r, w, d, h = draw.r, p.width / 2, p.depth / 2, p.height
    draw.box((-w, -d, 0), (w, d, 0.06), painted((240, 240, 238), 0.2), 0.01)
    pole = -w * 0.2 + r.uniform(-0.2, 0.2) * w
    draw.rod((pole, d - 0.05, 0.9), (pole, d - 0.05, h), 0.012, draw.chrome)
    draw.rod((pole, d - 0.05, h), (pole, d - 0.35, h + 0.03), 0.012, draw.chrome)
    draw.turned([(0, h + 0.03), (0.11, h), (0.11, h - 0.02), (0, h - 0.02)], draw.chrome, at=(pole, d - 0.38))
    draw.box((pole - 0.12, d - 0.06, 1.0), (pole + 0.12, d - 0.01, 1.06), draw.chrome, 0.01)
    if p.kind == "curtain":
        draw.rod((-w, -d, h), (w, -d, h), 0.012, draw.chrome)
        cloth = painted(shade(r, "white", "white", "blue", "beige", "grey"), 0.8)
        end = -w + p.width * r.uniform(0.35, 0.9)
        folds(draw, -w, end, -d, 0.1, h, cloth)
        return
    panes = [((-w, -d, 0.05), (w if p.kind == "cabin" else w * 0.3, -d + 0.01, h))]
    if p.kind == "cabin":
        panes += [((-w, -d, 0.05), (-w + 0.01, d, h)), ((w - 0.01, -d, 0.05), (w, d, h))]
    pane = see_through((0.9, 0.95, 0.95), r.uniform(0.06, 0.16))
    for low, high in panes:
        draw.box(low, high, pane)
        for corner in (low[:2], high[:2]):
            draw.rod((*corner, 0.05), (*corner, h), 0.014, draw.chrome)
        draw.rod((*low[:2], h), (*high[:2], h), 0.014, draw.chrome)
    draw.box((w * 0.4, -d - 0.04, 0.95), (w * 0.43, -d, 1.2), draw.chrome)


def folds(draw: Draw, x0: float, x1: float, y: float, z0: float, z1: float, material: object) -> None:
    """Cloth that hangs in folds."""
    count = max(int((x1 - x0) / 0.025), 4)
    depth = draw.r.uniform(0.02, 0.045)
    line = [(x0 + (x1 - x0) * i / count, y + depth * math.sin(i * 1.15)) for i in range(count + 1)]
    points = [(*place, z) for z in (z0, z1) for place in line]
    faces = [(i, i + 1, count + 2 + i, count + 1 + i) for i in range(count)]
    draw.mesh(points, faces, material, smooth=True)


def toilet(draw: Draw, p: Piece) -> None:
    """A bowl with its lid and its tank."""
    white, d = painted((243, 243, 241), 0.15), p.depth / 2
    bowl = [(0, 0), (0.55, 0), (0.5, 0.2), (0.95, 0.36), (1, 0.4), (0, 0.4)]
    draw.turned(bowl, white, at=(0, -d * 0.3), stretch=(0.19, 0.26))
    draw.turned([(0, 0.43), (1, 0.43), (1, 0.4)], white, at=(0, -d * 0.3), stretch=(0.19, 0.27))
    draw.box((-0.19, d - 0.18, 0.38), (0.19, d, p.height), white, 0.03)
    draw.box((-0.11, d - 0.3, 0), (0.11, d, 0.4), white, 0.02)


def vanity(draw: Draw, p: Piece) -> None:
    """A cabinet with one or two washbasins and taps."""
    w, d, h = p.width / 2, p.depth / 2, p.height
    white = painted((244, 244, 242), 0.12)
    body = painted(p.rgb, 0.5)
    draw.box((-w, -d + 0.03, 0.25 if draw.r.random() < 0.4 else 0.0), (w, d, h - 0.05), body, 0.008)
    draw.box((-w, -d, h - 0.05), (w, d, h), surface("marble", (225, 222, 216), "z", draw.r).made, 0.008)
    for x in (-w / 2, w / 2) if p.kind == "double" else (0.0,):
        bowl = [(0.6, h), (1, h + 0.1), (0.94, h + 0.1), (0.5, h + 0.02), (0, h + 0.02)]
        draw.turned(bowl, white, at=(x, -0.03), stretch=(0.23, 0.18), power=draw.r.choice((2.0, 5.0)))
        draw.rod((x, d - 0.07, h), (x, d - 0.07, h + 0.2), 0.014, draw.chrome)
        draw.rod((x, d - 0.07, h + 0.19), (x, d - 0.2, h + 0.17), 0.012, draw.chrome)


def mirror(draw: Draw, p: Piece) -> None:
    """A mirror on the wall."""
    w, h = p.width / 2, p.height
    glass = Material((0.93, 0.94, 0.94), 0.0, 1.0).made
    if p.kind == "round":
        radius = min(w, h / 2)
        angles = [t / 20 * math.pi for t in range(40)]
        ring = [(radius * math.cos(angle), -0.02, h / 2 + radius * math.sin(angle)) for angle in angles]
        draw.mesh(ring, [tuple(reversed(range(40)))], glass)
        return
    draw.upright((-w, 0), (w, h), -0.02, glass)
    if p.kind == "framed":
        frame, t = painted(p.rgb, 0.4), draw.r.uniform(0.03, 0.09)
        for low, high in (((-w, 0), (w, t)), ((-w, h - t), (w, h)), ((-w, 0), (-w + t, h)), ((w - t, 0), (w, h))):
            draw.box((low[0], -0.04, low[1]), (high[0], 0.01, high[1]), frame, 0.005)


def tv(draw: Draw, p: Piece) -> None:
    """A flat screen, on or off."""
    w, h = p.width / 2, p.height
    draw.box((-w, -0.02, 0), (w, 0.025, h), Material((0.012, 0.012, 0.013), 0.25).made, 0.006)
    shine = Material((0.006, 0.006, 0.007), 0.08).made
    if p.kind == "on":
        light, strength = linear(shade(draw.r)), draw.r.uniform(0.4, 1.2)
        shine = glowing(light, strength, draw.view_path if draw.r.random() < 0.6 else None)
    draw.upright((-w + 0.02, 0.03), (w - 0.02, h - 0.02), -0.024, shine, [(0, 0), (1, 0), (1, 1), (0, 1)])
    draw.box((-0.06, -0.01, -0.08), (0.06, 0.02, 0.0), Material((0.02, 0.02, 0.02), 0.3).made)


def minibar(draw: Draw, p: Piece) -> None:
    """A small fridge: open, with a door of glass, or closed."""
    r, w, d, h = draw.r, p.width / 2, p.depth / 2, p.height
    body, inside = painted(p.rgb, 0.4), painted((235, 238, 240), 0.5)
    if p.kind == "closed":
        draw.box((-w, -d, 0), (w, d, h), body, 0.01)
        draw.box((w - 0.08, -d - 0.02, h * 0.5), (w - 0.06, -d, h * 0.8), draw.chrome)
        return
    t = 0.03
    upright = [((-w, -d, 0), (-w + t, d, h)), ((w - t, -d, 0), (w, d, h))]
    draw.boxes([*upright, ((-w, -d, 0), (w, d, t)), ((-w, -d, h - t), (w, d, h))], body)
    draw.box((-w, d - t, 0), (w, d, h), inside)
    shine = glowing((0.9, 0.95, 1.0), 3)
    draw.box((-w * 0.5, d - 0.08, h - 0.06), (w * 0.5, d - 0.05, h - 0.04), shine)
    shelves = 2 if h < 0.7 else 3
    for shelf in range(shelves):
        z = t + shelf * (h - 2 * t) / shelves
        if shelf:
            draw.box((-w + t, -d + 0.06, z), (w - t, d - t, z + 0.008), see_through((0.85, 0.9, 0.92), 0.15))
        count = int((p.width - 2 * t) / 0.085)
        for place in range(count):
            if r.random() < 0.8:
                x, y = -w + t + 0.05 + place * 0.085, r.uniform(-d + 0.1, 0.0)
                one_bottle(draw, x, y, z + 0.01, (h - 2 * t) / shelves * r.uniform(0.5, 0.88))
    if p.kind == "glass":
        draw.what = "glass"
        draw.box((-w, -d - 0.02, 0.0), (w, -d - 0.01, h), see_through((0.9, 0.93, 0.95), 0.12))
        draw.what = "thing"
        draw.rod((w - 0.05, -d - 0.04, h * 0.3), (w - 0.05, -d - 0.04, h * 0.7), 0.012, draw.chrome)
    else:
        draw.box((-w - 0.03, -d - p.width * 0.95, 0), (-w, -d, h), body, 0.005)


def one_bottle(draw: Draw, x: float, y: float, z: float, h: float) -> None:
    """A bottle or a can."""
    r = draw.r
    glass = painted(r.choice(BOTTLES), 0.1)
    radius = min(0.034, h * 0.3)
    neck = [(radius * 0.4, z + h * 0.75), (radius * 0.38, z + h), (0, z + h)]
    profile = [(0, z), (radius, z), (radius, z + h * 0.55), *neck]
    if h < 0.16 or r.random() < 0.25:
        profile = [(0, z), (radius, z), (radius, z + min(h, 0.13)), (0, z + min(h, 0.13))]
    draw.turned(profile, glass, at=(x, y))
    if h > 0.16 and r.random() < 0.7:
        label = Material(linear(r.choice(((240, 238, 228), (200, 30, 40), (230, 190, 60), (30, 60, 120)))), 0.6).made
        draw.turned([(radius + 0.001, z + h * 0.2), (radius + 0.001, z + h * 0.45)], label, at=(x, y))


def bottle(draw: Draw, p: Piece) -> None:
    """A single bottle."""
    one_bottle(draw, 0, 0, 0, p.height)


def cabinet(draw: Draw, p: Piece) -> None:
    """A low cabinet with doors or drawers."""
    r, w, d, h = draw.r, p.width / 2, p.depth / 2, p.height
    body = painted(p.rgb, 0.45) if r.random() < 0.6 else surface("wood", p.rgb, "o", r).made
    draw.box((-w, -d, 0.05), (w, d, h), body, 0.006)
    across, up = r.choice((1, 2, 3)), r.choice((1, 2, 3))
    front = Material(linear(p.rgb, r.choice((0.85, 1.1))), 0.4).made
    for i in range(across):
        for j in range(up):
            a, b = -w + p.width * i / across + 0.012, -w + p.width * (i + 1) / across - 0.012
            c, e = 0.06 + (h - 0.08) * j / up + 0.01, 0.06 + (h - 0.08) * (j + 1) / up - 0.01
            draw.box((a, -d - 0.015, c), (b, -d, e), front, 0.004)
            draw.box(((a + b) / 2 - 0.04, -d - 0.03, e - 0.04), ((a + b) / 2 + 0.04, -d - 0.015, e - 0.03), draw.chrome)


def table(draw: Draw, p: Piece) -> None:
    """A table with four legs or one, bare or under a cloth."""
    r, w, d, h = draw.r, p.width / 2, p.depth / 2, p.height
    top = painted(p.rgb, 0.4)
    if p.kind == "cloth":
        profile = [(0, h), (1, h), (1.02, h - 0.02), (1.04, h - r.uniform(0.2, 0.6))]
        draw.turned(profile, painted(p.rgb, 0.9), stretch=(w, d), power=r.choice((2.0, 8.0)))
    else:
        draw.box((-w, -d, h - 0.04), (w, d, h), top, 0.006)
    legs = [(0.0, 0.0)] if p.kind == "cloth" else [(x * (w - 0.05), y * (d - 0.05)) for x in (-1, 1) for y in (-1, 1)]
    for x, y in legs:
        draw.box((x - 0.025, y - 0.025, 0), (x + 0.025, y + 0.025, h - 0.04), r.choice((top, draw.chrome)))


def kitchen(draw: Draw, p: Piece) -> None:
    """A row of cabinets below and above, a counter, a sink, a stove with its hood, an oven."""
    r, w, d = draw.r, p.width / 2, p.depth / 2
    front = painted(p.rgb, 0.3) if r.random() < 0.7 else surface("wood", p.rgb, "o", r).made
    counter = surface(r.choice(("marble", "paint")), shade(r, "grey", "black", "beige", "white"), "z", r).made
    black, steel = Material((0.015, 0.015, 0.016), 0.15).made, Material((0.55, 0.56, 0.57), 0.3, 1.0).made
    count = max(int(p.width / 0.6), 2)
    step = p.width / count
    stove, sink = r.sample(range(count), 2)
    draw.box((-w, -d + 0.05, 0), (w, d, 0.1), black)
    for i in range(count):
        a, b = -w + i * step + 0.004, -w + (i + 1) * step - 0.004
        if i == stove and r.random() < 0.7:
            draw.box((a, -d, 0.1), (b, d, 0.88), steel)
            draw.box((a + 0.04, -d - 0.01, 0.25), (b - 0.04, -d, 0.65), black)
        else:
            draw.box((a, -d, 0.1), (b, d, 0.88), front, 0.004)
        draw.rod((a + 0.1, -d - 0.03, 0.8), (b - 0.1, -d - 0.03, 0.8), 0.007, steel)
        if i == stove:
            draw.box((a + 0.03, -d + 0.06, 0.92), (b - 0.03, d - 0.08, 0.93), black)
            draw.box((a + 0.02, d - 0.4, 1.6), (b - 0.02, d, 1.68), steel)
            draw.box(((a + b) / 2 - 0.13, d - 0.28, 1.68), ((a + b) / 2 + 0.13, d, p.height), steel)
        elif r.random() < 0.85:
            draw.box((a, d - 0.34, 1.45), (b, d, p.height), front, 0.004)
            draw.rod((a + 0.12, d - 0.37, 1.5), (b - 0.12, d - 0.37, 1.5), 0.007, steel)
        if i == sink:
            draw.box((a + 0.06, -d + 0.1, 0.915), (b - 0.06, d - 0.12, 0.925), steel, 0.003)
            draw.rod(((a + b) / 2, d - 0.08, 0.92), ((a + b) / 2, d - 0.08, 1.2), 0.013, steel)
            draw.rod(((a + b) / 2, d - 0.08, 1.19), ((a + b) / 2, d - 0.28, 1.15), 0.012, steel)
    draw.box((-w, -d - 0.02, 0.88), (w, d, 0.92), counter, 0.004)
    tiles = surface("tiles", shade(r, "white", "grey", "beige", "blue"), "x", r).made
    draw.box((-w, d - 0.012, 0.92), (w, d, 1.45), tiles)


def window(draw: Draw, p: Piece) -> None:
    """A frame with its panes; behind it the view."""
    w, h = p.width / 2, p.height
    frame = Material(linear(draw.r.choice(((240, 240, 238), (60, 55, 50), (120, 84, 56), (35, 36, 38)))), 0.4).made
    draw.what = "frame"
    count = max(round(p.width / draw.r.uniform(0.7, 1.4)), 1)
    for i in range(count + 1):
        x = -w + p.width * i / count
        draw.box((x - 0.025, -0.02, 0), (x + 0.025, 0.06, h), frame)
    for z in (0.0, h - 0.05):
        draw.box((-w, -0.02, z), (w, 0.06, z + 0.05), frame)
    draw.what = "view"
    kept = draw.frame
    x, y = kept.translation.x, kept.translation.y
    turn = math.radians(p.turn)
    far = 9.0
    draw.backdrop(x - math.sin(turn) * far, y + math.cos(turn) * far, p.turn, 34, 17, draw.r.uniform(-8, -5))
    draw.frame, draw.what = kept, "thing"


def curtains(draw: Draw, p: Piece) -> None:
    """A curtain on either side of a window, and sometimes a thin one before it."""
    w, r = p.width / 2, draw.r
    cloth = painted(p.rgb, 0.9)
    part = p.width * r.uniform(0.1, 0.24)
    draw.what = "cloth"
    for x0, x1 in ((-w, -w + part), (w - part, w)):
        folds(draw, x0, x1, -0.1, 0.03, p.height, cloth)
    draw.rod((-w - 0.05, -0.1, p.height), (w + 0.05, -0.1, p.height), 0.014, draw.chrome)
    draw.what = "thing"


def picture(draw: Draw, p: Piece) -> None:
    """A framed picture of colours, or of a landscape."""
    r, w, h = draw.r, p.width / 2, p.height
    draw.box((-w, -0.02, 0), (w, 0.012, h), Material(linear(p.rgb, 0.6), 0.5).made)
    ink = surface(r.choice(("marble", "stripes", "wood")), shade(r), "o", r).made
    draw.upright((-w + 0.03, 0.03), (w - 0.03, h - 0.03), -0.022, ink)


def door(draw: Draw, p: Piece) -> None:
    """A door in its frame."""
    w, h = p.width / 2, p.height
    leaf = painted(p.rgb, 0.45)
    draw.box((-w, -0.03, 0), (w, 0.02, h), Material(linear(p.rgb, 0.8), 0.5).made)
    draw.box((-w + 0.06, -0.045, 0.0), (w - 0.06, -0.03, h - 0.06), leaf, 0.004)
    draw.rod((w - 0.13, -0.08, 1.0), (w - 0.25, -0.08, 1.0), 0.01, draw.chrome)


def rug(draw: Draw, p: Piece) -> None:
    """A rug on the floor."""
    w, d, wool = p.width / 2, p.depth / 2, surface(draw.r.choice(("carpet", "stripes")), p.rgb, "z", draw.r).made
    draw.box((-w, -d, 0.001), (w, d, p.height), wool)


def pendant(draw: Draw, p: Piece) -> None:
    """A lamp that hangs from the ceiling."""
    lit = glowing(linear(p.rgb), draw.r.uniform(1, 4))
    bell = [(0, 0.3), (0.15, 0.2), (0.18, 0.1), (0.1, 0)]
    draw.turned(draw.r.choice(([(0.1, 0.25), (0.18, 0)], bell, [(0.03, 0.25), (0.25, 0)])), lit)
    draw.rod((0, 0, 0.25), (0, 0, draw.plan.height - p.z), 0.006, Material((0.02, 0.02, 0.02)).made)


def towel(draw: Draw, p: Piece) -> None:
    """A towel on its rail."""
    w = p.width / 2
    draw.rod((-w - 0.05, -0.05, p.height), (w + 0.05, -0.05, p.height), 0.01, draw.chrome)
    draw.box((-w, -0.075, 0), (w, -0.03, p.height + 0.012), painted(p.rgb, 0.95), 0.015)


def nothing(draw: Draw, p: Piece) -> None:
    """A place to look at."""


SHAPES: Shapes = {
    "bed": bed, "bathtub": bathtub, "shower": shower, "toilet": toilet, "vanity": vanity, "mirror": mirror, "tv": tv,
    "minibar": minibar, "bottle": bottle, "cabinet": cabinet, "table": table, "kitchen": kitchen, "window": window,
    "curtains": curtains, "picture": picture, "door": door, "rug": rug, "pendant": pendant, "towel": towel,
    "railing": railing, "house": house, "facade": facade, "pool": pool, "hot tub": hot_tub, "nothing": nothing,
}  # fmt: skip
