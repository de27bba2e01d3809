"""A library of photos, as tests of restyling begin with it."""

from pathlib import Path

import pytest

from tests.conftest import LibraryFactory


@pytest.fixture
def filled(filled_template: Path, tmp_path: Path) -> LibraryFactory:
    """A library that knows ten photos, those that `photos` are copies of."""
    return LibraryFactory(tmp_path / "library", filled_template)
