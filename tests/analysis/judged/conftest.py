"""A library of ten small photos with a fake encoder, to be read by many tests and not to be changed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import aliens
from aliens.library import Library
from tests.conftest import FakeEncoder


def written(folder: Path, content: str | bytes, name: str = "queries.csv") -> Path:
    """Write a file of queries, or another, and return its path."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


class PromptedEncoder(FakeEncoder):
    """The fake encoder, with texts elsewhere in every prompt."""

    def encode_prompts(self, text: str, templates: Sequence[str]) -> np.ndarray:
        return super().encode_prompts(templates[0].format(text), ("{}",))


@pytest.fixture(scope="session")
def ten(filled_template: Path) -> Iterator[Library]:
    """The ten photos: ids 1 to 10 are 00.jpg to 09.jpg."""
    with aliens.open(filled_template, encoder=PromptedEncoder()) as library:
        yield library
