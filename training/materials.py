"""What surfaces are made of: paint, tiles, planks, marble, glass, water, lamps, by Blender's shaders."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy

RGB = tuple[float, float, float]


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


def painted(rgb: tuple[int, int, int], rough: float = 0.5) -> Any:
    """Return a material of one colour."""
    return Material(linear(rgb), rough).made


def surface(kind: str, rgb: tuple[int, int, int], plane: str, r: random.Random) -> Material:
    """Return what walls and floors are made of."""
    colour, darker = linear(rgb), linear(rgb, 0.78)
    material = Material(colour, 0.7)
    where = material.place(plane)
    if kind in ("tiles", "planks", "brick"):
        width, row = {"planks": (1.3, 0.14), "brick": (0.24, 0.075)}.get(
            kind, r.choice(((0.3, 0.3), (0.6, 0.3), (0.15, 0.15), (0.2, 0.1), (0.6, 0.6)))
        )
        joint = linear(rgb, r.choice((0.6, 0.85, 1.1))) if kind == "tiles" else linear(rgb, 0.5)
        colours = {"Color1": (*linear(rgb, 0.94), 1), "Color2": (*linear(rgb, 1.06), 1), "Mortar": (*joint, 1)}
        size = {
            "Scale": 1.0,
            "Brick Width": width,
            "Row Height": row,
            "Mortar Size": 0.003 if kind == "planks" else 0.006,
        }
        bricks = material.texture("ShaderNodeTexBrick", where, {**colours, **size}, "Color")
        material.tree.links.new(bricks, material.shader.inputs["Base Color"])
        material.shader.inputs["Roughness"].default_value = {"tiles": 0.15, "planks": 0.35}.get(kind, 0.8)
    elif kind == "stripes":
        material.between(
            material.texture("ShaderNodeTexWave", where, {"Scale": r.uniform(1, 4)}, "Fac"), colour, darker
        )
    elif kind == "wood":
        waves = {"Scale": 1.2, "Distortion": 6.0, "Detail": 3.0}
        material.between(
            material.texture("ShaderNodeTexWave", where, waves, "Fac"), linear((120, 80, 50)), linear((160, 112, 70))
        )
    elif kind == "marble":
        veins = {"Scale": r.uniform(1, 3), "Detail": 8.0, "Distortion": 2.0}
        material.between(material.texture("ShaderNodeTexNoise", where, veins, "Fac"), linear(rgb, 0.7), colour)
        material.shader.inputs["Roughness"].default_value = 0.12
    elif kind == "carpet":
        material.between(
            material.texture("ShaderNodeTexNoise", where, {"Scale": r.choice((2.0, 30.0, 90.0))}, "Fac"), darker, colour
        )
        material.shader.inputs["Roughness"].default_value = 0.95
    else:
        material.between(
            material.texture("ShaderNodeTexNoise", where, {"Scale": 1.0}, "Fac"), linear(rgb, 0.97), colour
        )
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
