"""How names and words are compared: by their letters, not by how these are written. Knows nothing of what they name.

The letter é is one character where most programs write it (NFC), and an e with an accent behind it (NFD) where macOS
writes the names of files.
"""

import difflib
import unicodedata
from collections.abc import Iterable


def folded(text: str) -> str:
    """Return a text in which letters that are the same are the same characters, whatever their case.

    Source: The Unicode Standard, section 3.13, canonical caseless matching (D145). It decomposes where this composes:
    that takes three times as long, and differs for the Greek iota below (U+0345) alone.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def composed(text: str) -> str:
    """Return a text in which a letter with its accent is one character, as macOS does not write names of files."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def comparable(name: str) -> str:
    """Return a name as names are compared: `folded`, and without more space than one between words."""
    return " ".join(folded(name).split())


def spellings(text: str) -> list[str]:
    """Return the ways in which a text may have been written down, composed (NFC) first: one of them for ASCII."""
    return list(dict.fromkeys(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that a mistyped one may mean, the nearest first."""
    asked, names = comparable(name), {comparable(each): each for each in known}
    near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5)
    return [names[match] for match in near] or [each for other, each in names.items() if asked in other][:3]
