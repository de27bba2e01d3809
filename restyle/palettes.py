"""Palettes: the colours of an alien world and the words for it, from TOML files that users may write. Colours nothing.

A name is that of a file in palettes/; anything that ends in .toml is a path.
"""

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aliens.errors import QueryError
from aliens.settings import asset
from restyle.colour import Floats, lab_of
from restyle.prompts import PromptTemplate

DEFAULT_PALETTE = "fern"
HEX = re.compile(r"#[0-9a-fA-F]{6}")
FEWEST_COLOURS = 2
SECTIONS = {"": {"name", "colours", "prompt"}, "colours": {"leaf", "sky"}, "prompt": {"text", "negative", "forbidden"}}


@dataclass(frozen=True, slots=True)
class Ramp:
    """Colours from dark to light, as L*a*b*, (n, 3) float32 with L* ascending."""

    lab: Floats

    def at(self, lightness: Floats) -> Floats:
        """Return a* and b*, (..., 2), of the ramp at these L*; beyond its ends those of the ends."""
        known = self.lab
        ab = [np.interp(lightness, known[:, 0], known[:, axis]) for axis in (1, 2)]
        return np.stack(ab, axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Palette:
    """An alien world's colours and words.

    leaf: what a protanope sees as yellow. sky: what a protanope sees as blue. prompt: what diffusion engines are told.
    """

    name: str
    leaf: Ramp
    sky: Ramp
    prompt: PromptTemplate


def read_palette(name: str = DEFAULT_PALETTE) -> Palette:
    """Return a palette by its name, or by the path of a .toml file.

    Raises: QueryError: there is none, or the file is not as it should be; the message says where.
    """
    path = Path(name) if name.endswith(".toml") else asset("palettes") / f"{name}.toml"
    try:
        return as_palette(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise QueryError(f"no palette {name!r}: {suggestion(name)}, or the path of a .toml file") from None
    except OSError as error:
        raise QueryError(f"the palette {path} cannot be read: {error.strerror}") from error
    except (ValueError, QueryError) as error:  # no UTF-8, or no TOML
        raise QueryError(f"the palette {path} is not as it should be: {error}") from error


def palette_names() -> list[str]:
    """Return the names of the palettes that are shipped."""
    return sorted(path.stem for path in asset("palettes").glob("*.toml"))


def suggestion(name: str) -> str:
    """Return which palettes there are, the nearest name first."""
    known = palette_names()
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? There are {', '.join(known)}" if near else f"there are {', '.join(known)}"


def as_palette(data: dict[str, Any]) -> Palette:
    """Return the palette that a TOML file describes. Raises: QueryError: something is missing, or not known."""
    colours, prompt = (section(data, name) for name in ("colours", "prompt"))
    for where, found in (("", data), ("colours", colours), ("prompt", prompt)):
        if unknown := sorted(set(found) - SECTIONS[where]):
            raise QueryError(f"{f'[{where}] ' if where else ''}{unknown[0]} is not known here: see palettes/fern.toml")
    name = data.get("name")
    if not isinstance(name, str) or not name.strip():
        raise QueryError('it needs a name, such as name = "fern"')
    return Palette(
        name=name,
        leaf=ramp(colours.get("leaf"), "leaf"),
        sky=ramp(colours.get("sky"), "sky"),
        prompt=PromptTemplate(
            text=text_of(prompt, "text"), negative=text_of(prompt, "negative", ""), forbidden=forbidden(prompt)
        ),
    )


def section(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a section. Raises: QueryError: it is absent."""
    found = data.get(name)
    if not isinstance(found, dict):
        raise QueryError(f"the section [{name}] is missing: see palettes/fern.toml")
    return found


def ramp(colours: object, name: str) -> Ramp:
    """Return colours as a ramp. Raises: QueryError: they are not #rrggbb, or not from dark to light."""
    if not isinstance(colours, list) or len(colours) < FEWEST_COLOURS:
        raise QueryError(f"[colours] {name} needs at least {FEWEST_COLOURS} colours, from dark to light")
    if wrong := [colour for colour in colours if not isinstance(colour, str) or not HEX.fullmatch(colour)]:
        raise QueryError(f"[colours] {name} has {wrong[0]!r}: write a colour as #rrggbb")
    rgb = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours], np.uint8)
    lab = lab_of(rgb)
    if (np.diff(lab[:, 0]) <= 0).any():
        place = int(np.argmax(np.diff(lab[:, 0]) <= 0)) + 1
        raise QueryError(f"[colours] {name} must go from dark to light: {colours[place]} is not lighter than before")
    return Ramp(lab)


def text_of(prompt: dict[str, Any], name: str, default: str | None = None) -> str:
    """Return a text of the prompt. Raises: QueryError: it is missing, or no text."""
    text = prompt.get(name, default)
    if not isinstance(text, str):
        raise QueryError(f"[prompt] {name} must be a text")
    return text


def forbidden(prompt: dict[str, Any]) -> tuple[str, ...]:
    """Return the colours that the negative prompt names. Raises: QueryError: they are no list of texts."""
    words = prompt.get("forbidden", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise QueryError('[prompt] forbidden must be a list of words, such as ["red", "peach"]')
    return tuple(words)
