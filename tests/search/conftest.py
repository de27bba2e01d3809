"""Libraries that several tests of searching begin with: in several segments, or of the sample hotels with tags."""

import shutil
from pathlib import Path

import pytest

from aliens.library import Library
from base.settings import LibraryFolder
from embedding.encoder import Encoder
from search.tags.calibration import TagOptions
from tests.by_folder import tag_library
from tests.conftest import LibraryFactory, photo_bytes


@pytest.fixture(scope="session")
def tagged_samples(
    tmp_path_factory: pytest.TempPathFactory, sample_library: Library, starter: Encoder
) -> LibraryFolder:
    """A copy of the sample library, tagged with the case study's words: not to be changed."""
    folder = LibraryFolder(tmp_path_factory.mktemp("tagged") / "library")
    shutil.copytree(sample_library.folder.root, folder.root)
    tag_library(folder, None, lambda model: starter, options=TagOptions())
    return folder


@pytest.fixture
def scattered(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> LibraryFactory:
    """The photos in four segments of 4, 4, 2 and 2 rows.

    Two rows of the first are dead: 00.jpg has vanished, and 01.jpg was replaced, so that its vector lies in the last
    one, beside that of a new photo, 10.jpg.
    """
    with monkeypatch.context() as patch:
        patch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
        library.add(photos)
    (photos / "00.jpg").unlink()
    (photos / "01.jpg").write_bytes(photo_bytes(101, (90, 60)))
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    library.add(photos)
    return library


@pytest.fixture
def undivided(scattered: LibraryFactory, photos: Path, tmp_path: Path) -> LibraryFactory:
    """The same photos, added in one go."""
    library = LibraryFactory(tmp_path / "undivided")
    library.add(photos)
    return library
