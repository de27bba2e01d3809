"""Results: restyled photos as files of the library with their lineage, their originals, and searches that find them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy.orm import Session

from base.arrays import Floats, Pixels
from base.console import counted, megabytes
from base.copy_folder import CopyFolder, CopyReport
from base.errors import PhotoError, QueryError
from base.files import PhotoFile, folder_lock, make_folder, sha256_of
from base.listing import Listing
from base.progress import Progress, Step, shown
from base.records import parse_json
from db.catalog import Catalog, disk_errors, undone_on_error
from db.model_rows import library_models, other_models
from db.models import Model, Photo, PhotoState, Restyling
from db.photo_rows import hashes_of, hotels_of, photos_with_bytes
from db.restyling_rows import (
    all_restylings,
    file_problem,
    find_restyling,
    keep_restyling,
    put_result_photo,
    restylings_of,
    result_photos,
    results_follow,
)
from db.vector_rows import forget_embeddings, record_segment, segments_of
from embedding.decode import damage_as_photo_error, decode
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from restyle.result_pictures import FileFormat, write_result_picture

# The steps of the ladder (`restyle.alienise`), in everyday words.
MADE = {
    "unchanged": "left as it was",
    "regraded": "recoloured",
    "grown": "overgrown with drawn leaves",
    "diffused": "painted",
    "firmer control": "painted, held closer to the photo",
    "second control": "painted, held to the photo in two ways",
    "less guidance": "painted, its words heeded less",
    "less strength": "painted more gently",
}
LONGEST_NAME = 40  # characters of an engine's name in a file's
WISH_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """Where a result comes from, and how it was made.

    source_sha256: of the photo's bytes, hexadecimal. diffusion: whether a diffusion model painted. rung: the step of
    the ladder of rescues that gave it. attempts: what was tried, in order. seconds: that it all took.
    wish: hexadecimal digest of all that was asked for, bytes of the photo, fingerprint of the engine, palette and
    options: the same wish is not done twice. faces: how many were found in the photo and kept their colours when it was
    regraded; results of earlier versions, which looked for none, have 0.
    """

    source_photo_id: int
    source_path: str
    source_sha256: str
    engine: str
    fingerprint: str
    diffusion: bool
    palette: str
    prompt: str
    negative_prompt: str
    settings: dict[str, Any]
    scores: dict[str, Any]
    rung: str
    attempts: list[dict[str, Any]]
    seconds: float
    wish: str
    faces: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; numbers of NumPy become Python's."""
        plain: dict[str, Any] = parse_json(json.dumps(asdict(self), default=plainly))
        return plain

    @property
    def made(self) -> str:
        """How it was made, in everyday words."""
        words = f"{MADE.get(self.rung, self.rung)} in the colours of {self.palette}"
        return f"{words} by {self.engine}" if self.diffusion else f"{words}, no diffusion model was used"

    @property
    def kept(self) -> str:
        """How much of the photo's outlines stayed, such as 97 %."""
        return f"{100 * self.scores['edge_f1']:.0f} %"

    @property
    def noticed(self) -> str:
        """On how much of the picture visitors notice the change, such as 72 %."""
        return f"{100 * self.scores['protan_share']:.0f} %"

    @property
    def faces_kept(self) -> str:
        """What became of the faces that were found, such as 2 faces keep their colours; empty where there are none."""
        if not self.faces or self.rung == "unchanged":
            return ""
        whose = "its" if self.faces == 1 else "their"
        if self.diffusion:
            return f"{counted(self.faces, 'face')} kept {whose} colours until a model painted"
        return f"{counted(self.faces, 'face')} {'keeps' if self.faces == 1 else 'keep'} {whose} colours"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"photo {self.source_photo_id} restyled by CV-Aliens: {self.made}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A restyled photo.

    id: its own number. photo_id: its number as a photo of the library, None before it was added.
    made_at: UTC, without a zone as all times here.
    """

    id: int
    photo_id: int | None
    path: Path
    made_at: datetime
    lineage: Lineage

    def as_json(self) -> dict[str, Any]:
        """Return everything that is known of it."""
        here = {"result_id": self.id, "photo_id": self.photo_id, "path": str(self.path), "made_at": self.made_at}
        width_px, height_px, size_bytes = self.measured or (None, None, None)
        size = {"width_px": width_px, "height_px": height_px, "size_bytes": size_bytes}
        return here | size | self.lineage.as_json()

    @property
    def measured(self) -> tuple[int, int, int] | None:
        """Width and height in pixels and the bytes of its file, as it lies there; None where it is no picture."""
        picture, kinds = self.path, ("PNG", "JPEG")
        with suppress(PhotoError), damage_as_photo_error(), Image.open(picture, formats=kinds) as image:
            return image.width, image.height, picture.stat().st_size
        return None

    @property
    def size(self) -> str:
        """The same in words, such as 1024 x 728 px, 1.2 MB; empty where it is no picture."""
        if self.measured is None:
            return ""
        width_px, height_px, size_bytes = self.measured
        return f"{width_px} x {height_px} px, {megabytes(size_bytes)}"

    @property
    def readable_name(self) -> str:
        """A file's name for people, such as `pool_fern_regrade.png`: of photo, palette and engine."""
        photo = Path(self.lineage.source_path.rpartition(".tar!")[2]).stem
        return f"{photo}_{self.lineage.palette}_{short_engine(self.lineage)}{self.path.suffix}"

    @property
    def exists(self) -> bool:
        """Whether its file is still there."""
        return self.path.is_file()


class ResultListing(Listing[Result]):
    """Results, in order."""

    columns = ("result_id", "source_photo_id", "engine", "palette", "rung", "path")

    def copy_to(self, folder: str | os.PathLike[str], *, progress: Progress | None = None) -> CopyReport:
        """Copy the results into a folder, named by photo, palette and engine: pool_fern_regrade.png.

        What lies there stays as it is. Raises: QueryError, OutputError: it is no folder, or cannot be written.
        """
        copies = CopyFolder(folder)
        with shown(progress) as tell:
            for done, result in enumerate(self, start=1):
                copies.add(result.readable_name, PhotoFile(str(result.path)))
                tell(Step("copying", done, len(self), unit="results"))
        return copies.report

    def _repr_html_(self) -> str:
        from embedding.sheet import Cell, gallery_html

        cells = [
            Cell(
                PhotoFile(str(result.path)),
                (f"result {result.id}", f"of photo {result.lineage.source_photo_id}", result.lineage.made),
            )
            for result in self
        ]
        return gallery_html(cells)


class RestyledPhotos:
    """The results of one library."""

    def __init__(self, catalog: Catalog, session: Session) -> None:
        self._catalog = catalog
        self._folder = catalog.folder
        self._session = session

    def find(self, wish: str) -> Result | None:
        """Return what was made of a wish, if its file is still there and whole."""
        kept = find_restyling(self._session, wish)
        return None if kept is None or file_problem(self._folder, kept) else self._result(kept)

    def all(self, source_photo_id: int | None = None, engine: str | None = None) -> list[Result]:
        """Return results in the order in which they were first made: of all photos and engines, or of one.

        Those whose files have vanished are among them: see `Result.exists`.
        """
        return self._results(all_restylings(self._session, source_photo_id=source_photo_id, engine=engine))

    def of_ids(self, ids: Sequence[int]) -> list[Result]:
        """Return the results with these numbers, in their order; unknown numbers are passed over."""
        found = restylings_of(self._session, [number for number in ids if abs(number) < 1 << 63])  # as databases count
        return self._results(found[number] for number in ids if number in found)

    def named(self, ids: Sequence[int]) -> list[Result]:
        """Return the results with these numbers, in their order. Raises: QueryError: there is none of a number."""
        found = self.of_ids(ids)
        if unknown := set(ids) - {result.id for result in found}:
            raise QueryError(f"there is no result {min(unknown)} in the library: `aliens restyle list` lists them")
        return found

    def keep(self, pixels: Pixels, lineage: Lineage, file_format: FileFormat = "png") -> Result:
        """Write a result's file, then its row, and commit; an earlier result of the same wish is replaced.

        The library's lock is not needed: photos may be added meanwhile. A process killed between file and row leaves
        a file that the same wish writes over.

        Raises:
            LibraryError: the disk is full or cannot be written.
            QueryError: the format is not one of png and jpg.
        """
        said = lineage.as_json()
        path = Path(self._folder.restyled.name) / file_name(lineage, file_format)
        with disk_errors(self._folder), undone_on_error(self._session):
            make_folder(self._folder.restyled)
            with folder_lock(self._folder.restyled):  # of two who make the same at once, the later replaces it
                write_result_picture(self._folder.root / path, pixels, said, lineage.summary, file_format)
                before = find_restyling(self._session, lineage.wish)
                if before is not None:
                    self._session.refresh(before)  # another may have made it anew meanwhile
                old_path = path if before is None else Path(before.path)
                kept = keep_restyling(self._session, self._columns(lineage, said, path))
                if kept.result_photo_id is not None:  # the vectors are those of the picture before
                    for model in library_models(self._session):
                        forget_embeddings(self._session, model, [kept.result_photo_id])
                self._session.commit()
                if old_path != path:  # of another format
                    (self._folder.root / old_path).unlink(missing_ok=True)
        return self._result(kept)

    def _columns(self, lineage: Lineage, said: dict[str, Any], path: Path) -> dict[str, Any]:
        names = ("source_photo_id", "wish", "engine", "fingerprint", "palette", "rung", "seconds")
        now = datetime.now(UTC).replace(tzinfo=None)
        sha256 = sha256_of(self._folder.root / path)
        made = {"path": path.as_posix(), "lineage": said, "made_at": now, "sha256": sha256}
        made["source_sha256"] = bytes.fromhex(lineage.source_sha256)
        return {name: said[name] for name in names} | made

    def _results(self, kept: Iterable[Restyling]) -> list[Result]:
        rows = list(kept)
        hashes = hashes_of(self._session, [row.lineage["source_photo_id"] for row in rows])
        return [self._result(row, hashes) for row in rows]

    def _result(self, kept: Restyling, hashes: Mapping[int, bytes] | None = None) -> Result:
        lineage = Lineage(**kept.lineage)
        known = hashes_of(self._session, [lineage.source_photo_id]) if hashes is None else hashes
        if kept.source_sha256 and known.get(lineage.source_photo_id) != kept.source_sha256:
            for photo in photos_with_bytes(self._session, kept.source_sha256):  # which have another number by now
                lineage = replace(
                    lineage, source_photo_id=photo.id, source_path=str(PhotoFile(photo.path, photo.member))
                )
                break
        return Result(
            id=kept.id,
            photo_id=kept.result_photo_id,
            path=self._folder.root / kept.path,
            made_at=kept.made_at,
            lineage=lineage,
        )


def file_name(lineage: Lineage, file_format: FileFormat) -> str:
    """Return the name of a result's file, such as `42-regrade-1a2b3c4d.png`: the same wish has the same."""
    return f"{lineage.source_photo_id}-{short_engine(lineage)}-{lineage.wish[:WISH_DIGITS]}.{file_format}"


def short_engine(lineage: Lineage) -> str:
    """Return an engine's name as a part of a file's."""
    return re.sub(r"[^\w.-]+", "-", Path(lineage.engine).name)[-LONGEST_NAME:].strip("-.")


def plainly(value: object) -> object:
    """Return what JSON has for a value that it does not know: NumPy's numbers and arrays, paths.

    Raises: TypeError: there is nothing.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def original_of(session: Session, result: Result) -> PhotoFile:
    """Return where a result's original lies: at its own place, or where the library knows the same bytes.

    Raises:
        OSError: the file is gone.
        PhotoError: the photo has left the library, or its file holds another photo by now.
    """
    lineage = result.lineage
    photo = session.get(Photo, lineage.source_photo_id)
    if photo is None:
        lost: OSError | PhotoError = PhotoError(
            "missing", f"its original, {lineage.source_path}, is not in the library any more"
        )
    else:
        file = PhotoFile(photo.path, photo.member)
        try:
            if holds(file, lineage.source_sha256):
                return file
            lost = PhotoError(
                "changed", f"its original, {file}, was changed since: restyle it again with `aliens restyle {photo.id}`"
            )
        except (OSError, PhotoError) as error:
            lost = error
    for other in photos_with_bytes(session, bytes.fromhex(lineage.source_sha256)):
        with suppress(OSError, PhotoError):
            if holds(elsewhere := PhotoFile(other.path, other.member), lineage.source_sha256):
                return elsewhere
    raise lost


def holds(file: PhotoFile, sha256: str) -> bool:
    """Tell whether a file's bytes have this hash, in hexadecimal.

    Raises:
        OSError: the file is gone.
        PhotoError: it is too large to be a photo.
    """
    return hashlib.sha256(file.read()).hexdigest() == sha256


def why_lost(error: OSError | PhotoError) -> str:
    """Return in words why a result or its original cannot be shown."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


SEGMENT_RESULTS = 256  # recorded together: a kill loses at most the encoding of so many


@dataclass(frozen=True, slots=True)
class Read:
    """A result's file as it was read: the columns of its photo row, and the encoder's square (s, s, 3)."""

    result: Result
    columns: dict[str, Any]
    pixels: Pixels


def add_to_library(
    catalog: Catalog, session: Session, store: SegmentStore, encoder: Encoder, results: Sequence[Result]
) -> int:
    """Give results a row and a vector in the library, and return how many had none yet.

    Each belongs to the hotel of its photo. Those whose files have vanished are passed over. The library's lock is held
    only while a segment is written; a kill leaves results without rows, and the next call adds them.

    Raises: LibraryError: another process is changing the library, or the disk is full.
    """
    model = catalog.model
    waiting, added = without_vector(session, model, results), 0
    for start in range(0, len(waiting), SEGMENT_RESULTS):
        found = [read for result in waiting[start : start + SEGMENT_RESULTS] if (read := read_result(result, encoder))]
        if found:
            vectors = encoded_results(found, encoder)
            with disk_errors(catalog.folder), catalog.lock():
                record(session, model, store, found, vectors)
            added += len(found)
    return added


def without_vector(session: Session, model: Model, results: Sequence[Result]) -> list[Result]:
    """Return the results, each file once, that have no row with a vector, or had one when they looked otherwise."""
    known = result_photos(session, model, [result.id for result in results])
    by_place = {result.path: result for result in results if not is_of(known.get(result.id), result)}
    return list(by_place.values())


def is_of(photo: Photo | None, result: Result) -> bool:
    """Tell whether a row is of a result's file as it is now; a vanished file leaves nothing to be done."""
    if photo is None:
        return False
    try:
        stat = os.stat(result.path)
    except OSError:
        return True
    now = (os.path.realpath(result.path), stat.st_size, stat.st_mtime_ns)
    return (os.path.realpath(photo.path), photo.size_bytes, photo.mtime_ns) == now


def read_result(result: Result, encoder: Encoder) -> Read | None:
    """Read and decode a result's file; None where it has vanished or is no picture any more."""
    try:
        stat, data = os.stat(result.path), PhotoFile(str(result.path)).read()
        decoded = decode(data, encoder.preprocessing)
    except (OSError, PhotoError):
        return None
    seen = decoded.facts
    columns = {
        "path": os.path.abspath(result.path),
        "size_bytes": len(data),
        "mtime_ns": stat.st_mtime_ns,
        "width_px": seen.width_px,
        "height_px": seen.height_px,
        "format": seen.format,
        "grey": seen.grey,
        "brightness": seen.brightness,
        "content_sha256": hashlib.sha256(data).digest(),
        "state": PhotoState.RESTYLED,
        "failure_kind": None,
        "failure_reason": None,
    }
    return Read(result, columns, decoded.pixels)


def encoded_results(found: Sequence[Read], encoder: Encoder) -> Floats:
    """Return the results' unit vectors, (n, d) float32."""
    squares = np.stack([read.pixels for read in found])
    batches = range(0, len(squares), encoder.batch_photos)
    return np.concatenate([encoder.encode_images(squares[at : at + encoder.batch_photos]) for at in batches])


def record(session: Session, model: Model, store: SegmentStore, found: Sequence[Read], vectors: Floats) -> None:
    """Write the vectors as one segment, then record it and the results' rows in one transaction; needs the lock."""
    try:
        store.remove_strays([file.name for file in segments_of(session, model)])
        hotels = hotels_of(session, [read.result.lineage.source_photo_id for read in found])
        before = hashes_of(session, [read.result.photo_id for read in found if read.result.photo_id is not None])
        ids = []
        for read in found:
            hotel_id, _ = hotels.get(read.result.lineage.source_photo_id, (None, None))
            ids.append(put_result_photo(session, read.result.id, read.columns | {"hotel_id": hotel_id}))
        hashes = {photo_id: read.columns["content_sha256"] for photo_id, read in zip(ids, found, strict=True)}
        changed = [photo_id for photo_id, sha256 in hashes.items() if before.get(photo_id, sha256) != sha256]
        for other in other_models(session, model):
            forget_embeddings(session, other, changed)
        results_follow(session)
        record_segment(session, model, store.write(np.array(ids, np.int64), vectors), ids, restyled=True)
        session.commit()
    except BaseException:
        session.rollback()
        raise
