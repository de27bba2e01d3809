"""JSON and TOML that others wrote, or that lay on a disk: whatever cannot be read raises one error.

Python's own readers raise another where values are nested too deeply, and so would whoever looks at such values later:
they are read no deeper than anybody writes. What a value means is for those to check who asked for it.
"""

import json
import tomllib
from typing import Any

MOST_NESTED = 100  # lists and objects, one inside another


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says. Raises: ValueError: it is none, no UTF-8, or nested too deeply."""
    try:
        value = json.loads(text)  # noqa: TID251
    except RecursionError as error:
        raise ValueError(too_deep()) from error
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    return value if opened <= MOST_NESTED else not_too_deep(value)


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says. Raises: ValueError: it is none, or nested too deeply."""
    try:
        table: dict[str, Any] = not_too_deep(tomllib.loads(text))  # noqa: TID251
    except RecursionError as error:
        raise ValueError(too_deep()) from error
    return table


def not_too_deep(value: Any) -> Any:
    """Return plain values as they are. Raises: ValueError: they are nested too deeply."""
    inside = [value]
    for _ in range(MOST_NESTED + 1):
        inside = [each for each in inside if isinstance(each, dict | list)]
        if not inside:
            return value
        inside = [inner for each in inside for inner in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(too_deep())


def too_deep() -> str:
    """Return what is wrong with values that are nested too deeply."""
    return f"it is nested more than {MOST_NESTED} deep"
