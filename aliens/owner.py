"""The owner of an opened library: catalog, vectors, index and encoder, each opened once and handed down."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy.orm import Session

from base.errors import ModelMismatchError
from base.progress import Progress, shown
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.vector_rows import EmbeddedRows
from embedding.encoder import Encoder, LazyEncoder

if TYPE_CHECKING:
    from embedding.index.photo_index import CurrentIndex, PhotoIndex
    from embedding.segments import SegmentStore

Where = str | os.PathLike[str]  # a path, as somebody names it


class Owner:
    """An opened library. Threads may share it: each call has a session of its own."""

    def __init__(
        self,
        catalog: Catalog,
        encoder: Encoder | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """`encoder`: by default the library's model, loaded at its first use. `tell` hears notes of what goes on.

        Raises: ModelMismatchError: the encoder is another model than the one that made the library's vectors.
        """
        if encoder is not None and encoder.key != catalog.model.key:
            catalog.close()
            raise ModelMismatchError(
                f"the library at {catalog.folder.root} uses {catalog.model.key}, and the encoder is "
                f"{encoder.key}: open it without an encoder, or make a new library for this one"
            )
        self.catalog = catalog
        self.folder: LibraryFolder = catalog.folder
        self.model = catalog.model
        self.device = device
        self.tell = tell
        self._encoder = encoder
        self._precision = precision
        self._backend = backend

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"aliens.open({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The library's folder."""
        return self.folder.root

    def close(self) -> None:
        """Let go of the database; the library can be opened again."""
        self.catalog.close()

    @cached_property
    def store(self) -> "SegmentStore":
        """The vectors of the model in use."""
        from embedding.index.milvus_rows import segment_store  # imports FAISS, which much can do without

        return segment_store(self.folder, self.model.key, self.model.dim)

    @cached_property
    def encoder(self) -> Encoder:
        """The model in use."""
        if self._encoder is not None:
            return self._encoder
        return LazyEncoder(
            self.folder.text_tower(self.model.key),
            name=self.model.name,
            key=self.model.key,
            dim=self.model.dim,
            device=self.device,
            precision=self._precision,
            backend=self._backend,
            towers=self.folder.image_towers,
            tell=self.tell,
        )

    def index(self, session: Session) -> "PhotoIndex":
        """Return the index of exactly the photos that can be found now.

        Raises: LibraryError: a part of the vectors is absent or damaged.
        """
        return self._current_index.at(EmbeddedRows(session, self.model))

    @cached_property
    def _current_index(self) -> "CurrentIndex":
        from embedding.index.photo_index import CurrentIndex

        return CurrentIndex(self.folder.index(self.model.key), self.store, self.model.key)

    def showing(self, progress: Progress | None) -> AbstractContextManager[Progress]:
        """Return what is told of progress: the caller's own, or by default bars where somebody looks."""
        return shown(progress)
