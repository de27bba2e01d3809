"""`aliens index`, start to end: choose an index, build it, measure it. One process at a time."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aliens.settings import LibraryFolder
from db.models import Model
from db.session import disposing, new_session, open_library
from db.vectors import current_model
from db.writing import disk_errors, writing
from embedding.index.choosing import IndexChoice
from embedding.store import VectorStore
from indexer.indexing import IndexHooks, IndexReport, choose_index, index_choice, update_index
from indexer.probes import probe_texts


class TextEncoder(Protocol):
    """What measuring an index needs of an encoder."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, d) of texts."""
        ...


def reindex(
    folder: LibraryFolder,
    load_encoder: Callable[[Model], TextEncoder],
    change: Callable[[IndexChoice], IndexChoice] = lambda choice: choice,
    *,
    hooks: IndexHooks | None = None,
    rebuild: bool = False,
) -> IndexReport:
    """Bring a library's index up to date, after changing what index it should have.

    The choice is kept once the index stands. `load_encoder` is called only where recall has to be measured.

    Raises: LibraryError: another process works on the library, the disk is full, or FAISS cannot build the choice.
    """
    with (
        disk_errors(folder),
        disposing(open_library(folder)) as engine,
        writing(folder),
        new_session(engine) as session,
    ):
        model = current_model(session)
        choice = change(index_choice(session))
        report = update_index(
            session,
            folder,
            model,
            VectorStore(folder.vectors(model.key), model.dim),
            lambda: load_encoder(model).encode_texts(probe_texts()),
            choice=choice,
            hooks=hooks,
            rebuild=rebuild,
        )
        choose_index(session, choice)  # last: building takes minutes, and others want to write meanwhile
        session.commit()
    return report
