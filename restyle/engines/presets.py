"""Which models, ControlNets and settings stand behind the names of engines. Loads nothing.

A family is a sort of model that diffusers has pipelines for; a preset makes a model need few steps.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from restyle.engines.engine import Settings

MODELS = {
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "klein": "black-forest-labs/FLUX.2-klein-4B",
}
SETTINGS = Settings()
SINGLE_FILES = {"sd15": ("v1-5-*",), "sdxl": ("sd_xl_*", "*.bin"), "klein": ("flux-2-*",)}  # beside the pipeline's own


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A sort of diffusion model.

    plain, controlled: diffusers' classes without and with ControlNets; controlled is empty where there are none.
    net: class of a ControlNet. nets: the hub's ControlNet for each control map, or for `union` one for all of them.
    modes: a union's number of each map. text_width: of the model that `nets` are made for.
    multiple_px: sides are multiples of it. longest_px: of the longer side. moves_picture: see Engine.
    """

    name: str
    plain: str = ""
    controlled: str = ""
    net: str = "ControlNetModel"
    nets: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    text_width: int = 0
    controls: tuple[str, ...] = ()
    multiple_px: int = 8
    longest_px: int = 1024
    moves_picture: bool = False
    settings: Settings = SETTINGS


SD15 = Family(
    name="sd15",
    plain="StableDiffusionImg2ImgPipeline",
    controlled="StableDiffusionControlNetImg2ImgPipeline",
    nets={
        "softedge": "lllyasviel/control_v11p_sd15_softedge",
        "lines": "lllyasviel/control_v11p_sd15_mlsd",
        "edges": "lllyasviel/control_v11p_sd15_canny",
        "tile": "lllyasviel/control_v11f1e_sd15_tile",
        "depth": "lllyasviel/control_v11f1p_sd15_depth",
    },
    text_width=768,
    controls=("softedge", "lines"),
    longest_px=768,
)
SDXL = Family(
    name="sdxl",
    plain="StableDiffusionXLImg2ImgPipeline",
    controlled="StableDiffusionXLControlNetUnionImg2ImgPipeline",
    net="ControlNetUnionModel",
    nets={"union": "xinsir/controlnet-union-sdxl-1.0"},
    modes={"depth": 1, "softedge": 2, "edges": 3, "lines": 3, "tile": 6},  # 6 is there in its "promax" alone
    text_width=2048,
    controls=("softedge", "lines"),
)
KLEIN = Family(
    name="klein",
    plain="Flux2KleinPipeline",
    multiple_px=16,
    moves_picture=True,
    settings=Settings(strength=1.0, steps=4, guidance=1.0),
)
OTHER = Family(name="other", multiple_px=32)


SD15_CLASS = re.compile(
    r"StableDiffusion(ControlNet)?(Img2Img|Inpaint)?Pipeline|LatentConsistencyModel(Img2Img)?Pipeline"
)


def family_of(pipeline_class: str) -> Family:
    """Return the family of a model by the class of the pipeline that it was saved as."""
    if pipeline_class.startswith("StableDiffusionXL"):
        return SDXL
    if pipeline_class.startswith("Flux2Klein"):
        return KLEIN
    return SD15 if SD15_CLASS.fullmatch(pipeline_class) else OTHER


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """How to need few steps.

    models: which models stand behind the engines' names instead. loras: weights laid over a family's model.
    scheduler: diffusers' class that replaces the model's own; empty keeps it.
    """

    steps: int
    guidance: float
    models: Mapping[str, str] = field(default_factory=dict)
    loras: Mapping[str, str] = field(default_factory=dict)
    scheduler: str = ""


# Source: Luo et al. 2023, "LCM-LoRA"; Sauer et al. 2023, "Adversarial Diffusion Distillation", which knows no guidance.
PRESETS = {
    "lcm": Preset(
        steps=4,
        guidance=1.5,
        loras={"sd15": "latent-consistency/lcm-lora-sdv1-5", "sdxl": "latent-consistency/lcm-lora-sdxl"},
        scheduler="LCMScheduler",
    ),
    "turbo": Preset(steps=2, guidance=0.0, models={"sd15": "stabilityai/sd-turbo", "sdxl": "stabilityai/sdxl-turbo"}),
}
