"""What plain words look like they were meant to be. Changes nothing: words stay words."""

import difflib
import re

from aliens.errors import QuerySyntaxError
from search.query.parser import LIKENESS, NAMES, NUMBER, Parser

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
    return [f"{shortened(word)!r} is searched for as it stands; {how}" for word, how in said if how]


def remedy(word: str) -> str | None:
    """Return how a word is written that means what this one seems to, or None where it seems to mean itself."""
    if match := DASHED.fullmatch(word):
        return f"words to keep away from have the minus of the keyboard: {shortened('-' + match['words'])}"
    match = BEFORE.fullmatch(word) or BEHIND.fullmatch(word)
    if match is None or match["word"].lower() in NAMES:
        return None
    near = difflib.get_close_matches(match["word"].lower(), NAMES, n=1, cutoff=LIKENESS)
    meant = f", a filter {near[0]}:{shortened(match['number'])}" if near else ""
    return f"a weight is written +{shortened(match['word'])}:{shortened(match['number'])}{meant}"


def shortened(word: str) -> str:
    """Return a word, with … where it goes on for long."""
    return word if len(word) <= SHOWN else word[: SHOWN - 1] + "…"
