"""The places outside that hotels have: balconies, pools, hot tubs, what is seen from them. Draws nothing."""

from training.builder import VIEWS, Builder, Piece, shade


def outside(b: Builder, room: str, widths: tuple[float, float], depths: tuple[float, float]) -> None:
    """Lay out a place under the sky."""
    b.start(room, widths, depths)
    b.plan.roof, b.plan.light = False, b.r.choice(("day", "day", "day", "dusk"))
    b.plan.view = b.r.choice(VIEWS)
    b.plan.floor_kind = b.r.choice(("tiles", "tiles", "planks"))
    b.plan.floor_rgb = shade(b.r, "beige", "grey", "brown", "white")


def balcony(b: Builder) -> None:
    """A slab with a railing, chairs and a table, before a view."""
    r = b.r
    outside(b, "balcony", (2.4, 5), (1.4, 2.6))
    rail = b.shaped("railing", "railing", b.plan.width, 0.06, (0.95, 1.1), "black", "white", "grey")
    rail.kind = r.choice(("bars", "bars", "glass", "wall"))
    b.on_wall(rail, 0, "n", subject=True)
    for side in "ew":
        if b.some(0.7):
            b.on_wall(Piece(**{**vars(rail), "width": b.plan.depth}), 0, side)
    p = b.plan
    house = Piece("house wall", "house", 0, -p.depth / 2 - 0.15, 0, 180, p.width + 3, 0.2, 3.2, p.wall, p.wall_rgb)
    b.put(house, solid=False)
    if b.some(0.7):
        table = b.of("garden table", keep=0.6)
        if b.in_the_middle(table, subject=True):
            b.around(table, "garden chair", r.choice((2, 2, 3)))
    for noun in b.few({"garden chair": 0.5, "lounger": 0.25, "plant": 0.4, "parasol": 0.1}):
        b.in_the_middle(b.of(noun, keep=0.6))


def pool(b: Builder) -> None:
    """Water in a basin, outside or under a roof, with loungers."""
    r = b.r
    outside(b, "pool", (9, 16), (8, 14))
    indoor = b.some(0.3)
    x, y, turn = r.uniform(-1, 1), r.uniform(-0.5, 1), r.choice((0.0, 90.0))
    water = Piece("pool", "pool", x, y, 0, turn, r.uniform(4, 7), r.uniform(3, 5), 0.01)
    water.kind = r.choice(("rectangle", "rectangle", "round"))
    b.put(water, subject=True)
    if indoor:
        b.plan.roof, b.plan.words = True, ["indoor pool"]
        b.plan.height, b.plan.light = r.uniform(3, 4.5), r.choice(("day", "lamps"))
        for side in r.sample("nesw", 2):
            b.window(side, large=True)
    else:
        b.plan.words = ["outdoor pool"]
        if b.some(0.6):
            p, x, width, height = b.plan, r.uniform(-3, 3), r.uniform(8, 18), r.uniform(4, 14)
            building = Piece("building", "facade", x, p.depth / 2 + 3, 0, 0, width, 4, height, p.wall, p.wall_rgb)
            b.put(building, solid=False)
        for _ in range(r.randint(1, 5)):
            tree = b.of("tree", keep=1)
            tree.x, tree.y = r.uniform(-0.6, 0.6) * b.plan.width, b.plan.depth / 2 + r.uniform(0.2, 2)
            b.put(tree, solid=False)
    for _ in range(r.randint(1, 6)):
        b.in_the_middle(b.of("lounger", keep=0.6), turn=r.choice((0, 90, 180)))
    for noun in b.few({"parasol": 0.5, "garden chair": 0.3, "garden table": 0.3, "plant": 0.4}):
        b.in_the_middle(b.of(noun, keep=0.7))


def hot_tub(b: Builder) -> None:
    """A whirlpool: a tub of bubbling water, not a pool and not a bathtub."""
    if b.some(0.5):
        outside(b, "terrace", (4, 7), (4, 6))
    else:
        b.start("spa", (3.5, 6), (3.5, 6), wet=True)
        b.window(b.r.choice("nw"), large=True)
    tub = b.shaped("hot tub", "hot tub", (1.8, 2.4), (1.8, 2.2), (0.6, 0.85), "brown", "white", "grey")
    tub.kind = b.r.choice(("round", "square"))
    b.in_the_middle(tub, subject=True)
    for noun in b.few({"lounger": 0.5, "plant": 0.5, "garden chair": 0.3}):
        b.in_the_middle(b.of(noun, keep=0.7))


def scenery(b: Builder) -> None:
    """The view alone, perhaps over a railing."""
    outside(b, "view", (3, 5), (2, 3))
    b.plan.words = ["amazing view"]
    b.put(Piece("view", "nothing", 0, b.plan.depth / 2 + 12, b.r.uniform(1.0, 5)), solid=False, subject=True)
    if b.some(0.35):
        rail = b.shaped("railing", "railing", b.plan.width, 0.06, 1.0, "black", "white", "grey")
        rail.kind = b.r.choice(("bars", "glass"))
        b.on_wall(rail, 0, "n")
    for _ in range(b.r.choice((0, 0, 1, 2))):
        tree = b.of("tree", keep=1)
        tree.x, tree.y = b.r.uniform(-5, 5), b.plan.depth / 2 + b.r.uniform(2, 8)
        b.put(tree, solid=False)
