"""Libraries to export from, and one call that exports."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.settings import LibraryFolder
from db.models import Chain, Hotel, Photo
from embedding.encoder import Encoder
from search.export.exporter import ENDINGS, ExportManifest, Format, export_tags
from search.tags.calibration import TagOptions
from search.tags.vocabulary import Vocabulary, as_vocabulary
from tests.by_folder import label_photo, session_of, tag_library
from tests.by_folder import tagging_of as opened
from tests.conftest import FakeEncoder, LibraryFactory, copy_library, photo_bytes

EVIL_TAGS = ["=cmd|'/c calc'!A1", "+1", "@x", "-x", "'", "'=y", "＝全角", 'a "quoted", comma', "ein Becken, 浴缸"]
EVIL_NAMES = [
    "=1+1",
    "+49 Hotel",
    "-5°",
    "@home",
    "\tTab",
    "\rCR",
    "Hôtel “Ünïcode” 東京, 🏨",
    "two\nlines\r\nthree",
    "'=already",
    "''",
]


def export(folder: LibraryFolder, path: Path, file_format: Format | None = None, **options: Any) -> ExportManifest:
    """Export as the command does; by default as the ending says, without one an imagefolder."""
    with opened(folder) as (session, tagging):
        return export_tags(session, tagging, path, file_format or ENDINGS.get(path.suffix, "imagefolder"), **options)


def decided_tags(folder: LibraryFolder) -> dict[int, list[str]]:
    """Return {photo id: tags} as the library decides them."""
    with opened(folder) as (_, tagging):
        names = np.array(tagging.vocabulary.names)
        return {
            photo_id: names[row].tolist()
            for photos in tagging.photos()
            for photo_id, row in zip(photos.photo_ids.tolist(), photos.decided, strict=True)
        }


def tag(folder: LibraryFolder, vocabulary: Vocabulary, encoder: Any) -> None:
    """Tag a library; of a fake encoder's vectors by a method that decides some."""
    options = TagOptions(method="calibrated" if isinstance(encoder, FakeEncoder) else None)
    tag_library(folder, vocabulary, lambda model: encoder, options=options)


def evil_vocabulary() -> Vocabulary:
    """Tags that a spreadsheet would take for formulas, and others that CSV finds hard."""
    return as_vocabulary({"name": "evil", "tags": {name: [f"prompt {n}"] for n, name in enumerate(EVIL_TAGS)}}, "evil")


@pytest.fixture
def samples_copy(tmp_path: Path, tagged_samples: LibraryFolder) -> LibraryFolder:
    """A copy of `tagged_samples` that a test may change."""
    return LibraryFolder(Path(shutil.copytree(tagged_samples.root, tmp_path / "samples-copy")))


EVIL_PHOTO = "näch st, „00“ 東京.jpg"


@pytest.fixture(scope="session")
def small_template(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory, ten_photos: Path) -> Path:
    """What `small` is a copy of; its photos lie beside it."""
    folder = tmp_path_factory.mktemp("small")
    photos = Path(shutil.copytree(ten_photos, folder / "photos"))
    (photos / "00.jpg").rename(photos / EVIL_PHOTO)
    library = LibraryFactory(folder / "library", template.folder.root)
    library.add(photos)
    with session_of(library.folder) as session:
        session.add(Chain(id=1, name='=HYPERLINK("x"),'))
        session.add_all(Hotel(id=number, name=name, chain_id=1) for number, name in enumerate(EVIL_NAMES, start=1))
        session.flush()
        for number, photo in enumerate(session.query(Photo).order_by(Photo.id), start=1):
            photo.hotel_id = number
        session.commit()
    tag(library.folder, evil_vocabulary(), library.encoder)
    for photo_id, name in enumerate(EVIL_TAGS, start=1):
        label_photo(library.folder, photo_id, name, True, None)
        label_photo(library.folder, photo_id, EVIL_TAGS[photo_id % len(EVIL_TAGS)], False, None)
    return library.folder.root


@pytest.fixture
def small(library: LibraryFactory, photos: Path, small_template: Path) -> LibraryFactory:
    """Ten small photos tagged by a fake encoder with EVIL_TAGS, each in a hotel of EVIL_NAMES.

    Photos 1 to 9 have one tag set by hand and another unset.
    """
    (photos / "00.jpg").rename(photos / EVIL_PHOTO)
    copy_library(small_template, library.folder.root, small_template.parent / "photos", photos)
    return library


@pytest.fixture
def unscored(small: LibraryFactory, photos: Path) -> LibraryFactory:
    """`small` with one photo more, which came after the tagging."""
    (photos / "late.jpg").write_bytes(photo_bytes(77))
    small.add(photos)
    return small


@pytest.fixture
def hits(tagged_samples: LibraryFolder, starter: Encoder) -> Callable[..., dict[int, float]]:
    """Search the samples: returns {photo id: score}, best first."""
    from tests.by_folder import open_library as open_for_search

    def search(text: str, k: int) -> dict[int, float]:
        with open_for_search(tagged_samples.root, load_encoder=lambda model: starter) as library:
            return {hit.photo_id: hit.score for hit in library.search(text, k=k)}

    return search
