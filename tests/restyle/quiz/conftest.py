"""A library with results of its photos, as the quiz asks about them."""

from pathlib import Path

import pytest

from tests.conftest import LibraryFactory
from tests.quizzes import restyle


@pytest.fixture
def restyled(stocked: LibraryFactory) -> LibraryFactory:
    """A library of ten photos, all of them restyled."""
    restyle(stocked.folder, range(1, 11))
    return stocked


@pytest.fixture(scope="module")
def lasting(filled_template: Path, tmp_path_factory: pytest.TempPathFactory) -> LibraryFactory:
    """The same for all tests of a module, which leave it as it is."""
    factory = LibraryFactory(tmp_path_factory.mktemp("quiz") / "library", filled_template)
    restyle(factory.folder, range(1, 11))
    return factory
