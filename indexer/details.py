"""What lists and data sets say of photos besides what the library knows by itself: columns, as they are kept.

Numbers stay numbers and texts texts; whatever else there is becomes a text. Knows no files.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

MOST_COLUMNS, LONGEST_NAME, LONGEST_TEXT = 200, 200, 30_000  # of one photo; characters
QUOTES = re.compile(r'["\\]')  # which no column's name keeps: databases write paths with them
CUT = " …"  # behind what was cut
EXACT_NUMBERS = 2**53  # beyond which a JSON number may be another one


def kept_details(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return columns as they are kept of a photo, without those that say nothing; None where there is none."""
    kept: dict[str, Any] = {}
    for name, value in said.items():
        plain = kept_value(value)
        if plain is not None and (column := QUOTES.sub("'", " ".join(storable_text(name).split()))[:LONGEST_NAME]):
            kept[column] = plain
        if len(kept) == MOST_COLUMNS:
            break
    return kept or None


def kept_value(value: Any) -> str | int | float | bool | None:
    """Return a value as it is kept, None where it says nothing."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT_NUMBERS else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | dict):
        try:
            value = json.dumps(value, ensure_ascii=False) if value else ""
        except (ValueError, RecursionError):
            return None
    if value is None:
        return None
    text = storable_text(value).strip()
    return (text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + CUT) or None


def storable_text(value: Any) -> str:
    """Return a value as a text that every database takes."""
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()
