"""The benchmark's files: what each test photo retrieved, a row each, and how likely that makes hotels.

A row of results is `test_image_id, result1_image_id, ..., result100_image_id`, one of probabilities
`test_image_id, class1_id, class1_probability, ...`. Source: the README of Hotels-50K, "Evaluation".
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.hotels50k.found_labels import Retrieved
from base.arrays import Ids
from base.errors import OutputError, QueryError
from base.files import atomic_write
from base.spreadsheets import table_rows
from indexer.passed_over import Problem

TEST_COLUMN = "test_image_id"
SAID = "a row is test_image_id,result1_image_id,...,result100_image_id"
LARGEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """What a file of results says, and the rows that could not be used, each with its line."""

    retrieved: Retrieved
    lines: Ids  # (n,) of the file, from 1
    problems: list[Problem] = field(default_factory=list)


def read_results(path: Path) -> ResultsFile:
    """Return what a file of results says: CSV with commas, semicolons or tabs, with a head or without, or a workbook.

    All rows count that have as many results as most have; of those that have more the first ones.

    Raises: QueryError: it cannot be read, or no row can be used.
    """
    problems: list[Problem] = []
    seen: dict[int, int] = {}  # {test photo: its line}
    rows: dict[int, Ids] = {}  # {line: numbers}
    try:
        for line, cells in filled_rows(path):
            where = f"{path.name}:{line}"
            numbers = whole_numbers(where, cells, problems)
            if numbers is None:
                continue
            first = seen.setdefault(int(numbers[0]), line)
            if first != line:
                problems.append(Problem(where, f"test photo {numbers[0]} has a row already, in line {first}"))
                continue
            rows[line] = numbers
    except OSError as error:
        raise QueryError(f"the results {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise QueryError(f"the results {path} are no table: {error}; {SAID}") from error
    return equal_rows(path, rows, problems)


def equal_rows(path: Path, rows: dict[int, Ids], problems: list[Problem]) -> ResultsFile:
    """Return rows with equally many results, without those that have too few.

    Raises: QueryError: there are none.
    """
    widths = Counter(len(numbers) for numbers in rows.values())
    width = max(widths, key=lambda each: (widths[each], each), default=0)
    if width < 2:
        first = f" ({problems[0].where}: {problems[0].reason})" if problems else ""
        raise QueryError(f"{path} holds no results{first}: {SAID}")
    kept = {}
    for line, numbers in rows.items():
        if len(numbers) < width:
            problems.append(Problem(f"{path.name}:{line}", f"has {len(numbers) - 1} results, not {width - 1}"))
        else:
            kept[line] = numbers[:width]
    table = np.stack(list(kept.values()))
    return ResultsFile(Retrieved(table[:, 0], table[:, 1:]), np.array(list(kept), np.int64), problems)


def filled_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of the rows that hold something, without empty cells at their ends and without a head."""
    head = True
    for line, cells in table_rows(path, [TEST_COLUMN]):
        stripped = [cell.strip() for cell in cells]
        while stripped and not stripped[-1]:
            stripped.pop()
        is_head = head and not any(map(is_whole, stripped))
        if stripped and not is_head:
            yield line, stripped
        head = head and not stripped


def whole_numbers(where: str, cells: list[str], problems: list[Problem]) -> Ids | None:
    """Return the numbers of a row, (columns,), or None, with a problem, where a cell is none."""
    for place, cell in enumerate(cells):
        if not is_whole(cell):
            name = "the test photo" if place == 0 else f"result {place}"
            problems.append(Problem(where, f"{name} is {cell[:40]!r}, which is no image id: give whole numbers"))
            return None
    return np.array(list(map(int, cells)), np.int64)


def is_whole(cell: str) -> bool:
    """Tell whether a cell is a number that an image can have."""
    return cell.isascii() and cell.removeprefix("-").isdigit() and len(cell) < 20 and abs(int(cell)) <= LARGEST


def write_results(path: Path, retrieved: Retrieved) -> None:
    """Write results as the benchmark's scripts read them, without a head. Raises: OutputError: it cannot be written."""
    together = np.column_stack([retrieved.test_ids, retrieved.results])
    write_csv(path, (row.tolist() for row in together))


def write_probabilities(path: Path, test_ids: Ids, labels: Ids, *, unknown: int) -> None:
    """Write the share of each label among those of a test photo's results, (n, k), likeliest first, then by number.

    `unknown`: a label that is none, and not written. Raises: OutputError: it cannot be written.
    """
    rows = zip(test_ids.tolist(), labels, strict=True)
    write_csv(path, (probability_row(test_id, of_results, unknown) for test_id, of_results in rows))


def probability_row(test_id: int, labels: Ids, unknown: int) -> list[object]:
    """Return the row of a test photo: its id, then each label of its results, (k,), and its share of k."""
    names, counts = np.unique(labels[labels != unknown], return_counts=True)
    order = np.lexsort((names, -counts))
    pairs = zip(names[order].tolist(), (counts[order] / len(labels)).tolist(), strict=True)
    return [test_id, *(value for name, share in pairs for value in (name, f"{share:.6g}"))]


def write_csv(path: Path, rows: Iterable[list[object]]) -> None:
    """Write rows of numbers as CSV, whole or not at all. Raises: OutputError: the file cannot be written."""
    try:
        with atomic_write(path) as file:
            file.writelines(f"{','.join(map(str, row))}\n".encode() for row in rows)
    except OSError as error:
        raise OutputError(f"{error.filename or path} cannot be written: {error.strerror or error}") from error
