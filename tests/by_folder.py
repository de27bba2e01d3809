"""A library's functions by its folder, as tests call them: the library is opened, the function called, all closed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

import aliens
from aliens.library import Library
from base.arrays import Halves
from base.files import SegmentFile
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.vector_rows import EmbeddedRows, segments_of
from embedding.index.building import IndexChoice
from embedding.index.milvus_rows import segment_store
from embedding.segments import SegmentStore
from indexer import add, inventory, merging, upkeep, verify
from indexer.sources import Source, sources_at
from search import captions
from search.answers import Feedback
from search.ranking import Shape
from search.tags import labels, tag_runs, tagging
from search.tags.vocabulary import Vocabulary

Load = Callable[[Any], Any]  # gives an encoder; called only where it is needed


class Loaded:
    """An encoder that is asked for only when it is used, as a library's own is."""

    def __init__(self, load: Load, model: Any) -> None:
        self._load = load
        self._model = model
        self._encoder: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._encoder is None:
            self._encoder = self._load(self._model)
        return getattr(self._encoder, name)


@contextmanager
def catalog_of(folder: LibraryFolder) -> Iterator[Catalog]:
    catalog = Catalog.open(folder)
    try:
        yield catalog
    finally:
        catalog.close()


@contextmanager
def session_of(folder: LibraryFolder) -> Iterator[Session]:
    with catalog_of(folder) as catalog, catalog.session() as session:
        yield session


def store_of(catalog: Catalog) -> SegmentStore:
    return segment_store(catalog.folder, catalog.model.key, catalog.model.dim)


def photo_segments(folder: LibraryFolder) -> list[SegmentFile]:
    """Return the segments of photos, the oldest first."""
    with catalog_of(folder) as catalog, catalog.session() as session:
        return segments_of(session, catalog.model, restyled=False)


def found_vectors(folder: LibraryFolder, *, restyled: bool = False) -> dict[int, Halves]:
    """Return {photo id: vector} of the photos, or of the restyled ones, that can be found."""
    with catalog_of(folder) as catalog, catalog.session() as session:
        parts = store_of(catalog).current(EmbeddedRows(session, catalog.model, restyled=restyled)).parts()
        return {
            photo_id: np.array(vector)
            for ids, vectors in parts
            for photo_id, vector in zip(ids.tolist(), vectors, strict=True)
        }


def merge_due(folder: LibraryFolder) -> int:
    with catalog_of(folder) as catalog, catalog.writing() as session:
        return merging.merge_due(catalog, session, store_of(catalog))


def create_library(folder: LibraryFolder, encoder: Any, database: str | None = None) -> None:
    aliens.create(folder.root, encoder=encoder, database=database).close()


def open_library(root: Path | None = None, load_encoder: Load | None = None) -> Library:
    library = aliens.open(root)
    if load_encoder is not None:
        library._encoder = Loaded(load_encoder, library.model)
    return library


def add_photos(folder: LibraryFolder, source: Source, load_encoder: Load, **options: Any) -> add.AddReport:
    with catalog_of(folder) as catalog:
        return add.add_photos(catalog, store_of(catalog), Loaded(load_encoder, catalog.model), [source], **options)


def reindex(
    folder: LibraryFolder,
    load_encoder: Load,
    change: Callable[[IndexChoice], IndexChoice] = lambda choice: choice,
    **options: Any,
) -> upkeep.IndexReport:
    with catalog_of(folder) as catalog:
        return upkeep.reindex(catalog, store_of(catalog), Loaded(load_encoder, catalog.model), change, **options)


def by_folder(function: Callable[..., Any], *, with_store: bool = True) -> Callable[..., Any]:
    """Return a function that takes a library's folder in the place of its catalog, or of catalog and store."""

    def call(folder: LibraryFolder, *arguments: Any, **options: Any) -> Any:
        with catalog_of(folder) as catalog:
            opened = (catalog, store_of(catalog)) if with_store else (catalog,)
            return function(*opened, *arguments, **options)

    return call


take_inventory = by_folder(inventory.take_inventory, with_store=False)
disagreements = by_folder(verify.verify)
repair = by_folder(verify.repair)
import_tags = by_folder(labels.import_tags)
generate_captions = by_folder(captions.generate_captions, with_store=False)
find_captions = by_folder(captions.find_captions, with_store=False)
list_sets = by_folder(captions.list_sets, with_store=False)


def list_failures(folder: LibraryFolder, kind: str | None = None) -> Iterator[inventory.ListedFailure]:
    with catalog_of(folder) as catalog:
        yield from inventory.list_failures(catalog, kind)


@contextmanager
def tagging_of(folder: LibraryFolder, key: str | None = None) -> Iterator[tuple[Session, tagging.Tagging]]:
    with catalog_of(folder) as catalog, catalog.session() as session:
        yield session, tagging.Tagging.open(catalog, session, store_of(catalog), key)


def tag_library(
    folder: LibraryFolder, vocabulary: Vocabulary | None, load_encoder: Load, **options: Any
) -> tag_runs.TagReport:
    with catalog_of(folder) as catalog:
        encoder = Loaded(load_encoder, catalog.model)
        return tag_runs.tag_library(catalog, store_of(catalog), encoder, vocabulary, **options)


def label_photo(folder: LibraryFolder, photo_id: int, tag: str, present: bool | None, vocabulary: str | None) -> str:
    with catalog_of(folder) as catalog:
        return labels.label_photos(catalog, [photo_id], tag, present, vocabulary)


def choose_captions(
    folder: LibraryFolder, texts: Sequence[str], *, load_encoder: Load, **options: Any
) -> captions.CaptionReport:
    with catalog_of(folder) as catalog:
        return captions.choose_captions(
            catalog, store_of(catalog), Loaded(load_encoder, catalog.model), texts, **options
        )


def flat(shape: Shape = Shape(), feedback: Feedback = Feedback()) -> dict[str, Any]:  # noqa: B008 - both frozen
    """Return a shape, and feedback, as the keywords of a search."""
    said = {f.name: getattr(shape, f.name) for f in fields(shape) if getattr(shape, f.name) != f.default}
    clicks = {"more_like": feedback.more_like, "less_like": feedback.less_like}
    return said | {name: ids for name, ids in clicks.items() if ids}


def source_at(path: str | Path, library: Path, *, may_be_gone: bool = False) -> Source:
    """The source for a path."""
    (source,) = sources_at([path], library, may_be_gone=may_be_gone)
    return source
