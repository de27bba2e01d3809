"""Vocabularies that people make: tags added, renamed, removed, muted; written as files that `aliens tag` takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from base.errors import LibraryError, QueryError
from base.files import atomic_write
from base.names import comparable, composed
from base.settings import LibraryFolder
from search.tags.vocabulary import (
    MAX_TAGS,
    Group,
    Tag,
    Vocabulary,
    bare,
    check_name,
    check_tag,
    read_vocabulary,
)

MOST_PROMPTS = 20  # of a tag: each is encoded
LONGEST_PROMPT = 300  # characters; a model reads about 70 words
BY_HAND = "# Made with the page of `aliens serve`. Edit it there, or here; then: aliens tag --vocabulary THIS_FILE"


@dataclass(frozen=True, kw_only=True, slots=True)
class TagDraft:
    """A tag as somebody thinks of it.

    name: what it is called. prompts: how to say it to the model; none: its name. unlike: what it is not, such as tags
    that it is taken for; what is no tag of the vocabulary becomes one that no photo gets. heading: groups tags for
    people. muted: no photo gets it.
    """

    name: str
    prompts: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    heading: str = ""
    muted: bool = False

    @classmethod
    def typed(
        cls, name: str, prompts: Sequence[str], unlike: Sequence[str], *, heading: str = "", muted: bool = False
    ) -> "TagDraft":
        """Return what somebody typed, without empty lines and space around words.

        Raises: QueryError: there is no name, a line is too long, or holds what cannot be printed.
        """
        name = tidied(name)
        if not name:
            raise QueryError("the tag has no name: type one, such as a bathtub")
        said = [tuple(dict.fromkeys(filter(None, map(tidied, lines)))) for lines in (prompts, unlike)]
        for line in (text for lines in said for text in lines):
            if len(line) > LONGEST_PROMPT or not line.isprintable():
                raise QueryError(
                    f"{line[:60]!r} cannot be a prompt: write up to {LONGEST_PROMPT} characters that can be printed"
                )
        if max(map(len, said)) > MOST_PROMPTS:
            raise QueryError(f"{max(map(len, said))} lines are too many for one tag: up to {MOST_PROMPTS} are possible")
        heading = tidied(heading)
        if len(heading) > 200 or not heading.isprintable():
            raise QueryError(f"the heading {heading[:60]!r} should be up to 200 characters that can be printed")
        return cls(name=name, prompts=said[0], unlike=said[1], heading=heading, muted=muted)


def draft_of(vocabulary: Vocabulary, name: str) -> TagDraft:
    """Return a tag of a vocabulary as it can be edited. Raises: QueryError: there is no such tag."""
    tag = vocabulary.tags[vocabulary.position(name)]
    rivals = [other for group in contrasts_of(vocabulary, tag.name) for other in group.tags if other != tag.name]
    return TagDraft(
        name=tag.name,
        prompts=() if tag.prompts == (tag.name,) else tag.prompts,
        unlike=tuple(dict.fromkeys(rivals)),
        heading=tag.heading,
        muted=tag.name in vocabulary.muted,
    )


def contrasts_of(vocabulary: Vocabulary, name: str) -> list[Group]:
    """Return the groups of tags that a tag is contrasted with."""
    return [group for group in vocabulary.groups if group.rule == "contrast" and name in group.tags]


def with_draft(vocabulary: Vocabulary, draft: TagDraft, *, instead_of: str | None = None) -> Vocabulary:
    """Return a vocabulary with a tag more, or with a tag in place of another of its tags.

    Raises: QueryError: no tag can be called so, or another is already; or there is none to be replaced.
    """
    kept, place, contrasted_before = vocabulary, len(vocabulary.tags), False
    if instead_of is not None:
        before, place = draft_of(vocabulary, instead_of), vocabulary.position(instead_of)
        contrasted_before = before.unlike == draft.unlike
        if not contrasted_before:
            kept = without_contrasts(kept, before.name)
        kept = renamed(kept, before.name, draft.name)
    others = {bare(tag.name): tag.name for number, tag in enumerate(vocabulary.tags) if number != place}
    if (other := others.get(bare(draft.name))) is not None:
        raise QueryError(f"{vocabulary.name} has a tag {other!r} already: edit that, or choose another name")
    rivals = tuple(others.get(bare(name), name) for name in draft.unlike if bare(name) != bare(draft.name))
    new = [Tag(name, (name,), draft.heading) for name in rivals if bare(name) not in others]
    tag = Tag(draft.name, draft.prompts or (draft.name,), draft.heading)
    tags = (*kept.tags[:place], tag, *kept.tags[place + 1 :], *new)
    check_tags(vocabulary.name, tags)
    muted = {*kept.muted, *(each.name for each in new)} - {draft.name} | ({draft.name} if draft.muted else set())
    groups = (
        kept.groups if contrasted_before or not rivals else (*kept.groups, Group("contrast", (draft.name, *rivals)))
    )
    return replace(kept, tags=tags, groups=groups, muted=tuple(each.name for each in tags if each.name in muted))


def check_tags(vocabulary: str, tags: Sequence[Tag]) -> None:
    """Refuse tags that no file could hold. Raises: QueryError: they are too many, or one cannot be called so."""
    if len(tags) > MAX_TAGS:
        raise QueryError(f"{vocabulary} would have {len(tags)} tags; up to {MAX_TAGS} are possible")
    headings = {tag.heading for tag in tags}
    for tag in tags:
        try:
            check_tag(tag.name)
        except ValueError as error:
            raise QueryError(str(error)) from None
        if not tag.heading and tag.name in headings:
            raise QueryError(f"{tag.name!r} is a heading of {vocabulary}: call the tag, or the heading, otherwise")


def renamed(vocabulary: Vocabulary, old: str, new: str) -> Vocabulary:
    """Return a vocabulary in which a tag is called otherwise, wherever it is named."""

    def now(tag: str) -> str:
        return new if tag == old else tag

    return replace(
        vocabulary,
        tags=tuple(replace(tag, name=now(tag.name)) for tag in vocabulary.tags),
        groups=tuple(Group(group.rule, tuple(map(now, group.tags))) for group in vocabulary.groups),
        muted=tuple(map(now, vocabulary.muted)),
    )


def without_contrasts(vocabulary: Vocabulary, name: str) -> Vocabulary:
    """Return a vocabulary in which nothing is contrasted with a tag."""
    contrasts = contrasts_of(vocabulary, name)
    groups = [
        Group(group.rule, tuple(tag for tag in group.tags if tag != name)) if group in contrasts else group
        for group in vocabulary.groups
    ]
    return replace(vocabulary, groups=tuple(group for group in groups if len(group.tags) > 1))


def without_tag(vocabulary: Vocabulary, name: str) -> Vocabulary:
    """Return a vocabulary without a tag. Raises: QueryError: there is no such tag, or it is the only one."""
    gone = vocabulary.tags[vocabulary.position(name)].name
    if len(vocabulary.tags) == 1:
        raise QueryError(f"{gone!r} is the only tag of {vocabulary.name}: rename it, or add another one first")
    groups = [Group(group.rule, tuple(tag for tag in group.tags if tag != gone)) for group in vocabulary.groups]
    return replace(
        vocabulary,
        tags=tuple(tag for tag in vocabulary.tags if tag.name != gone),
        groups=tuple(group for group in groups if len(group.tags) > 1),
        muted=tuple(tag for tag in vocabulary.muted if tag != gone),
    )


def under_name(vocabulary: Vocabulary, name: str) -> Vocabulary:
    """Return a vocabulary under another name. Raises: QueryError: none can be called so."""
    name = composed("-".join(name.split()))
    try:
        check_name(name)
    except ValueError as error:
        raise QueryError(str(error)) from None
    return replace(vocabulary, name=name)


def vocabulary_toml(vocabulary: Vocabulary, head: str = BY_HAND) -> str:
    """Return a vocabulary as the content of a .toml file that reads back as the same; `head`: its first comment."""
    lines = [
        head,
        f"name = {toml_text(vocabulary.name)}",
        f"templates = {toml_list(vocabulary.templates)}",
        f"background = {toml_list(vocabulary.background)}",
        *([f"most = {vocabulary.most}"] if vocabulary.most else []),
        *([f"muted = {toml_list(vocabulary.muted)}"] if vocabulary.muted else []),
    ]
    heading = None
    for tag in in_order_of_headings(vocabulary).tags:
        if tag.heading != heading:
            heading = tag.heading
            lines += ["", f"[tags.{toml_text(heading)}]" if heading else "[tags]"]
        lines.append(f"{toml_text(tag.name)} = {toml_list(() if tag.prompts == (tag.name,) else tag.prompts)}")
    for group in vocabulary.groups:
        lines += ["", "[[groups]]", f"rule = {toml_text(group.rule)}", f"tags = {toml_list(group.tags)}"]
    return "\n".join(lines) + "\n"


def in_order_of_headings(vocabulary: Vocabulary) -> Vocabulary:
    """Return a vocabulary whose tags stand together by heading, those without one first, as a file has them."""
    headings = sorted(dict.fromkeys(tag.heading for tag in vocabulary.tags), key=bool)
    tags = tuple(tag for heading in headings for tag in vocabulary.tags if tag.heading == heading)
    muted = tuple(tag.name for tag in tags if tag.name in vocabulary.muted)
    return replace(vocabulary, tags=tags, muted=muted)


def toml_text(text: str) -> str:
    """Return a text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_list(texts: Sequence[str]) -> str:
    """Return a list of texts as TOML writes it, in one line."""
    return f"[{', '.join(map(toml_text, texts))}]"


def tidied(text: str) -> str:
    """Return a text as one line without space around it."""
    return composed(" ".join(text.split()))


def keep_vocabulary(folder: LibraryFolder, vocabulary: Vocabulary) -> Path:
    """Write a vocabulary into the library's folder, as a file named by its key, and return its path.

    Tags of a heading stand together there: the file's own order is what its key tells.

    Raises: LibraryError: the disk is full or cannot be written.
    """
    vocabulary = in_order_of_headings(vocabulary)
    path = folder.vocabularies / f"{vocabulary.key}.toml"
    try:
        with atomic_write(path) as file:
            file.write(vocabulary_toml(vocabulary).encode())
    except OSError as error:
        raise LibraryError(f"{path} cannot be written: {error.strerror}") from error
    return path


def kept_vocabularies(folder: LibraryFolder) -> list[tuple[Vocabulary, Path]]:
    """Return the vocabularies in the library's folder with their files, of each name the newest, newest first.

    A file that people have damaged is left out: `aliens tag` says what is wrong with it.
    """
    found: dict[str, tuple[Vocabulary, Path]] = {}
    for path in sorted(folder.vocabularies.glob("*.toml"), key=changed_ns, reverse=True):
        try:
            vocabulary = read_vocabulary(str(path))
        except QueryError:
            continue
        found.setdefault(comparable(vocabulary.name), (vocabulary, path))
    return list(found.values())


def changed_ns(path: Path) -> int:
    """Return when a file was changed, 0 of one that is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
