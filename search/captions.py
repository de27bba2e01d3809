"""Captions: chosen from a file's lines, written by a model, found by their words, exported.

Everything is kept in the database after every batch: whatever stops it, the same call goes on where it stopped.
Prints nothing and loads no model: models are handed in.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Floats, Ids, Pixels
from base.console import counted, megabytes
from base.errors import QueryError
from base.files import HashedFile, PhotoFile, rereadable
from base.names import comparable, spellings
from base.progress import Progress, Step, silent
from base.spreadsheets import NOT_UTF8, has_column, is_workbook, open_text, refuse_rows, table_records
from db.caption_rows import (
    CaptionedPhoto,
    SetCount,
    all_captions,
    caption_sets,
    captioned,
    count_lacking,
    find_by_words,
    find_set,
    photos_lacking,
    remove_set,
    replace_captions,
    set_key,
    use_set,
)
from db.catalog import Catalog
from db.models import CaptionSet
from db.vector_rows import EmbeddedRows, count_embedded
from embedding.decode import Preprocessing, Unreadable, read_squares
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from search.export.exporter import FileManifest, facts_of_file, file_and_manifest, refuse_name, stream
from search.export.tables import TABLE_WRITERS

MOST_CHARACTERS = 1000  # of a caption; models look at the first 20 to 70 words
LINES_AT_ONCE = 256  # that an encoder takes
SCORES_AT_ONCE = 4_000_000  # photos times lines: 16 MB
MOST_EXAMPLES = 10  # of unreadable photos in a report


class CaptionWriter(Protocol):
    """What writing captions needs of a captioner."""

    name: str
    key: str
    preprocessing: Preprocessing
    batch_photos: int

    def generate(self, pixels: Pixels) -> list[str]:
        """Return a caption for each square of pixels, uint8 (n, s, s, 3)."""
        ...


@dataclass(slots=True)
class CaptionReport:
    """What captioning did: photos that had captions, that got some, that cannot be read now (the first few named)."""

    set_key: str
    known: int
    captioned: int = 0
    failed: int = 0
    examples: list[Unreadable] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.set_key}: {counted(self.captioned, 'photo')} captioned, "
            f"{self.known} had captions, {self.failed} cannot be read"
        )

    @property
    def notes(self) -> list[str]:
        """Which photos cannot be read, and why."""
        more = self.failed - len(self.examples)
        named = [f"{photo.file}: {photo.reason}" for photo in self.examples]
        return [*named, *([f"... and {counted(more, 'photo')} more"] if more > 0 else [])]


def read_captions(path: Path) -> list[str]:
    """Return the captions of a file without blank ones and repetitions.

    Of a table (CSV, or an Excel workbook) its column `caption`; of another text its lines, without comments (#).

    Raises: QueryError: it cannot be read, is not UTF-8, holds no caption, or one that is too long.
    """
    try:
        with rereadable(path) as source:
            is_table = is_workbook(source) or has_column(source, "caption")
            captions = captions_in(caption_rows(source) if is_table else caption_lines(source))
    except OSError as error:
        raise QueryError(f"{path} cannot be read ({error.strerror}): name a text file, one caption a line") from error
    except (ValueError, csv.Error) as error:
        raise QueryError(f"{path} cannot be read: {error}") from error
    if captions:
        return captions
    raise QueryError(f"{path} holds no caption: write one a line, such as 'a bathtub with a view'")


def caption_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (where it stands, caption) of a table. Raises: as `read_captions`."""
    remarks: list[str] = []
    for number, row in table_records(path, ["caption"], remarks):
        if remarks:  # guessed letters are good enough to find what is known, not to be kept
            raise QueryError(f"row {number} of {path} is not UTF-8: save the file as .xlsx, or as UTF-8 text")
        yield f"row {number} of {path}", row["caption"]


def caption_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (where it stands, caption) of a text. Raises: as `read_captions`."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if NOT_UTF8.search(line):
                raise QueryError(f"line {number} of {path} is not UTF-8: save the file as UTF-8 text")
            if not line.lstrip().startswith("#"):
                yield f"line {number} of {path}", line


def captions_in(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Return captions without blank ones and repetitions, of (where it stands, caption).

    Raises: QueryError: one is no text, or too long.
    """
    captions: dict[str, str] = {}  # by what they are, however their letters are written
    for where, line in lines:
        if not isinstance(line, str):
            raise QueryError(f"{where} is {line!r}, no text")
        caption = " ".join(line.split())
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in caption):
            raise QueryError(f"{where} is no text (it holds a NUL or half a character): write it as UTF-8 text")
        if len(caption) > MOST_CHARACTERS:
            raise QueryError(
                f"{where} has {len(caption)} characters, more than {MOST_CHARACTERS}: write one short caption a line"
            )
        if caption:
            captions.setdefault(spellings(caption)[0], caption)
    return list(captions.values())


def embedded_photos(catalog: Catalog, session: Session) -> int:
    """Return how many photos can get captions. Raises: QueryError: none is embedded yet."""
    if not (embedded := count_embedded(session, catalog.model)):
        raise catalog.nothing_embedded(session)
    return embedded


def choose_captions(
    catalog: Catalog,
    store: SegmentStore,
    encoder: Encoder,
    texts: Sequence[str],
    *,
    source: str,
    k: int = 1,
    progress: Progress = silent,
) -> CaptionReport:
    """Give every embedded photo the k best of some texts, with their cosines; photos that have them are left alone.

    Args:
        catalog: the library's.
        store: its vectors.
        encoder: its model; not asked when there is nothing to do.
        texts: the captions to choose from, all different: see captions_in.
        source: where they come from, such as a file's path; its last part begins the set's key.
        k: captions a photo, fewer where there are fewer texts.
        progress: told after every batch.

    Raises:
        QueryError: k is too small, there are no texts, or no photo is embedded yet.
        LibraryError: there is no library, another process changes it, or its vectors are damaged.
    """
    if k < 1 or not texts:
        raise QueryError(f"{k} of {len(texts)} captions: give at least one caption, and -k of at least 1")
    source = source.encode("utf-8", "replace").decode()  # a path may be no UTF-8, which no database keeps
    with catalog.writing() as session:
        model, embedded = catalog.model, embedded_photos(catalog, session)
        key = set_key(Path(source).name, json.dumps([k, list(texts)]).encode(), model.key)
        known = find_set(session, key)
        if known is not None and not count_lacking(session, known, model):
            return CaptionReport(key, embedded)
        pages = [texts[start : start + LINES_AT_ONCE] for start in range(0, len(texts), LINES_AT_ONCE)]
        lines = np.concatenate([encoder.encode_texts(page) for page in pages])  # (m, d)
        caption_set = use_set(session, key, kind="chosen", model=model.key, source=source)
        session.commit()
        total = count_lacking(session, caption_set, model)
        report = CaptionReport(key, embedded - total)
        step = max(1, SCORES_AT_ONCE // len(texts))
        for ids, vectors in store.current(EmbeddedRows(session, model)).parts():
            for part in (slice(start, start + step) for start in range(0, len(ids), step)):
                # Also of photos that need none: a run that goes on multiplies the same matrices, to the last bit.
                scores = vectors[part].astype(np.float32) @ lines.T  # (n, m)
                report.captioned += keep_best(session, caption_set, ids[part], scores, texts=texts, k=k)
                session.commit()
                progress(Step("captions", report.captioned, total))
    return report


def keep_best(
    session: Session, caption_set: CaptionSet, ids: Ids, scores: Floats, *, texts: Sequence[str], k: int
) -> int:
    """Give the photos (n,) that lack captions their k best texts by scores (n, m); return how many those are."""
    have = captioned(session, caption_set, ids.tolist())
    rows = [row for row, photo_id in enumerate(ids.tolist()) if photo_id not in have]
    chosen = best_columns(scores[rows], k)  # (n, k)
    captions = {
        int(ids[row]): [(texts[line], float(scores[row, line])) for line in lines]
        for row, lines in zip(rows, chosen.tolist(), strict=True)
    }
    replace_captions(session, caption_set, captions)
    return len(captions)


def best_columns(scores: Floats, k: int) -> NDArray[np.intp]:
    """Return the columns of the k best scores of each row (n, m), best first; (n, k)."""
    columns: NDArray[np.intp]
    if k == 1:
        columns = scores.argmax(axis=1, keepdims=True)  # of equal ones the first
    elif k < scores.shape[1]:
        columns = np.sort(np.argpartition(-scores, k, axis=1)[:, :k], axis=1)
    else:
        columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    return columns


def generate_captions(
    catalog: Catalog,
    load_captioner: Callable[[], CaptionWriter],
    *,
    limit: int | None = None,
    progress: Progress = silent,
) -> CaptionReport:
    """Have a caption written for every embedded photo that has none by this captioner.

    Args:
        catalog: the library's.
        load_captioner: gives what writes them; not called when no photo is embedded.
        limit: how many photos at most get one.
        progress: told after every batch.

    Raises:
        QueryError: the limit is too small, or no photo is embedded yet.
        LibraryError: there is no library, or another process changes it.
    """
    if limit is not None and limit < 1:
        raise QueryError(f"the limit is {limit}: let at least 1 photo get a caption")
    with catalog.writing() as session:
        embedded = embedded_photos(catalog, session)
        captioner = load_captioner()
        key = captioner.key
        caption_set = use_set(session, key, kind="generated", model=key, source=captioner.name)
        session.commit()
        lacking = count_lacking(session, caption_set)
        report = CaptionReport(key, embedded - lacking)
        goal = lacking if limit is None else min(limit, lacking)
        photos = photos_lacking(session, caption_set)
        while batch := list(islice(photos, min(captioner.batch_photos, goal - report.captioned))):
            read = read_squares([PhotoFile(path, member) for _, path, member in batch], captioner.preprocessing)
            readable = {photo[0]: p for photo, p in zip(batch, read, strict=True) if not isinstance(p, Unreadable)}
            if readable:
                written = captioner.generate(np.stack(list(readable.values())))
                captions = {photo_id: [(text, None)] for photo_id, text in zip(readable, written, strict=True)}
                replace_captions(session, caption_set, captions)
                session.commit()
            report.captioned += len(readable)
            failures = [photo for photo in read if isinstance(photo, Unreadable)]
            report.failed += len(failures)
            report.examples.extend(failures[: MOST_EXAMPLES - len(report.examples)])
            progress(Step("captions", min(report.captioned + report.failed, goal), goal))
    return report


def find_captions(catalog: Catalog, words: Sequence[str], k: int = 20) -> list[CaptionedPhoto]:
    """Return up to k photos that have a caption with all these words, best first, each with its best caption.

    Raises:
        QueryError: k is too small, or there is no word.
        LibraryError: there is no library.
    """
    if k < 1:
        raise QueryError(f"k is {k}: ask for at least 1 photo")
    # What is no Unicode (a shell may hand it on) is in no caption, and signs alone are no words.
    text = " ".join(words).encode("utf-8", "replace").decode()
    asked = [word for word in text.split() if any(character.isalnum() for character in word)]
    if not asked:
        raise QueryError(f"no word in {text!r}: say which the captions should have, such as 'pool'")
    with catalog.session() as session:
        return find_by_words(session, asked, k)


def list_sets(catalog: Catalog) -> list[SetCount]:
    """Return the library's sets of captions with their counts, in the order in which they were made.

    Raises: LibraryError: there is no library.
    """
    with catalog.session() as session:
        return caption_sets(session)


def forget_set(catalog: Catalog, key: str) -> None:
    """Remove a set of captions.

    Raises:
        QueryError: there is no such set; the message lists what there is.
        LibraryError: there is no library, or another process changes it.
    """
    with catalog.writing() as session:
        known = [found.key for found in caption_sets(session)]
        meant = [each for each in known if each == key] or [
            each for each in known if comparable(each) == comparable(key)
        ]
        if not meant:
            raise QueryError(f"no set of captions {key!r} (there is: {', '.join(known) or 'none'})")
        remove_set(session, meant[0])
        session.commit()


CaptionFormat = Literal["csv", "tsv", "xlsx", "jsonl", "parquet"]
CAPTION_ENDINGS: dict[str, CaptionFormat] = {f".{name}": name for name in get_args(CaptionFormat)}
ROWS = 16_384
SCHEMA = pa.schema(
    [
        ("photo_id", pa.int64()),
        ("path", pa.string()),
        ("member", pa.string()),
        ("set", pa.string()),
        ("rank", pa.int64()),
        ("score", pa.float64()),
        ("caption", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionManifest(FileManifest):
    """What an export of captions holds."""

    captions: int
    columns: list[str]
    sets: dict[str, str]  # {set: the model that chose or wrote its captions}

    def __str__(self) -> str:
        return f"{counted(self.captions, 'caption')}, {megabytes(self.size_bytes)}"


class CaptionTable:
    """All captions as a stream of record batches."""

    unit = "captions"

    def __init__(self, session: Session) -> None:
        self.rows = 0
        self._session = session

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch, and count the rows on the way."""
        captions = all_captions(self._session)
        while rows := list(islice(captions, ROWS)):
            columns = zip(SCHEMA, zip(*rows, strict=True), strict=True)
            self.rows += len(rows)
            yield pa.RecordBatch.from_arrays([pa.array(values, field.type) for field, values in columns], schema=SCHEMA)


def export_captions(
    session: Session,
    path: Path,
    *,
    progress: Progress = silent,
) -> CaptionManifest:
    """Write all captions to `path`, and a manifest beside it; the file appears only when it is complete.

    Raises: QueryError: there are no captions. OutputError: the file cannot be written.
    """
    file_format = CAPTION_ENDINGS.get(path.suffix.lower())
    if file_format is None:
        raise QueryError(f"{path.name!r} does not say in what format: end it in {', '.join(CAPTION_ENDINGS)}")
    counts = caption_sets(session)
    sets = {found.key: found.model for found in counts if found.captions}
    if not sets:
        raise QueryError("no photo has a caption yet: give them some with `aliens caption --from FILE`")
    refuse_name(path)
    if file_format == "xlsx":
        refuse_rows(sum(found.captions for found in counts))
    table = CaptionTable(session)
    with file_and_manifest(path) as (file, write_beside):
        hashed = HashedFile(file)
        stream(table, TABLE_WRITERS[file_format](hashed, SCHEMA, []), progress)
        facts = facts_of_file(path, file_format, hashed)
        manifest = CaptionManifest(**facts, captions=table.rows, columns=SCHEMA.names, sets=sets)
        write_beside(manifest)
    return manifest
