"""The export, start to end: select, stream, write under a temporary name, sum up in a manifest, rename."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, get_args

from filelock import FileLock, Timeout
from sqlalchemy.orm import Session

from base import __version__
from base.console import counted, megabytes
from base.copy_folder import SourceGone, place_photo
from base.errors import OutputError, QueryError
from base.files import (
    TEMPORARY_SUFFIX,
    HashedFile,
    PhotoFile,
    atomic_write,
    folder_lock,
    make_folder,
    sync_folder,
    sync_folders,
    temporary_beside,
)
from base.progress import Progress, Step, silent
from base.records import MANIFEST_FILE, MANIFEST_SUFFIX, json_bytes, write_json
from base.spreadsheets import refuse_rows
from db.vector_rows import count_embedded
from search.export.tables import (
    DEFAULT_COLUMNS,
    TABLE_WRITERS,
    CocoWriter,
    JsonlWriter,
    Selection,
    Sink,
    TableWriter,
    TagTable,
)
from search.tags.tag_files import METADATA_FILE
from search.tags.tagging import Tagging
from search.tags.trust import muted_in_words

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


PHOTOS_A_FOLDER = 1000
OURS = re.compile(rf"images/\d{{4,}}/(\d+\.\w+|\.\d+\.\w+\.[0-9a-f]+{re.escape(TEMPORARY_SUFFIX)})")
# Else the format's own name.
PHOTO_ENDINGS = {"HEIF": ".heic", "JPEG": ".jpg", "JPEG2000": ".jp2", "MPO": ".jpg", "TIFF": ".tiff"}
RAW = "RAW"  # of which each camera's maker has another
COPY_THREADS = 8  # a disk syncs the copies of several at once: 1,000 small photos take a third of the time


class FolderWriter:
    """Copies each photo to images/NNNN/ID.ending and writes metadata.jsonl; photos that are there already stay.

    Photos that cannot be read any more are left out and named in `left_out`. What an interrupted run left of photos
    that this one has not goes away.
    """

    def __init__(self, folder: Path, file: Sink, schema: Any, tags: Sequence[str], link: bool) -> None:
        self.left_out: list[str] = []
        self.left_out_tags: Counter[str] = Counter()
        self.copied_bytes = 0
        self._folder = folder
        self._link = link
        self._metadata = JsonlWriter(file, schema, tags)
        found = (str(path.relative_to(folder)) for path in folder.glob("images/*/*"))
        self._strays = {name for name in found if OURS.fullmatch(name)}

    def write(self, batch: Any) -> None:
        """Copy a batch's photos and write their lines."""
        import pyarrow as pa

        columns = (batch.column(name).to_pylist() for name in ("photo_id", "path", "member", "format", "tags"))
        photos = list(zip(*columns, strict=True))
        files = [PhotoFile(path, member) for _, path, member, _, _ in photos]
        wanted = [
            name_in_folder(photo_id, file, of) for (photo_id, _, _, of, _), file in zip(photos, files, strict=True)
        ]
        with ThreadPoolExecutor(COPY_THREADS, "copies") as pool:
            problems = list(pool.map(self._place, files, wanted))
        names: list[str | None] = []
        for name, problem, (*_, tags) in zip(wanted, problems, photos, strict=True):
            names.append(None if problem else name)
            if problem:
                self.left_out.append(problem)
                self.left_out_tags.update(tags)
                continue
            self.copied_bytes += 0 if (copy := self._folder / name).is_symlink() else copy.stat().st_size
            self._strays.discard(os.path.normpath(name))
        table = batch.add_column(0, "file_name", pa.array(names, pa.string()))
        self._metadata.write(table.filter(table.column("file_name").is_valid()))

    def close(self) -> None:
        """Remove what is not of this export."""
        for stray in self._strays:
            (self._folder / stray).unlink()
        self._metadata.close()

    def _place(self, source: PhotoFile, name: str) -> str | None:
        """Copy or link a photo unless it is there; a copy that a killed run left is under another name.

        Return why it cannot be read any more, or None.
        """
        link, target = self._link and not source.member and not source.is_remote, self._folder / name
        if is_link(source.path, target) if link else is_copy(source, target):
            return None
        try:
            place_photo(source, target, link=link)
        except SourceGone as error:
            return str(error)
        return None


def name_in_folder(photo_id: int, file: PhotoFile, file_format: str | None) -> str:
    """Return where a photo lies in an imagefolder."""
    ending = (
        PHOTO_ENDINGS.get(file_format, f".{file_format.lower()}")
        if file_format and file_format != RAW
        else Path(file.member or file.path).suffix
    )
    return f"images/{photo_id // PHOTOS_A_FOLDER:04d}/{photo_id}{ending}"


def is_link(path: str, target: Path) -> bool:
    """Tell whether a link leads to a photo that is there."""
    return target.is_symlink() and os.readlink(target) == path and target.exists()


def is_copy(source: PhotoFile, target: Path) -> bool:
    """Tell whether a copy is as large as its photo and younger; a photo that is gone or in a tar is like none."""
    try:
        copy = os.lstat(target)
        size_bytes, mtime_ns = (None, None) if source.member else source.facts()
    except OSError:
        return False
    same = copy.st_size == size_bytes and mtime_ns is not None and copy.st_mtime_ns >= mtime_ns
    return not source.member and same and not target.is_symlink()


def refuse_folder(folder: Path) -> None:
    """Refuse to write an imagefolder over something else.

    Raises: QueryError: there is something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise QueryError(f"{folder} is there already: remove it, or choose another name")


def refuse_name(path: Path) -> None:
    """Refuse a name that the manifest could not hold. Raises: QueryError: it is one."""
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in path.name):
        raise QueryError(f"the name {path.name!r} is no UTF-8 text: choose another")


Format = Literal["csv", "tsv", "xlsx", "jsonl", "parquet", "coco", "imagefolder"]
ENDINGS: dict[str, Format] = {f".{name}": name for name in get_args(Format) if name in TABLE_WRITERS} | {
    ".json": "coco"
}
PARTIAL_SUFFIX = ".partial"
MARKER_FILE = ".cv-aliens-export"  # says that a partial folder is an export's
NEEDED: dict[Format, tuple[str, ...]] = {
    "coco": ("photo_id", "path", "member", "tags", "width_px", "height_px"),
    "imagefolder": ("photo_id", "path", "member", "format", "tags"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FileManifest:
    """What a file is and where it came from, kept beside it; each kind of file says more."""

    cv_aliens: str
    made_at: str  # UTC
    format: str
    file: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportManifest(FileManifest):
    """What an export of tags holds.

    sha256: of the file, or of metadata.jsonl. size_bytes: of the file, or of metadata.jsonl and all photos copied.
    """

    photos: int
    columns: list[str]
    model: str
    vocabulary: str
    method: str
    threshold: float | None  # None for softmax
    top_k: int | None  # for softmax alone
    tags: dict[str, int]  # photos with each tag
    calibrated_on_labels: dict[str, int]  # tags that labels taught, and how many labels
    muted: list[str]  # tags that the model cannot tell in this library, so that no photo has them
    trust: str  # how far to trust the tags, in words
    query: str | None
    query_note: str  # what people should know of its answer, or nothing
    with_tags: list[str]
    left_out: list[str]  # photos whose files are gone
    calibration: dict[str, Any]  # how scores became tags, for `aliens import tags`

    def __str__(self) -> str:
        return f"{counted(self.photos, 'photo')}, {megabytes(self.size_bytes)}, {self.vocabulary}"

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        gone = counted(len(self.left_out), "photo")
        left = f"left out {gone} whose files cannot be read" if self.left_out else ""
        said = (self.query_note, left, muted_in_words(self.muted), self.trust)
        return list(filter(None, said))


def format_of(path: Path, file_format: Format | None, *, link: bool = False) -> Format:
    """Return the format that was asked for, or that a path's ending names.

    Raises: QueryError: it names none, or links are asked of a format that has none.
    """
    if file_format not in (None, *get_args(Format)):
        raise QueryError(f"no format {file_format!r}: choose of {', '.join(get_args(Format))}")
    chosen = file_format or ENDINGS.get(path.suffix.lower())
    if chosen is None:
        raise QueryError(f"{path.name!r} does not say in what format: end it in {', '.join(ENDINGS)}, or give --format")
    if link and chosen != "imagefolder":
        raise QueryError("--link is for imagefolders: add --format imagefolder, or leave it out")
    return chosen


def export_tags(
    session: Session,
    tagging: Tagging,
    path: Path,
    file_format: Format,
    *,
    columns: Sequence[str] = (),
    selection: Selection | None = None,
    query: str | None = None,
    link: bool = False,
    progress: Progress = silent,
) -> ExportManifest:
    """Write the photos of a selection with their tags to `path`, and a manifest beside it (inside an imagefolder).

    A file appears under its name only when it is complete. An imagefolder is made under a name that ends in
    `.partial` and renamed when complete; interrupted, the next run goes on there.

    Raises: QueryError: no such column or tag, no photo to export, or the output cannot be written.
    """
    describe = prepared(session, tagging, file_format, columns, selection or Selection(), query)
    if not path.name or (file_format != "imagefolder" and path.is_dir()):
        raise QueryError(f"{path} is a folder: name a new {'folder' if file_format == 'imagefolder' else 'file'} in it")
    refuse_name(path)
    if file_format == "imagefolder":
        return write_folder(describe.table, path, link, describe, progress)
    with file_and_manifest(path) as (file, write_beside):
        manifest = write_table(file, path, file_format, describe, progress)
        write_beside(manifest)
    return manifest


def prepared(
    session: Session,
    tagging: Tagging,
    file_format: Format,
    columns: Sequence[str],
    selection: Selection,
    query: str | None,
) -> "Description":
    """Return what is to be exported. Raises: QueryError: no such column or tag, or photos came after the tagging."""
    if tagging.unscored:
        raise QueryError(f"{counted(tagging.unscored, 'photo')} came after the last tagging: run `aliens tag` first")
    names = list(dict.fromkeys([*(columns or DEFAULT_COLUMNS), *NEEDED.get(file_format, ())]))
    table = TagTable(session, tagging, names, selection)
    if file_format == "xlsx" and not selection.tags:  # of which nobody knows beforehand how many photos have them
        refuse_rows(count_embedded(session, tagging.model) if selection.hits is None else len(selection.hits))
    return Description(tagging, table, selection, query)


@dataclass(frozen=True, slots=True)
class Description:
    """What a manifest says besides the file itself."""

    tagging: Tagging
    table: TagTable
    selection: Selection
    query: str | None

    def manifest(
        self, path: Path, file_format: Format, hashed: HashedFile, left_out: Sequence[str], left_tags: Counter[str]
    ) -> ExportManifest:
        """Return the manifest of a file that is complete; `left_tags` counts the tags of photos left out."""
        calibration, names = self.tagging.calibration, self.tagging.vocabulary.names
        softmax = calibration.method == "softmax"
        counts = zip(names, self.table.tag_counts.tolist(), strict=True)
        return ExportManifest(
            **facts_of_file(path, file_format, hashed),
            photos=self.table.rows - len(left_out),
            columns=self.table.names,
            model=self.tagging.model.key,
            vocabulary=self.tagging.vocabulary.key,
            method=calibration.method,
            threshold=None if softmax else calibration.threshold,
            top_k=calibration.top_k if softmax else None,
            tags={name: count - left_tags[name] for name, count in counts},
            calibrated_on_labels={names[place]: link.labels for place, link in calibration.active_links.items()},
            muted=self.tagging.muted,
            trust=self.tagging.trust,
            query=self.query,
            query_note=self.selection.note,
            with_tags=[*self.selection.tags, *self.selection.others],
            left_out=list(left_out),
            calibration=calibration.as_json(),
        )


def write_table(
    file: BinaryIO, path: Path, file_format: Format, describe: Description, progress: Progress = silent
) -> ExportManifest:
    """Write all rows into a file that is open, whatever takes bytes in turn, and return the manifest of it.

    path: what the file is called, in the manifest alone.

    Raises: QueryError: there are no rows. OSError: the file takes no more.
    """
    hashed, table = HashedFile(file), describe.table
    writer = (TABLE_WRITERS | {"coco": CocoWriter})[file_format](hashed, table.schema, table.tagging.vocabulary.names)
    stream(table, writer, progress)
    refuse_empty(table.rows)
    return describe.manifest(path, file_format, hashed, [], Counter())


@contextmanager
def told_if_unwritable(path: Path) -> Iterator[None]:
    """Have an error of the system told as one of a file. Raises: OutputError: it is such an error."""
    try:
        yield
    except OSError as error:
        name, why = error.filename or path, error.strerror or error
        raise OutputError(f"{name} cannot be written: {why}. Nothing is left under {path}") from error


@contextmanager
def file_and_manifest(path: Path) -> Iterator[tuple[BinaryIO, Callable[["DataclassInstance"], int]]]:
    """Yield a file to write and what writes the manifest, which comes last; both appear under their names together.

    An older pair stays whole until both are on disk, and an older manifest never stands beside the new file.

    Raises: OutputError: one of them cannot be written.
    """
    manifest_file = path.with_name(path.name + MANIFEST_SUFFIX)
    temporaries: list[Path] = []

    def opened(target: Path) -> BinaryIO:
        temporary, descriptor = temporary_beside(target)
        temporaries.append(temporary)
        return open(descriptor, "wb")

    with told_if_unwritable(path):
        try:
            with opened(path) as file, opened(manifest_file) as beside:
                yield file, lambda manifest: beside.write(json_bytes(manifest))
                for written in (file, beside):
                    written.flush()
                    os.fsync(written.fileno())
                with folder_lock(path.parent):  # of several exports to one path the last to end leaves both
                    manifest_file.unlink(missing_ok=True)
                    for temporary, target in zip(temporaries, (path, manifest_file), strict=True):
                        os.replace(temporary, target)
                sync_folder(path.parent)
        except BaseException:
            for temporary in temporaries:
                temporary.unlink(missing_ok=True)
            raise


def write_folder(table: TagTable, path: Path, link: bool, describe: Description, progress: Progress) -> ExportManifest:
    """Write an imagefolder with its manifest inside."""
    refuse_folder(path)
    with partial_folder(path) as partial:
        with atomic_write(partial / METADATA_FILE) as file:
            hashed = HashedFile(file)
            writer = FolderWriter(partial, hashed, table.schema, table.tagging.vocabulary.names, link)
            stream(table, writer, progress)
            refuse_empty(table.rows)
            refuse_empty(table.rows - len(writer.left_out), "no photo's file can be read any more")
        manifest = describe.manifest(
            partial / METADATA_FILE, "imagefolder", hashed, writer.left_out, writer.left_out_tags
        )
        manifest = replace(manifest, size_bytes=hashed.size_bytes + writer.copied_bytes)
        write_json(partial / MANIFEST_FILE, manifest)
        put_in_place(partial, path)
    return manifest


def put_in_place(partial: Path, path: Path) -> None:
    """Give a folder whose files are complete and synced its name. Raises: OSError: it cannot be renamed."""
    sync_folders(partial)
    if path.exists():
        path.rmdir()  # empty: see `refuse_folder`
    os.replace(partial, path)
    sync_folder(path.parent)
    (path / MARKER_FILE).unlink()  # last: without it the folder could not be finished after a kill
    sync_folder(path)


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Yield the folder that one at a path grows in: a new one, or one that an interrupted export left.

    Raises:
        QueryError: the folder is somebody else's, or another export is at work in it.
        OutputError: it cannot be written.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    lock_file = partial.with_name(partial.name + ".lock")
    with told_if_unwritable(path):
        make_folder(partial.parent)
        try:
            with FileLock(lock_file, timeout=0):
                try:
                    if partial.is_dir() and any(partial.iterdir()) and not (partial / MARKER_FILE).exists():
                        raise QueryError(
                            f"{partial} is there already, not of an export: remove it, or choose another name"
                        )
                    partial.mkdir(exist_ok=True)
                    (partial / MARKER_FILE).touch()
                    yield partial
                except BaseException:
                    if partial.is_dir() and [file.name for file in partial.iterdir()] == [MARKER_FILE]:
                        (partial / MARKER_FILE).unlink()
                        partial.rmdir()
                    raise
                finally:
                    lock_file.unlink(missing_ok=True)
        except Timeout as error:
            raise QueryError(
                f"another export is writing {partial}: wait for it to end, or choose another name"
            ) from error


class Batches(Protocol):
    """What is exported, as a stream; `rows` counts those handed on, of a `unit`."""

    rows: int
    unit: str

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch."""
        ...


def stream(table: Batches, writer: TableWriter, progress: Progress) -> None:
    """Write all batches: one thread writes while this one reads the next batch from the library."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[None] | None = None
        for batch in table.batches():
            if waiting is not None:
                waiting.result()
            waiting = pool.submit(writer.write, batch)
            progress(Step("exporting", table.rows, unit=table.unit))
        if waiting is not None:
            waiting.result()
    writer.close()


def refuse_empty(photos: int, why: str = "no photo has all of that") -> None:
    """Refuse to leave a file without photos: nobody wants one, and it would hide a mistyped query."""
    if photos == 0:
        raise QueryError(f"{why}: nothing was exported")


def facts_of_file(path: Path, file_format: str, hashed: HashedFile) -> dict[str, Any]:
    """Return what every manifest says of a file that is complete, as its fields."""
    return {
        "cv_aliens": __version__,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "format": file_format,
        "file": path.name,
        "sha256": hashed.hexdigest(),
        "size_bytes": hashed.size_bytes,
    }
