"""Loading encoders for commands, with a word about what they run on."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from base import console
from base.settings import LibraryFolder

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.models import Model
    from embedding.encoder import LazyEncoder
    from embedding.open_clip_encoder import OpenClipEncoder
    from search.answers import Library


def load_encoder(name: str, device: str = "auto", precision: str = "auto", key: str | None = None) -> "OpenClipEncoder":
    """Load an encoder and announce what it runs on."""
    console.note(f"loading {name} ...")
    from embedding.open_clip_encoder import OpenClipEncoder

    encoder = OpenClipEncoder.load(name, device=device, precision=precision, key=key)
    console.note(str(encoder))
    return encoder


def load_for_texts(library: Path, model: "Model", device: str = "auto") -> "LazyEncoder":
    """Return what encodes queries: a library's text tower, and its model, loaded without a word when it is needed."""
    from embedding.encoder import LazyEncoder

    return LazyEncoder.by_name(LibraryFolder(library).text_tower(model.key), model.name, model.key, device=device)


def open_for_search(library: Path, device: str = "auto") -> "Library":
    """Open a library; its model is loaded, without a word, at the first query that needs it."""
    from search.answers import open_library

    atexit.register(gc.freeze)  # looking for cycles among what ends with the process takes Python 0.2 s
    return open_library(library, load_encoder=lambda model: load_for_texts(library, model, device))


@contextmanager
def library_session(folder: LibraryFolder) -> "Iterator[Session]":
    """Open a library's database."""
    from db.catalog import disposing, new_session, open_library

    with disposing(open_library(folder)) as engine, new_session(engine) as session:
        yield session
