"""Results for tests: photos made darker, kept in a library, and added to it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy.orm import Session

from base.arrays import Pixels
from base.files import PhotoFile
from base.settings import LibraryFolder
from db.models import Photo
from embedding.colour import read_pixels
from embedding.encoder import Encoder
from restyle.restyled import Lineage, RestyledPhotos, Result, add_to_library
from tests.by_folder import catalog_of, store_of


def lineage_of(photo_id: int = 1, **changes: Any) -> Lineage:
    """Return a lineage of a result of a photo, with all fields filled."""
    said: dict[str, Any] = {
        "source_photo_id": photo_id,
        "source_path": "/photos/комната.jpg",
        "source_sha256": "ab" * 32,
        "engine": "regrade",
        "fingerprint": "regrade-1a2b3c4d",
        "diffusion": False,
        "palette": "fern",
        "prompt": "a hotel bathroom — overgrown",
        "negative_prompt": "peach",
        "settings": {"strength": 0.45, "controls": ["edges"]},
        "scores": {"hog": 0.9, "lost_tags": []},
        "rung": "regrade",
        "attempts": [{"strength": 0.5, "met": False}, {"strength": 0.45, "met": True}],
        "seconds": 1.5,
        "wish": f"{photo_id:064x}"[::-1],
    }
    return Lineage(**(said | changes))


@contextmanager
def results_of(folder: LibraryFolder) -> Iterator[tuple[Session, RestyledPhotos]]:
    """Open the results of a library."""
    with catalog_of(folder) as catalog, catalog.session() as session:
        yield session, RestyledPhotos(catalog, session)


def darker(pixels: Pixels) -> Pixels:
    """Return a picture that its photo's vector is still nearest to."""
    return (pixels * 0.8 + 5).astype(np.uint8)


def keep_results(folder: LibraryFolder, photo_ids: Sequence[int], encoder: Encoder | None = None) -> list[Result]:
    """Keep a result of each photo, and add them where there is an encoder."""
    with results_of(folder) as (session, results):
        kept = []
        for photo_id in photo_ids:
            photo = session.get(Photo, photo_id)
            assert photo is not None
            pixels = darker(read_pixels(PhotoFile(photo.path, photo.member)))
            assert photo.content_sha256 is not None
            lineage = lineage_of(photo_id, source_path=photo.path, source_sha256=photo.content_sha256.hex())
            kept.append(results.keep(pixels, lineage))
    if encoder is None:
        return kept
    assert add_results(folder, encoder, kept) == len(kept)
    with results_of(folder) as (_, results):
        return results.of_ids([result.id for result in kept])


def add_results(folder: LibraryFolder, encoder: Encoder, kept: Sequence[Result] | None = None) -> int:
    """Add results, by default all, to what searches find; return how many are new."""
    with catalog_of(folder) as catalog, catalog.session() as session:
        chosen = RestyledPhotos(catalog, session).all() if kept is None else kept
        return add_to_library(catalog, session, store_of(catalog), encoder, chosen)


def read_parameters(path: Path) -> dict[str, Any]:
    """Return how a picture was made, as it says itself."""
    with Image.open(path) as image:
        image.load()  # a PNG's texts may stand behind its pixels
        found: dict[str, Any] = json.loads(image.info.get("parameters") or image.info["comment"])
    return found
