"""Pictures of planned rooms, with what is seen in them: Blender's Cycles as a Python module (PyPI: bpy).

What a picture shows is measured, not guessed: see camera.py.
"""

import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image

from training.builder import Plan
from training.camera import Shot, place_camera, seen
from training.catalogue import Model
from training.drawing import Draw, Shapes

SAMPLES = 3  # a pixel; Intel's denoiser does the rest


class Studio:
    """Draws plans; models that were read once stay in memory."""

    def __init__(self, models: Mapping[str, Model], scratch: Path, shapes: Shapes) -> None:
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
            score += (
                len(subjects) + 0.25 * len([1 for s in shot.pieces.values() if s > 0.01]) - 6 * max(shot.near - 0.1, 0)
            )
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
        scene.view_settings.exposure = r.uniform(-0.3, 0.7) + (
            0.4 if scene.view_settings.view_transform == "AgX" else 0
        )

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
