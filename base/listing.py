"""Lists of results: they print as a table, show themselves in a notebook, and become data frames. Finds nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from html import escape
from typing import Any, Generic, TypeVar, overload

from base.console import one_line

T = TypeVar("T")
MOST_PRINTED = 20  # records; more are counted
WIDEST = 48  # characters of a cell that is printed


class Listing(Sequence[T], Generic[T]):
    """Records in order: behaves as a list of them.

    columns: names of the fields that are printed; empty for all. A record is a dataclass, or has `as_json`.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, records: Iterable[T] = ()) -> None:
        self._records = list(records)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        return self._records[place]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[T]:
        return iter(self._records)

    def __eq__(self, other: object) -> bool:
        return self._records == (other._records if isinstance(other, Listing) else other)

    __hash__ = None  # type: ignore[assignment]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return every record's values by their names."""
        return [as_dict(record) for record in self]

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame, a row for each record.

        Raises: ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame(self.to_dicts())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return names and cells of what is printed, without columns that are empty."""
        dicts = [as_dict(record) for record in self[:MOST_PRINTED]]
        names = list(self.columns or (dicts[0] if dicts else ()))
        names = [name for name in names if any(record.get(name) not in (None, "", [], {}) for record in dicts)]
        return names, [[cell(record.get(name)) for name in names] for record in dicts]

    def __repr__(self) -> str:
        names, rows = self.table()
        widths = [max(len(row[at]) for row in [names, *rows]) for at in range(len(names))]
        lines = [
            "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)) for row in [names, *rows]
        ]
        head = f"{type(self).__name__}: {len(self)} {'record' if len(self) == 1 else 'records'}"
        more = [f"... and {len(self) - MOST_PRINTED} more"] if len(self) > MOST_PRINTED else []
        return "\n".join([head, *(line.rstrip() for line in lines if names), *more])

    def _repr_html_(self) -> str:
        names, rows = self.table()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{escape(value)}</td>" for value in row) + "</tr>" for row in rows)
        more = f"<p>... and {len(self) - MOST_PRINTED} more</p>" if len(self) > MOST_PRINTED else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def as_dict(record: Any) -> dict[str, Any]:
    """Return a record's values by their names."""
    if hasattr(record, "as_json"):
        values: dict[str, Any] = record.as_json()
        return values
    if is_dataclass(record) and not isinstance(record, type):
        return asdict(record)
    if isinstance(record, Mapping):
        return dict(record)
    raise TypeError(f"{type(record).__name__} has no fields that could be shown")


def cell(value: object) -> str:
    """Return a value as it is printed in a table: of what is too long the end, as of paths, of lists the beginning."""
    if isinstance(value, list | tuple):
        text = ", ".join(map(one_line, value))
        return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
    text = f"{value:.4g}" if isinstance(value, float) else one_line(value)
    return text if len(text) <= WIDEST else "…" + text[1 - WIDEST :]
