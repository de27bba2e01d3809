from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.hotels50k.ground_truth import GroundTruth, read_ground_truth
from tests.tiny_hotels50k import results_text, write_lists, write_photos


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The root of a tree without photos."""
    write_lists(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def truth(lists: Path) -> GroundTruth:
    """What its lists say."""
    return read_ground_truth(lists)


@pytest.fixture
def tree(lists: Path) -> Path:
    """The root of a tree with photos: of the training, and of the test uncovered and a little covered."""
    write_photos(lists)
    return lists


@pytest.fixture
def results_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of results, by default of all test photos."""

    def write(content: str | bytes | None = None, name: str = "found.csv") -> Path:
        content = results_text() if content is None else content
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
