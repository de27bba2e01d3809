"""Words to try: other ways to say tags, everyday visible things, and what users type. Reads lists; encodes nothing."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from base.errors import QueryError
from base.records import parse_toml
from base.settings import asset
from search.tags.vocabulary import Vocabulary, bare, text_lines
from search.tags.vocabulary_edits import LONGEST_PROMPT, tidied

MOST_TRIED = 1_000  # texts of a user's: each is encoded, and compared with a sample of the photos


@dataclass(frozen=True, slots=True)
class TriedText:
    """A text that a user wants tried, for one tag or, where it names none, for those that it fits."""

    text: str
    tag: str | None = None


@cache
def phrasings() -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return {bare tag: other ways to say it}, and templates for any tag."""
    content = parse_toml(asset("search/words/phrasings.toml").read_text(encoding="utf-8"))
    return {tag: tuple(texts) for tag, texts in content["phrasings"].items()}, tuple(content["templates"])


@cache
def everyday_words() -> tuple[str, ...]:
    """Return everyday visible things and places as tags are called, such as a fireplace, the plainest first."""
    lines = asset("search/words/things.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def tried_texts(vocabulary: Vocabulary, typed: Sequence[str], path: Path | None) -> list[TriedText]:
    """Return what a user wants tried, each once: typed texts, then those of a file, one a line.

    A line may name the tag and several texts: `a bathtub: a claw-foot tub, a tin bath`. Blank lines and comments (#) of
    the file are passed over.

    Raises: QueryError: a text is empty, too long or cannot be printed, they are too many, or the file cannot be read.
    """
    found: list[TriedText] = []
    for text in typed:
        read = texts_in(vocabulary, text)
        if not read:
            raise QueryError(f"there is nothing to try in {text!r}: type words, such as a free-standing bathtub")
        found += read
    if path is not None:
        lines = file_lines(path)
        found += [each for line in lines for each in texts_in(vocabulary, line) if not line.lstrip().startswith("#")]
        if not found:
            raise QueryError(f"{path} holds no words to try: write one a line, such as a free-standing bathtub")
    unique: dict[tuple[str, str], TriedText] = {}
    for each in found:
        unique.setdefault((bare(each.tag or ""), each.text.casefold()), each)
    if len(unique) > MOST_TRIED:
        raise QueryError(f"{len(unique)} texts are too many to try: up to {MOST_TRIED} are possible at a time")
    return list(unique.values())


def file_lines(path: Path) -> Iterable[str]:
    """Return the lines of a file of words. Raises: QueryError: it cannot be read, or is no text."""
    try:
        return list(text_lines(path))
    except ValueError as error:
        raise QueryError(f"{path}: {error}") from error
    except QueryError as error:
        raise QueryError(str(error).replace("the vocabulary ", "", 1)) from error


def texts_in(vocabulary: Vocabulary, line: str) -> list[TriedText]:
    """Return the texts of a line; only what stands before a colon and is a tag of the vocabulary is taken for one."""
    tag, colon, texts = line.partition(":")
    if colon and bare(tag) in vocabulary.places():
        name = vocabulary.names[vocabulary.places()[bare(tag)]]
        return [TriedText(well_formed(text), name) for text in texts.split(",") if tidied(text)]
    return [TriedText(well_formed(line))] if tidied(line) else []


def well_formed(text: str) -> str:
    """Return a text as it can be a prompt. Raises: QueryError: it is too long, or cannot be printed."""
    text = tidied(text)
    if len(text) > LONGEST_PROMPT or not text.isprintable():
        raise QueryError(
            f"{text[:60]!r} cannot be a prompt: write up to {LONGEST_PROMPT} characters that can be printed"
        )
    return text


def tags_named(vocabulary: Vocabulary, text: str) -> list[str]:
    """Return the tags whose words, all of them, are in a text: of "a free-standing bathtub" a bathtub."""
    words = set(re.findall(r"\w+", bare(text)))
    return [tag.name for tag in vocabulary.tags if (own := set(re.findall(r"\w+", bare(tag.name)))) and own <= words]
