"""Where a picture is taken from, and what is seen there: by rays, one for each cell of a grid."""

import math
import random
from dataclasses import dataclass
from typing import Any

import bpy
from mathutils import Matrix, Vector

from training.builder import Piece, Plan

CELLS = 36  # of the grid, along the longer side
THROUGH = {"glass", "curtains", "water surface"}


@dataclass(frozen=True)
class Shot:
    """What is seen: share of the picture by piece (its place in the plan's list), by "wall", "floor", "view"."""

    pieces: dict[int, float]
    others: dict[str, float]
    near: float


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
    x, y = subject.x + r.uniform(-0.3, 0.3), subject.y + r.uniform(-0.3, 0.3)
    aim = Vector((x, y, subject.z + subject.height * r.uniform(0.3, 0.8)))
    extent = math.hypot(subject.width, subject.height)
    small = extent < 1.2 and r.random() < 0.7
    for _ in range(20):
        if plan.room in ("balcony", "view"):
            x, y = r.uniform(-0.45, 0.45) * plan.width, -plan.depth / 2 + r.uniform(0.05, 0.5)
            place = Vector((x, y, r.uniform(1.2, 1.7)))
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
        shift = math.tan(math.atan2(towards.z, towards.xy.length)) / 2 / math.tan(camera.data.angle / 2)
        camera.data.shift_y = max(-0.2, min(0.2, shift))
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
