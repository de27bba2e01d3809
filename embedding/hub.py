"""Weights and the hub that they come from: asked only where it answers, kept quiet, and missed with the remedies.

Knows no model and no pipeline.
"""

import importlib
import logging
import socket
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

HUB_TIMEOUT_S = 3.0
REASON_CHARACTERS = 160


def hub_answers() -> bool:
    """Tell whether the model hub can be reached; behind a proxy nobody can tell, so yes."""
    if "https" in urllib.request.getproxies():
        return True
    hub = urlsplit(constants.ENDPOINT)
    port = hub.port or (80 if hub.scheme == "http" else 443)  # HF_ENDPOINT may name a mirror
    try:
        socket.create_connection((str(hub.hostname), port), timeout=HUB_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def no_vain_retries(asks_hub: bool) -> Any:
    """Where the model hub cannot be reached, take weights that were fetched before, without a minute of retries."""
    return offline(constants.HF_HUB_OFFLINE or (asks_hub and not hub_answers()))


@contextmanager
def offline(is_offline: bool = True) -> Iterator[None]:
    """Keep off the network: transformers asks the hub, again and again, where it is told to take local files only."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = is_offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


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
def quiet(*libraries: str) -> Iterator[None]:
    """Keep notes, and the progress bars of these libraries, which they draw even where nobody sees them, off stderr.

    Args:
        libraries: of `diffusers` and `transformers`.
    """
    loggers = [importlib.import_module(f"{library}.utils.logging") for library in libraries]
    bars = [logger for logger in loggers if logger.is_progress_bar_enabled()]
    for bar in bars:
        bar.disable_progress_bar()
    try:
        with no_chatter():
            yield
    finally:
        for bar in bars:
            bar.enable_progress_bar()


def weights_unavailable(
    name: str, error: BaseException, remedies: str, *, state: str = "cannot be loaded", why: str = ""
) -> str:
    """Return the message for weights that cannot be had: which, why, and what to do.

    Args:
        name: as the user gave it.
        error: what the libraries raised: each has errors of its own.
        remedies: whole sentences.
        state: what is the matter with the weights.
        why: what there is to say of it; the error's first line if that is nothing.
    """
    reasons = [why or reason(name, error)]
    causes = list(chain_of(error))
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        page = f"https://huggingface.co/{name.removeprefix('hf-hub:').removeprefix('blip:')}"
        reasons.append(f"its owners ask you to accept a licence first: {page}, then `hf auth login`")
    elif any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        reasons.append("the hub knows no such model, or it is private: `hf auth login`")
    return f"the weights of {name!r} {state} ({'; '.join(reasons)}). {remedies}"


def reason(name: str, error: BaseException) -> str:
    """Return in one line why weights could not be loaded."""
    lines = str(error).replace(f"{name}/", "").strip().splitlines() or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].rstrip().endswith(":") else lines[0]
    return " ".join(said.split())[:REASON_CHARACTERS].rstrip(". ")


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from: diffusers wraps the hub's."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
