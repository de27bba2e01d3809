"""Results: restyled photos as files of the library, with their lineage in its database. Restyles nothing itself."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from db.models import Restyling
from db.restylings import all_restylings, find_restyling, keep_restyling, restylings_of
from db.vectors import current_model, forget_embeddings
from db.writing import disk_errors
from restyle.picture_file import FileFormat, write_picture
from restyle.pixels import Pixels

LONGEST_NAME = 40  # characters of an engine's name in a file's
WISH_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """Where a result comes from, and how it was made.

    source_sha256: of the photo's bytes, hexadecimal. diffusion: whether a diffusion model painted. rung: the step of
    the ladder of rescues that gave it. attempts: what was tried, in order. seconds: that it all took.
    wish: hexadecimal digest of all that was asked for, bytes of the photo, fingerprint of the engine, palette and
    options: the same wish is not done twice.
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

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; numbers of NumPy become Python's."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=plainly))
        return plain

    @property
    def summary(self) -> str:
        """One line for people."""
        how = "painted by diffusion" if self.diffusion else "regraded, not painted"
        return f"photo {self.source_photo_id} restyled by CV-Aliens: {self.engine}, {self.palette}, {self.rung}; {how}"


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

    @property
    def exists(self) -> bool:
        """Whether its file is still there."""
        return self.path.is_file()


class Results:
    """The results of one library."""

    def __init__(self, folder: LibraryFolder, session: Session) -> None:
        self._folder = folder
        self._session = session

    def find(self, wish: str) -> Result | None:
        """Return what was made of a wish, if its file is still there."""
        kept = find_restyling(self._session, wish)
        result = None if kept is None else self._result(kept)
        return result if result is not None and result.exists else None

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
            raise QueryError(f"there is no result {min(unknown)} in the library: `aliens restyled` lists them")
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
        with disk_errors(self._folder):
            self._folder.restyled.mkdir(parents=True, exist_ok=True)
            write_picture(self._folder.root / path, pixels, said, lineage.summary, file_format)
            before = find_restyling(self._session, lineage.wish)
            old_path = path if before is None else Path(before.path)
            kept = keep_restyling(self._session, self._columns(lineage, said, path))
            if kept.result_photo_id is not None:  # the vector is that of the picture before
                forget_embeddings(self._session, current_model(self._session), [kept.result_photo_id])
            self._session.commit()
            if old_path != path:  # of another format
                (self._folder.root / old_path).unlink(missing_ok=True)
        return self._result(kept)

    def _columns(self, lineage: Lineage, said: dict[str, Any], path: Path) -> dict[str, Any]:
        names = ("source_photo_id", "wish", "engine", "fingerprint", "palette", "rung", "seconds")
        now = datetime.now(UTC).replace(tzinfo=None)
        return {name: said[name] for name in names} | {"path": path.as_posix(), "lineage": said, "made_at": now}

    def _results(self, kept: Iterable[Restyling]) -> list[Result]:
        return [self._result(row) for row in kept]

    def _result(self, kept: Restyling) -> Result:
        return Result(
            id=kept.id,
            photo_id=kept.result_photo_id,
            path=self._folder.root / kept.path,
            made_at=kept.made_at,
            lineage=Lineage(**kept.lineage),
        )


def file_name(lineage: Lineage, file_format: FileFormat) -> str:
    """Return the name of a result's file, such as `42-regrade-1a2b3c4d.png`: the same wish has the same."""
    engine = re.sub(r"[^\w.-]+", "-", Path(lineage.engine).name)[-LONGEST_NAME:].strip("-.")
    return f"{lineage.source_photo_id}-{engine}-{lineage.wish[:WISH_DIGITS]}.{file_format}"


def plainly(value: object) -> object:
    """Return what JSON has for a value that it does not know: NumPy's numbers and arrays, paths.

    Raises: TypeError: there is nothing.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")
