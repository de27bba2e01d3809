"""The library as its users see it: opened or created here, with everything that the command can do as a method."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aliens.browsing_methods import BrowsingMethods
from aliens.desk_methods import DeskMethods
from aliens.exhibit_methods import ExhibitMethods
from aliens.hotel_methods import HotelMethods
from aliens.judged_methods import JudgedMethods
from aliens.labelling_methods import LabellingMethods
from aliens.model_methods import ModelMethods
from aliens.owner import Where
from aliens.photo_methods import PhotoMethods
from aliens.picture_methods import PictureMethods
from aliens.restyle_methods import RestyleMethods
from aliens.stats_methods import StatsMethods
from aliens.suggestion_methods import SuggestionMethods
from aliens.vector_methods import VectorMethods
from base.errors import LibraryError
from base.settings import DEFAULT_LIBRARY, LibraryFolder, default_model
from db.catalog import Catalog, refuse_library
from embedding.encoder import Encoder, LazyEncoder


class Library(
    PhotoMethods,
    HotelMethods,
    ModelMethods,
    RestyleMethods,
    PictureMethods,
    BrowsingMethods,
    LabellingMethods,
    SuggestionMethods,
    DeskMethods,
    ExhibitMethods,
    StatsMethods,
    JudgedMethods,
    VectorMethods,
):
    """A library of photos, opened by `aliens.open` or `aliens.create`; close it, or use it in a `with` statement.

    It sees photos that are added while it is open. Threads may share it. Methods raise `aliens.AliensError`, whose
    message names the bad value and the remedy; a `progress` is called with a `base.progress.Step` now and then, by
    default bars are shown in a terminal or a notebook. A forked process may go on using it; one that is started anew,
    to which it is sent by pickle, opens it for itself.
    """

    def __reduce__(self) -> tuple[Callable[[Where], "Library"], tuple[Path]]:
        if self._encoder is not None and type(self._encoder).__module__.partition(".")[0] != "embedding":
            raise LibraryError(
                f"{self!r} has an encoder of yours, which is not sent along: open it in the other process"
            )
        again = partial(
            open, model=self.model.key, device=self.device, precision=self._precision, backend=self._backend
        )
        return again, (self.path,)


def open(
    path: Where | None = None,
    *,
    model: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    encoder: Encoder | None = None,
    tell: Callable[[str], None] = lambda note: None,
) -> Library:
    """Open a library.

    Args:
        path: its folder; by default ALIENS_LIBRARY, or aliens-library in the working folder.
        model: another of its models than the one in use, by name, key, or the beginning of either. Nothing can be added
            by it, and photos that lack its vectors are not found.
        device: what the model runs on: auto, cpu, cuda or mps.
        precision: what it computes in: auto, float32 or bfloat16; int8 where a model was calibrated to it: see `embed`.
        backend: what computes photos on a processor: torch, openvino, or auto: the one that was measured to be faster.
        encoder: by default the library's own model, loaded at its first use.
        tell: hears notes, such as that a model is being loaded.

    Raises:
        LibraryError: there is no library, it cannot be opened, or a newer CV-Aliens made it.
        QueryError: the library has no such model.
        ModelMismatchError: the encoder is another model than the library's.
    """
    folder = LibraryFolder(Path(path or os.environ.get("ALIENS_LIBRARY") or DEFAULT_LIBRARY))
    return Library(
        Catalog.open(folder, upgraded, model), encoder, device=device, precision=precision, backend=backend, tell=tell
    )


def upgraded(catalog: Catalog) -> None:
    """Bring a library of an earlier version up to date."""
    from indexer.upgrade import upgrade

    upgrade(catalog)


def create(
    path: Where,
    model: str | None = None,
    *,
    database: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    encoder: Encoder | None = None,
    tell: Callable[[str], None] = lambda note: None,
) -> Library:
    """Create an empty library for one model, and open it.

    The model's text tower is kept in it, where that can be done, so that searching starts without the whole model.

    Args:
        path: its folder, which need not be there.
        model: ARCHITECTURE/WEIGHTS of open_clip, starter, local-dir:FOLDER or hf-hub:ORG/NAME; by default
            ALIENS_MODEL, or ViT-B-32/openai.
        database: SQLAlchemy URL of another database than SQLite in the folder.
        device: what the model runs on: auto, cpu, cuda or mps.
        precision: what it computes in: auto, float32 or bfloat16.
        backend: what computes photos on a processor: torch, openvino, or auto: the one that was measured to be faster.
        encoder: the model itself, in place of its name.
        tell: hears notes, such as that a model is being loaded.

    Raises:
        LibraryError: there is a library already, or the folder or the database cannot be used.
        EncoderError: the model is unknown or its weights cannot be had.
    """
    folder = LibraryFolder(Path(path))
    refuse_library(folder)  # before a model is loaded, which takes seconds
    if encoder is None:
        from embedding.open_clip_encoder import OpenClipEncoder  # imports torch, which takes seconds

        name = model or default_model()
        tell(f"loading {name} ...")
        encoder = OpenClipEncoder.load(name, device=device, precision=precision, backend=backend, tell=tell)
        tell(str(encoder))
    catalog = Catalog.create(folder, key=encoder.key, name=encoder.name, dim=encoder.dim, url=database)
    if not isinstance(encoder, LazyEncoder):
        from embedding.encoder import keep_text_tower

        keep_text_tower(encoder, folder.text_tower(encoder.key))
    return Library(catalog, encoder, device=device, precision=precision, backend=backend, tell=tell)
