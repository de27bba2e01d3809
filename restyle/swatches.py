"""What may be chosen to restyle with, shown before it is: palettes with their colours, and engines that are at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from base.records import read_toml
from base.settings import asset
from restyle.engines.engine import MODELS, SD15, SDXL, WEIGHTLESS
from restyle.palettes import palette_names
from restyle.protanopia import seen

NEEDED = {"sd15": SD15, "sdxl": SDXL}  # engines that are held to the photo by further weights


@dataclass(frozen=True, kw_only=True, slots=True)
class PaletteSwatches:
    """A palette's colours from dark to light as #rrggbb, and as a protanope sees them."""

    name: str
    leaf: tuple[str, ...]
    sky: tuple[str, ...]
    leaf_seen: tuple[str, ...]
    sky_seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineAtHand:
    """An engine by its name. here: whether it can be used now. fetch: the commands that bring what it lacks."""

    name: str
    here: bool
    fetch: tuple[str, ...] = ()


def palette_swatches() -> list[PaletteSwatches]:
    """Return the palettes that are shipped. Raises: QueryError: one cannot be read."""
    shown = []
    for name in palette_names():
        colours = read_toml(asset("restyle/palettes") / f"{name}.toml", "palette")["colours"]
        leaf, sky = tuple(colours["leaf"]), tuple(colours["sky"])
        shown.append(
            PaletteSwatches(name=name, leaf=leaf, sky=sky, leaf_seen=seen_colours(leaf), sky_seen=seen_colours(sky))
        )
    return shown


def seen_colours(colours: Sequence[str]) -> tuple[str, ...]:
    """Return what a protanope sees of colours, all as #rrggbb."""
    pixels = np.array([[list(bytes.fromhex(colour[1:])) for colour in colours]], np.uint8)
    return tuple(f"#{bytes(pixel).hex()}" for pixel in seen(pixels)[0])


def engines_at_hand() -> list[EngineAtHand]:
    """Return the usual engines, and which of them lack packages or weights on this machine."""
    engines = [EngineAtHand(name, True) for name in WEIGHTLESS]
    packages = () if find_spec("diffusers") and find_spec("transformers") else ("pip install -e '.[cpu,restyle]'",)
    for name, model in MODELS.items():
        lacking = [*packages, *(f"hf download {each}" for each in weights_lacking(name, model))]
        engines.append(EngineAtHand(name, not lacking, tuple(lacking)))
    return engines


def weights_lacking(name: str, model: str) -> list[str]:
    """Return the hub's names of the weights that an engine needs and that are not on this machine."""
    from restyle.engines.weights import are_here

    family = NEEDED.get(name)
    nets = [] if family is None else [family.nets.get(control) or family.nets["union"] for control in family.controls]
    return [each for each in dict.fromkeys((model, *nets)) if not are_here(each)]
