"""What was found of copies: groups with their evidence, as tables, JSON and a contact sheet. Finds nothing itself."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.duplicates.copy_calibration import CopyCalibration
from base.console import counted, size_in_words
from base.files import PhotoFile
from base.listing import Listing
from base.progress import Progress, shown
from embedding.picture_marks import HASH_BITS
from embedding.sheet import Cell, Section, write_sheet
from search.copies import copies_counted

if TYPE_CHECKING:
    from analysis.duplicates.duplicate_table import DuplicateManifest

MOST_ON_SHEET = 5  # photos of a group: a row


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupedPhoto:
    """A photo of a group, beside the one that is kept of it.

    evidence: `kept`, `bytes` (the same file), `picture` (the same picture, by the model and by its pixels) or `vector`
    (the model sees no difference at all, and the files are not there to be looked at). cosine: with the kept one.
    bits: of 256 of their perceptual hashes that differ; None where that was not asked or cannot be said. cropped: one
    is a crop of the other, or has a border. why: of the kept one, why it is.
    """

    photo_id: int
    path: str
    member: str
    evidence: str
    cosine: float
    bits: int | None
    cropped: bool
    why: str
    width_px: int | None
    height_px: int | None
    format: str | None
    size_bytes: int | None
    date: datetime | None
    date_from: str | None
    hotel_id: int | None
    labels: int

    @property
    def file(self) -> PhotoFile:
        """Where its bytes lie."""
        return PhotoFile(self.path, self.member)

    @property
    def is_kept(self) -> bool:
        """Whether it is the one to keep."""
        return self.evidence == "kept"

    @property
    def looks(self) -> str:
        """Its size, format and bytes, in words."""
        size = f"{self.width_px} x {self.height_px} px" if self.width_px else ""
        return ", ".join(filter(None, (size, self.format, size_in_words(self.size_bytes) if self.size_bytes else "")))

    @property
    def said(self) -> str:
        """Why it is kept, or how it is known to be a copy, in words."""
        if self.is_kept:
            return f"keep: {self.why}"
        if self.evidence == "bytes":
            return "same file"
        if self.evidence == "vector":
            return f"same to the model: cosine {self.cosine:.4f}; files not there"
        what = "cropped" if self.cropped else "same picture"
        return f"{what}: cosine {self.cosine:.3f}, {self.bits} of {HASH_BITS} bits"

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"cosine": round(self.cosine, 4), "date": self.date.isoformat() if self.date else None}


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Photos of one picture: the one to keep, then its copies, the surest first. number: 1, 2, ..."""

    number: int
    photos: Sequence[GroupedPhoto]

    @property
    def kept(self) -> GroupedPhoto:
        """The one to keep."""
        return self.photos[0]

    @property
    def copies(self) -> Sequence[GroupedPhoto]:
        """The others."""
        return self.photos[1:]

    @property
    def spare_bytes(self) -> int:
        """How many bytes the copies take, of files of their own."""
        return sum(copy.size_bytes or 0 for copy in self.copies)

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        photos = [photo.as_json() for photo in self.photos]
        return {"group": self.number, "copies": len(self.copies), "spare_bytes": self.spare_bytes, "photos": photos}


@dataclass(kw_only=True, slots=True)
class DuplicateSummary:
    """How copies were looked for, and how many there are.

    photos: that were looked at. model: its key. cosine: from which pairs were looked at; None: by bytes alone. pairs:
    as near. confirmed: of them. unread: photos near to others that could not be opened. compared: share of all pairs
    that were compared, 1 unless it was stopped. stopped: whether it was.
    """

    photos: int
    model: str
    cosine: float | None = None
    calibration: CopyCalibration | None = None
    pairs: int = 0
    confirmed: int = 0
    unread: int = 0
    compared: float = 1.0
    stopped: bool = False
    dropped: bool = False


class Duplicates(Listing[DuplicateGroup]):
    """Groups of copies, those with the most bytes to spare first. Nothing was changed, and nothing is removed.

    summary: how they were looked for. notes: what people should know.
    """

    columns = ("group", "copies", "spare_bytes")

    def __init__(self, groups: Iterable[DuplicateGroup], summary: DuplicateSummary) -> None:
        super().__init__(groups)
        self.summary = summary

    @property
    def copies(self) -> list[GroupedPhoto]:
        """All photos that could go without a picture being lost."""
        return [copy for group in self for copy in group.copies]

    @property
    def notes(self) -> list[str]:
        """What people should know."""
        return list(notes_of(self))

    def __str__(self) -> str:
        spare = sum(group.spare_bytes for group in self)
        groups, photos = counted(len(self), "group"), counted(self.summary.photos, "photo")
        return f"{copies_counted(len(self.copies))} in {groups}, {size_in_words(spare)}, among {photos}"

    def write_sheet(self, path: Path | str, groups: int = 60) -> None:
        """Write a contact sheet, a group a row: the one to keep first, at most four of its copies.

        Raises: QueryError, OutputError: as embedding.sheet.write_sheet.
        """
        write_sheet([section_of(group) for group in self[:groups]], str(self), Path(path), note="; ".join(self.notes))

    def write(self, path: Path | str, *, progress: Progress | None = None) -> "DuplicateManifest":
        """Write a table, a row a photo: .csv, .tsv, .xlsx, .jsonl or .parquet, and a manifest beside it.

        Raises: QueryError, OutputError: as analysis.duplicates.duplicate_table.write_duplicates.
        """
        from analysis.duplicates.duplicate_table import write_duplicates

        with shown(progress) as tell:
            return write_duplicates(self, Path(path), tell)


def section_of(group: DuplicateGroup) -> Section:
    """Return a group as a row of a contact sheet."""
    shown = group.photos[:MOST_ON_SHEET]
    more = len(group.photos) - len(shown)
    heading = f"Group {group.number}: {counted(len(group.photos), 'photo')}" + (f", {more} not shown" if more else "")
    return Section(
        heading, [Cell(p.file, (p.said, p.looks, f"photo {p.photo_id}: {Path(p.path).name}")) for p in shown]
    )


def notes_of(found: Duplicates) -> Iterator[str]:
    """Yield what people should know."""
    told = found.summary
    if told.stopped:
        yield f"stopped: {told.compared:.0%} of all pairs were compared, and these copies are among them"
    if told.calibration is not None:
        yield told.calibration.note
    if told.dropped:
        yield f"so many pairs are near that those below a cosine of {told.cosine:.4f} were passed over"
    if told.unread:
        yield (
            f"{counted(told.unread, 'photo')} near to others could not be opened, or changed since they were added: "
            "`aliens add FOLDER` looks at them"
        )
    labelled = sum(copy.labels > group.kept.labels for group in found for copy in group.copies)
    if labelled:
        yield f"{copies_counted(labelled)} with more labels set by hand than the photo to keep: look at those first"
