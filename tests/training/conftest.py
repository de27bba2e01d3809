"""Models of every noun, without the package that holds them: a plan needs only their sizes."""

from pathlib import Path

import pytest

from training.catalogue import Model
from training.nouns import MODELS


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    sizes = {"table": (1.2, 0.8, 0.75), "bed": (1.6, 2.0, 0.6), "sofa": (2.0, 0.9, 0.8)}
    return {
        key: Model(key, noun, "", Path(f"{key}.obj"), *sizes.get(noun, (0.5, 0.5, 0.8)), ())
        for noun, keys in MODELS.items()
        for key in keys
    }
