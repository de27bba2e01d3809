"""Adding photos, start to end: scan a source, embed what is pending, build the index. One process at a time."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from base.errors import LibraryError
from base.settings import LibraryFolder
from db.catalog import (
    connect,
    create_database,
    disk_errors,
    disposing,
    holds_library,
    new_session,
    open_library,
    writing,
)
from db.models import Model, PhotoState
from db.photo_rows import count_photos
from db.vector_rows import current_model, use_model
from embedding.decode import MAX_PIXELS
from embedding.encoder import keep_text_tower
from embedding.store import VectorStore
from indexer.pipeline import ImageEncoder, Run, RunReport
from indexer.scan import ScanReport, scan
from indexer.sources import Source
from indexer.upkeep import IndexHooks, IndexReport, probe_texts, update_index


class NamedEncoder(ImageEncoder, Protocol):
    """What a new library needs of an encoder: its identity besides its vectors."""

    name: str
    key: str
    dim: int


@dataclass(frozen=True, slots=True)
class AddReport:
    """What adding photos did."""

    scan: ScanReport
    run: RunReport
    index: IndexReport


@dataclass(frozen=True, kw_only=True, slots=True)
class AddHooks:
    """What the caller is told meanwhile."""

    scanning: Callable[[int], None] = lambda found: None
    embedding: Callable[[RunReport], None] = lambda report: None
    index: IndexHooks = field(default_factory=IndexHooks)


def is_library(folder: LibraryFolder) -> bool:
    """Tell whether a folder holds a library that was set up to its end.

    Raises: LibraryError: its database cannot be opened.
    """
    if not (folder.config_file.exists() or folder.database_file.exists()):
        return False
    with disposing(connect(folder.database_url())) as engine:
        return holds_library(engine)


def refuse_existing(folder: LibraryFolder) -> None:
    """Make sure that a folder holds no library yet.

    Raises: LibraryError: it does, or its database cannot be opened.
    """
    if is_library(folder):
        raise LibraryError(f"{folder.root} is a library already: add photos to it, or name another folder")


def create_library(folder: LibraryFolder, encoder: NamedEncoder, database_url: str | None = None) -> None:
    """Create a library for a model's vectors, in SQLite or at another database's URL.

    The model's text tower is kept in it, where that can be done, so that searching starts without the whole model.

    Raises: LibraryError: there is one already, or the database cannot be used.
    """
    refuse_existing(folder)
    with disk_errors(folder):
        if database_url is None:
            folder.root.mkdir(parents=True, exist_ok=True)
        with (
            disposing(create_database(database_url or folder.database_url())) as engine,
            new_session(engine) as session,
        ):
            use_model(session, encoder.key, encoder.name, encoder.dim)
            session.commit()
        if database_url is not None:
            folder.root.mkdir(parents=True, exist_ok=True)
            folder.config_file.write_text(
                f"database = {json.dumps(database_url, ensure_ascii=False)}\n", encoding="utf-8"
            )
    keep_text_tower(encoder, folder.text_tower(encoder.key))


def add_photos(
    folder: LibraryFolder,
    source: Source,
    load_encoder: Callable[[Model], ImageEncoder],
    *,
    hooks: AddHooks | None = None,
    retry_failed: bool = False,
    allow_empty: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> AddReport:
    """Scan a source, embed every pending photo of the library, and bring the index up to date.

    The encoder is loaded only when there is a photo to embed. Whatever stops this, the same call goes on where it
    stopped.

    Raises: LibraryError: another process adds photos to this library, or the disk is full.
    """
    hooks = hooks or AddHooks()
    with (
        disk_errors(folder),
        disposing(open_library(folder)) as engine,
        writing(folder),
        new_session(engine) as session,
    ):
        model = current_model(session)
        scanned = scan(session, source, retry_failed=retry_failed, allow_empty=allow_empty, progress=hooks.scanning)
        store = VectorStore(folder.vectors(model.key), model.dim)
        encoder = cache(lambda: load_encoder(model))
        run = RunReport()
        if count_photos(session)[PhotoState.PENDING]:
            run = Run(engine, model, store, encoder(), max_pixels).embed(hooks.embedding)
        texts = None if run.interrupted else lambda: encoder().encode_texts(probe_texts())
        report = update_index(session, folder, model, store, texts, hooks=hooks.index)
    return AddReport(scanned, run, report)
