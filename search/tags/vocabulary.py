"""Vocabularies: tags, their prompts, what excludes what. Reads and checks TOML and text; encodes nothing."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from base.errors import OutputError, QueryError
from base.files import rereadable
from base.names import comparable, composed, nearest
from base.records import read_toml
from base.settings import asset
from base.spreadsheets import NOT_UTF8, open_text
from search.query import Filter, format_filter

DEFAULT = "case-study"
FILES = (".toml", ".txt")
MAX_TAGS = 10_000
NAME_BYTES = 128  # of a vocabulary's name: a file system takes 255, and a hash and an ending follow
MOST_NAMED = 10  # unknown tags in a note
ENTRIES = ("name", "templates", "background", "most", "muted", "tags", "groups")
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
    most: int = 0  # tags a photo; 0: see calibration.MOST
    muted: tuple[str, ...] = ()  # tags that no photo gets: others are told apart from them

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
            raise unknown_tag(name, [self])
        return found

    def near(self, name: str) -> list[str]:
        """Return up to three tags that a name may have been meant for."""
        places = self.places()
        return [self.names[places[tag]] for tag in nearest(bare(name), places)]

    def places(self) -> dict[str, int]:
        """Return {bare name: place} of the tags."""
        return self._places

    @cached_property
    def _places(self) -> dict[str, int]:
        return {bare(tag.name): place for place, tag in enumerate(self.tags)}

    def definition(self) -> dict[str, Any]:
        """Return the whole content; `from_definition` reads it back."""
        return {
            "name": self.name,
            "templates": list(self.templates),
            "background": list(self.background),
            "tags": [[tag.name, list(tag.prompts), tag.heading] for tag in self.tags],
            "groups": [[group.rule, list(group.tags)] for group in self.groups],
            **({"most": self.most} if self.most else {}),  # the key of a vocabulary without it stays as it was
            **({"muted": list(self.muted)} if self.muted else {}),
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
            most=definition.get("most", 0),
            muted=tuple(definition.get("muted", ())),
        )


class Vocabularies:
    """The vocabularies that a library was tagged with.

    A tag is named by its name alone, or as VOCABULARY/TAG, by the vocabulary's name or key. Of several vocabularies of
    one name the newest counts, unless a key names another.
    """

    def __init__(self, newest_first: Sequence[tuple[Vocabulary, Mapping[str, Any]]]) -> None:
        """`newest_first`: each with what was decided: how its scores become tags."""
        self.all = [vocabulary for vocabulary, _ in newest_first]
        self.decisions = {vocabulary.key: decision for vocabulary, decision in newest_first}
        self.newest = [each for each in self.all if self.called(each.name) is each]

    def called(self, name: str) -> Vocabulary | None:
        """Return the vocabulary of a key or a name, or None."""
        wanted = comparable(name)
        return next((each for each in self.all if wanted in (comparable(each.key), comparable(each.name))), None)

    def only(self, name: str) -> Self:
        """Return the vocabulary of a key or a name alone, or none."""
        found = self.called(name)
        return type(self)([(found, self.decisions[found.key])] if found else [])

    def with_tag(self, name: str) -> list[tuple[Vocabulary, int]]:
        """Return every vocabulary that has a tag, with the tag's place there; several may, and decide differently."""
        vocabularies, tag = self._meant(name)
        return [(each, each.places()[bare(tag)]) for each in vocabularies if bare(tag) in each.places()]

    def find(self, name: str, first: Vocabulary | None = None) -> tuple[Vocabulary, int]:
        """Return the one vocabulary that has a tag, and the tag's place there; `first` goes before all others.

        Raises: QueryError: none has it (the message lists what is near), or several have.
        """
        if first is not None and bare(name) in first.places():
            return first, first.position(name)
        found = self.with_tag(name)
        if not found:
            vocabularies, tag = self._meant(name)
            raise unknown_tag(tag, vocabularies)
        if len(found) > 1:
            choices = [f"{vocabulary.name}/{name}" for vocabulary, _ in found]
            raise QueryError(
                f"{len(found)} vocabularies have a tag {name!r}: say which is meant, {' or '.join(map(repr, choices))} "
                f"(in a query {format_filter(Filter('tag', choices[0]))})"
            )
        return found[0]

    def in_full(self, name: str, first: Vocabulary | None = None) -> str:
        """Return a tag's name with its vocabulary's before it; as it is where that is said, or none has the tag.

        Raises: QueryError: several vocabularies have it, and `first` has not.
        """
        if self._meant(name)[1] != name or not self.with_tag(name):
            return name
        return f"{self.find(name, first)[0].name}/{name}"

    def _meant(self, name: str) -> tuple[list[Vocabulary], str]:
        """Return where a tag is looked for, and under which name, which may hold a slash of its own."""
        of, _, tag = name.partition("/")
        vocabulary = self.called(of) if tag.strip() else None
        as_it_stands = any(bare(name) in each.places() for each in self.newest)
        if vocabulary is None or (as_it_stands and bare(tag) not in vocabulary.places()):
            return self.newest, name
        return [vocabulary], tag


def unknown_tag(name: str, vocabularies: Sequence[Vocabulary]) -> QueryError:
    """Return the error for a tag that no vocabulary has, with the tags near it."""
    near = nearest(bare(name), (tag for each in vocabularies for tag in each.places()))
    several = len(vocabularies) > 1
    shown = [
        repr(f"{each.name}/{each.names[each.places()[tag]]}" if several else each.names[each.places()[tag]])
        for tag in near
        for each in vocabularies
        if tag in each.places()
    ]
    of = f"vocabular{'ies' if several else 'y'} {', '.join(each.key for each in vocabularies)}"
    hint = f"did you mean {' or '.join(shown)}?" if shown else "`aliens tag list` lists them"
    return QueryError(f"no tag {name!r} in the {of}: {hint}")


def read_vocabulary(name: str, kept: Vocabularies | None = None) -> Vocabulary:
    """Return the vocabulary of a file, one that comes along (case-study or hotel), or one that a library has kept.

    A .toml file says all, a .txt file has a tag a line: see `as_content`.

    Raises: QueryError: there is no such file, or what it says makes no sense; the message names the place.
    """
    path = Path(name)
    if path.suffix.lower() not in FILES:
        shipped = {file.stem: file for file in sorted(asset("search/vocabularies").glob("*.toml"))}
        if comparable(name) not in shipped:
            if kept is not None and (mine := kept.called(name)) is not None:
                return mine
            known = dict.fromkeys([*shipped, *(each.name for each in (kept.newest if kept else ()))])
            raise QueryError(f"no vocabulary {name!r}: name a .toml or .txt file, or one of {', '.join(known)}")
        path = shipped[comparable(name)]
    try:
        content = read_toml(path, "vocabulary") if path.suffix.lower() == ".toml" else as_content(text_lines(path))
        return as_vocabulary(content, named_after(path))
    except ValueError as error:
        raise QueryError(f"the vocabulary {path}: {error}") from error


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file. Raises: QueryError: it cannot be read. ValueError: a line is not UTF-8."""
    try:
        with rereadable(path) as source, open_text(source) as file:
            for number, line in enumerate(file, start=1):
                if NOT_UTF8.search(line):
                    raise ValueError(f"line {number} is not UTF-8: save the file as UTF-8 text")
                yield line
    except OSError as error:
        raise QueryError(f"the vocabulary {path} cannot be read: {error.strerror}") from error


def as_content(lines: Iterable[str]) -> dict[str, Any]:
    """Return what a text says, as `as_vocabulary` takes it: a tag a line, as in `a pool`, blank lines and comments (#).

    Behind a colon stand the prompts, as in `a pool: swimming pool, outdoor pool`; without them the tag is its own.

    Raises: ValueError: a tag comes twice, or is none; the message names the line.
    """
    tags: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name, *prompts = re.split(r"\s*:\s+|\s*:$", line.strip(), maxsplit=1)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            check_tag(name)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if (before := seen.setdefault(bare(name), number)) != number:
            raise ValueError(f"line {number}: the tag {name!r} is there already, in line {before}")
        tags[name] = [prompt for prompt in map(str.strip, ",".join(prompts).split(",")) if prompt]
        if len(tags) > MAX_TAGS:
            raise ValueError(f"line {number}: up to {MAX_TAGS} tags are possible")
    if not tags:
        raise ValueError("it holds no tags: write one a line, such as a pool")
    return {"tags": tags}


def named_after(path: Path) -> str:
    """Return the name of a vocabulary that says none: its file's, with hyphens for what names cannot hold."""
    name = "".join(character if of_names(character) else "-" for character in composed(path.stem)).strip("-")[:64]
    while len(name.encode()) > NAME_BYTES:
        name = name[:-1]
    return name or "vocabulary"


def as_vocabulary(content: Mapping[str, Any], default_name: str) -> Vocabulary:
    """Return the vocabulary that a TOML file's content describes.

    Raises: ValueError: it makes no sense.
    """
    if unknown := set(content) - set(ENTRIES):
        raise ValueError(f"unknown entry {sorted(unknown)[0]!r}: known are {', '.join(ENTRIES)}")
    name = content.get("name", default_name)
    check_name(name)
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
    known = {bare(tag.name): tag.name for tag in tags}
    return Vocabulary(
        name=composed(name),
        tags=tags,
        templates=templates,
        background=texts(content.get("background", DEFAULT_BACKGROUND), "background"),
        groups=tuple(groups_of(content.get("groups", []), known)),
        most=most_of(content.get("most", 0)),
        muted=muted_of(content.get("muted", []), known),
    )


def check_name(name: Any) -> None:
    """Refuse a name that no vocabulary can have: folders are named by it. Raises: ValueError: it is one."""
    kind = "1 to 64 letters (of any script), digits, hyphens or underscores"
    if not isinstance(name, str) or not 1 <= len(name) <= 64 or not all(map(of_names, composed(name))):
        raise ValueError(f"the name {name if not isinstance(name, str) else name[:100]!r} should be {kind}")
    if len(composed(name).encode()) > NAME_BYTES:
        raise ValueError(f"the name {name!r} should be shorter: of this script about {64 // 2} letters")


def of_names(character: str) -> bool:
    """Tell whether names of vocabularies may hold a character."""
    return character in "-_" or character.isalnum()


def muted_of(value: Any, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tags that no photo gets. Raises: ValueError: it is no list of tags of this vocabulary."""
    muted = texts(value, "muted") if value != [] else ()
    for tag in muted:
        if bare(tag) not in names:
            raise ValueError(f"muted names {tag!r}, which is no tag of this vocabulary")
    return tuple(name for name in names.values() if bare(name) in set(map(bare, muted)))


def tags_in(table: Any, heading: str) -> Iterator[Tag]:
    """Yield the tags of the table `tags` and of the headings below it."""
    if not isinstance(table, dict):
        raise ValueError('tags should be a table: [tags] and lines such as "a pool" = []')
    for name, value in table.items():
        if isinstance(value, dict) and not heading:
            yield from tags_in(value, name)
            continue
        check_tag(name)
        yield Tag(name, texts(value, f"the prompts of {name!r}") if value != [] else (name,), heading)


def check_tag(name: str) -> None:
    """Refuse a name that no tag can have. Raises: ValueError: it is one."""
    if not name.strip() or name != name.strip() or len(name) > 200:
        raise ValueError(f"the tag {name[:200]!r} should be 1 to 200 characters without space around them")
    if SEPARATOR in name or not name.isprintable():
        raise ValueError(
            f"the tag {name!r} holds {SEPARATOR!r} or an unprintable character, which exports could not keep"
        )
    if name.startswith(UNKNOWN):
        raise ValueError(f"the tag {name!r} begins with {UNKNOWN!r}, which files of tags read as not known")


def groups_of(groups: Any, names: Mapping[str, str]) -> Iterator[Group]:
    """Yield the groups, checked against the tags' names, {bare name: name}."""
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ValueError("groups should be written as [[groups]] with a rule and tags")
    for group in groups:
        rule, tags = group.get("rule"), texts(group.get("tags"), "the tags of a group")
        if rule not in RULES:
            raise ValueError(f"the rule {rule!r} of a group should be contrast or exclude")
        different = {bare(tag) for tag in tags}
        if len(different) < 2 or len(different) < len(tags):
            raise ValueError(f"a group needs two or more different tags, not {', '.join(tags)}")
        for tag in tags:
            if bare(tag) not in names:
                raise ValueError(f"a group names {tag!r}, which is no tag of this vocabulary")
        yield Group(rule, tuple(names[bare(tag)] for tag in tags))


def most_of(value: Any) -> int:
    """Return how many tags a photo may have. Raises: ValueError: it is no such number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TAGS:
        raise ValueError(f"most, the tags a photo may have, is {value!r}: write a whole number up to {MAX_TAGS}")
    return value


def texts(value: Any, what: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple.

    Raises: ValueError: it is no list of texts, or one of them is empty.
    """
    if not isinstance(value, list | tuple) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{what} should be a list of texts, not {value!r}")
    if not all(text.strip() for text in value):
        raise ValueError(f"{what}: a text is empty")
    return tuple(value)


def new_vocabulary(path: Path | None, *, plain: bool) -> str:
    """Return a vocabulary to begin with, in TOML, or as `plain` text; and write it, unless the path is None.

    Raises: QueryError: the path ends in something else, or is there already. OutputError: it cannot be written.
    """
    if path is not None and path.suffix.lower() not in FILES:
        raise QueryError(f"a vocabulary cannot be written as {path.name!r}: end its name in {' or '.join(FILES)}")
    if path is not None and plain and path.suffix.lower() != ".txt":
        raise QueryError(f"plain text goes into a .txt file, not {path.name!r}: rename it, or leave out --plain")
    if path is not None:
        refuse_existing(path)
    plain = plain or (path is not None and path.suffix.lower() == ".txt")
    content = (asset("search/vocabularies/new") / f"vocabulary{FILES[plain]}").read_text(encoding="utf-8")
    if path is not None:
        write_new(path, content)
    return content


def refuse_existing(path: Path) -> None:
    """Refuse to write over something. Raises: QueryError: there is something."""
    if os.path.lexists(path):
        raise QueryError(f"{path} is there already: choose another name")


def write_new(path: Path, content: str) -> None:
    """Write a file that was not there. Raises: QueryError: it is by now. OutputError: it cannot be written."""
    made = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            made = True
            file.write(content)
    except OSError as error:
        if made:
            path.unlink(missing_ok=True)
        refuse_existing(path)
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def unknown_in_words(near: Mapping[str, Sequence[str]]) -> str:
    """Return unknown tags as people read them, of {tag: those that it may have been meant for}."""
    named = [f"{tag!r} (did you mean {' or '.join(map(repr, of))}?)" if of else repr(tag) for tag, of in near.items()]
    return ", ".join(named) + (", ..." if len(near) == MOST_NAMED else "")


def bare(name: str) -> str:
    """Return a tag's name as it is compared: without article and case, however its letters are written."""
    words = comparable(name).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
