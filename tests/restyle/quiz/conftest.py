"""A library with results of its photos, as the quiz asks about them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LibraryFactory, fill_folder
from tests.quizzes import restyle


@pytest.fixture
def restyled(library: LibraryFactory, photos: Path) -> LibraryFactory:
    """A library of ten photos, all of them restyled."""
    library.add(photos)
    restyle(library.folder, range(1, 11))
    return library


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryFactory]:
    """The same for all tests of a module, which leave it as it is."""
    root = tmp_path_factory.mktemp("quiz")
    (root / "photos").mkdir()
    fill_folder(root / "photos", range(10), "{:02d}.jpg")
    factory = LibraryFactory(root / "library")
    factory.add(root / "photos")
    restyle(factory.folder, range(1, 11))
    yield factory
    factory.close()
