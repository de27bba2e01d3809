"""A plan becomes a scene: walls with windows, pieces, lights, what lies behind the windows. Takes no picture."""

import math
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import bpy
import numpy as np
from mathutils import Matrix, Vector

from training.builder import Piece, Plan
from training.catalogue import Model
from training.landscapes import landscape
from training.materials import Material, glowing, linear, see_through, surface

Corner = tuple[float, float]
Point = tuple[float, float, float]


class Store(Protocol):
    """What keeps models that were read: see blender.Studio."""

    models: Mapping[str, Model]
    scratch: Path
    shapes: "Shapes"

    def mesh(self, key: str) -> Any: ...  # noqa: D102


class Draw:
    """Puts one plan's things into the scene. Parts of a piece lie around the piece's own origin."""

    def __init__(self, studio: Store, plan: Plan, r: random.Random) -> None:
        self.studio, self.plan, self.r = studio, plan, r
        self.frame, self.number, self.what = Matrix(), -1, "thing"
        self.chrome = Material((0.8, 0.8, 0.82), 0.12, 1.0).made
        self.glass = see_through((0.95, 0.97, 0.97), 0.08)
        self.view_path: Path | None = None

    def everything(self) -> None:
        """Draw walls, pieces, lights and what lies around."""
        plan = self.plan
        if plan.view:
            self.view_path = self.studio.scratch / f"view-{os.getpid()}.png"  # several processes may render
            image = bpy.data.images.new("view", 512, 256)
            pixels = np.ones((256, 512, 4), np.float32)
            pixels[..., :3] = landscape(plan.view, plan.seed)[::-1] / 255
            image.pixels.foreach_set(pixels.ravel())
            image.filepath_raw, image.file_format = str(self.view_path), "PNG"
            image.save()
        self.shell()
        for number, piece in enumerate(plan.pieces):
            self.number, self.what = number, "thing"
            turn = Matrix.Rotation(math.radians(piece.turn), 4, "Z")
            self.frame = Matrix.Translation((piece.x, piece.y, piece.z)) @ turn
            if piece.shape in self.studio.shapes:
                self.studio.shapes[piece.shape](self, piece)
            else:
                self.model(piece)
        self.frame, self.number = Matrix(), -1
        self.lights()

    def mesh(self, points: list[Any], faces: list[Any], material: Any, *, smooth: bool = False, uv: Any = None) -> Any:
        """Add a mesh of the piece that is being drawn."""
        mesh = bpy.data.meshes.new("part")
        mesh.from_pydata([tuple(point) for point in points], [], [tuple(face) for face in faces])
        if uv is not None:
            layer = mesh.uv_layers.new()
            for place, loop in enumerate(mesh.loops):
                layer.data[place].uv = uv[loop.vertex_index]
        if smooth:
            mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
        mesh.materials.append(material)
        return self.link(mesh)

    def link(self, mesh: Any) -> Any:
        """Add an object, with what it is."""
        thing = bpy.data.objects.new("part", mesh)
        bpy.context.scene.collection.objects.link(thing)
        thing.matrix_world = self.frame
        thing["piece"], thing["what"] = self.number, self.what
        return thing

    def model(self, piece: Piece) -> None:
        """Add a model of the catalogue."""
        mesh = self.studio.mesh(piece.shape)
        thing = self.link(mesh)
        model = self.studio.models[piece.shape]
        scale = (piece.width / model.width, piece.depth / model.depth, piece.height / model.height)
        thing.matrix_world = self.frame @ Matrix.Diagonal((*scale, 1))
        slot = mesh.get("largest", 0)
        if piece.colour and slot < len(thing.material_slots):
            thing.material_slots[slot].link = "OBJECT"
            thing.material_slots[slot].material = Material(linear(piece.rgb), self.r.uniform(0.3, 0.9)).made

    def flat(self, corners: list[Any], material: Any, *, uv: Any = None) -> Any:
        """Add one face."""
        return self.mesh(corners, [tuple(range(len(corners)))], material, uv=uv)

    def level(self, low: Corner, high: Corner, z: float, material: Any) -> Any:
        """Add a level face between two corners."""
        (a, b), (c, e) = low, high
        return self.flat([(a, b, z), (c, b, z), (c, e, z), (a, e, z)], material)

    def upright(self, low: Corner, high: Corner, y: float, material: Any, uv: Any = None) -> Any:
        """Add a face that stands across y, between two corners (x, z)."""
        (a, b), (c, e) = low, high
        return self.flat([(a, y, b), (c, y, b), (c, y, e), (a, y, e)], material, uv=uv)

    def boxes(self, corners: Iterable[tuple[Point, Point]], material: Any) -> None:
        """Add several boxes of one material."""
        for low, high in corners:
            self.box(low, high, material)

    def box(self, low: Point, high: Point, material: Any, bevel: float = 0.0) -> Any:
        """Add a box between two corners; `bevel`: how round its edges are, in metres."""
        (a, b, c), (d, e, f) = low, high
        points = [(a, b, c), (d, b, c), (d, e, c), (a, e, c), (a, b, f), (d, b, f), (d, e, f), (a, e, f)]
        faces = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
        thing = self.mesh(points, faces, material, smooth=bevel > 0.02)
        if bevel:
            modifier = thing.modifiers.new("round", "BEVEL")
            modifier.width, modifier.segments = min(bevel, 0.45 * min(d - a, e - b, f - c)), 3
        return thing

    def turned(
        self,
        profile: Sequence[Corner],
        material: Any,
        *,
        at: Corner = (0, 0),
        stretch: Corner = (1, 1),
        power: float = 2.0,
    ) -> Any:
        """Add a turned body of (radius, height) pairs; `power` above 2 makes its outline more of a rectangle."""
        count, points, faces = 28, [], []
        for radius, z in profile:
            for i in range(count):
                c, s = math.cos(2 * math.pi * i / count), math.sin(2 * math.pi * i / count)
                reach = radius * (abs(c) ** power + abs(s) ** power) ** (-1 / power)
                points.append((at[0] + reach * c * stretch[0], at[1] + reach * s * stretch[1], z))
        for ring in range(len(profile) - 1):
            for i in range(count):
                j = (i + 1) % count
                faces.append((ring * count + i, ring * count + j, (ring + 1) * count + j, (ring + 1) * count + i))
        return self.mesh(points, faces, material, smooth=True)

    def rod(self, start: Point, end: Point, radius: float, material: Any) -> Any:
        """Add a thin rod between two points."""
        line = Vector(end) - Vector(start)
        kept, turned = self.frame, line.to_track_quat("Z", "Y").to_matrix().to_4x4()
        self.frame = kept @ Matrix.Translation(start) @ turned
        self.turned([(0, 0), (radius, 0), (radius, line.length), (0, line.length)], material)
        self.frame = kept

    def shell(self) -> None:
        """Draw floor, ceiling and walls with the holes of their windows; outside, the ground and the view."""
        plan, r = self.plan, self.r
        w, d, h = plan.width / 2, plan.depth / 2, plan.height
        floor = surface(plan.floor_kind, plan.floor_rgb, "z", r).made
        self.what = "floor"
        reach = 0 if plan.roof else 40
        if plan.room != "pool" and plan.room not in ("balcony", "view"):
            self.level((-w - reach, -d - reach), (w + reach, d + reach * 0.2), 0, floor)
        elif plan.room == "pool":
            self.around_pool(floor, w + (14 if not plan.roof else 0), d + (6 if not plan.roof else 0))
        else:
            self.level((-w, -d), (w, d), 0, floor)
        if not plan.roof:
            self.what = "view"
            self.backdrop(0, d + 30, 0, 90, 45, -14)
            return
        self.what = "ceiling"
        above = Material(linear((240, 239, 236)), 0.8).only_from_inside()
        self.flat([(-w, -d, h), (-w, d, h), (w, d, h), (w, -d, h)], above)
        for side, turn in (("n", 0.0), ("e", -90.0), ("s", 180.0), ("w", 90.0)):
            self.wall(side, turn, w if side in "ns" else d, d if side in "ns" else w, h)

    def wall(self, side: str, turn: float, half: float, off: float, h: float) -> None:
        """Draw one wall, with the hole of its widest window."""
        plan = self.plan
        self.frame, self.what = Matrix.Rotation(math.radians(turn), 4, "Z"), "wall"
        material = surface(plan.wall_kind, plan.wall_rgb, "x" if side in "ns" else "y", self.r).only_from_inside()
        windows = [p for p in plan.pieces if p.shape == "window" and round(p.turn) == round(turn)][:1]
        cuts = [(-half, half, 0.0, h)]
        for window in windows:
            u = {"n": window.x, "s": -window.x, "e": -window.y, "w": window.y}[side]
            a, b, c, e = u - window.width / 2, u + window.width / 2, window.z, window.z + window.height
            cuts = [(-half, a, 0, h), (b, half, 0, h), (a, b, 0, c), (a, b, e, h)]
        for a, b, c, e in cuts:
            if b - a > 0.01 and e - c > 0.01:
                self.upright((a, c), (b, e), off, material)
        self.frame = Matrix()

    def backdrop(self, x: float, y: float, turn: float, width: float, height: float, low: float) -> None:
        """Draw the view on a surface that shines."""
        if self.view_path is None:
            return
        kept, self.frame = self.frame, Matrix.Translation((x, y, 0)) @ Matrix.Rotation(math.radians(turn), 4, "Z")
        strength = {"day": 1.4, "lamps": 0.8, "dim": 0.4, "dusk": 0.6}[self.plan.light]
        shift = self.r.uniform(0, 1)
        uv = [(shift, 0), (shift + 1, 0), (shift + 1, 1), (shift, 1)]
        shine = glowing((1, 1, 1), strength, self.view_path)
        self.upright((-width / 2, low), (width / 2, low + height), 0, shine, uv)
        self.frame = kept

    def around_pool(self, floor: Any, w: float, d: float) -> None:
        """Draw the ground with the hole that the pool is in."""
        water = next(piece for piece in self.plan.pieces if piece.shape == "pool")
        a, b = water.reach(water.turn)
        x0, x1, y0, y1 = water.x - a, water.x + a, water.y - b, water.y + b
        for low, high in (((-w, -d), (x0, d)), ((x1, -d), (w, d)), ((x0, -d), (x1, y0)), ((x0, y1), (x1, d))):
            if high[0] > low[0] and high[1] > low[1]:
                self.level(low, high, 0, floor)

    def lights(self) -> None:
        """Light the scene: sky and sun outside; windows, ceiling and a little from everywhere inside."""
        plan, r = self.plan, self.r
        world = bpy.data.worlds.get("world") or bpy.data.worlds.new("world")
        bpy.context.scene.world, world.use_nodes = world, True
        background = world.node_tree.nodes["Background"]
        share = {"day": 1.0, "lamps": 0.8, "dim": 0.5, "dusk": 0.6}[plan.light]
        tint = r.choice(((1, 1, 1), (1, 0.94, 0.85), (0.9, 0.95, 1.0), (1, 0.85, 0.65)))
        background.inputs[0].default_value = (*(tint if plan.roof else (0.7, 0.82, 1.0)), 1)
        background.inputs[1].default_value = (0.5 if plan.roof else 1.0) * share
        if not plan.roof:
            sun = bpy.data.lights.new("sun", "SUN")
            sun.energy, sun.angle = r.uniform(1.5, 4) * share, 0.03
            sun.color = (1, 0.95, 0.85) if plan.light == "day" else (1, 0.7, 0.5)
            self.lamp(sun, (0, 0, 10), (r.uniform(0.2, 1.1), 0, r.uniform(0, 6.3)))
            return
        ceiling = bpy.data.lights.new("ceiling", "AREA")
        ceiling.shape, ceiling.size, ceiling.size_y = "RECTANGLE", plan.width * 0.7, plan.depth * 0.7
        ceiling.energy = plan.width * plan.depth * r.uniform(2, 6) * share
        ceiling.color = tint if plan.light == "day" else (1, 0.86, 0.68)
        self.lamp(ceiling, (0, 0, plan.height - 0.03), (0, 0, 0))
        for window in (piece for piece in plan.pieces if piece.shape == "window"):
            light = bpy.data.lights.new("window", "AREA")
            light.shape, light.size, light.size_y = "RECTANGLE", window.width, window.height
            light.energy = window.width * window.height * {"day": 28, "lamps": 4, "dim": 6}[plan.light]
            turn = math.radians(window.turn)
            inwards = (window.x + 0.15 * math.sin(turn), window.y - 0.15 * math.cos(turn), window.z + window.height / 2)
            self.lamp(light, inwards, (math.pi / 2, 0, turn))

    def lamp(self, light: Any, place: Point, turn: Point) -> None:
        """Hang a light that itself is not seen."""
        thing = bpy.data.objects.new("light", light)
        bpy.context.scene.collection.objects.link(thing)
        thing.location, thing.rotation_euler = place, turn
        thing.visible_camera = thing.visible_glossy = False


Shapes = Mapping[str, Callable[[Draw, Piece], None]]
