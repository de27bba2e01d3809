"""Model names, and the weights behind them: open_clip's own, a hub's, a folder's, the embedded starter's."""

import warnings
from pathlib import Path
from typing import Any

import open_clip

from aliens.errors import EncoderError
from aliens.settings import asset


def load_model(name: str) -> tuple[Any, Any, bool]:
    """Build the model and its tokenizer; the third value tells whether QuickGELU was switched on.

    open_clip only warns when the weights were trained with QuickGELU and the architecture has GELU, as for
    ViT-B-32/openai; the vectors would then be wrong, so the weights' own setting is enforced here.

    Raises: EncoderError: the model is unknown or its weights cannot be had.
    """
    architecture, weights = open_clip_name(name)
    pretrained_config = open_clip.get_pretrained_cfg(architecture, weights) if weights else {}
    quick_gelu = bool(pretrained_config.get("quick_gelu", False))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes for developers, such as deprecated loading options
            model = open_clip.create_model(
                architecture, weights, force_quick_gelu=quick_gelu, require_pretrained=True, precision="fp32"
            )
            tokenizer = open_clip.get_tokenizer(architecture)
    # open_clip, huggingface_hub, httpx and safetensors each raise errors of their own; all mean the same here.
    except Exception as error:
        raise EncoderError(unavailable(name, error)) from error
    return model, tokenizer, quick_gelu


def open_clip_name(name: str) -> tuple[str, str | None]:
    """Return open_clip's (model name, weights tag) of a model name.

    Raises: EncoderError: no such architecture, weights or folder; the message lists what is close.
    """
    if name == "starter":
        return f"local-dir:{asset('models/starter')}", None
    if name.startswith("hf-hub:"):
        return name, None
    if name.startswith("local-dir:"):
        folder = Path(name.removeprefix("local-dir:")).expanduser()
        if not (folder / "open_clip_config.json").is_file():
            raise EncoderError(f"{folder} holds no open_clip_config.json: name a folder saved in open_clip's layout")
        return f"local-dir:{folder}", None
    architecture, _, weights = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not tags:
        raise EncoderError(
            f"no model {name!r}: use starter, local-dir:FOLDER, hf-hub:ORG/NAME or an architecture and weights of "
            "open_clip, such as ViT-B-32/openai (`python -c 'import open_clip; print(open_clip.list_pretrained())'`)"
        )
    if weights not in tags:
        choices = ", ".join(f"{architecture}/{tag}" for tag in tags)
        raise EncoderError(f"{name!r} names no weights of {architecture}: choose one of {choices}")
    return architecture, weights


def absolute(name: str) -> str:
    """Return a model name that means the same in every working folder."""
    folder = name.removeprefix("local-dir:")
    return f"local-dir:{Path(folder).expanduser().absolute()}" if folder != name else name


def unavailable(name: str, error: Exception) -> str:
    """Return the message for weights that cannot be loaded, with the remedies."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"the weights of {name!r} cannot be loaded ({first_line}).\n"
        "Remedies: connect this machine to the model hub for one run; or copy the weights here and use "
        "`--model local-dir:FOLDER` (open_clip_config.json and open_clip_model.safetensors); "
        "or use `--model starter`, the small model that comes with CV-Aliens."
    )
