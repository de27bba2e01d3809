"""What a query consists of. Reads no text, searches nothing."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "photo", "image"]
NEGATED = 0.3  # the weight of -words: of those tried, 1 throws away what was asked for (benchmarks/search_quality.py)
TERM_NAMES = {"like": "photo", "image": "image"}  # how a query writes terms that are no text
FILTER_NAMES = (
    "hotel",
    "chain",
    "source",
    "tag",
    "near",
    "after",
    "before",
    "size",
    "color",
    "orientation",
    "path",
    "kind",
)
ALIASES = {"colour": "color"}


@dataclass(frozen=True, slots=True)
class Term:
    """What photos should look like, or should not where the weight is negative.

    value: words, the id of a photo of the library, or the path of a photo file.
    """

    kind: Kind
    value: str | int
    weight: float


@dataclass(frozen=True, slots=True)
class Filter:
    """Which photos may be hits at all.

    value: as it was written, checked. op, number: for tags alone, such as > and 0.6. negated: only the others.
    """

    name: str
    value: str
    op: str = ""
    number: float | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Terms, which rank photos, and filters, which choose among them."""

    terms: tuple[Term, ...]
    filters: tuple[Filter, ...]
