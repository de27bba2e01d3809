"""Engines by their names: regrade, grow, the models known here, any of a hub, any folder. Paints nothing."""

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import DeviceMemoryError, EncoderError, EngineError
from restyle.engines.engine import (
    MODELS,
    PRESETS,
    REGRADE,
    SD15,
    WEIGHTLESS,
    Engine,
    Family,
    Preset,
    Saved,
    Settings,
    family_of,
)
from restyle.palettes import Palette, read_palette

if TYPE_CHECKING:
    from restyle.engines.pipelines import ControlNets

USUAL = "sd15"
LORA_FILE = "pytorch_lora_weights.safetensors"  # said, or diffusers asks the hub for the name even where it lies here
FEWEST_WORDS = 16  # of a tokenizer's vocabulary: one that is made up has a few special ones


def load_engine(
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    preset: str | None = None,
    offload: bool = False,
    longest_px: int | None = None,
    controls: Sequence[str] | None = None,
    palette: Palette | None = None,
) -> Engine:
    """Return the engine of a name, its weights loaded and on their device.

    Args:
        name: regrade, grow, sd15, sdxl, klein, the name of a model on the hub, or a folder that diffusers saved.
        device: auto, cpu, cuda or mps.
        precision: auto, float32, bfloat16 or float16.
        preset: lcm or turbo, for few steps.
        offload: keep on the device only what is at work, and work in tiles: slower, with less memory.
        longest_px: of the longer side that is painted; None: what the model was taught.
        controls: control maps to begin with, `NAME` or `NAME=WEIGHTS` (see restyle.engines.nets); None: the model's.
        palette: what regrade and grow move colours towards; None: the default. Diffusion is told of it by prompts.

    Raises:
        EngineError: no such engine, preset, device or control; its weights cannot be had (the message has the command
            that fetches them); packages are missing.
        DeviceMemoryError: the device has too little memory for the weights.
    """
    if name in WEIGHTLESS:
        return drawing_engine(name, palette or read_palette(), longest_px)
    chosen = preset_of(preset)
    refuse_without_packages()
    from restyle.engines.diffusion import DiffusionEngine, Identity
    from restyle.engines.pipelines import ControlNets, Pipelines

    device, precision = placed(device, precision)
    weights = weights_of(name, chosen)
    base, dtype = load_diffusion(weights, precision)
    saved = saved_as(base)
    family = family_of(saved.pipeline)
    lora = lay_preset(base, saved, chosen)
    nets = ControlNets(family, saved.text_width, controls, dtype)
    pipelines = Pipelines(base, family, nets, device=device, offload=offload)
    make_ready(pipelines, nets, name)
    settings = first_settings(family, chosen, nets.asked_for)
    parts = [weights, lora, preset or "", precision, f"offload={offload}"]
    identity = Identity(
        name=name,
        weights=weights,
        preset=preset,
        fingerprint=fingerprint(name, parts, nets),
        precision=precision,
    )
    return DiffusionEngine(identity, pipelines, nets, settings=settings, longest_px=longest_px or family.longest_px)


def refuse_without_packages() -> None:
    """Raise EngineError where the packages that diffusion needs are not installed."""
    try:
        import diffusers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        from restyle.engines.weights import NO_DIFFUSERS

        raise EngineError(NO_DIFFUSERS) from error


def first_settings(family: Family, preset: Preset | None, controls: tuple[str, ...]) -> Settings:
    """Return what a family's first attempt is made with, few steps where a preset says so."""
    settings = replace(family.settings, controls=controls)
    return replace(settings, steps=preset.steps, guidance=preset.guidance) if preset else settings


def drawing_engine(name: str, palette: Palette, longest_px: int | None) -> Engine:
    """Return one of the engines that need no weights."""
    from restyle.growing.grow_engine import GrowEngine
    from restyle.regrade import RegradeEngine

    engine = RegradeEngine if name == REGRADE else GrowEngine
    return engine(palette) if longest_px is None else engine(palette, longest_px)


def preset_of(name: str | None) -> Preset | None:
    """Return a preset by its name. Raises: EngineError: there is none."""
    if name is not None and name not in PRESETS:
        raise EngineError(f"no preset {name!r}: there are {', '.join(PRESETS)}")
    return PRESETS[name] if name else None


def weights_of(name: str, preset: Preset | None) -> str:
    """Return hub name or folder of the model behind an engine's name.

    Raises: EngineError: it is no name of an engine, of a hub's model or of a folder that is there.
    """
    from restyle.engines.weights import HUB_NAME, is_local

    if name in MODELS:
        return (preset.models.get(name) if preset else None) or MODELS[name]
    if is_local(name):
        folder = Path(name).expanduser()
        if not (folder / "model_index.json").is_file():
            raise EngineError(f"{folder} holds no model_index.json: name a folder that diffusers saved")
        return str(folder)
    if HUB_NAME.fullmatch(name):
        return name
    choices = [*WEIGHTLESS, *MODELS]
    near = difflib.get_close_matches(name, choices, n=1)
    raise EngineError(
        f"no engine {name!r}{f', did you mean {near[0]}' if near else ''}: there are {', '.join(choices)}, "
        "any model of a hub (ORG/NAME) and any folder that diffusers saved"
    )


def engine_at_hand(name: str | None) -> str:
    """Return an engine's name, or without one sd15 where all that it needs is on this machine, else regrade.

    Raises: EngineError: as weights_of.
    """
    if name is not None:
        if name not in WEIGHTLESS:
            weights_of(name, None)
        return name
    if find_spec("diffusers") is None or find_spec("transformers") is None:
        return REGRADE
    from restyle.engines.weights import are_here

    needed = (MODELS[USUAL], *(SD15.nets[control] for control in SD15.controls))
    return USUAL if all(map(are_here, needed)) else REGRADE


def placed(device: str, precision: str) -> tuple[str, str]:
    """Return the device and the precision to compute with; on CUDA without bfloat16 auto is float16.

    Raises: EngineError: the device is absent, or the precision is unknown or not one for it.
    """
    from embedding.device import choose_device, choose_precision

    try:
        device = choose_device(device)
        if precision == "float16" and device != "cpu":
            return device, precision
        chosen = choose_precision(precision, device)
    except EncoderError as error:
        raise EngineError(str(error)) from error
    return device, "float16" if (precision, device, chosen) == ("auto", "cuda", "float32") else chosen


def load_diffusion(weights: str, precision: str) -> tuple[Any, Any]:
    """Return the model as the pipeline that it was saved as, and torch's type of its weights.

    Raises: EngineError: the weights cannot be had.
    """
    import diffusers
    import torch

    from restyle.engines.weights import load_weights

    any_pipeline: Any = diffusers.DiffusionPipeline  # its functions have no types
    dtype = getattr(torch, precision)

    def load(local: bool) -> Any:
        pipeline = any_pipeline.from_pretrained(weights, dtype=dtype, local_files_only=local)
        modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
        missing = [key for part in modules for key, weight in part.named_parameters() if weight.is_meta]
        if missing:
            raise OSError(f"incomplete: {missing[0]} is missing")
        tokenizers = [part for part in pipeline.components.values() if hasattr(part, "get_vocab")]
        if any(len(tokenizer) < FEWEST_WORDS for tokenizer in tokenizers):  # transformers makes an empty one up
            raise OSError("incomplete: a tokenizer has no vocabulary")
        return pipeline

    return load_weights(weights, load, "--engine "), dtype


def saved_as(base: Any) -> Saved:
    """Return how a model that was loaded was saved."""
    text_width = getattr(getattr(base, "unet", None), "config", {}).get("cross_attention_dim") or 0
    return Saved(
        pipeline=type(base).__name__,
        scheduler=type(getattr(base, "scheduler", None)).__name__,
        text_width=text_width,
    )


def lay_preset(base: Any, saved: Saved, preset: Preset | None) -> str:
    """Give a model the scheduler and the LoRA of a preset; return the LoRA's name, or "" where none is needed.

    Raises: EngineError: the LoRA cannot be had, or the package that lays it over a model.
    """
    lora = preset.lora_for(saved) if preset else ""
    if preset is None or not lora:
        return ""
    import diffusers

    from restyle.engines.weights import NO_DIFFUSERS, load_weights

    if find_spec("peft") is None:
        raise EngineError(NO_DIFFUSERS)
    base.scheduler = getattr(diffusers, preset.scheduler).from_config(base.scheduler.config)

    def load(local: bool) -> None:
        base.load_lora_weights(lora, weight_name=LORA_FILE, local_files_only=local)

    load_weights(lora, load, "")
    base.fuse_lora()
    base.unload_lora_weights()
    return lora


def make_ready(pipelines: Any, nets: "ControlNets", name: str) -> None:
    """Load the first ControlNets and put all on the device, so that errors come before work is done.

    Raises:
        EngineError: weights cannot be had.
        DeviceMemoryError: they do not fit the device.
    """
    from embedding.hub import quiet
    from restyle.engines.weights import ran_out_of_memory

    try:
        with quiet("diffusers", "transformers"):
            pipelines.for_controls(nets.asked_for)
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"{pipelines.device} has too little memory for the weights of {name}: take --offload, --device cpu, "
            "fewer controls, or --engine regrade"
        ) from None


def fingerprint(name: str, parts: Sequence[str], nets: "ControlNets") -> str:
    """Return a readable name and 8 hex digits over the weights, the first of `parts`, and all else that decides."""
    import diffusers

    from restyle.engines.weights import digest_of

    weights, lora, *others = parts
    decided = [digest_of(weights), digest_of(lora) if lora else "", *others, *nets.digests(), diffusers.__version__]
    digits = hashlib.sha256("\n".join(decided).encode()).hexdigest()[:8]
    readable = name.rstrip("/").rpartition("/")[2] if name.startswith(("/", ".", "~")) else name
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', readable)}-{digits}"
