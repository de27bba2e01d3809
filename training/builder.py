"""How a room is filled: pieces, plans, and who places them so that none stands in another.

Metres; the room's middle is the origin, z is up; at rotation 0 a piece's front looks towards -y. Walls are named n, e,
s, w.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from training.catalogue import Model
from training.nouns import MODELS

COLOURS: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "white": ((245, 244, 240), (232, 230, 225)),
    "grey": ((150, 150, 152), (105, 108, 112), (190, 190, 188)),
    "black": ((28, 28, 30), (45, 43, 42)),
    "red": ((170, 30, 32), (200, 48, 40), (130, 22, 30)),
    "orange": ((224, 122, 40), (200, 98, 50)),
    "yellow": ((236, 200, 70), (222, 184, 90)),
    "green": ((60, 120, 70), (120, 160, 100), (40, 84, 66)),
    "blue": ((40, 80, 150), (90, 140, 190), (28, 50, 96)),
    "purple": ((110, 60, 130), (146, 110, 170)),
    "pink": ((232, 160, 176), (214, 120, 150)),
    "brown": ((110, 72, 46), (84, 54, 36), (140, 96, 62)),
    "beige": ((222, 205, 176), (205, 186, 156)),
}
PLAIN = ("white",) * 7 + ("beige",) * 4 + ("grey",) * 3  # what most walls are
VIEWS = ("sea", "mountains", "city", "garden", "lake", "beach", "night city", "street")
Size = float | tuple[float, float]
TURN = {"n": 0.0, "e": -90.0, "s": 180.0, "w": 90.0}


def shade(r: random.Random, *names: str) -> tuple[int, int, int]:
    """Return a shade of one of some colours, or of any."""
    return r.choice(COLOURS[r.choice(names or list(COLOURS))])


@dataclass
class Piece:
    """One thing: `noun` is what it is called, `shape` a model's key or the name of one of blender.SHAPES."""

    noun: str
    shape: str
    x: float
    y: float
    z: float = 0.0
    turn: float = 0.0
    width: float = 1.0
    depth: float = 1.0
    height: float = 1.0
    colour: str = ""
    rgb: tuple[int, int, int] = (200, 200, 200)
    kind: str = ""

    def reach(self, turn: float) -> tuple[float, float]:
        """Return how far it goes from its middle, along x and along y, where it is turned so."""
        sideways = round(abs(turn)) % 180 == 90
        return (self.depth / 2, self.width / 2) if sideways else (self.width / 2, self.depth / 2)

    def beside(self, u: float, v: float) -> tuple[float, float]:
        """Return the place that lies so far to its right and so far behind it."""
        angle = math.radians(self.turn)
        return self.x + u * math.cos(angle) - v * math.sin(angle), self.y + u * math.sin(angle) + v * math.cos(angle)


@dataclass
class Plan:
    """A room, or a place outside where `roof` is false."""

    seed: int
    room: str
    width: float
    depth: float
    height: float
    roof: bool = True
    wall: str = "white"
    wall_rgb: tuple[int, int, int] = (240, 240, 235)
    wall_kind: str = "paint"
    floor_kind: str = "planks"
    floor_rgb: tuple[int, int, int] = (150, 110, 80)
    view: str = ""
    light: str = "day"
    pieces: list[Piece] = field(default_factory=list)
    subjects: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class Builder:
    """Puts pieces into a room without letting them stand in each other."""

    def __init__(self, r: random.Random, models: Mapping[str, Model], seed: int) -> None:
        self.r, self.models = r, models
        self.taken: list[tuple[float, float, float, float]] = []
        self.plan = Plan(seed, "", 4, 4, 2.6)

    def start(self, room: str, widths: tuple[float, float], depths: tuple[float, float], *, wet: bool = False) -> None:
        """Lay out the floor and the walls."""
        r, p = self.r, self.plan
        p.room, p.width, p.depth = room, r.uniform(*widths), r.uniform(*depths)
        p.height = r.uniform(2.35, 3.2)
        p.wall = r.choice(PLAIN) if r.random() < 0.6 else r.choice(list(COLOURS))
        p.wall_rgb = r.choice(COLOURS[p.wall])
        kinds = ("tiles", "tiles", "tiles", "marble", "paint") if wet else ("paint",) * 6 + ("stripes", "wood", "brick")
        p.wall_kind = r.choice(kinds)
        p.floor_kind = r.choice(
            ("tiles", "tiles", "marble") if wet else ("planks", "planks", "carpet", "carpet", "tiles")
        )
        p.floor_rgb = shade(r, "brown", "brown", "beige", "grey", "white", "red", "blue", "black")
        p.light = r.choice(("day", "day", "day", "lamps", "lamps", "dim"))

    def colour(self, *often: str) -> tuple[str, tuple[int, int, int]]:
        """Return a colour's name and a shade of it; one of `often` in half of the cases."""
        name = self.r.choice(often) if often and self.r.random() < 0.5 else self.r.choice(list(COLOURS))
        return name, self.r.choice(COLOURS[name])

    def free(self, x: float, y: float, half_x: float, half_y: float) -> bool:
        """Tell whether a rectangle lies in the room and on nothing else."""
        p = self.plan
        if abs(x) + half_x > p.width / 2 + 0.01 or abs(y) + half_y > p.depth / 2 + 0.01:
            return False
        return all(abs(x - a) >= half_x + c or abs(y - b) >= half_y + d for a, b, c, d in self.taken)

    def put(self, piece: Piece, *, solid: bool = True, subject: bool = False) -> Piece:
        """Add a piece; `solid`: nothing else may stand there; `subject`: the camera may look at it."""
        if solid:
            self.taken.append((piece.x, piece.y, *piece.reach(piece.turn)))
        if subject:
            self.plan.subjects.append(len(self.plan.pieces))
        self.plan.pieces.append(piece)
        return piece

    def of(self, noun: str, *, keep: float = 0.5) -> Piece:
        """Return a piece of the catalogue, nowhere yet; with probability 1 - `keep` it gets a colour of ours."""
        key = self.r.choice([key for key in MODELS[noun] if key in self.models])
        model = self.models[key]
        piece = Piece(noun, key, 0, 0, 0, 0, model.width, model.depth, model.height)
        if self.r.random() > keep:
            piece.colour, piece.rgb = self.colour()
        return piece

    def shaped(self, noun: str, shape: str, width: Size, depth: Size, height: Size, *often: str) -> Piece:
        """Return a piece of one of our own shapes, nowhere yet; a size that is a pair is one between the two."""
        w, d, h = (self.r.uniform(*size) if isinstance(size, tuple) else size for size in (width, depth, height))
        colour, rgb = self.colour(*often)
        return Piece(noun, shape, 0, 0, 0, 0, w, d, h, colour, rgb)

    def span(self, wall: str) -> tuple[float, float]:
        """Return how long the room is along a wall, and across."""
        p = self.plan
        return (p.width, p.depth) if wall in "ns" else (p.depth, p.width)

    def before(self, wall: str, piece: Piece, shift: float, gap: float) -> tuple[float, float]:
        """Return the place of a piece with its back to a wall, so far along it and so far from it."""
        off = self.span(wall)[1] / 2 - piece.depth / 2 - gap
        return {"n": (shift, off), "s": (shift, -off), "e": (off, shift), "w": (-off, shift)}[wall]

    def at_wall(self, piece: Piece, wall: str = "", *, subject: bool = False, gap: float = 0.02) -> Piece | None:
        """Stand a piece with its back to a wall; None where there is no room for it."""
        for _ in range(25):
            side = wall or self.r.choice("nesw")
            along, across = self.span(side)
            spare = along / 2 - piece.width / 2
            if spare < 0 or piece.depth > across:
                continue
            x, y = self.before(side, piece, self.r.uniform(-spare, spare), gap)
            if self.free(x, y, *piece.reach(TURN[side])):
                piece.x, piece.y, piece.turn = x, y, TURN[side]
                return self.put(piece, subject=subject)
        return None

    def in_the_middle(self, piece: Piece, *, subject: bool = False, turn: float | None = None) -> Piece | None:
        """Stand a piece anywhere; None where there is no room for it."""
        for _ in range(25):
            piece.turn = self.r.uniform(0, 360) if turn is None else turn
            reach = max(piece.width, piece.depth) / 2
            x = self.r.uniform(-1, 1) * max(self.plan.width / 2 - reach, 0)
            y = self.r.uniform(-1, 1) * max(self.plan.depth / 2 - reach, 0)
            if self.free(x, y, reach, reach):
                piece.x, piece.y = x, y
                self.taken.append((x, y, reach, reach))
                return self.put(piece, solid=False, subject=subject)
        return None

    def on(self, below: Piece, piece: Piece, *, spread: float = 0.35, subject: bool = False) -> Piece:
        """Put a piece on top of another."""
        u, v = (self.r.uniform(-spread, spread) * size for size in (below.width, below.depth))
        piece.x, piece.y = below.beside(u, v)
        piece.z, piece.turn = below.z + below.height, below.turn + self.r.uniform(-25, 25)
        return self.put(piece, solid=False, subject=subject)

    def on_wall(
        self, piece: Piece, z: float, wall: str = "", *, above: Piece | None = None, subject: bool = False
    ) -> Piece:
        """Hang a piece on a wall; `above`: over a piece that stands at one."""
        side = wall or self.r.choice("nesw")
        if above is not None:
            side = next(side for side, turn in TURN.items() if round(turn) == round(above.turn))
        spare = max(self.span(side)[0] / 2 - piece.width / 2, 0)
        shift = self.r.uniform(-spare, spare)
        if above is not None:
            shift = above.x if side in "ns" else above.y
        piece.x, piece.y = self.before(side, piece, shift, 0.004)
        piece.z, piece.turn = z, TURN[side]
        return self.put(piece, solid=False, subject=subject)

    def around(self, table: Piece, noun: str, count: int) -> None:
        """Stand chairs of one sort around a table."""
        like = self.of(noun)
        start = self.r.choice((0, 90)) if count < 4 else 0
        for seat in range(count):
            angle = math.radians(table.turn + start + 360 * seat / count)
            reach_x, reach_y = table.width / 2 + 0.16, table.depth / 2 + 0.16
            a = math.radians(start + 360 * seat / count)
            scale = min(reach_x / max(abs(math.sin(a)), 1e-6), reach_y / max(abs(math.cos(a)), 1e-6))
            x, y = table.x + math.sin(angle) * scale, table.y - math.cos(angle) * scale
            chair = Piece(**{**vars(like), "x": x, "y": y, "turn": math.degrees(angle) + 180 + self.r.uniform(-12, 12)})
            if abs(x) < self.plan.width / 2 - 0.2 and abs(y) < self.plan.depth / 2 - 0.2:
                self.put(chair, subject=True)

    def window(self, wall: str = "n", *, large: bool = False, view: str = "") -> Piece:
        """Cut a window, with curtains more often than not, and a view behind it."""
        p, r = self.plan, self.r
        p.view = p.view or view or r.choice(VIEWS)
        along, _ = self.span(wall)
        width = along * r.uniform(0.65, 0.95) if large else min(r.uniform(0.8, 2.0), along * 0.7)
        low = 0.02 if large and r.random() < 0.7 else r.uniform(0.6, 1.0)
        piece = Piece("window", "window", 0, 0, 0, 0, width, 0.1, p.height * r.uniform(0.82, 0.92) - low)
        piece = self.on_wall(piece, low, wall, subject=large)
        if r.random() < 0.65:
            colour, rgb = self.colour("white", "beige", "grey")
            curtain = Piece(
                "curtains", "curtains", piece.x, piece.y, 0, piece.turn, width + 0.5, 0.12, p.height - 0.1, colour, rgb
            )
            self.put(curtain, solid=False)
        return piece

    def some(self, chance: float) -> bool:
        """Return true in a share of the cases."""
        return self.r.random() < chance

    def few(self, chances: Mapping[str, float]) -> Iterator[str]:
        """Yield each noun with its chance."""
        return (noun for noun, chance in chances.items() if self.some(chance))

    def bottles(self, below: Piece, count: int) -> None:
        """Stand bottles and glasses on a piece."""
        for _ in range(count):
            noun = self.r.choice(("bottle", "bottle", "glass", "cup"))
            whole = self.some(0.5)
            self.on(
                below, self.of(noun, keep=1) if whole else self.shaped("bottle", "bottle", 0.08, 0.08, (0.18, 0.32))
            )

    def decorate(self) -> None:
        """Add a few of the small things that rooms have."""
        r = self.r
        for noun in self.few({"plant": 0.35, "floor lamp": 0.25, "wardrobe": 0.15, "shelves": 0.12, "bin": 0.06}):
            self.at_wall(self.of(noun))
        for _ in range(r.choice((0, 0, 1, 1, 2))):
            picture = self.shaped("picture", "picture", (0.4, 1.2), 0.03, (0.4, 0.9))
            self.on_wall(picture, r.uniform(1.1, 1.5))
        if self.some(0.3):
            side = r.choice("nesw")
            self.on_wall(self.shaped("door", "door", 0.9, 0.06, 2.05, "white", "brown"), 0, side)
        if self.some(0.3):
            rug = self.shaped("rug", "rug", (1.4, 2.6), (1, 1.8), 0.012)
            rug.turn = r.choice((0.0, 90.0))
            self.put(rug, solid=False)
        if self.some(0.3):
            lamp = self.shaped("pendant lamp", "pendant", 0.35, 0.35, 0.3, "white", "yellow")
            lamp.z = self.plan.height - r.uniform(0.5, 0.9)
            self.put(lamp, solid=False)
