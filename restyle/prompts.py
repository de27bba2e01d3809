"""Prompts for diffusion engines, from a palette's template and what is known of the photo. Chooses no palette.

CLIP's text encoders read 77 tokens and drop what follows, so what matters stands first and things are left out, the
last first, until the prompt fits. Tokens are estimated, generously, from words: the encoder's own vocabulary comes with
the weights.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

from aliens.errors import QueryError

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


@dataclass(frozen=True, slots=True)
class PromptTemplate:
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
    while things and tokens_of(filled(template, scene, things, said)) > TOKENS:
        things = things[:-1]
    negative = [part for part in (template.negative, *template.forbidden) if part]
    return filled(template, scene, things, said), ", ".join(negative)


def scene_of(tags: Sequence[str]) -> tuple[str, list[str]]:
    """Return the scene that tags tell of, such as "hotel bathroom", and the tags of the things that are in it."""
    names = {tag: re.sub(r"^(an?|the) ", "", tag) for tag in dict.fromkeys(tags)}
    room = next((room for room, told_by in SCENES if told_by & set(names.values())), "room")
    return f"hotel {room}", [tag for tag, name in names.items() if name != room]


def filled(template: PromptTemplate, scene: str, things: Sequence[str], caption: str) -> str:
    """Return the template's text with its placeholders filled, without the commas that nothing leaves behind."""
    text = template.text.format(scene=scene, things=listed(things), caption=caption)
    if caption and "{caption}" not in template.text:
        text = f"{text}, {caption}"
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"( ?,)+( ?,)", ",", text)
    return text.strip(" ,")


def listed(tags: Sequence[str]) -> str:
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
