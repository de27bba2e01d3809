"""Columns that lists gave photos, as people write them: in queries, and where they are exported. Asks no database."""

import re
from collections.abc import Container
from dataclasses import dataclass

DETAILS, DETAIL = "details", "column:"  # stands for all of them; before the name of one
COLUMN = re.compile(r"([^=<>~]*)(?:(>=|<=|=|~|>|<)(.*))?", re.DOTALL)
SIGNED = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """What a column of a list is to hold.

    op: empty for anything; = for the same, as names are compared; ~ for a part; >, >=, <, <= for numbers.
    """

    column: str
    op: str
    text: str
    number: float | None


def read_column(text: str) -> ColumnTest:
    """Return what `price>=100` or `photographer=Anna` means; a name alone means that there is something."""
    match = COLUMN.fullmatch(text)
    column, op, value = (part or "" for part in match.groups()) if match else ("", "", "")
    column, value = column.strip(), value.strip()
    if not column:
        raise ValueError("expected a column's name and a value, such as column:photographer=Anna or column:price>=100")
    if op and not value:
        raise ValueError(f"expected a value behind {op}, such as column:{column}{op}100")
    number = float(value) if re.fullmatch(SIGNED, value) else None
    if op not in ("", "=", "~") and number is None:
        raise ValueError(f"expected a number behind {op}, such as column:{column}{op}100")
    return ColumnTest(column, op, value, number)


def is_detail(name: str) -> bool:
    """Tell whether a column of an export is one that a list gave photos."""
    return name.startswith(DETAIL)


def heading_of(name: str, others: Container[str]) -> str:
    """Return what stands above a column of an export: the list's own name for it, unless another column has that."""
    plain = name.removeprefix(DETAIL)
    return name if plain in others or "(" in plain else plain
