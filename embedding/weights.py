"""Model names, and the weights behind them: open_clip's own, a hub's, a folder's, the embedded starter's."""

import difflib
import logging
import socket
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
from huggingface_hub import constants as hub

from aliens.errors import EncoderError
from aliens.settings import asset

HUB_TIMEOUT_S = 3.0


def load_model(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """Build the model and its tokenizer; the third value is the architecture's settings.

    open_clip only warns when the weights were trained with QuickGELU and the architecture has GELU, as for
    ViT-B-32/openai; the vectors would then be wrong, so the weights' own setting is enforced here.

    Raises: EncoderError: the model is unknown or its weights cannot be had.
    """
    architecture, weights = open_clip_name(name)
    pretrained_config = open_clip.get_pretrained_cfg(architecture, weights) if weights else {}
    quick_gelu = bool(pretrained_config.get("quick_gelu", False))
    try:
        with no_chatter(), no_vain_retries(asks_hub=not architecture.startswith("local-dir:")):
            model = open_clip.create_model(
                architecture, weights, force_quick_gelu=quick_gelu, require_pretrained=True, precision="fp32"
            )
            tokenizer = open_clip.get_tokenizer(architecture)
            settings = open_clip.get_model_config(architecture)
    # open_clip, huggingface_hub, httpx and safetensors each raise errors of their own; all mean the same here.
    except Exception as error:
        raise EncoderError(unavailable(name, error)) from error
    return model, tokenizer, settings | {"quick_gelu": quick_gelu or bool(settings.get("quick_gelu"))}


@contextmanager
def no_chatter() -> Iterator[None]:
    """Keep the libraries' notes for developers off the terminal; errors are raised all the same."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def no_vain_retries(asks_hub: bool) -> Iterator[None]:
    """Where the model hub cannot be reached, take weights that were fetched before, without a minute of retries."""
    offline = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = offline or (asks_hub and not hub_answers())
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = offline


def hub_answers() -> bool:
    """Tell whether the model hub can be reached; behind a proxy nobody can tell, so yes."""
    if "https" in urllib.request.getproxies():
        return True
    try:
        socket.create_connection((str(urlsplit(hub.ENDPOINT).hostname), 443), timeout=HUB_TIMEOUT_S).close()
    except OSError:
        return False
    return True


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
        near = difflib.get_close_matches(architecture, open_clip.list_models(), n=3)
        raise EncoderError(
            f"no model {name!r}: use starter, local-dir:FOLDER, hf-hub:ORG/NAME, or an architecture and weights of "
            "open_clip, such as ViT-B-32/openai" + (f" (near it: {', '.join(near)})" if near else "")
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
