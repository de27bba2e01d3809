"""A library whose vectors lie in several segments, some of them in rows that are nobody's any more."""

from pathlib import Path

import pytest

from tests.conftest import LibraryFactory, photo_bytes


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
