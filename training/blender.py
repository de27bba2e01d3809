"""Pictures of planned rooms, with what is seen in them: Blender's Cycles as a Python module (PyPI: bpy).

What a picture shows is measured, not guessed: a ray for each cell of a grid finds the piece that is seen there; glass
and water are looked through.
"""

import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image

from training.catalogue import Model
from training.landscapes import landscape
from training.rooms import Piece, Plan

SAMPLES = 3  # a pixel; Intel's denoiser does the rest
CELLS = 36  # of the grid of rays, along the longer side
THROUGH = {"glass", "curtains", "water surface"}
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Shot:
    """What is seen: share of the picture by piece (its place in the plan's list), by "wall", "floor", "view"."""

    pieces: dict[int, float]
    others: dict[str, float]
    near: float


class Studio:
    """Draws plans; models that were read once stay in memory."""

    def __init__(self, models: Mapping[str, Model], scratch: Path, shapes: "Shapes") -> None:
        self.models, self.scratch, self.shapes = models, scratch, shapes
        self.meshes: dict[str, Any] = {}
        bpy.ops.wm.read_factory_settings(use_empty=True)

    def photograph(self, plan: Plan, path: Path, size: tuple[int, int]) -> Shot:
        """Draw a plan from the best of a few places, as a JPEG of `size` (width, height); return what is seen."""
        r = random.Random(plan.seed + 1)
        self.clear(size, r)
        draw = Draw(self, plan, r)
        draw.everything()
        best, best_score = None, -1.0
        for _ in range(9):
            camera = place_camera(plan, r, size)
            shot = seen(size)
            subjects = {i for i in plan.subjects if shot.pieces.get(i, 0) > 0.015}
            score = -8 * shot.others.get("sky", 0) * plan.roof  # from outside, past the edge of the room
            score += len(subjects) + 0.25 * len([1 for s in shot.pieces.values() if s > 0.01]) - 6 * max(shot.near - 0.1, 0)
            score += min(sum(shot.pieces.get(i, 0) for i in plan.subjects), 0.4) * 4 * r.uniform(0.3, 1)
            if score > best_score:
                best, best_score, matrix, angle = shot, score, camera.matrix_world.copy(), camera.data.angle
        camera.matrix_world, camera.data.angle = matrix, angle
        assert best is not None
        bpy.context.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        expose(path, r)
        return best

    def clear(self, size: tuple[int, int], r: random.Random) -> None:
        """Begin an empty scene."""
        for things in (bpy.data.objects, bpy.data.lights, bpy.data.cameras):
            bpy.data.batch_remove(list(things))
        bpy.data.batch_remove([mesh for mesh in bpy.data.meshes if not mesh.use_fake_user])
        bpy.data.batch_remove([material for material in bpy.data.materials if not material.use_fake_user])
        bpy.data.batch_remove([image for image in bpy.data.images if not image.use_fake_user])
        scene = bpy.context.scene
        scene.render.engine = "CYCLES"
        scene.render.resolution_x, scene.render.resolution_y = size
        scene.render.threads_mode, scene.render.threads = "FIXED", 1
        scene.render.image_settings.file_format, scene.render.image_settings.quality = "JPEG", 92
        cycles = scene.cycles
        cycles.device, cycles.samples, cycles.seed = "CPU", SAMPLES, r.randrange(1 << 30)
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 2
        cycles.transmission_bounces, cycles.transparent_max_bounces = 2, 8
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.sample_clamp_indirect, cycles.use_adaptive_sampling = 6, False
        cycles.use_light_tree = False  # it costs more than the rest together, for the few lights of a room
        cycles.use_denoising, cycles.denoiser, cycles.denoising_input_passes = True, "OPENIMAGEDENOISE", "RGB"
        cycles.denoising_prefilter, cycles.denoising_quality = "NONE", "FAST"
        scene.view_settings.view_transform = r.choice(("AgX", "Filmic", "Standard"))
        scene.view_settings.exposure = r.uniform(-0.3, 0.7) + (0.4 if scene.view_settings.view_transform == "AgX" else 0)

    def mesh(self, key: str) -> Any:
        """Return a model's mesh, standing on the floor around the origin in its true size."""
        if key not in self.meshes:
            self.meshes[key] = read_mesh(self.models[key])
        return self.meshes[key]


def expose(path: Path, r: random.Random) -> None:
    """Make a picture that came out too dark or too light as bright as cameras make photos."""
    with Image.open(path) as opened:
        levels = np.asarray(opened.convert("RGB"), np.float32) / 255
    mean, wanted = float(levels.mean()), r.uniform(0.36, 0.6)
    if mean < 0.33 or mean > 0.68:
        levels = levels ** min(max(math.log(wanted) / math.log(max(mean, 0.02)), 0.45), 2)
        Image.fromarray((levels * 255).round().astype(np.uint8)).save(path, quality=90)


def read_mesh(model: Model) -> Any:
    """Read a model's mesh and its materials."""
    before = set(bpy.data.objects)
    bpy.ops.wm.obj_import(filepath=str(model.file), forward_axis="NEGATIVE_Z", up_axis="Y", use_split_objects=False)
    new = [thing for thing in bpy.data.objects if thing not in before]
    mesh, matrix = new[0].data, new[0].matrix_world.copy()
    if model.rotation:
        q = model.rotation
        turn = Matrix((q[0:3], q[3:6], q[6:9])).to_4x4()
        up = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
        matrix = up @ turn @ up.inverted() @ matrix
    mesh.transform(matrix)
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    low, high = points.reshape(-1, 3).min(0), points.reshape(-1, 3).max(0)
    scale = np.array([model.width, model.depth, model.height]) / np.maximum(high - low, 1e-6)
    move = Matrix.Translation(Vector((*(-(low[:2] + high[:2]) / 2), -low[2])))
    mesh.transform(Matrix.Diagonal((*scale, 1)) @ move)
    bpy.data.batch_remove(new)
    mesh.use_fake_user = True
    for material in mesh.materials:
        if material is not None:
            material.use_fake_user = True
            mend(material)
    areas: dict[int, float] = {}
    for polygon in mesh.polygons:
        areas[polygon.material_index] = areas.get(polygon.material_index, 0) + polygon.area
    mesh["largest"] = max(areas, key=lambda slot: areas[slot]) if areas else 0
    return mesh


def mend(material: Any) -> None:
    """Make an imported material look as it should, where a texture is missing or a value is off."""
    shader = material.node_tree.nodes.get("Principled BSDF") if material.use_nodes else None
    if shader is None:
        return
    shader.inputs["Metallic"].default_value = 0
    if not shader.inputs["Roughness"].is_linked:
        shader.inputs["Roughness"].default_value = min(max(shader.inputs["Roughness"].default_value, 0.12), 0.8)
    for node in list(material.node_tree.nodes):
        if node.type == "TEX_IMAGE" and node.image:
            if Path(bpy.path.abspath(node.image.filepath)).exists():
                node.image.use_fake_user = True
            else:
                material.node_tree.nodes.remove(node)
                shader.inputs["Base Color"].default_value = (0.06, 0.05, 0.05, 1)


def linear(rgb: tuple[int, int, int], scale: float = 1.0) -> RGB:
    """Return linear values of sRGB ones of 0 to 255."""
    parts = [min(value / 255 * scale, 1.0) for value in rgb]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return red, green, blue


class Material:
    """A material that is being put together."""

    def __init__(self, rgb: RGB, rough: float = 0.5, metal: float = 0.0) -> None:
        self.made = bpy.data.materials.new("material")
        self.made.use_nodes = True
        self.tree = self.made.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.shader.inputs["Base Color"].default_value = (*rgb, 1)
        self.shader.inputs["Roughness"].default_value = rough
        self.shader.inputs["Metallic"].default_value = metal

    def place(self, plane: str, scale: float = 1.0) -> Any:
        """Return where a point lies: on a wall "x" or "y", on the floor "z", or in the object "o"."""
        if plane == "o":
            return self.tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
        split, join = self.tree.nodes.new("ShaderNodeSeparateXYZ"), self.tree.nodes.new("ShaderNodeCombineXYZ")
        self.tree.links.new(self.tree.nodes.new("ShaderNodeNewGeometry").outputs["Position"], split.inputs[0])
        for axis, goes in zip({"x": "XZ", "y": "YZ", "z": "XY"}[plane], (0, 1), strict=True):
            self.tree.links.new(split.outputs[axis], join.inputs[goes])
        return join.outputs[0]

    def texture(self, kind: str, where: Any, values: Mapping[str, Any], out: str) -> Any:
        """Add a texture node and return one of what it gives."""
        node = self.tree.nodes.new(kind)
        for name, value in values.items():
            node.inputs[name].default_value = value
        self.tree.links.new(where, node.inputs["Vector"])
        return node.outputs[out]

    def between(self, share: Any, one: RGB, other: RGB) -> Any:
        """Give the surface two colours, mixed by a texture."""
        ramp = self.tree.nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*one, 1), (*other, 1)
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.35, 0.65
        self.tree.links.new(share, ramp.inputs[0])
        self.tree.links.new(ramp.outputs[0], self.shader.inputs["Base Color"])
        return ramp

    def only_from_inside(self) -> Any:
        """Let the camera look through it from behind, so that it can stand outside a small room."""
        geometry, ray = self.tree.nodes.new("ShaderNodeNewGeometry"), self.tree.nodes.new("ShaderNodeLightPath")
        both, mix = self.tree.nodes.new("ShaderNodeMath"), self.tree.nodes.new("ShaderNodeMixShader")
        both.operation = "MULTIPLY"
        self.tree.links.new(geometry.outputs["Backfacing"], both.inputs[0])
        self.tree.links.new(ray.outputs["Is Camera Ray"], both.inputs[1])
        self.tree.links.new(both.outputs[0], mix.inputs[0])
        self.tree.links.new(self.shader.outputs[0], mix.inputs[1])
        self.tree.links.new(self.tree.nodes.new("ShaderNodeBsdfTransparent").outputs[0], mix.inputs[2])
        self.tree.links.new(mix.outputs[0], self.tree.nodes["Material Output"].inputs[0])
        return self.made


def surface(kind: str, rgb: tuple[int, int, int], plane: str, r: random.Random) -> Material:
    """Return what walls and floors are made of."""
    colour, darker = linear(rgb), linear(rgb, 0.78)
    material = Material(colour, 0.7)
    where = material.place(plane)
    if kind in ("tiles", "planks", "brick"):
        width, row = {"planks": (1.3, 0.14), "brick": (0.24, 0.075)}.get(kind, r.choice(((0.3, 0.3), (0.6, 0.3), (0.15, 0.15), (0.2, 0.1), (0.6, 0.6))))
        joint = linear(rgb, r.choice((0.6, 0.85, 1.1))) if kind == "tiles" else linear(rgb, 0.5)
        colours = {"Color1": (*linear(rgb, 0.94), 1), "Color2": (*linear(rgb, 1.06), 1), "Mortar": (*joint, 1)}
        size = {"Scale": 1.0, "Brick Width": width, "Row Height": row, "Mortar Size": 0.003 if kind == "planks" else 0.006}
        bricks = material.texture("ShaderNodeTexBrick", where, {**colours, **size}, "Color")
        material.tree.links.new(bricks, material.shader.inputs["Base Color"])
        material.shader.inputs["Roughness"].default_value = {"tiles": 0.15, "planks": 0.35}.get(kind, 0.8)
    elif kind == "stripes":
        material.between(material.texture("ShaderNodeTexWave", where, {"Scale": r.uniform(1, 4)}, "Fac"), colour, darker)
    elif kind == "wood":
        waves = {"Scale": 1.2, "Distortion": 6.0, "Detail": 3.0}
        material.between(material.texture("ShaderNodeTexWave", where, waves, "Fac"), linear((120, 80, 50)), linear((160, 112, 70)))
    elif kind == "marble":
        veins = {"Scale": r.uniform(1, 3), "Detail": 8.0, "Distortion": 2.0}
        material.between(material.texture("ShaderNodeTexNoise", where, veins, "Fac"), linear(rgb, 0.7), colour)
        material.shader.inputs["Roughness"].default_value = 0.12
    elif kind == "carpet":
        material.between(material.texture("ShaderNodeTexNoise", where, {"Scale": r.choice((2.0, 30.0, 90.0))}, "Fac"), darker, colour)
        material.shader.inputs["Roughness"].default_value = 0.95
    else:
        material.between(material.texture("ShaderNodeTexNoise", where, {"Scale": 1.0}, "Fac"), linear(rgb, 0.97), colour)
    return material


def see_through(tint: RGB, mirroring: float, bumps: float = 0.0) -> Any:
    """Return thin glass, or a surface of water."""
    material = Material(tint)
    tree, gloss = material.tree, material.tree.nodes.new("ShaderNodeBsdfGlossy")
    clear, mix = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeMixShader")
    clear.inputs[0].default_value, gloss.inputs["Roughness"].default_value = (*tint, 1), 0.03
    mix.inputs[0].default_value = mirroring
    if bumps:
        bump = tree.nodes.new("ShaderNodeBump")
        bump.inputs["Strength"].default_value = bumps
        height = material.texture("ShaderNodeTexNoise", material.place("z"), {"Scale": 2.5, "Detail": 4.0}, "Fac")
        tree.links.new(height, bump.inputs["Height"])
        tree.links.new(bump.outputs[0], gloss.inputs["Normal"])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(gloss.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.nodes["Material Output"].inputs[0])
    return material.made


def glowing(rgb: RGB, strength: float, picture: Path | None = None) -> Any:
    """Return what shines by itself: a lamp, a screen, the view."""
    material = Material(rgb)
    glow = material.tree.nodes.new("ShaderNodeEmission")
    glow.inputs[0].default_value, glow.inputs[1].default_value = (*rgb, 1), strength
    if picture is not None:
        image = material.tree.nodes.new("ShaderNodeTexImage")
        image.image, image.extension = bpy.data.images.load(str(picture)), "MIRROR"
        material.tree.links.new(material.tree.nodes.new("ShaderNodeTexCoord").outputs["UV"], image.inputs[0])
        material.tree.links.new(image.outputs[0], glow.inputs[0])
    material.tree.links.new(glow.outputs[0], material.tree.nodes["Material Output"].inputs[0])
    return material.made


class Draw:
    """Puts one plan's things into the scene. Parts of a piece lie around the piece's own origin."""

    def __init__(self, studio: Studio, plan: Plan, r: random.Random) -> None:
        self.studio, self.plan, self.r = studio, plan, r
        self.frame, self.number, self.what = Matrix(), -1, "thing"
        self.chrome = Material((0.8, 0.8, 0.82), 0.12, 1.0).made
        self.glass = see_through((0.95, 0.97, 0.97), 0.08)
        self.view_path: Path | None = None

    def everything(self) -> None:
        """Draw walls, pieces, lights and what lies around."""
        plan = self.plan
        if plan.view:
            self.view_path = self.studio.scratch / "view.png"
            image = bpy.data.images.new("view", 512, 256)
            pixels = np.ones((256, 512, 4), np.float32)
            pixels[..., :3] = landscape(plan.view, plan.seed)[::-1] / 255
            image.pixels.foreach_set(pixels.ravel())
            image.filepath_raw, image.file_format = str(self.view_path), "PNG"
            image.save()
        self.shell()
        for number, piece in enumerate(plan.pieces):
            self.number, self.what = number, "thing"
            self.frame = Matrix.Translation((piece.x, piece.y, piece.z)) @ Matrix.Rotation(math.radians(piece.turn), 4, "Z")
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

    def box(self, low: tuple[float, float, float], high: tuple[float, float, float], material: Any, bevel: float = 0.0) -> Any:
        """Add a box between two corners; `bevel`: how round its edges are, in metres."""
        (a, b, c), (d, e, f) = low, high
        points = [(a, b, c), (d, b, c), (d, e, c), (a, e, c), (a, b, f), (d, b, f), (d, e, f), (a, e, f)]
        faces = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
        thing = self.mesh(points, faces, material, smooth=bevel > 0.02)
        if bevel:
            modifier = thing.modifiers.new("round", "BEVEL")
            modifier.width, modifier.segments = min(bevel, 0.45 * min(d - a, e - b, f - c)), 3
        return thing

    def turned(self, profile: list[tuple[float, float]], material: Any, *, at: tuple[float, float] = (0, 0), stretch: tuple[float, float] = (1, 1), power: float = 2.0) -> Any:
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

    def rod(self, start: tuple[float, float, float], end: tuple[float, float, float], radius: float, material: Any) -> Any:
        """Add a thin rod between two points."""
        line = Vector(end) - Vector(start)
        kept, self.frame = self.frame, self.frame @ Matrix.Translation(start) @ line.to_track_quat("Z", "Y").to_matrix().to_4x4()
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
            self.mesh([(-w - reach, -d - reach, 0), (w + reach, -d - reach, 0), (w + reach, d + reach * 0.2, 0), (-w - reach, d + reach * 0.2, 0)], [(0, 1, 2, 3)], floor)
        elif plan.room == "pool":
            self.around_pool(floor, w + (14 if not plan.roof else 0), d + (6 if not plan.roof else 0))
        else:
            self.mesh([(-w, -d, 0), (w, -d, 0), (w, d, 0), (-w, d, 0)], [(0, 1, 2, 3)], floor)
        if not plan.roof:
            self.what = "view"
            self.backdrop(0, d + 30, 0, 90, 45, -14)
            return
        self.what = "ceiling"
        above = Material(linear((240, 239, 236)), 0.8).only_from_inside()
        self.mesh([(-w, -d, h), (-w, d, h), (w, d, h), (w, -d, h)], [(0, 1, 2, 3)], above)
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
                self.mesh([(a, off, c), (b, off, c), (b, off, e), (a, off, e)], [(0, 1, 2, 3)], material)
        self.frame = Matrix()

    def backdrop(self, x: float, y: float, turn: float, width: float, height: float, low: float) -> None:
        """Draw the view on a surface that shines."""
        if self.view_path is None:
            return
        kept, self.frame = self.frame, Matrix.Translation((x, y, 0)) @ Matrix.Rotation(math.radians(turn), 4, "Z")
        strength = {"day": 1.4, "lamps": 0.8, "dim": 0.4, "dusk": 0.6}[self.plan.light]
        points = [(-width / 2, 0, low), (width / 2, 0, low), (width / 2, 0, low + height), (-width / 2, 0, low + height)]
        shift = self.r.uniform(0, 1)
        uv = [(shift, 0), (shift + 1, 0), (shift + 1, 1), (shift, 1)]
        self.mesh(points, [(0, 1, 2, 3)], glowing((1, 1, 1), strength, self.view_path), uv=uv)
        self.frame = kept

    def around_pool(self, floor: Any, w: float, d: float) -> None:
        """Draw the ground with the hole that the pool is in."""
        water = next(piece for piece in self.plan.pieces if piece.shape == "pool")
        sideways = round(water.turn) % 180 == 90
        a, b = (water.depth / 2, water.width / 2) if sideways else (water.width / 2, water.depth / 2)
        x0, x1, y0, y1 = water.x - a, water.x + a, water.y - b, water.y + b
        for low, high in (((-w, -d), (x0, d)), ((x1, -d), (w, d)), ((x0, -d), (x1, y0)), ((x0, y1), (x1, d))):
            if high[0] > low[0] and high[1] > low[1]:
                self.mesh([(*low, 0), (high[0], low[1], 0), (*high, 0), (low[0], high[1], 0)], [(0, 1, 2, 3)], floor)

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
            sun.energy, sun.angle, sun.color = r.uniform(1.5, 4) * share, 0.03, (1, 0.95, 0.85) if plan.light == "day" else (1, 0.7, 0.5)
            self.lamp(sun, (0, 0, 10), (r.uniform(0.2, 1.1), 0, r.uniform(0, 6.3)))
            return
        ceiling = bpy.data.lights.new("ceiling", "AREA")
        ceiling.shape, ceiling.size, ceiling.size_y = "RECTANGLE", plan.width * 0.7, plan.depth * 0.7
        ceiling.energy, ceiling.color = plan.width * plan.depth * r.uniform(2, 6) * share, tint if plan.light == "day" else (1, 0.86, 0.68)
        self.lamp(ceiling, (0, 0, plan.height - 0.03), (0, 0, 0))
        for window in (piece for piece in plan.pieces if piece.shape == "window"):
            light = bpy.data.lights.new("window", "AREA")
            light.shape, light.size, light.size_y = "RECTANGLE", window.width, window.height
            light.energy = window.width * window.height * {"day": 28, "lamps": 4, "dim": 6}[plan.light]
            turn = math.radians(window.turn)
            inwards = (window.x + 0.15 * math.sin(turn), window.y - 0.15 * math.cos(turn), window.z + window.height / 2)
            self.lamp(light, inwards, (math.pi / 2, 0, turn))

    def lamp(self, light: Any, place: tuple[float, float, float], turn: tuple[float, float, float]) -> None:
        """Hang a light that itself is not seen."""
        thing = bpy.data.objects.new("light", light)
        bpy.context.scene.collection.objects.link(thing)
        thing.location, thing.rotation_euler = place, turn
        thing.visible_camera = thing.visible_glossy = False


def place_camera(plan: Plan, r: random.Random, size: tuple[int, int]) -> Any:
    """Put the camera somewhere, looking at one of the plan's subjects."""
    scene = bpy.context.scene
    if scene.camera is None:
        scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        scene.collection.objects.link(scene.camera)
    camera = scene.camera
    camera.data.sensor_fit = "HORIZONTAL" if size[0] >= size[1] else "VERTICAL"
    camera.data.angle = math.radians(r.uniform(48, 88))
    subject = plan.pieces[r.choice(plan.subjects)] if plan.subjects else Piece("", "", 0, 0, 0.5)
    aim = Vector((subject.x + r.uniform(-0.3, 0.3), subject.y + r.uniform(-0.3, 0.3), subject.z + subject.height * r.uniform(0.3, 0.8)))
    extent = math.hypot(subject.width, subject.height)
    small = extent < 1.2 and r.random() < 0.7
    for _ in range(20):
        if plan.room in ("balcony", "view"):
            place = Vector((r.uniform(-0.45, 0.45) * plan.width, -plan.depth / 2 + r.uniform(0.05, 0.5), r.uniform(1.2, 1.7)))
        elif small or r.random() < 0.15:
            away = Vector((r.gauss(0, 1), r.gauss(0, 1), 0)).normalized() * extent * r.uniform(1.2, 2.4)
            place = Vector((aim.x + away.x, aim.y + away.y, subject.z + subject.height * r.uniform(0.5, 1.4) + 0.1))
        else:
            out = r.choice((r.uniform(0, 0.7), -0.15)) if plan.roof else r.uniform(-1, 0.5)
            edge = r.choice("nesw" if plan.roof else "sew")
            x, y = r.uniform(-0.5, 0.5) * plan.width, r.uniform(-0.5, 0.5) * plan.depth
            x = {"e": plan.width / 2 + out, "w": -plan.width / 2 - out}.get(edge, x)
            y = {"n": plan.depth / 2 + out, "s": -plan.depth / 2 - out}.get(edge, y)
            place = Vector((x, y, r.uniform(1.0, 1.75)))
        if (place.xy - aim.xy).length > max(0.4, extent * 0.7):
            break
    towards = aim - place
    if r.random() < 0.5:  # upright walls, as photographers of rooms like them
        camera.data.shift_y = max(-0.2, min(0.2, math.tan(math.atan2(towards.z, towards.xy.length)) / 2 / math.tan(camera.data.angle / 2)))
        towards.z = 0
    else:
        camera.data.shift_y = 0
    camera.matrix_world = Matrix.Translation(place) @ towards.to_track_quat("-Z", "Y").to_matrix().to_4x4()
    bpy.context.view_layer.update()
    return camera


def seen(size: tuple[int, int]) -> Shot:
    """Return what the camera sees, by rays."""
    scene = bpy.context.scene
    graph, camera = bpy.context.evaluated_depsgraph_get(), scene.camera
    corners = camera.data.view_frame(scene=scene)
    xs, ys, depth = [c.x for c in corners], [c.y for c in corners], corners[0].z
    columns = CELLS if size[0] >= size[1] else round(CELLS * size[0] / size[1])
    rows = max(round(columns * size[1] / size[0]), 4)
    origin, turn = camera.matrix_world.translation, camera.matrix_world.to_3x3()
    pieces: dict[int, float] = {}
    others: dict[str, float] = {}
    near = 0.0
    cell = 1 / (rows * columns)
    for row in range(rows):
        for column in range(columns):
            x = min(xs) + (max(xs) - min(xs)) * (column + 0.5) / columns
            y = min(ys) + (max(ys) - min(ys)) * (row + 0.5) / rows
            number, what, far = hit(scene, graph, origin, (turn @ Vector((x, y, depth))).normalized())
            near += cell * (far < 0.4)
            if number >= 0 and what == "thing":
                pieces[number] = pieces.get(number, 0) + cell
            else:
                others[what] = others.get(what, 0) + cell
    return Shot(pieces, others, near)


def hit(scene: Any, graph: Any, origin: Any, direction: Any) -> tuple[int, str, float]:
    """Return the piece, what it is and how far away it is, that a ray meets; walls from behind are looked through."""
    start = origin
    for _ in range(10):
        found, place, normal, _, thing, _ = scene.ray_cast(graph, start, direction)
        if not found:
            return -1, "sky", 1e9
        what = thing.get("what", "thing")
        if what in THROUGH or (what in ("wall", "ceiling") and normal.dot(direction) > 0):
            start = place + direction * 0.002
            continue
        return thing.get("piece", -1), what, (place - origin).length
    return -1, "sky", 1e9


Shapes = Mapping[str, Callable[[Draw, Piece], None]]
