"""Files of queries: each with the photos that answer it, or with the tags that such photos have. Searches nothing."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy.orm import Session

from analysis.judged.truth_by_tags import AskedTags, Findable, TruthByTags
from base.arrays import Ids
from base.console import counted
from base.errors import QueryError, QuerySyntaxError
from base.files import rereadable
from base.spreadsheets import table_records
from search.query import parse
from search.tags.tag_files import (
    TABLE_ENDINGS,
    TagRow,
    jsonl_records,
    line_not_utf8,
    number,
    place,
    tag_list,
    text,
    unguarded,
)
from search.tags.truth import doubts, first_few, with_photo_ids

NAMING = ("photo_id", "image_id", "path", "member")  # of a photo
ANSWERS = ("relevance", "tags")
TEXTS = ("path", "member")
HIGHEST_GRADE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRow(TagRow):
    """A row that says how well a photo answers a text, `relevance` from 0, or which tags such photos have."""

    said: str
    relevance: int

    @property
    def names_photo(self) -> bool:
        """Whether it names a photo, and no tags."""
        return (self.photo_id, self.image_id, self.path) != (None, None, None)


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query of which it is known what answers it.

    grades: {photo id: grade}; those above 0 answer it, the better the higher. All ids are of photos that can be found.
    judged: the photos, ascending ids (n,), that it is known of whether they answer it; None: of all, and those
    without a grade do not. where: the first row that has it.
    """

    text: str
    grades: Mapping[int, int]
    judged: Ids | None = None
    where: str = ""

    @property
    def relevant(self) -> list[int]:
        """The ids of the photos that answer it, ascending."""
        return sorted(photo_id for photo_id, grade in self.grades.items() if grade > 0)


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """The queries of a file that can be measured, and what people should know of the others."""

    queries: Sequence[JudgedQuery]
    notes: Sequence[str] = ()


def read_judged_rows(path: Path, column: Literal["query", "caption"], remarks: list[str]) -> Iterator[JudgedRow]:
    """Yield the rows of a CSV, Excel or JSON Lines file that have a text in a column.

    A row names its photo by photo_id, image_id or path (relative to the file's folder). That of a query says how well
    it answers in `relevance`, by default 1; or it has `tags` instead. Rows without a caption are passed over. `remarks`
    is added to where people should know how the file was read.

    Raises: QueryError: the file cannot be read, or a row makes no sense; the message names it.
    """
    known = (column, *NAMING, *(ANSWERS if column == "query" else ()))
    if path.suffix.lower() not in (*TABLE_ENDINGS, ".jsonl"):
        raise QueryError(f"{path.name!r} is no file of this kind: give a {', '.join(TABLE_ENDINGS)} or .jsonl file")
    try:
        with rereadable(path) as source:
            is_table = path.suffix.lower() != ".jsonl"
            found = table_records(source, known, remarks) if is_table else jsonl_records(source)
            for line, record in found:
                row = judged_row(record, known, f"{path}:{line}", path.parent, guarded=is_table)
                if row is not None:
                    yield row
    except OSError as error:
        raise QueryError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{path}:{line_not_utf8(path)}: the file is not UTF-8 ({error}): save it as UTF-8") from error
    except (ValueError, csv.Error) as error:
        names_place = str(error).startswith(f"{path}:")
        raise QueryError(str(error) if names_place else f"{path} cannot be read: {error}") from error


def judged_row(record: Any, known: Sequence[str], where: str, folder: Path, *, guarded: bool) -> JudgedRow | None:
    """Return what the known columns of a record say, the first of which is its text; None where they are empty.

    guarded: cells may have what exports put before formulas.

    Raises: ValueError: it has no text, names no photo and no tags, or both.
    """
    column = known[0]
    if not isinstance(record, Mapping) or column not in record:
        raise ValueError(f"{where}: there is no column {column!r}")
    record = {name: record.get(name) for name in known}
    if guarded:
        record = {name: unguarded(cell) if cell and name in (column, *TEXTS) else cell for name, cell in record.items()}
    said, tags, named = (
        text(record, column, where).strip(),
        tag_list(record, "tags", where),
        text(record, "path", where),
    )
    grade = number(record, "relevance", where)
    if grade is not None and not 0 <= grade <= HIGHEST_GRADE:
        raise ValueError(
            f"{where}: relevance is {grade}: give a whole number from 0, does not answer, to {HIGHEST_GRADE}"
        )
    row = JudgedRow(
        where=where,
        photo_id=number(record, "photo_id", where),
        image_id=number(record, "image_id", where),
        path=place(folder, named, where) if named else None,
        member=text(record, "member", where),
        tags=tuple(tags),
        unknown=(),
        set_by_hand=(),
        unset_by_hand=(),
        said=said,
        relevance=1 if grade is None else grade,
    )
    if not said and (column == "caption" or not (tags or row.names_photo)):
        return None
    if not said:
        raise ValueError(f"{where}: the {column} is empty")
    if row.names_photo == bool(tags):
        names = "a photo (photo_id, image_id or path)"
        if column == "caption":
            raise ValueError(f"{where}: the caption is of no photo: name {names}")
        raise ValueError(f"{where}: it has {f'both {names} and' if tags else f'neither {names} nor'} tags: give one")
    return row


def read_judged_queries(session: Session, path: Path, findable: Findable, truth: Path | None) -> JudgedQueries:
    """Return the queries of a file, with what of it the library knows.

    Args:
        session: of the library's database.
        path: a CSV, Excel or JSON Lines file with a column `query`, in the query language; see read_judged_rows.
        findable: tells which of some photos can be found now.
        truth: a file with the true tags of photos, for queries that say tags; people's labels are put over it, and
            count alone where it is None.

    Raises: QueryError: a file cannot be read, or no query has an answer in the library.
    """
    remarks: list[str] = []
    rows = list(read_judged_rows(path, "query", remarks))
    for row in {row.said: row for row in rows[::-1]}.values():
        check_query(row)
    by_text = rows_by_text(rows)
    photos = {said: found for said, found in by_text.items() if found[0].names_photo}
    tags = {said: found[0] for said, found in by_text.items() if not found[0].names_photo}
    queries = queries_by_photos(session, photos, findable, remarks)
    if tags:
        asked = {said: AskedTags.of(row.tags, row.where) for said, row in tags.items()}
        known = TruthByTags.read(session, truth, asked.values(), findable, remarks)
        queries += [
            JudgedQuery(said, dict.fromkeys(yes.tolist(), 1), judged, tags[said].where)
            for said, (judged, yes) in ((said, known.answers(each)) for said, each in asked.items())
        ]
    elif truth is not None:
        remarks.append(f"{truth} was not read: no query of {path.name} has tags")
    return answered(queries, path, by_text, remarks)


def answered(
    queries: Sequence[JudgedQuery], path: Path, order: Mapping[str, object], remarks: list[str]
) -> JudgedQueries:
    """Return the queries that some photo answers, as they stand in the file; the others are said to be left out.

    Raises: QueryError: there is none.
    """
    places = {said: at for at, said in enumerate(order)}
    found = sorted((query for query in queries if query.relevant), key=lambda query: places[query.text])
    without = [
        repr(query.text) for query in sorted(queries, key=lambda query: places[query.text]) if not query.relevant
    ]
    if without:
        what = "query" if len(without) == 1 else "queries"
        remarks.append(f"left out {len(without)} {what} that no photo of the library answers: {first_few(without)}")
    if not found:
        said = "; ".join(remarks) or "it has no row"
        raise QueryError(
            f"{path}: nothing can be measured: {said}; write a row for each query and photo that answers it, with "
            "columns query and path (or photo_id), or query and tags"
        )
    return JudgedQueries(found, remarks)


def rows_by_text(rows: Sequence[JudgedRow]) -> dict[str, list[JudgedRow]]:
    """Return {text: its rows}, in the order of the file.

    Raises: QueryError: a text has photos in one row and tags in another, or tags twice.
    """
    found: dict[str, list[JudgedRow]] = defaultdict(list)
    for row in rows:
        found[row.said].append(row)
    for said, same in found.items():
        with_tags = [row for row in same if not row.names_photo]
        if with_tags and len(same) > 1:
            raise QueryError(
                f"{same[1].where}: {said!r} stands in {same[0].where} already, and one of both rows has tags: a query "
                "has one row with tags, or a row for each photo"
            )
    return found


def check_query(row: JudgedRow) -> None:
    """Raise QueryError: a row's query cannot be read, or says nothing to look for; the message names the row."""
    try:
        terms = parse(row.said).terms
    except QuerySyntaxError as error:
        problem = "; ".join(map(str.strip, error.lines[:1]))
        raise QueryError(f"{row.where}: the query {row.said!r} cannot be read: {problem}") from error
    if not any(term.weight > 0 for term in terms):
        raise QueryError(f"{row.where}: the query {row.said!r} says nothing to look for: write what photos show")


def queries_by_photos(
    session: Session, by_text: Mapping[str, Sequence[JudgedRow]], findable: Findable, remarks: list[str]
) -> list[JudgedQuery]:
    """Return queries with the photos that their rows name; what is left out is added to the remarks.

    Raises: QueryError: a photo has two grades for one text.
    """
    doubtful: list[str] = []
    rows = [row for same in by_text.values() for row in same]
    pairs = [(row, photo_id) for row, photo_id in with_photo_ids(session, rows, doubtful)]
    unknown = [row for row, photo_id in pairs if photo_id is None]
    ids = np.unique(np.array([photo_id for _, photo_id in pairs if photo_id is not None], np.int64))
    there = set(findable(ids).tolist())
    lost = [row for row, photo_id in pairs if photo_id is not None and photo_id not in there]
    for left, why in ((unknown, "does not know"), (lost, "cannot find now (`aliens failures` says why)")):
        if left:
            remarks.append(f"left out {counted(len(left), 'photo')} that the library {why}: {first_few(left)}")
    remarks += doubts(doubtful)
    grades: dict[str, dict[int, JudgedRow]] = {said: {} for said in by_text}
    for row, photo_id in pairs:
        if photo_id is None or photo_id not in there:
            continue
        before = grades[row.said].setdefault(photo_id, row)
        if before.relevance != row.relevance:
            raise QueryError(
                f"{row.where}: photo {photo_id} has relevance {row.relevance} for {row.said!r}, and {before.relevance} "
                f"in {before.where}: keep one of them"
            )
    return [
        JudgedQuery(said, {photo_id: row.relevance for photo_id, row in found.items()}, None, by_text[said][0].where)
        for said, found in grades.items()
    ]
