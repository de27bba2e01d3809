"""The interface of everything that restyles a photo, and what is known of the usual diffusion models."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from base.arrays import Bools, Pixels
from base.errors import EngineError


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What one attempt is made with; with the same photo and engine the same settings give the same pixels.

    strength: 0 leaves the start as it is, 1 forgets it. steps: denoising steps that are really run.
    guidance: classifier-free guidance scale. controls: names of control maps (restyle.controls), computed from the
    original. control_scale: how much they bind, 0 not at all.
    """

    strength: float = 0.45
    seed: int = 0
    steps: int = 20
    guidance: float = 5.5
    controls: tuple[str, ...] = ()
    control_scale: float = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One photo to restyle: both pictures are (h, w, 3) uint8 sRGB of the same size, one that the engine fits.

    original: the photo. start: what the engine starts from, the regraded photo. slack: by how much the outlines and
    shapes of a picture, (h, w, 3) of any size, lie above what is needed, below 0 where they do not: for engines that
    try by themselves how much a photo bears. forbidden: bool (h, w), where nothing may be drawn, such as faces.
    """

    original: Pixels
    start: Pixels
    prompt: str = ""
    negative_prompt: str = ""
    slack: Callable[[Pixels], float] | None = None
    forbidden: Bools | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Painting:
    """What an engine does to the regraded photo.

    rung: what that is called. lowest, highest, step: strengths that are searched, and how near to one another.
    """

    rung: str
    lowest: float
    highest: float
    step: float


DIFFUSING = Painting(rung="diffused", lowest=0.25, highest=0.75, step=0.06)


class Engine(Protocol):
    """What restyles photos."""

    @property
    def name(self) -> str:
        """What the user asked for: regrade, grow, sd15, a hub name, a folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """Readable name and hash of the weights and of what else decides the pixels; results carry it."""
        ...

    @property
    def diffuses(self) -> bool:
        """Whether a diffusion model paints: regrading and drawn plants are never passed off as that."""
        ...

    @property
    def painting(self) -> Painting | None:
        """What it does to the regraded photo; None where it only regrades."""
        ...

    @property
    def moves_picture(self) -> bool:
        """Whether results may be shifted against the photo, so that they are registered before they are judged."""
        ...

    @property
    def takes_strength(self) -> bool:
        """Whether strength decides anything: models that edit by words alone know none."""
        ...

    @property
    def settings(self) -> Settings:
        """What the first attempt is made with."""
        ...

    @property
    def controls_available(self) -> tuple[str, ...]:
        """Names of the control maps that it can take, those it would take next first."""
        ...

    @property
    def longest_px(self) -> int:
        """The longer side of what it makes, at most; it decides the size of every photo."""
        ...

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size, (width, height) in pixels, that a photo is worked on in: the aspect ratio is kept."""
        ...

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the photo restyled, (h, w, 3) of the job's size.

        Raises:
            EngineError: the weights cannot be had, or nothing can be made with these settings.
            DeviceMemoryError: the device has too little memory; the message offers remedies.
        """
        ...

    def __str__(self) -> str:
        """Describe it in one line: model, device, precision."""
        ...


REGRADE, GROW = "regrade", "grow"
WEIGHTLESS = (REGRADE, GROW)  # engines that no diffusion model paints with
MODELS = {
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "klein": "black-forest-labs/FLUX.2-klein-4B",
}
SETTINGS = Settings()


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """How a model was saved.

    pipeline, scheduler: diffusers' classes. text_width: of the texts that its unet takes; 0 where it has none.
    """

    pipeline: str
    scheduler: str = ""
    text_width: int = 0


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

    def lora_for(self, saved: Saved) -> str:
        """Return the LoRA that a model needs, or "" where none: one whose own scheduler it is needs few steps already.

        Raises: EngineError: none is known for such a model.
        """
        if not self.scheduler or saved.scheduler == self.scheduler:
            return ""
        lora = self.loras.get(family_of(saved.pipeline).name, "")
        if not lora:
            taught = f"models whose scheduler is {self.scheduler}"
            raise EngineError(f"the preset is for {', '.join(self.loras)} and {taught}")
        return lora


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
