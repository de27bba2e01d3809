"""What plain words look like they were meant to be. Changes nothing: words stay words."""

import re

from search.query.terms import ALIASES, FILTER_NAMES, TERM_NAMES

NAMES = (*FILTER_NAMES, *ALIASES, *TERM_NAMES)
NUMBER = r"[0-9]*\.?[0-9]+"
QUOTED = r'"(?:\\.|[^"\\])*"'
BEFORE = rf"(?<!\S)(?P<before>{NUMBER})[*:](?P<weighted>[^\W\d_][^\s:]*)(?!\S)"  # 2*balcony, and 2:balcony as in rclip
BEHIND = rf"(?<!\S)(?P<word>[^\W\d_][^\s:]*):(?P<behind>{NUMBER})(?!\S)"  # balcony:2
WEIGHTS = re.compile(rf"{QUOTED}|{BEFORE}|{BEHIND}", re.ASCII)


def hints(text: str) -> list[str]:
    """Return, for words of a query that resemble weights in another notation, how a weight is written."""
    found = []
    for match in WEIGHTS.finditer(text):
        word, number = match["weighted"] or match["word"], match["before"] or match["behind"]
        if word and word.lower() not in NAMES:
            found.append(f"{match.group()!r} is searched for as it stands; a weight is written +{word}:{number}")
    return found
