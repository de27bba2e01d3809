"""Which photos are not fit to be restyled, and what is seen of those that are opened."""

from dataclasses import dataclass

from base.arrays import Floats
from base.files import PhotoFile
from db.photo_rows import PhotoRecord
from embedding.decode import MAX_PIXELS
from embedding.quality import Unfit, opened_photo
from restyle.candidates.measures import Measures, measure
from restyle.palettes import Palette


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo that is not picked. kind: what rejections are counted by. reason: the same, with its numbers."""

    photo_id: int
    path: str
    member: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A photo that was opened: its record, its size, upright, its bytes' SHA-256, its measures and thumbnail."""

    record: PhotoRecord
    width_px: int
    height_px: int
    sha256: str
    measures: Measures
    thumbnail: Floats


def look(record: PhotoRecord, palette: Palette, max_pixels: int = MAX_PIXELS) -> Looked | Rejection:
    """Open a photo and measure it; a photo that cannot be opened is rejected with the reason."""
    opened = opened_photo(PhotoFile(record.path, record.member), max_pixels)
    if isinstance(opened, Unfit):
        return rejected(record, *opened)
    measures = measure(opened.pixels, palette)
    return Looked(record, opened.width_px, opened.height_px, opened.sha256, measures, opened.thumbnail)


def rejected(record: PhotoRecord, kind: str, reason: str) -> Rejection:
    """Return the rejection of a photo."""
    return Rejection(record.photo_id, record.path, record.member, kind, reason)
