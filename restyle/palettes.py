"""Palettes: the colours of an alien world and the words for it, from TOML files that users may write. Colours nothing.

A name is that of a file in restyle/palettes/; anything that ends in .toml is a path.
"""

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import msgspec
import numpy as np

from base.arrays import Floats
from base.errors import QueryError
from base.records import converted, read_toml
from base.settings import asset
from embedding.colour import lab_of

PLACEHOLDERS = ("scene", "things", "caption")
TOKENS = 75  # CLIP's 77, less the ones that begin and end a text
MOST_CAPTION = 20  # words of a caption that are told; models' own captions have about ten
LONG_WORD = 7  # letters; longer words are often cut in two tokens

# Scenes and the tags that tell of them; the first that fits. A room that is named is surer than what it holds.
SCENES = (
    ("bathroom", {"bathroom"}),
    ("bedroom", {"bedroom"}),
    ("bathroom", {"bathtub", "shower", "freestanding bathtub", "shower curtain", "toilet", "bidet"}),
    ("bedroom", {"king-size bed", "two beds", "single bed", "bunk bed", "canopy bed", "futon"}),
    ("kitchen", {"kitchen", "oven", "dishwasher"}),
    ("restaurant", {"restaurant", "dining room"}),
    ("pool", {"pool"}),
    ("balcony", {"balcony", "terrace", "patio"}),
)
ARTICLE = re.compile(r"^(an?|the|one|two|three|four|some) ")
PLACES = ("at ", "in ", "on ", "by ", "near ", "with ")  # "at night": said behind the things
NOT_COUNTED = {"furniture", "luggage", "marble", "snow", "wallpaper", "wood"}


class PromptTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a palette tells diffusion engines.

    text: with {scene}, "hotel bathroom"; {things}, " with a bathtub and a mirror" or nothing; {caption}, the photo's
    caption or nothing, which is put last where the text does not place it. negative: what must not be seen. forbidden:
    colours that must not be seen either.

    Raises: QueryError: the text has a placeholder that is not known, or a brace that stands alone.
    """

    text: str
    negative: str = ""
    forbidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        choices = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        try:
            parts = list(Formatter().parse(self.text))
        except ValueError as error:
            raise QueryError(
                f"the prompt {self.text!r} has a brace that stands alone: it may hold {choices}"
            ) from error
        for _, name, form, conversion in parts:
            if name is not None and (name not in PLACEHOLDERS or form or conversion):
                raise QueryError(f"the prompt {self.text!r} has the placeholder {{{name}}}: it may hold {choices}")


def build_prompt(template: PromptTemplate, tags: Sequence[str], caption: str | None = None) -> tuple[str, str]:
    """Return a photo's (prompt, negative prompt).

    Args:
        template: the palette's.
        tags: the photo's own, the surest first: the last are left out of a prompt that is too long for CLIP.
        caption: the photo's, when there is one; a long one is cut, or it would leave no room for the tags.
    """
    scene, things = scene_of(tags)
    said = " ".join((caption or "").split()[:MOST_CAPTION]).rstrip(".,;")
    while things and tokens_of(filled_in(template, scene, things, said)) > TOKENS:
        things = things[:-1]
    negative = [part for part in (template.negative, *template.forbidden) if part]
    return filled_in(template, scene, things, said), ", ".join(negative)


def scene_of(tags: Sequence[str]) -> tuple[str, list[str]]:
    """Return the scene that tags tell of, such as "hotel bathroom", and the tags of the things that are in it."""
    names = {tag: re.sub(r"^(an?|the) ", "", tag) for tag in dict.fromkeys(tags)}
    room = next((room for room, told_by in SCENES if told_by & set(names.values())), "room")
    return f"hotel {room}", [tag for tag, name in names.items() if name != room]


def filled_in(template: PromptTemplate, scene: str, things: Sequence[str], caption: str) -> str:
    """Return the template's text with its placeholders filled, without the commas that nothing leaves behind."""
    text = template.text.format(scene=scene, things=in_words(things), caption=caption)
    if caption and "{caption}" not in template.text:
        text = f"{text}, {caption}"
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"( ?,)+( ?,)", ",", text)
    return text.strip(" ,")


def in_words(tags: Sequence[str]) -> str:
    """Return " with a bathtub, a mirror and a shower" of tags, or nothing; "at night" and the like stand last."""
    things = [with_article(tag) for tag in tags if not tag.startswith(PLACES)]
    places = [tag for tag in tags if tag.startswith(PLACES)]
    said = ""
    if things:
        said = " with " + (", ".join(things[:-1]) + " and " + things[-1] if len(things) > 1 else things[0])
    return said + "".join(f" {place}" for place in places)


def with_article(tag: str) -> str:
    """Return a tag as English says it: "bathtub" as "a bathtub"; "two beds", "towels" and "snow" as they are."""
    tag = tag.strip()
    plural = tag.endswith("s") and not tag.endswith(("ss", "us"))
    if ARTICLE.match(tag) or plural or tag in NOT_COUNTED:
        return tag
    return f"{'an' if tag[:1].lower() in 'aeiou' else 'a'} {tag}"


def tokens_of(text: str) -> int:
    """Return about how many tokens CLIP makes of a text: words and signs, long words counted twice."""
    parts = re.findall(r"\w+|[^\w\s]", text)
    return sum(1 + (len(part) > LONG_WORD) for part in parts)


DEFAULT_PALETTE = "fern"
HEX = re.compile(r"#[0-9a-fA-F]{6}")
FEWEST_COLOURS = 2


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

    @property
    def digest(self) -> str:
        """Return 8 hex digits over its colours."""
        return hashlib.sha256(self.leaf.lab.tobytes() + self.sky.lab.tobytes()).hexdigest()[:8]


class PaletteColours(msgspec.Struct, forbid_unknown_fields=True):
    """The section [colours] of a palette's file: each is #rrggbb, from dark to light."""

    leaf: list[str]
    sky: list[str]


class PaletteFile(msgspec.Struct, forbid_unknown_fields=True):
    """What the file of a palette says."""

    colours: PaletteColours
    prompt: PromptTemplate
    name: str = ""


def read_palette(name: str = DEFAULT_PALETTE) -> Palette:
    """Return a palette by its name, or by the path of a .toml file.

    Raises: QueryError: there is none, or the file is not as it should be; the message says where.
    """
    path = Path(name) if name.endswith(".toml") else asset("restyle/palettes") / f"{name}.toml"
    try:
        data = read_toml(path, "palette")
    except QueryError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise QueryError(f"no palette {name!r}: {suggestion(name)}, or the path of a .toml file") from None
        raise
    try:
        return as_palette(converted(data, PaletteFile))
    except (ValueError, QueryError) as error:
        raise QueryError(f"the palette {path} is not as it should be, see palettes/fern.toml: {error}") from error


def lasting_palette(name: str) -> str:
    """Return a palette's name, or its file's path in full, which means the same in every working folder."""
    return str(Path(name).absolute()) if name.endswith(".toml") else name


def palette_names() -> list[str]:
    """Return the names of the palettes that are shipped, the default first."""
    names = {path.stem for path in asset("restyle/palettes").glob("*.toml")}
    return [DEFAULT_PALETTE, *sorted(names - {DEFAULT_PALETTE})]


def suggestion(name: str) -> str:
    """Return which palettes there are, the nearest name first."""
    known = palette_names()
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? There are {', '.join(known)}" if near else f"there are {', '.join(known)}"


def as_palette(said: PaletteFile) -> Palette:
    """Return the palette that a file describes. Raises: QueryError: it has no name, or its colours are no ramps."""
    if not said.name.strip():
        raise QueryError('it needs a name, such as name = "fern"')
    return Palette(said.name, ramp(said.colours.leaf, "leaf"), ramp(said.colours.sky, "sky"), said.prompt)


def ramp(colours: Sequence[str], name: str) -> Ramp:
    """Return colours as a ramp. Raises: QueryError: they are not #rrggbb, or not from dark to light."""
    if len(colours) < FEWEST_COLOURS:
        raise QueryError(f"[colours] {name} needs at least {FEWEST_COLOURS} colours, from dark to light")
    if wrong := [colour for colour in colours if not HEX.fullmatch(colour)]:
        raise QueryError(f"[colours] {name} has {wrong[0]!r}: write a colour as #rrggbb")
    rgb = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours], np.uint8)
    lab = lab_of(rgb)
    if (np.diff(lab[:, 0]) <= 0).any():
        place = int(np.argmax(np.diff(lab[:, 0]) <= 0)) + 1
        raise QueryError(f"[colours] {name} must go from dark to light: {colours[place]} is not lighter than before")
    return Ramp(lab)
