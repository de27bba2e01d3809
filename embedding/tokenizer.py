"""CLIP's tokenizer without PyTorch: the same ids as open_clip's SimpleTokenizer, whose module loads PyTorch."""

import html
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]

# Radford et al. 2021, as in open_clip 3: what begins and ends a text, English endings, letters, digits, other signs.
WORDS = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
PLAIN_WORDS = re.compile(WORDS.replace(r"\p{L}", "a-z").replace(r"\p{N}", "0-9"))  # the same for lower-case ASCII
SPECIAL = ("<start_of_text>", "<end_of_text>")
END_OF_WORD = "</w>"


class ClipTokenizer:
    """Byte-pair encoding of lower-cased words, between a token that begins and one that ends the text."""

    def __init__(self, merges: Sequence[str], context: int) -> None:
        """`merges`: pairs such as "t h", the most frequent first; `context`: tokens at most."""
        self.context = context
        self.merges = list(merges)
        self._ranks = dict(zip(self.merges, range(len(self.merges)), strict=True))
        self._signs = byte_signs()
        signs = self._signs.values()
        joined = "\n".join(self.merges).replace(" ", "").split("\n")
        words = [*signs, *(sign + END_OF_WORD for sign in signs), *joined, *SPECIAL]
        self.ids = dict(zip(words, range(len(words)), strict=True))
        self._begin, self._end = (self.ids[word] for word in SPECIAL)

    @classmethod
    def from_open_clip(cls, tokenizer: Any) -> Self | None:
        """Return the same tokenizer as an open_clip.tokenizer.SimpleTokenizer, or None for one of another kind."""
        if type(tokenizer).__name__ != "SimpleTokenizer" or tokenizer.reduction_fn is not None:
            return None
        ranks: dict[tuple[str, str], int] = tokenizer.bpe_ranks
        mine = cls([" ".join(pair) for pair in sorted(ranks, key=ranks.__getitem__)], tokenizer.context_length)
        same = mine.ids == tokenizer.encoder and tokenizer.pat.pattern == WORDS
        return mine if same and tokenizer.clean_fn.__name__ == "_clean_lower" else None

    @classmethod
    def read(cls, path: Path, context: int) -> Self:
        """Read what `write` wrote. Raises: OSError, ValueError: it is absent or no text."""
        return cls(path.read_bytes().decode("utf-8").split("\n"), context)

    def write(self, path: Path) -> None:
        """Write the merges to a file, one a line. Raises: OSError: the disk is full or cannot be written."""
        path.write_bytes("\n".join(self.merges).encode("utf-8"))

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return tokens (n, length) int64, cut to the context, and behind the longest text; zeros fill the others."""
        rows = [self._encode(text) for text in texts]
        tokens = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return tokens

    def _encode(self, text: str) -> list[int]:
        ids = [self._begin]
        for word in words(cleaned(text)):
            ids += [self.ids[part] for part in self._parts(word)]
            if len(ids) >= self.context:
                break
        return [*ids[: self.context - 1], self._end]

    def _parts(self, word: str) -> list[str]:
        """Return the parts of a word that have ids: the most frequent pair is joined until none is known."""
        if word in SPECIAL:
            return [word]
        parts = [self._signs[byte] for byte in word.encode("utf-8")]
        parts[-1] += END_OF_WORD
        unknown = len(self._ranks)
        while len(parts) > 1:
            pairs = [f"{left} {right}" for left, right in pairwise(parts)]
            best = min(pairs, key=lambda pair: self._ranks.get(pair, unknown))
            if best not in self._ranks:
                break
            joined, place = [], 0
            while place < len(parts):
                step = 2 if place < len(pairs) and pairs[place] == best else 1
                joined.append("".join(parts[place : place + step]))
                place += step
            parts = joined
        return parts


def byte_signs() -> dict[int, str]:
    """Return the visible character that stands for each byte, in the order of their ids.

    Source: Radford et al. 2019 (GPT-2), encoder.py, bytes_to_unicode.
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    numbers = [*visible, *range(256, 256 + len(hidden))]
    return dict(zip([*visible, *hidden], map(chr, numbers), strict=True))


def words(text: str) -> list[str]:
    """Cut a cleaned text into words."""
    if text.isascii():
        return PLAIN_WORDS.findall(text)
    import regex  # knows the letters of all scripts; open_clip uses it as well

    found: list[str] = regex.findall(WORDS, text, flags=regex.IGNORECASE)
    return found


def cleaned(text: str) -> str:
    """Return a text as open_clip's tokenizer cleans it: repaired, without HTML entities, in lower case."""
    if not (text.isascii() and text.isprintable()) or "&" in text:
        import ftfy  # takes 0.05 s to import, and changes nothing in plain ASCII but entities

        text = ftfy.fix_text(text)
    return " ".join(html.unescape(html.unescape(text)).split()).lower()
