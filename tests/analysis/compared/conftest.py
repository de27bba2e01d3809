"""A library of ten photos with a fake model, and other fake models that can be loaded by name."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import aliens
from aliens.library import Library
from tests.conftest import FakeEncoder, copy_library

OTHERS = ("upside-down", "twin")


class OtherEncoder(FakeEncoder):
    """The fake encoder by another name: `upside-down` gives photos the opposite vectors, so that they rank reversed."""

    backend = "torch"
    parameters, device, precision = 1_500_000, SimpleNamespace(type="cpu"), "float32"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}-00000000")
        self.name = name

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        return super().encode_images(pixels) * (-1 if self.name == "upside-down" else 1)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[OtherEncoder]:
    """The models that were loaded, each by its name."""
    from embedding.open_clip_encoder import OpenClipEncoder

    found: list[OtherEncoder] = []

    def load(name: str, **_: object) -> FakeEncoder:
        if name == "fake":
            return FakeEncoder()
        found.append(OtherEncoder(name))
        return found[-1]

    monkeypatch.setattr(OpenClipEncoder, "load", load)
    return found


@pytest.fixture
def own_ten(filled_template: Path, ten_photos: Path, tmp_path: Path) -> Iterator[Library]:
    """A library of its own of ten photos, ids 1 to 10."""
    copy_library(filled_template, tmp_path / "library", ten_photos, ten_photos)
    with aliens.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        yield library


@pytest.fixture
def two_queries(tmp_path: Path) -> Path:
    """Two queries, answered by the photos 1, 2 and 3."""
    path = tmp_path / "queries.csv"
    path.write_text("query,photo_id\na pool,1\na pool,2\na bed,3\n", encoding="utf-8")
    return path
