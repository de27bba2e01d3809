"""Importing vectors, start to end: places, numbers, the model; then segments, and rows of the photos that are new.

All that can be wrong is looked for before a row is written. Segments are written beside that, and are strays until the
rows name them: a kill leaves the library as it was, or as much of the import as was recorded, and the same import goes
on from there. Opens no photo but the few that the model is checked by.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Bools, Halves, Longs
from base.console import counted, shell_word
from base.errors import ModelMismatchError
from base.files import PhotoFile, SegmentFile
from base.progress import Progress, Step, silent
from db.catalog import Catalog
from db.detail_rows import note_columns
from db.import_rows import first_free_id, insert_numbered, known_places, many_rows, record_run
from db.models import Model, PhotoState
from db.photo_rows import newest_photo_id, update_photos
from db.vector_rows import record_segment, segments_of
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from embedding.vector_layouts import maker_of
from indexer.merging import MOST_ROWS, merge_due
from indexer.upkeep import IndexReport, index_report
from indexer.vector_checks import AGREES, LOOKED_AT, ModelCheck, VectorCheck, compared_with_model, refuse_other_maker
from indexer.vector_files import VectorFiles
from indexer.vector_places import PhotoPlace, PlaceReader, checked_name, named_twice

T = TypeVar("T")
NEW, KEPT = 0, -1  # of a row: its photo is new; it is known, and stays as it is. Else the id of one that lacks a vector
ABSENT = -1  # size in bytes of a file that is not there
ASKED_ROWS = 1_000  # places that the database is asked for at once
HELD_ROWS = 65_536  # vectors of known photos that are held until they are a segment
WELL = {"failure_kind": None, "failure_reason": None}  # of a photo that was known, and had failed


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """How vectors are taken.

    photos: the folder that relative paths are below. made_by: the model that made them, as people call it. normalize:
    make them of length 1.
    """

    photos: Path
    made_by: str | None = None
    normalize: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorReport:
    """What an import of vectors did, in photos.

    imported: new ones. taken: known ones that had no vector, and were never read. kept: known ones, which keep what
    they have. there: of the first two, those whose files lie at their paths; below: the folder of all of these.
    lengthened: vectors that were not of length 1.
    """

    path: str
    layout: str
    vectors: int
    dim: int
    model: str
    imported: int
    taken: int
    kept: int
    there: int
    below: str
    lengthened: int
    check: ModelCheck
    said_by: str
    index: IndexReport

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self) | {"index": self.index.as_json()}

    def __str__(self) -> str:
        known = f", {counted(self.taken, 'known photo')} had none yet" if self.taken else ""
        kept = f", {counted(self.kept, 'known photo')} kept what they have" if self.kept else ""
        return (
            f"{counted(self.vectors, 'vector')} of {self.dim} dimensions ({self.layout}): "
            f"{counted(self.imported, 'new photo')}{known}{kept}"
        )

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        check, taken, said = self.check, self.imported + self.taken, list[str]()
        if check.cosine is not None:
            said.append(
                f"the model is the library's: {counted(check.photos, 'photo')} encoded anew, median cosine "
                f"{check.cosine:.3f} with the imported vectors (more than {AGREES:g} is expected)"
            )
        elif taken:
            said.append(f"no photo is there to check the model by: taken at the word of {self.said_by}")
        if check.others:
            said.append(
                f"{check.others} of {counted(check.photos, 'photo')} looked at are other pictures than their vectors "
                "say: their files may have changed since"
            )
        if self.lengthened:
            said.append(f"{counted(self.lengthened, 'vector')} made of length 1")
        if self.there:
            lie = "its file is at its path" if self.there == 1 else "their files are at their paths"
            where = shell_word(self.below) if self.below != "/" else "FOLDER"
            said.append(
                f"{counted(self.there, 'photo')}, {lie}: `aliens add {where}` reads them once, for "
                "pages, dates and labels, and embeds only what is new"
            )
        if absent := taken - self.there:
            have = "has no file at its path, and can" if absent == 1 else "have no files at their paths, and can"
            said.append(f"{counted(absent, 'photo')} {have} be found, but not shown")
        return said + self.index.notes


@dataclass(slots=True)
class RowFates:
    """What is known of each row before its vector is looked at, n rows.

    fates: see NEW. size_bytes: of its photo's file, ABSENT without. mtime_ns: of that. respelt: paths that lie on disk
    in other letters than they were written in, by row.
    """

    fates: Longs
    size_bytes: Longs
    mtime_ns: Longs
    respelt: dict[int, str] = field(default_factory=dict)
    below: str = ""

    @property
    def there(self) -> Bools:
        """Which photos that get a vector have a file, (n,)."""
        found: Bools = (self.fates != KEPT) & (self.size_bytes != ABSENT)
        return found

    def sample(self, count: int) -> list[int]:
        """Return rows of photos whose files are there, spread evenly."""
        rows = np.flatnonzero(self.there)
        chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(count, len(rows))).astype(np.int64))
        sample: list[int] = rows[chosen].tolist()
        return sample


def import_vectors(
    catalog: Catalog,
    store: SegmentStore,
    encoder: Encoder,
    files: VectorFiles,
    options: ImportOptions,
    progress: Progress = silent,
) -> VectorReport:
    """Take vectors of others into a library, with rows of their photos.

    Args:
        catalog: of the library.
        store: its vectors.
        encoder: its model, which is loaded only where a photo is there to check by.
        files: the vectors.
        options: how they are taken.
        progress: told of paths, vectors and rows.

    Raises:
        SourceError: a vector, a path or a count is wrong; nothing was changed.
        ModelMismatchError: another model made the vectors, or nothing says which one did, or the library was opened by
            a model that is not in use; nothing was changed.
        LibraryError: another process changes the library, or the disk is full.
    """
    model, maker = catalog.model, maker_of(files.path)
    if maker is not None:
        refuse_other_maker(model, f"{files.path}, says its manifest,", maker.model, maker.model_name)
    if options.made_by is not None:
        refuse_other_maker(model, f"{files.path}, says --made-by,", options.made_by)
    if files.dim != model.dim:
        raise ModelMismatchError(
            f"the vectors in {files.path} have {files.dim} dimensions, and those of this library's {model.key} "
            f"{model.dim}: import into a library of the model that made them; nothing was changed"
        )
    with catalog.writing() as session:
        catalog.refuse_other_model(session)
        store.remove_strays([file.name for file in segments_of(session, model)])
        reader = PlaceReader(options.photos)
        rows = known_rows(session, catalog, files, reader, progress)
        is_said = maker is not None or options.made_by is not None or not (rows.fates != KEPT).any()
        if not is_said and not rows.there.any():
            raise no_maker(files.path, model)
        writer = SegmentWriter(store, rows, VectorCheck(files, options.normalize), first_free_id(session))
        try:
            writer.write(progress)
            check = compared_with_model(model, encoder, writer.taken_of(files, reader), maker, str(files.path))
            if not is_said and not check.photos:
                raise no_maker(files.path, model)
            Recorder(catalog, session, files, rows, reader).record(writer, progress)
        except BaseException:
            session.rollback()
            store.remove_strays([file.name for file in segments_of(session, model)])
            raise
        merge_due(catalog, session, store)
        report = index_report(catalog, session, store)
    said_by = "its manifest" if maker else "--made-by"
    return report_of(files, model.key, rows, writer, check, said_by, report)


def no_maker(path: Path, model: Model) -> ModelMismatchError:
    """Return the error for vectors of which nothing says who made them."""
    return ModelMismatchError(
        f"nothing says which model made the vectors in {path}: it has no manifest, and no photo can be read at its "
        f"path to check by. Say --made-by {shell_word(model.name)} if this library's model did, or name by --photos "
        "the folder that the paths are below; nothing was changed"
    )


def report_of(
    files: VectorFiles,
    model: str,
    rows: RowFates,
    writer: "SegmentWriter",
    check: ModelCheck,
    said_by: str,
    index: IndexReport,
) -> VectorReport:
    """Return the report of an import that is done."""
    return VectorReport(
        path=str(files.path),
        layout=files.layout,
        vectors=files.rows,
        dim=files.dim,
        model=model,
        imported=int((rows.fates == NEW).sum()),
        taken=int((rows.fates > 0).sum()),
        kept=int((rows.fates == KEPT).sum()),
        there=int(rows.there.sum()),
        below=rows.below,
        lengthened=writer.check.lengthened,
        check=check,
        said_by=said_by,
        index=index,
    )


def known_rows(
    session: Session, catalog: Catalog, files: VectorFiles, reader: PlaceReader, progress: Progress
) -> RowFates:
    """Look where photos lie, and which of them the library knows.

    Raises: SourceError: a row names no photo, or two rows name one.
    """
    n = files.rows
    rows = RowFates(np.zeros(n, np.int64), np.full(n, ABSENT, np.int64), np.zeros(n, np.int64))
    hashes, below = np.zeros(n, np.int64), list[str]()
    any_known = newest_photo_id(session) > 0
    for start, places in places_of_rows(files, reader, rows):
        names = [(place.path, place.member) for place in places]
        hashes[start : start + len(names)] = list(map(hash, names))
        known = known_places(session, catalog.model, names) if any_known else {}
        for row, place in enumerate(places, start=start):
            if known and (photo := known.get(names[row - start])) is not None:
                rows.fates[row] = KEPT if photo.has_vector or photo.was_read else photo.photo_id
            if place.size_bytes is not None and place.mtime_ns is not None:
                rows.size_bytes[row], rows.mtime_ns[row] = place.size_bytes, place.mtime_ns
        here = {os.path.dirname(place.path) for place in places if place.is_there}
        below = [os.path.commonpath([*below, *here])] if here else below
        progress(Step("looking for photos", start + len(places), n))
    rows.below = "".join(below)
    refuse_doubles(files, reader, rows, hashes)
    return rows


def places_of_rows(files: VectorFiles, reader: PlaceReader, rows: RowFates) -> Iterator[tuple[int, list[PhotoPlace]]]:
    """Yield the number of a row and the places of the photos from there on. Raises: SourceError: a row names none."""
    row = 0
    for names, _ in files.records(whole=False):
        for at in range(0, len(names), ASKED_ROWS):
            places: list[PhotoPlace] = []
            for written in names[at : at + ASKED_ROWS]:
                number = row + len(places)
                named = reader.named(checked_name(written, files, number))
                place = reader.looked_up(*named)
                if place.path != named[0]:
                    rows.respelt[number] = place.path
                places.append(place)
            yield row, places
            row += len(places)


def refuse_doubles(files: VectorFiles, reader: PlaceReader, rows: RowFates, hashes: Longs) -> None:
    """Refuse rows that are of one photo. Raises: SourceError: there are such."""
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    if not same.any():
        return
    suspects = set(order[1:][same].tolist()) | set(order[:-1][same].tolist())
    first: dict[tuple[str, str], int] = {}
    doubles: list[tuple[int, tuple[str, str], int]] = []
    row = 0
    for names, _ in files.records(whole=False):
        for written in names:
            if row in suspects:
                path, member = reader.named(str(written))
                place = rows.respelt.get(row, path), member
                if first.setdefault(place, row) != row:
                    doubles.append((row, place, first[place]))
            row += 1
    if doubles:
        later, place, earlier = doubles[0]
        raise named_twice(files.where(later), place, files.where(earlier), len(doubles) - 1)


class SegmentWriter:
    """Writes the vectors of a source as segments, those of new photos in the order of their rows.

    new: segments of photos that get the ids from `first_id` on, one after the other. known: segments of known photos,
    with their ids. seen: vectors of the rows that the model is checked by.
    """

    def __init__(self, store: SegmentStore, rows: RowFates, check: VectorCheck, first_id: int) -> None:
        self.check = check
        self.first_id = first_id
        self.new: list[SegmentFile] = []
        self.known: list[tuple[SegmentFile, Longs]] = []
        self.seen: dict[int, Halves] = {}
        self._store = store
        self._rows = rows
        self._sample = np.array(rows.sample(LOOKED_AT), np.int64)
        self._held: list[tuple[Longs, Halves]] = []

    def write(self, progress: Progress) -> None:
        """Write all. Raises: SourceError: a vector is wrong. OSError: the disk is full."""
        with ThreadPoolExecutor(1, "vectors") as pool:
            blocks = read_ahead(pool, self.check.halves(self.check.files.blocks()))
            parts = self._new_parts(blocks, progress)
            while (part := next(parts, None)) is not None:
                self.new.append(self._store.write_parts(limited(part, parts, MOST_ROWS)))
        self._write_held()

    def _new_parts(self, blocks: Iterator[tuple[int, Halves]], progress: Progress) -> Iterator[tuple[Longs, Halves]]:
        """Yield ids and vectors of new photos; hold back those of known ones."""
        next_id = self.first_id
        for start, vectors in blocks:
            fates = self._rows.fates[start : start + len(vectors)]
            for row in self._sample[
                np.searchsorted(self._sample, start) : np.searchsorted(self._sample, start + len(vectors))
            ]:
                self.seen[int(row)] = vectors[row - start].copy()
            new = fates == NEW
            if count := int(new.sum()):
                yield np.arange(next_id, next_id + count), vectors if count == len(vectors) else vectors[new]
                next_id += count
            if (lacking := fates > 0).any():
                self._held.append((fates[lacking], vectors[lacking]))
                if sum(len(ids) for ids, _ in self._held) >= HELD_ROWS:
                    self._write_held()
            progress(Step("reading vectors", start + len(vectors), self.check.files.rows, unit="vectors"))

    def _write_held(self) -> None:
        if self._held:
            ids, vectors = (np.concatenate(arrays) for arrays in zip(*self._held, strict=True))
            self.known.append((self._store.write(ids, vectors), ids))
            self._held.clear()

    def taken_of(self, files: VectorFiles, reader: PlaceReader) -> dict[PhotoFile, Halves]:
        """Return the photos that the model is checked by, with their vectors."""
        found, row = dict[PhotoFile, Halves](), 0
        for names, _ in files.records(whole=False) if self.seen else ():
            for at in range(row, row + len(names)):
                if at in self.seen:
                    path, member = reader.named(str(names[at - row]))
                    found[PhotoFile(self._rows.respelt.get(at, path), member)] = self.seen[at]
            row += len(names)
            if len(found) == len(self.seen):
                break
        return found


class Recorder:
    """Writes the rows of photos whose vectors are in segments already, a segment a transaction."""

    def __init__(
        self, catalog: Catalog, session: Session, files: VectorFiles, rows: RowFates, reader: PlaceReader
    ) -> None:
        self._catalog, self._session = catalog, session
        self._files, self._rows, self._reader = files, rows, reader
        self._details: dict[int, dict[str, Any]] = {}  # of known photos, by id

    def record(self, writer: SegmentWriter, progress: Progress) -> None:
        """Record all. Raises: DiskFullError: the disk is full; whole segments are kept."""
        model, first_id = self._catalog.model, writer.first_id
        photos = self._photos(first_id, progress)
        with many_rows(self._session):
            for file in writer.new:
                left = file.rows
                while left and (some := list(islice(photos, min(left, ASKED_ROWS)))):
                    insert_numbered(self._session, some)
                    left -= len(some)
                record_run(self._session, model, file, first_id)
                self._session.commit()
                first_id += file.rows
            for _ in photos:  # those that follow are of known ones alone, whose details are kept on the way
                pass
            for file, ids in writer.known:
                record_segment(self._session, model, file, ids.tolist())
                update_photos(self._session, [self._columns_of_known(photo_id) for photo_id in ids.tolist()])
                self._session.commit()

    def _photos(self, first_id: int, progress: Progress) -> Iterator[dict[str, Any]]:
        """Yield the columns of new photos, in the order of their ids; keep those of known ones."""
        row, next_id = 0, first_id
        for names, rest in self._files.records():
            note_columns(self._session, filter(None, rest))
            for written, details in zip(names, rest, strict=True):
                fate = int(self._rows.fates[row])
                if fate == NEW:
                    yield self._columns(row, next_id, str(written), details)
                    next_id += 1
                elif fate != KEPT:
                    self._details[fate] = self._facts(row, details)
                row += 1
            progress(Step("recording photos", row, self._files.rows))

    def _columns(self, row: int, photo_id: int, written: str, details: dict[str, Any] | None) -> dict[str, Any]:
        path, member = self._reader.named(written)
        place = {"id": photo_id, "path": self._rows.respelt.get(row, path), "member": member}
        return place | {"state": PhotoState.EMBEDDED} | self._facts(row, details)

    def _facts(self, row: int, details: dict[str, Any] | None) -> dict[str, Any]:
        size_bytes = int(self._rows.size_bytes[row])
        is_there = size_bytes != ABSENT
        return {
            "size_bytes": size_bytes if is_there else None,
            "mtime_ns": int(self._rows.mtime_ns[row]) if is_there else None,
            "details": details,
        }

    def _columns_of_known(self, photo_id: int) -> dict[str, Any]:
        facts = self._details[photo_id]
        if facts["details"] is None:  # what a list said before stays
            del facts["details"]
        return {"id": photo_id, "state": PhotoState.EMBEDDED} | WELL | facts


def limited(
    first: tuple[Longs, Halves], parts: Iterator[tuple[Longs, Halves]], rows: int
) -> Iterator[tuple[Longs, Halves]]:
    """Yield a part, and those after it while there are fewer than so many rows."""
    yield first
    done = len(first[0])
    while done < rows and (part := next(parts, None)) is not None:
        yield part
        done += len(part[0])


def read_ahead(pool: ThreadPoolExecutor, items: Iterator[T]) -> Iterator[T]:
    """Yield items while another thread makes the next one."""
    ahead = pool.submit(next, items, None)
    while (item := ahead.result()) is not None:
        ahead = pool.submit(next, items, None)
        yield item
