"""Vocabularies: tags, their prompts, what excludes what. Reads and checks TOML; encodes nothing."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from base.errors import QueryError
from base.records import read_toml
from base.settings import asset

DEFAULT = "case-study"
MAX_TAGS = 10_000
MOST_NAMED = 10  # unknown tags in a note
RULES = ("contrast", "exclude")
SEPARATOR = ";"  # between tags in a CSV cell, so no tag may hold it
UNKNOWN = "?"  # before a tag in a file: whether the photo has it is not known
DEFAULT_BACKGROUND = ("a photo", "a room", "a landscape", "a person", "an object")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag and the prompts it is recognised by; `heading` groups tags for people."""

    name: str
    prompts: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Tags that are easily confused.

    contrast: a tag's logit loses by how much its likeliest rival is ahead. exclude: of the group only the
    likeliest tag may be decided.
    """

    rule: Literal["contrast", "exclude"]
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Tags in a fixed order, with the prompts of a background that stands for "none of these"."""

    name: str
    tags: tuple[Tag, ...]
    templates: tuple[str, ...]
    background: tuple[str, ...]
    groups: tuple[Group, ...]

    @cached_property
    def names(self) -> list[str]:
        """The tags' names, in order."""
        return [tag.name for tag in self.tags]

    @cached_property
    def key(self) -> str:
        """The readable name and 8 hex digits of the hash over everything that the vocabulary says."""
        digest = hashlib.sha256(json.dumps(self.definition(), ensure_ascii=False).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"

    def texts(self, tag: Tag) -> list[str]:
        """Return every prompt of a tag in every template."""
        return [template.replace("{}", prompt) for prompt in tag.prompts for template in self.templates]

    def position(self, name: str) -> int:
        """Return a tag's place, by its name with or without a leading article.

        Raises: QueryError: no such tag; the message lists what is close.
        """
        found = self.places().get(bare(name))
        if found is None:
            near = self.near(name)
            hint = f": did you mean {' or '.join(map(repr, near))}?" if near else ": `aliens tags` lists them"
            raise QueryError(f"no tag {name!r} in the vocabulary {self.key}{hint}")
        return found

    def near(self, name: str) -> list[str]:
        """Return up to three tags that a name may have been meant for."""
        import difflib

        places = self.places()
        return [self.names[places[match]] for match in difflib.get_close_matches(bare(name), places, n=3)]

    def places(self) -> dict[str, int]:
        """Return {bare name: place} of the tags."""
        return {bare(tag.name): place for place, tag in enumerate(self.tags)}

    def definition(self) -> dict[str, Any]:
        """Return the whole content; `from_definition` reads it back."""
        return {
            "name": self.name,
            "templates": list(self.templates),
            "background": list(self.background),
            "tags": [[tag.name, list(tag.prompts), tag.heading] for tag in self.tags],
            "groups": [[group.rule, list(group.tags)] for group in self.groups],
        }

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        """Return the vocabulary that `definition` described."""
        return cls(
            name=definition["name"],
            templates=tuple(definition["templates"]),
            background=tuple(definition["background"]),
            tags=tuple(Tag(name, tuple(prompts), heading) for name, prompts, heading in definition["tags"]),
            groups=tuple(Group(rule, tuple(tags)) for rule, tags in definition["groups"]),
        )


def read_vocabulary(name: str) -> Vocabulary:
    """Return the vocabulary of a TOML file, or one that comes along: case-study or hotel.

    Raises: QueryError: there is no such file, or what it says makes no sense; the message names the place.
    """
    path = Path(name)
    if path.suffix != ".toml":
        shipped = {file.stem: file for file in sorted(asset("search/vocabularies").glob("*.toml"))}
        if name not in shipped:
            raise QueryError(f"no vocabulary {name!r}: name a .toml file, or one of {', '.join(shipped)}")
        path = shipped[name]
    content = read_toml(path, "vocabulary")
    try:
        return as_vocabulary(content, path.stem)
    except ValueError as error:
        raise QueryError(f"the vocabulary {path}: {error}") from error


def as_vocabulary(content: Mapping[str, Any], default_name: str) -> Vocabulary:
    """Return the vocabulary that a TOML file's content describes.

    Raises: ValueError: it makes no sense.
    """
    if unknown := set(content) - {"name", "templates", "background", "tags", "groups"}:
        raise ValueError(f"unknown entry {sorted(unknown)[0]!r}: known are name, templates, background, tags, groups")
    name = content.get("name", default_name)
    if not isinstance(name, str) or not name or len(name) > 64 or not set(name) <= NAME_CHARACTERS:
        raise ValueError(f"the name {name!r} should be 1 to 64 letters, digits, hyphens or underscores")
    templates = texts(content.get("templates", ["{}"]), "templates")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"the template {template!r} needs one {{}} for the prompt")
    tags = tuple(tags_in(content.get("tags"), ""))
    if not tags:
        raise ValueError("it holds no tags")
    if len(tags) > MAX_TAGS:
        raise ValueError(f"it holds {len(tags)} tags; up to {MAX_TAGS} are possible")
    seen: dict[str, str] = {}
    for tag in tags:
        if (other := seen.get(bare(tag.name))) is not None:
            raise ValueError(f"the tag {tag.name!r} is there twice" + (f" (as {other!r})" if other != tag.name else ""))
        seen[bare(tag.name)] = tag.name
    return Vocabulary(
        name=name,
        tags=tags,
        templates=templates,
        background=texts(content.get("background", DEFAULT_BACKGROUND), "background"),
        groups=tuple(groups_of(content.get("groups", []), {tag.name for tag in tags})),
    )


def tags_in(table: Any, heading: str) -> Iterator[Tag]:
    """Yield the tags of the table `tags` and of the headings below it."""
    if not isinstance(table, dict):
        raise ValueError('tags should be a table: [tags] and lines such as "a pool" = []')
    for name, value in table.items():
        if isinstance(value, dict) and not heading:
            yield from tags_in(value, name)
            continue
        if not name.strip() or name != name.strip() or len(name) > 200:
            raise ValueError(f"the tag {name!r} should be 1 to 200 characters without space around them")
        if SEPARATOR in name or not name.isprintable():
            raise ValueError(
                f"the tag {name!r} holds {SEPARATOR!r} or an unprintable character, which exports could not keep"
            )
        if name.startswith(UNKNOWN):
            raise ValueError(f"the tag {name!r} begins with {UNKNOWN!r}, which files of tags read as not known")
        yield Tag(name, texts(value, f"the prompts of {name!r}") if value != [] else (name,), heading)


def groups_of(groups: Any, names: set[str]) -> Iterator[Group]:
    """Yield the groups, checked against the tags' names."""
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ValueError("groups should be written as [[groups]] with a rule and tags")
    for group in groups:
        rule, tags = group.get("rule"), texts(group.get("tags"), "the tags of a group")
        if rule not in RULES:
            raise ValueError(f"the rule {rule!r} of a group should be contrast or exclude")
        if len(set(tags)) < 2 or len(set(tags)) < len(tags):
            raise ValueError(f"a group needs two or more different tags, not {', '.join(tags)}")
        for tag in tags:
            if tag not in names:
                raise ValueError(f"a group names {tag!r}, which is no tag of this vocabulary")
        yield Group(rule, tags)


def texts(value: Any, what: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple.

    Raises: ValueError: it is no list of texts, or one of them is empty.
    """
    if not isinstance(value, list | tuple) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{what} should be a list of texts, not {value!r}")
    if not all(text.strip() for text in value):
        raise ValueError(f"{what}: a text is empty")
    return tuple(value)


def unknown_in_words(near: Mapping[str, Sequence[str]]) -> str:
    """Return unknown tags as people read them, of {tag: those that it may have been meant for}."""
    named = [f"{tag!r} (did you mean {' or '.join(map(repr, of))}?)" if of else repr(tag) for tag, of in near.items()]
    return ", ".join(named) + (", ..." if len(near) == MOST_NAMED else "")


def bare(name: str) -> str:
    """Return a tag's name as it is compared: without article and case, however its accents are put together."""
    words = unicodedata.normalize("NFC", name.casefold()).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)


NAME_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
