"""Patterns that name a series, as shells and data sets write them: shards-{00000..00099}.tar, {train,val}.tar.

Says which names they mean, and which of those are there; opens nothing.
"""

import os
import re
from collections.abc import Sequence
from glob import has_magic
from itertools import product
from pathlib import Path

from base.errors import SourceError
from base.urls import checked_place, url_of

MOST_NAMES = 100_000
BRACES = re.compile(r"\{([^{}]*)\}")
SERIES = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})(?:\.\.(\d{1,18}))?", re.ASCII)


class Numbers(Sequence[str]):
    """The numbers of a series as names have them, with zeros before them; made one by one."""

    def __init__(self, first: str, last: str, step: str | None) -> None:
        begin, end = int(first), int(last)
        by = max(int(step or 1), 1) * (1 if end >= begin else -1)
        self._numbers = range(begin, end + (1 if by > 0 else -1), by)
        padded = any(re.match(r"-?0\d", each) for each in (first, last))
        self._digits = max(len(first), len(last)) if padded else 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # an index, or a slice as of every sequence
        chosen = self._numbers[place]
        return f"{chosen:0{self._digits}d}" if isinstance(chosen, int) else [f"{n:0{self._digits}d}" for n in chosen]


def choices_of(inside: str) -> Sequence[str] | None:
    """Return what stands between braces, one of which is meant; None where braces mean nothing."""
    if (series := SERIES.fullmatch(inside)) is not None:
        return Numbers(*series.groups())
    return inside.split(",") if "," in inside else None


def is_series(text: str) -> bool:
    """Tell whether a text has braces that mean several names."""
    return any(choices_of(found[1]) is not None for found in BRACES.finditer(text))


def names_meant(text: str) -> list[str]:
    """Return the names that a pattern means, in order; a text without such braces means itself.

    Numbers have as many digits as the longer end of their series where one of both begins with 0. Braces that mean
    nothing stand for themselves.

    Raises: SourceError: there are more than anybody lists.
    """
    parts: list[Sequence[str]] = []
    end, count = 0, 1
    for found in BRACES.finditer(text):
        if (choices := choices_of(found[1])) is None:
            continue
        first, last = (found.start(), found.end())
        try:
            count *= len(choices)
        except OverflowError:
            count = MOST_NAMES + 1
        if count > MOST_NAMES:
            raise SourceError(f"{text[:200]} means more than {MOST_NAMES:,} names: say it in several patterns")
        parts += [[text[end:first]], choices]
        end = last
    return ["".join(name) for name in product(*parts, [text[end:]])]


def in_series(places: Sequence[str | Path]) -> tuple[list[str | Path], list[Path]]:
    """Return places with those that patterns of braces mean, and apart from them those of a pattern that lack.

    Addresses stay texts. A pattern none of whose names is there is returned as it is.

    Raises: SourceError: a pattern means too many, or an address cannot be one.
    """
    found: list[str | Path] = []
    absent: list[Path] = []
    for place in places:
        url = url_of(place)
        if not is_series(str(place)) or (url is None and os.path.lexists(place)):
            found.append(Path(place) if url is None else url)
            continue
        names = [checked_place(text) for text in names_meant(url or str(place))]
        lacking = [name for name in names if isinstance(name, Path) and not is_named_there(name)]
        if len(lacking) == len(names):
            found.append(Path(place))
            continue
        found += [name for name in names if not isinstance(name, Path) or is_named_there(name)]
        absent += lacking
    return found, absent


def is_named_there(path: Path) -> bool:
    """Tell whether something is at a path, or may be where it is a pattern."""
    return has_magic(str(path)) or os.path.exists(path)
