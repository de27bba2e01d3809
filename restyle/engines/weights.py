"""Weights of diffusion models: found on this machine, or fetched, or missed with the command that fetches them.

Knows no pipeline. Whatever can be had here is taken from here, and a hub that does not answer is not asked.
"""

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from huggingface_hub import constants as hub
from huggingface_hub import try_to_load_from_cache

from base.console import shell_word
from base.errors import DeviceMemoryError, EngineError
from embedding.hub import hub_answers, no_chatter, offline, quiet, reason, weights_unavailable
from restyle.engines.engine import Saved

Loaded = TypeVar("Loaded")

NO_DIFFUSERS = "diffusion needs more packages: `pip install -e '.[cpu,restyle]'`; or use `--engine regrade`"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
DECIDING = {".json", ".safetensors", ".bin", ".txt", ".model"}  # suffixes of what a model is loaded from
WEIGHTS = ("*.safetensors", "*.bin")  # of networks; a pipeline has a folder for each
DAMAGED = re.compile(r"deserializ|header|unpickl|corrupt|truncat|unable to load weights|out of input|incomplete", re.I)
UNASKED: ContextVar[str] = ContextVar("UNASKED", default="")  # why nothing is fetched, where somebody wants that
OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.I)


def is_local(name: str) -> bool:
    """Tell whether a model's name is that of a folder; a path that does not exist is no name of a hub either."""
    return name.startswith(("/", ".", "~")) or (name != "" and Path(name).is_dir())


def load_weights(name: str, load: Callable[[bool], Loaded], option: str) -> Loaded:
    """Return what `load(local_files_only)` loads: from this machine, or else from the hub if it answers.

    Args:
        name: hub name or folder.
        load: called with True, and with False where that fails and the hub can be asked.
        option: how a user names a folder of such weights, such as `--engine`; empty for a preset's, which none can be.

    Raises:
        EngineError: the weights cannot be had or read; the message has the command that fetches them.
        DeviceMemoryError: they do not fit into the memory.
    """
    # diffusers, transformers, huggingface_hub, httpx, safetensors and pickle each raise errors of their own.
    try:
        with quiet("diffusers", "transformers"), offline():
            return load(True)
    except Exception as error:
        failure = error
    no_hub = why_no_hub() if not is_local(name) and not ran_out_of_memory(failure) else "it is a folder"
    if not no_hub:
        try:
            with no_chatter():  # not `quiet`: what takes minutes shows how far it is
                return load(False)
        except Exception as error:
            failure = error
    if ran_out_of_memory(failure):
        raise DeviceMemoryError(f"there is too little memory for the weights of {name!r}: take a smaller model")
    if is_local(name):
        raise EngineError(broken_folder(name, failure, option)) from failure
    raise EngineError(engine_unavailable(name, failure, option, no_hub=no_hub)) from failure


@contextmanager
def fetching_nothing(why: str) -> Iterator[None]:
    """Take weights that are here, and fetch none, for a reason that messages tell."""
    before = UNASKED.set(why)
    try:
        yield
    finally:
        UNASKED.reset(before)


def why_no_hub() -> str:
    """Return why the hub is not asked, or nothing when it can be."""
    if UNASKED.get():
        return UNASKED.get()
    if hub.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return "" if hub_answers() else "the model hub does not answer"


def broken_folder(folder: str, error: BaseException, option: str) -> str:
    """Return the message for a folder whose weights cannot be loaded: why, and the command that fetches them anew."""
    command = f"hf download ORG/NAME --local-dir {shell_word(folder)}{again(error)}"
    return (
        f"the folder {folder} holds no whole model ({reason(folder, error)}). "
        f"Fetch it anew from where it came: `{command}`; {without(option)}"
    )


def fetch_command(name: str) -> str:
    """Return the command that fetches what is needed of a hub's repository."""
    return f"hf download {name}{''.join(f' --exclude {shlex.quote(part)}' for part in needless_in(name))}"


def engine_unavailable(name: str, error: BaseException, option: str, *, no_hub: str = "") -> str:
    """Return the message for a hub's weights that cannot be loaded: why, and the command that fetches them."""
    command = f"{fetch_command(name)}{again(error)}"
    elsewhere = (
        f"add `--local-dir FOLDER` to that, copy the folder here and use `{option}FOLDER`"
        if option
        else f"copy what that makes in {hub.HF_HUB_CACHE} there to the same place here"
    )
    remedies = f"Fetch them once where there is a network: `{command}`; or {elsewhere}; {without(option)}"
    if snapshot(name):
        why = "; ".join(filter(None, [no_hub, reason(name, error)]))
        return weights_unavailable(name, error, remedies, why=why)
    return weights_unavailable(name, error, remedies, state="are not on this machine", why=no_hub)


def again(error: BaseException) -> str:
    """Return the option that fetches what is here but damaged, or nothing."""
    return " --force-download" if DAMAGED.search(f"{type(error).__name__} {error}") else ""


def without(option: str) -> str:
    """Return how to do without the weights."""
    if not option:
        return "or do without --preset"
    return "or restyle without weights: `--engine regrade`" if "engine" in option else "or do without this control"


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of the machine or of its accelerator is used up."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None


def are_here(name: str) -> bool:
    """Tell whether weights lie on this machine, in a folder or the hub's cache, where a half fetched model has none.

    Halved and unaveraged ones beside them, which no engine loads, do not count.
    """
    folder = Path(name).expanduser() if is_local(name) else snapshot(name)
    if folder is None:
        return False
    found = (path for kind in WEIGHTS for path in folder.rglob(kind) if path.is_file())
    return any(not any(fnmatch(path.name, needless) for needless in NEEDLESS) for path in found)


def snapshot(name: str) -> Path | None:
    """Return the folder of a hub model in the cache, named after its commit, or None."""
    for file in ("model_index.json", "config.json", "adapter_config.json", "pytorch_lora_weights.safetensors"):
        path = try_to_load_from_cache(name, file)
        if isinstance(path, str):
            return Path(path).parent
    return None


def digest_of(name: str) -> str:
    """Return what tells these weights from others: the hub's commit, or the SHA-256 of a folder's files."""
    if not is_local(name):
        found = snapshot(name)
        return f"{name}@{found.name}" if found else name
    digest = hashlib.sha256()
    root = Path(name).expanduser()
    for path in sorted(path for path in root.rglob("*") if path.suffix in DECIDING and path.is_file()):
        inside = path.relative_to(root)
        if not any(part.startswith(".") for part in inside.parts):
            with open(path, "rb") as file:
                digest.update(f"{inside.as_posix()} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


# What is known of the hub's repositories before anything of them is fetched. The sizes are the hub's own, as its pages
# listed them, to three digits: estimates for where it does not answer, and said to be that.

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
