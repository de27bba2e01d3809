"""A tagged library with a fake encoder, and what it decides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from base.progress import Progress, silent
from base.settings import LibraryFolder
from search.tags.calibration import TagOptions
from search.tags.tag_runs import TagReport
from search.tags.tagging import TaggedPhotos
from search.tags.truth import Truth
from search.tags.vocabulary import Vocabulary, as_vocabulary, read_vocabulary
from tests.by_folder import tag_library
from tests.by_folder import tagging_of as opened
from tests.conftest import FakeEncoder, LibraryFactory, copy_library

# The fake encoder's vectors mean nothing, so by the default method no tag stands out against nonsense.
SEES = TagOptions(method="calibrated")
OWN = as_vocabulary({"tags": {"a pool": ["water"], "a bathtub": [], "a tv": []}}, "own")


def tag(
    library: LibraryFactory,
    vocabulary: Vocabulary | None = None,
    options: TagOptions | None = None,
    read_truth: Callable[[Session, Vocabulary], Truth] | None = None,
    progress: Progress = silent,
) -> TagReport:
    """Tag a library with the default vocabulary, or another one; by a method that decides tags of fake vectors."""
    return tag_library(
        library.folder,
        vocabulary or read_vocabulary("case-study"),
        lambda model: library.encoder,
        options=options or SEES,
        read_truth=read_truth,
        progress=progress,
    )


def never(*args: object) -> FakeEncoder:
    raise AssertionError("the encoder was loaded")


def column(photos: TaggedPhotos, name: str) -> list[Any]:
    """Return a column of tagged photos as plain values."""
    return photos.columns[name].to_pylist()


def decided(folder: LibraryFolder, key: str | None = None) -> dict[str, set[str]]:
    """Return {photo's file name: its tags}."""
    found = {}
    with opened(folder, key) as (_, tagging):
        names = tagging.vocabulary.names
        for photos in tagging.photos(["path"]):
            for path, row in zip(column(photos, "path"), photos.decided, strict=True):
                found[Path(path).name] = {name for name, has in zip(names, row, strict=True) if has}
    return found


@pytest.fixture
def tagged(library: LibraryFactory, ten_photos: Path, photos: Path, tagged_template: Path) -> LibraryFactory:
    """A library of ten photos, tagged with the default vocabulary."""
    copy_library(tagged_template, library.folder.root, ten_photos, photos)
    return library
