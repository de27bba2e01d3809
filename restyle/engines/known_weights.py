"""What is known of the hub's repositories before anything of them is fetched. Asks nobody.

The sizes are the hub's own, as its pages listed them, to three digits: estimates for where the hub does not answer, and
said to be that. Where it answers, restyle.engines.inventory goes by what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from restyle.engines.engine import Saved

# What hubs hold besides, and no engine loads: other frameworks' weights, halved and unaveraged ones.
NEEDLESS = ("*.ckpt", "*.msgpack", "*.onnx*", "*non_ema*", "*fp16*")
HALF, WHOLE = 2, 4  # bytes that each weight takes in a file


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One repository.

    saved: how a model was saved; None for what is no model. needless: patterns of files that no engine loads, besides
    NEEDLESS. parts: megabytes (10^6 bytes) of weights in each folder, "" being the repository's own. unloaded: of
    these, what diffusers fetches and does not load. weight_bytes: that each weight takes there.
    """

    saved: Saved | None = None
    needless: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)
    unloaded: tuple[str, ...] = ()
    weight_bytes: int = WHOLE


SD15_NET = Known(needless=("*.bin", "images/*"), parts={"": 1450})
REPOSITORIES: Mapping[str, Known] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": Known(
        saved=Saved(pipeline="StableDiffusionPipeline", scheduler="PNDMScheduler", text_width=768),
        needless=("v1-5-*", "*.bin"),  # each .bin lies there as .safetensors too
        parts={"unet": 3440, "safety_checker": 1220, "text_encoder": 492, "vae": 335},
    ),
    "stabilityai/stable-diffusion-xl-base-1.0": Known(
        saved=Saved(pipeline="StableDiffusionXLPipeline", scheduler="EulerDiscreteScheduler", text_width=2048),
        needless=("sd_xl_*", "*.bin"),
        parts={"unet": 10_300, "text_encoder_2": 2780, "text_encoder": 492, "vae": 335, "vae_1_0": 335},
        unloaded=("vae_1_0",),
    ),
    "black-forest-labs/FLUX.2-klein-4B": Known(
        saved=Saved(pipeline="Flux2KleinPipeline", scheduler="FlowMatchEulerDiscreteScheduler"),
        needless=("flux-2-*",),
        parts={"text_encoder": 8050, "transformer": 7750, "vae": 168},
        weight_bytes=HALF,
    ),
    "stabilityai/sd-turbo": Known(
        saved=Saved(pipeline="StableDiffusionPipeline", scheduler="EulerDiscreteScheduler", text_width=1024),
        needless=("sd_turbo*",),
        parts={"unet": 3460, "text_encoder": 1360, "vae": 335},
    ),
    "stabilityai/sdxl-turbo": Known(
        saved=Saved(pipeline="StableDiffusionXLPipeline", scheduler="EulerAncestralDiscreteScheduler", text_width=2048),
        needless=("sd_xl_*",),
        parts={"unet": 10_300, "text_encoder_2": 2780, "text_encoder": 492, "vae": 335},
    ),
    "lllyasviel/control_v11p_sd15_softedge": SD15_NET,
    "lllyasviel/control_v11p_sd15_mlsd": SD15_NET,
    "lllyasviel/control_v11p_sd15_canny": SD15_NET,
    "lllyasviel/control_v11f1e_sd15_tile": Known(parts={"": 1450}),  # has .bin alone
    "lllyasviel/control_v11f1p_sd15_depth": SD15_NET,
    "xinsir/controlnet-union-sdxl-1.0": Known(needless=("*promax*", "images/*"), parts={"": 2510}, weight_bytes=HALF),
    "latent-consistency/lcm-lora-sdv1-5": Known(parts={"": 135}, weight_bytes=HALF),
    "latent-consistency/lcm-lora-sdxl": Known(parts={"": 394}, weight_bytes=HALF),
    "depth-anything/Depth-Anything-V2-Small-hf": Known(parts={"": 99.2}),
}


def needless_in(name: str) -> tuple[str, ...]:
    """Return the patterns of files that need not be fetched of a repository."""
    return (*NEEDLESS, *REPOSITORIES.get(name, Known()).needless)
