"""Libraries that benchmarks keep from one run to the next, one for each model."""

from pathlib import Path

import aliens
from aliens.library import Library
from base.settings import LibraryFolder
from db.catalog import is_library
from embedding.encoder import Encoder

WORK = Path(__file__).parent / "work"


def kept_library(name: str, encoder: Encoder, photos: dict[str, Path] | Path | None = None) -> Library:
    """Open the library of that name and model, or make one, and add photos: of a folder, or as keywords."""
    WORK.mkdir(exist_ok=True)
    root = WORK / f"{name.replace(' ', '-')}-{encoder.key}"
    open_or_create = aliens.open if is_library(LibraryFolder(root)) else aliens.create
    library = open_or_create(root, encoder=encoder)
    if photos is not None:
        library.add(**photos) if isinstance(photos, dict) else library.add(photos)
    return library
