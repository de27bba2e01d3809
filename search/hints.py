"""What words of a query seem to mean and do not: how other programs write weights and signs. Reads nothing else."""

import difflib
import re

from base.errors import QuerySyntaxError
from base.names import folded
from search.query import LIKENESS, NAMES, NUMBER, Parser

BEFORE = re.compile(rf"(?P<number>{NUMBER})[*:](?P<word>[^\W\d_][^:]*)")  # 2*balcony, and 2:balcony as in rclip
BEHIND = re.compile(rf"(?P<word>[^\W\d_][^:]*):(?P<number>{NUMBER})")  # balcony:2
DASHED = re.compile(r"[‐-―−](?P<words>\w.*)")  # what a phone makes of a minus sign
SHOWN = 60  # characters of a word


def hints(text: str) -> list[str]:
    """Return, for words of a query that resemble weights or minus signs, how those are written.

    None for a query that cannot be read.
    """
    parser = Parser(text)
    try:
        parser.query()
    except QuerySyntaxError:
        return []
    said = ((word, remedy(word)) for word in parser.bare_words)
    return [f"{cut_short(word)!r} is searched for as it stands; {how}" for word, how in said if how]


def remedy(word: str) -> str | None:
    """Return how a word is written that means what this one seems to, or None where it seems to mean itself."""
    if match := DASHED.fullmatch(word):
        return f"words to keep away from have the minus of the keyboard: {cut_short('-' + match['words'])}"
    match = BEFORE.fullmatch(word) or BEHIND.fullmatch(word)
    if match is None or folded(match["word"]) in NAMES:
        return None
    near = difflib.get_close_matches(folded(match["word"]), NAMES, n=1, cutoff=LIKENESS)
    meant = f", a filter {near[0]}:{cut_short(match['number'])}" if near else ""
    return f"a weight is written +{cut_short(match['word'])}:{cut_short(match['number'])}{meant}"


def cut_short(word: str) -> str:
    """Return a word, with … where it goes on for long."""
    return word if len(word) <= SHOWN else word[: SHOWN - 1] + "…"
