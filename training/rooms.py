"""The kinds of rooms and places that hotels have, and how often: what stands in the rooms. Draws nothing.

A plan follows from its seed.
"""

import random
from collections.abc import Callable, Mapping
from itertools import chain

from training.builder import Builder, Piece, Plan
from training.catalogue import Model
from training.outdoors import balcony, hot_tub, pool, scenery


def plan_room(seed: int, models: Mapping[str, Model], kind: str = "") -> Plan:
    """Return the plan of a seed; `kind`: of a wanted kind of KINDS, else a random one."""
    r = random.Random(seed)
    kind = kind or r.choices(list(KINDS), [share for share, _ in KINDS.values()])[0]
    builder = Builder(r, models, seed)
    KINDS[kind][1](builder)
    return builder.plan


def bed_of(b: Builder, *, single: bool) -> Piece:
    """Return a bed, nowhere yet."""
    if not single and b.some(0.2):
        return b.of("bed", keep=0.7)
    piece = b.shaped("bed", "bed", (0.9, 1.25) if single else (1.6, 2.1), (1.95, 2.15), (0.45, 0.62))
    piece.kind = b.r.choice(("white", "white", "white", "runner", "runner", "blanket"))
    return piece


def beside_bed(b: Builder, bed: Piece, side: int) -> None:
    """Stand a bedside table next to a bed, with a lamp on it."""
    table = (
        b.of("bedside table")
        if b.some(0.4)
        else b.shaped("bedside table", "cabinet", 0.45, 0.4, (0.45, 0.6), "brown", "white")
    )
    x, y = bed.beside(side * (bed.width / 2 + table.width / 2 + 0.06), bed.depth / 2 - table.depth / 2)
    if b.free(x, y, *table.reach(bed.turn)):
        table.x, table.y, table.turn = x, y, bed.turn
        b.put(table)
        if b.some(0.7):
            b.on(table, b.of("lamp", keep=0.7), spread=0.1)


def bedroom(b: Builder) -> None:
    """One bed, or two or three, and what stands around it."""
    r = b.r
    b.start("bedroom", (3.0, 5.5), (3.2, 5.5))
    count = r.choices((1, 2, 3), (5, 5, 0.6))[0]
    wall, first = r.choice("nw"), bed_of(b, single=count > 1 or b.some(0.12))
    beds = []
    for _ in range(count):
        bed = b.at_wall(Piece(**vars(first)), wall, subject=True, gap=0.08)
        if bed:
            beds.append(bed)
            beside_bed(b, bed, 1)
            if b.some(0.5):
                beside_bed(b, bed, -1)
    if b.some(0.7):
        b.window(r.choice("nesw"), large=b.some(0.35))
    if b.some(0.35):
        tv_corner(b)
    if b.some(0.4):
        desk(b)
    for noun in b.few({"armchair": 0.25, "sofa": 0.15, "chair": 0.15}):
        b.at_wall(b.of(noun), subject=b.some(0.2), gap=0.1)
    if b.some(0.15):
        minibar(b)
    if b.some(0.25):
        wall_mirror(b)
    b.decorate()


def tv_corner(b: Builder, *, subject: bool = False) -> None:
    """Add a television, on a low cabinet or on the wall."""
    if b.some(0.4):
        width = b.r.uniform(0.8, 1.4)
        b.on_wall(tv(b, width), b.r.uniform(0.95, 1.3), b.r.choice("nesw"), subject=subject)
        return
    below = b.at_wall(b.shaped("tv stand", "cabinet", (1.1, 1.8), 0.42, (0.4, 0.75), "brown", "white", "black"))
    if below:
        b.on(below, tv(b, b.r.uniform(0.7, 1.2)), spread=0.05, subject=subject).turn = below.turn


def tv(b: Builder, width: float) -> Piece:
    """Return a television, nowhere yet."""
    if b.some(0.25):
        return b.of("tv", keep=1)
    piece = b.shaped("tv", "tv", width, 0.05, width * 0.58, "black")
    piece.colour, piece.kind = "", b.r.choice(("off", "off", "on"))
    return piece


def desk(b: Builder) -> None:
    """Add a desk with its chair."""
    piece = b.of("desk") if b.some(0.5) else b.shaped("desk", "table", (1, 1.5), 0.55, 0.75, "brown", "white")
    if b.at_wall(piece, subject=b.some(0.3)):
        chair = b.of("chair")
        chair.x, chair.y = piece.beside(0, -0.5)
        chair.turn = piece.turn + 180 + b.r.uniform(-30, 30)
        b.put(chair, solid=False)
        if b.some(0.4):
            b.on_wall(mirror(b), 1.0, above=piece)
        if b.some(0.5):
            b.on(piece, b.of("lamp", keep=0.7))


def mirror(b: Builder) -> Piece:
    """Return a mirror, nowhere yet."""
    piece = b.shaped("mirror", "mirror", (0.5, 1.4), 0.03, (0.6, 1.2), "brown", "black", "yellow")
    piece.colour, piece.kind = "", b.r.choice(("plain", "framed", "round"))
    return piece


def wall_mirror(b: Builder, *, subject: bool = False) -> None:
    """Hang a mirror somewhere."""
    piece = mirror(b)
    if b.some(0.5):
        piece.width, piece.height, piece.kind = b.r.uniform(0.5, 0.9), b.r.uniform(1.5, 1.9), "framed"
    b.on_wall(piece, 0.15 if piece.height > 1.4 else b.r.uniform(0.9, 1.2), subject=subject)


def minibar(b: Builder, *, subject: bool = False) -> None:
    """Add a minibar: a small fridge with bottles in it, or bottles and glasses on a low cabinet."""
    piece = b.shaped("minibar", "minibar", (0.45, 0.7), (0.42, 0.52), (0.55, 0.95), "brown", "black", "white")
    piece.kind = b.r.choice(("open", "glass", "open", "closed"))
    if b.at_wall(piece, subject=subject):
        b.bottles(piece, b.r.randint(2 if piece.kind == "closed" else 0, 6))


def bathroom(b: Builder) -> None:
    """A bathtub, a shower, both or neither; a basin with its mirror, a toilet."""
    r = b.r
    b.start("bathroom", (1.9, 3.8), (1.9, 3.8), wet=True)
    what = r.choices(("bathtub", "shower", "both", "neither"), (4, 4, 1, 1.2))[0]
    if what in ("bathtub", "both"):
        tub = b.shaped("bathtub", "bathtub", (1.45, 1.8), (0.7, 0.85), (0.5, 0.62), *["white"] * 4)
        tub.kind = r.choice(("built in", "built in", "free"))
        if b.some(0.8):
            tub.colour, tub.rgb = "white", (245, 245, 243)
        b.at_wall(tub, subject=True, gap=0.01 if tub.kind == "built in" else 0.15)
    if what in ("shower", "both"):
        side = r.uniform(0.8, 1.1)
        piece = b.shaped("shower", "shower", (0.8, 1.4), side, (1.9, 2.1), "white")
        piece.kind, piece.colour = r.choice(("cabin", "cabin", "pane", "curtain")), ""
        b.at_wall(piece, subject=True, gap=0.0)
    basin(b, subject=what == "neither" or b.some(0.3))
    if b.some(0.6):
        b.at_wall(b.shaped("toilet", "toilet", 0.38, 0.68, 0.78, "white", "white", "white"), subject=what == "neither")
    if b.some(0.3):
        b.window(r.choice("nesw"), large=b.some(0.25))
    for _ in range(r.choice((0, 1, 1, 2))):
        b.on_wall(b.shaped("towel", "towel", (0.4, 0.6), 0.06, (0.4, 0.7), "white"), r.uniform(0.8, 1.2))
    if b.some(0.15):
        b.at_wall(b.of("plant"))
    if b.some(0.1):
        b.in_the_middle(b.of("stool"))


def basin(b: Builder, *, subject: bool = False) -> None:
    """Add a washbasin, with a mirror above it."""
    if b.some(0.5):
        piece = b.of("sink", keep=0.8)
    else:
        piece = b.shaped("sink", "vanity", (0.7, 1.6), 0.5, (0.78, 0.9), "brown", "white", "grey")
        piece.kind = "double" if piece.width > 1.3 else ""
    if b.at_wall(piece, subject=subject) and b.some(0.85):
        glass = mirror(b)
        glass.width = max(piece.width * b.r.uniform(0.7, 1.1), 0.5)
        b.on_wall(glass, max(piece.height + 0.12, 1.0), above=piece, subject=subject)


def living_room(b: Builder) -> None:
    """Sofas and armchairs around a low table, a television."""
    r = b.r
    b.start("living room", (3.5, 6.5), (3.5, 6))
    if b.some(0.85):
        b.window(r.choice("nesw"), large=b.some(0.5))
    for _ in range(r.choice((1, 1, 2))):
        b.at_wall(b.of("sofa"), subject=True, gap=r.uniform(0.05, 0.6))
    if b.some(0.6):
        tv_corner(b, subject=b.some(0.6))
    if b.some(0.8) and (table := b.in_the_middle(b.of("coffee table"), turn=r.choice((0, 90)))):
        b.bottles(table, r.choice((0, 0, 2)))
    more = b.few({"armchair": 0.3, "chair": 0.2, "stool": 0.1, "fireplace": 0.12, "piano": 0.06})
    for noun in chain(b.few({"armchair": 0.5}), more):
        b.at_wall(b.of(noun), gap=0.15, subject=b.some(0.2))
    if b.some(0.2):
        dining(b)
    if b.some(0.2):
        wall_mirror(b)
    b.decorate()


def dining(b: Builder, *, seats: int = 0) -> None:
    """Add a table with chairs."""
    piece = b.of("table") if b.some(0.7) else b.shaped("table", "table", (0.7, 1.8), (0.7, 0.9), 0.75, "brown", "white")
    if b.in_the_middle(piece, subject=True, turn=b.r.choice((0, 90, b.r.uniform(0, 360)))):
        b.around(piece, "chair", seats or b.r.choice((2, 4, 4, 6)))
        for _ in range(b.r.choice((0, 1, 3, 4))):
            b.on(piece, b.of(b.r.choice(("plate", "glass", "bottle", "bowl")), keep=1))


def dining_room(b: Builder) -> None:
    """A table with chairs, and a cupboard."""
    b.start("dining room", (3.2, 5), (3.2, 5))
    b.window(b.r.choice("nesw"), large=b.some(0.5))
    dining(b, seats=b.r.choice((4, 6)))
    b.decorate()


def restaurant(b: Builder) -> None:
    """Several laid tables, a bar."""
    r = b.r
    b.start("restaurant", (6, 11), (6, 10))
    b.plan.height = r.uniform(2.8, 3.8)
    for side in r.sample("nesw", r.choice((1, 2))):
        b.window(side, large=b.some(0.7))
    noun, shape = ("table", r.random() < 0.6)
    cloth = b.shaped(noun, "table", (0.75, 1.1), (0.75, 0.9), 0.75, "white", "white", "brown", "red")
    cloth.kind = "cloth" if b.some(0.6) else ""
    seats = r.choice((2, 4, 4))
    for _ in range(r.randint(4, 9)):
        table = Piece(**vars(cloth)) if shape else b.of("table")
        if b.in_the_middle(table, subject=True, turn=r.choice((0, 0, 45))):
            b.taken[-1] = (table.x, table.y, 0.95, 0.95)
            b.around(table, "chair", seats)
            for _ in range(r.choice((0, 2, 4))):
                b.on(table, b.of(r.choice(("plate", "glass", "glass", "bottle")), keep=1))
    if b.some(0.4):
        bar(b)
    for _ in range(r.randint(0, 4)):
        lamp = b.shaped("pendant lamp", "pendant", 0.4, 0.4, 0.3, "white", "yellow", "black")
        lamp.x, lamp.y = r.uniform(-0.4, 0.4) * b.plan.width, r.uniform(-0.4, 0.4) * b.plan.depth
        lamp.z = b.plan.height - r.uniform(0.6, 1.2)
        b.put(lamp, solid=False)
    b.decorate()


def bar(b: Builder) -> None:
    """Add a counter with stools and bottles."""
    counter = b.shaped("bar counter", "cabinet", (2, 3.2), 0.6, 1.08, "brown", "black", "white")
    if b.at_wall(counter, subject=True, gap=0.9):
        b.bottles(counter, b.r.randint(3, 9))
        stool = b.of("bar stool")
        for place in range(-1, 2):
            x, y = counter.beside(place * 0.75, -0.65)
            b.put(Piece(**{**vars(stool), "x": x, "y": y, "turn": b.r.uniform(0, 360)}))


def kitchen(b: Builder) -> None:
    """Rows of cabinets with a sink, a stove, a fridge."""
    r = b.r
    b.start("kitchen", (2.4, 4.5), (2.4, 4.5))
    b.plan.floor_kind = r.choice(("tiles", "tiles", "planks"))
    wall = r.choice("nw")
    if b.some(0.75):
        b.at_wall(b.of("fridge"), wall, subject=b.some(0.2))
    width = min(r.uniform(1.8, 3.2), b.span(wall)[0] - 1.05)
    row = b.shaped("kitchen cabinets", "kitchen", width, 0.6, 2.2, "white", "white", "brown", "grey")
    b.at_wall(row, wall, subject=True, gap=0.0)
    if b.some(0.4):
        other = Piece(**{**vars(row), "width": r.uniform(1.2, 2.2)})
        b.at_wall(other, "e", subject=True, gap=0.0)
    for noun in b.few({"oven": 0.25, "washing machine": 0.2, "kitchen island": 0.2}):
        b.at_wall(b.of(noun))
    if b.some(0.35):
        dining(b, seats=r.choice((2, 4)))
    if b.some(0.5):
        b.window(r.choice("nesw"))
    counter = Piece("", "", row.x, row.y, 0, row.turn, row.width, row.depth, 0.92)
    for _ in range(r.randint(0, 4)):
        noun = r.choice(("coffee machine", "bottle", "bowl", "cup", "toaster", "plate"))
        b.on(counter, b.of(noun, keep=1), spread=0.4)


def room_with_view(b: Builder) -> None:
    """A large window with little before it."""
    r = b.r
    b.start(r.choice(("bedroom", "living room", "living room")), (3.5, 6), (3.5, 5.5))
    b.plan.light = r.choice(("day", "day", "dim"))
    b.window("n", large=True)
    b.plan.words = ["amazing view"]
    if b.some(0.4):
        b.at_wall(bed_of(b, single=False), "w", gap=0.08)
    for noun in b.few({"sofa": 0.3, "armchair": 0.4, "chair": 0.3, "plant": 0.3}):
        b.in_the_middle(b.of(noun))


def office(b: Builder) -> None:
    """Desks, chairs, shelves."""
    b.start("office", (3, 5), (3, 5))
    for _ in range(b.r.choice((1, 2))):
        desk(b)
    b.window(b.r.choice("nesw"))
    b.decorate()


def hallway(b: Builder) -> None:
    """A narrow room with doors."""
    b.start("hallway", (1.4, 2.2), (4, 7))
    for side in b.r.choices("nesw", k=3):
        b.on_wall(b.shaped("door", "door", 0.9, 0.06, 2.05, "white", "brown"), 0, side, subject=True)
    b.decorate()
    if b.some(0.3):
        wall_mirror(b)


def minibar_corner(b: Builder) -> None:
    """A minibar from near."""
    b.start("hotel room", (2.2, 3.5), (2.2, 3.5))
    minibar(b, subject=True)
    if b.some(0.3):
        b.at_wall(b.of("armchair"))
    if b.some(0.3):
        tv_corner(b)
    b.decorate()


def mirror_corner(b: Builder) -> None:
    """A mirror and what it shows."""
    b.start("hotel room", (2.2, 4), (2.2, 4))
    wall_mirror(b, subject=True)
    for noun in b.few({"chair": 0.4, "desk": 0.3, "armchair": 0.2, "wardrobe": 0.4}):
        b.at_wall(b.of(noun))
    b.decorate()


def one_thing(b: Builder) -> None:
    """One thing of the catalogue, alone: for the names of things."""
    b.start("room", (2.5, 4), (2.5, 4))
    keys = list(b.models)
    model = b.models[b.r.choice(keys)]
    piece = Piece(model.name.lower(), model.key, 0, 0, 0, b.r.uniform(-60, 60), model.width, model.depth, model.height)
    largest = max(model.width, model.depth, model.height)
    if b.some(0.4) and largest > 0.3:
        piece.colour, piece.rgb = b.colour()
    if largest < 0.5 and b.some(0.7):
        b.put(b.shaped("table", "table", 0.9, 0.9, 0.75, "brown", "white"), solid=False)
        piece.z = 0.75
    b.plan.width = b.plan.depth = max(b.plan.width, largest * 1.6)
    b.plan.height = max(b.plan.height, model.height * 1.2)
    b.put(piece, subject=True)


KINDS: Mapping[str, tuple[float, Callable[[Builder], None]]] = {
    "bedroom": (20, bedroom),
    "bathroom": (20, bathroom),
    "living room": (10, living_room),
    "restaurant": (7, restaurant),
    "kitchen": (7, kitchen),
    "balcony": (7, balcony),
    "pool": (7, pool),
    "hot tub": (2, hot_tub),
    "room with a view": (5, room_with_view),
    "scenery": (3, scenery),
    "dining room": (3, dining_room),
    "office": (2, office),
    "hallway": (1.5, hallway),
    "minibar": (4, minibar_corner),
    "mirror": (2.5, mirror_corner),
    "one thing": (9, one_thing),
}
