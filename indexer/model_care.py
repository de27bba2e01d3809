"""The models of a library: vectors of another one are made, it is taken into use, or it goes. Searches nothing."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.orm import Session

from base.console import counted, one_line, shell_word
from base.errors import LibraryBusyError, LibraryError, QueryError
from base.files import make_folder
from base.progress import Progress, silent
from base.settings import LibraryFolder
from db.catalog import Catalog, disk_errors
from db.model_rows import count_without_vector, library_models, named_model, remove_model
from db.models import Model
from db.photo_rows import count_pending
from db.settings_rows import saved_searches
from db.tag_rows import vocabulary_keys
from db.vector_rows import add_model, current_model, use_model
from embedding.encoder import Encoder
from embedding.image_files import Drift
from embedding.index.approximate import read_approximation
from embedding.index.milvus import read_collection
from embedding.index.milvus_rows import segment_store
from embedding.index.milvus_sync import leave
from embedding.text_tower import tower_problem
from indexer.further_run import FurtherRun, LeftOut
from indexer.inventory import ModelStanding, model_standing
from indexer.pipeline import RunReport


@dataclass(frozen=True, kw_only=True, slots=True)
class FurtherReport:
    """What giving photos vectors of a model that is not in use did.

    model: its key; name: what it is loaded by. recorded: photos that got a vector. lacking: embedded photos that have
    none now. restyled: restyled photos that got one. drift: of a model that was calibrated to int8, how far its vectors
    lie from those of float32.
    """

    model: str
    name: str
    run: RunReport
    left_out: LeftOut
    recorded: int
    lacking: int
    restyled: int = 0
    drift: Drift | None = None

    @property
    def interrupted(self) -> bool:
        """Whether photos are left since somebody stopped it."""
        return self.run.interrupted

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)

    def __str__(self) -> str:
        run = self.run
        rate = f" ({run.encoded / run.seconds:.1f} photos/s)" if run.encoded else ""
        lines = [f"{counted(self.recorded, 'photo')} got vectors of {self.model} in {run.seconds:.1f} s{rate}"]
        lines += [f"{counted(self.restyled, 'restyled photo')} got them too"] * bool(self.restyled)
        if self.drift is not None:
            lines.append(f"int8: {self.drift}")
        if not self.lacking:
            lines.append(f"no photo that can be found lacks one: `aliens use {shell_word(self.name)}` searches by them")
        return "\n".join(lines)

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        run, left, said = self.run, self.left_out, []
        if run.strays:
            said.append(f"removed {counted(run.strays, 'file')} that a killed run had left half done")
        if run.interrupted:
            said.append(f"stopped: {counted(self.lacking, 'photo')} to go; the same command goes on from here")
        if left.photos:
            parts = [
                f"{count} {what}"
                for count, what in ((left.gone, "gone"), (left.changed, "changed"), (left.unreadable, "unreadable"))
                if count
            ]
            where, reason = left.examples[0]
            said.append(
                one_line(f"{counted(left.photos, 'photo')} left out ({', '.join(parts)}), such as {where}: {reason}; ")
                + "`aliens add` with their folder takes note of that, then run this again"
            )
        return said


@dataclass(frozen=True, kw_only=True, slots=True)
class UseReport:
    """A model that is in use now. before: the key of the one that was. anew: what it lacks, and how it is made."""

    model: str
    name: str
    before: str
    anew: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)

    def __str__(self) -> str:
        if self.model == self.before:
            return f"{self.model} was in use already"
        return f"{self.model} is in use; {self.before} stays beside it"


@contextmanager
def building(folder: LibraryFolder, model_key: str) -> Iterator[None]:
    """Be the only one that makes, or removes, vectors of a model which is not in use.

    Raises: LibraryBusyError: another process or thread does.
    """
    lock = folder.embedding_lock(model_key)
    make_folder(lock.parent)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        raise LibraryBusyError(
            f"another process makes vectors of {model_key} in {folder.root}: wait for it to end, or stop it"
        ) from error


def embed_further(
    catalog: Catalog, encoder: Encoder, progress: Progress = silent, *, before: Callable[[Model], None]
) -> FurtherReport:
    """Give every photo that can be found a vector of a model that is not in use; searches by the other go on.

    May be stopped at any time; the same call goes on where it stopped. Photos whose files have changed, are gone or
    cannot be read are left out.

    Args:
        catalog: of the library.
        encoder: the model.
        progress: told of photos.
        before: called with the model's row, before photos are encoded.

    Raises:
        QueryError: it is the model in use.
        LibraryBusyError: another process makes vectors of this model.
        LibraryError: the disk is full or cannot be written.
    """
    with disk_errors(catalog.folder), building(catalog.folder, encoder.key):
        with catalog.saving() as session:
            if current_model(session).key == encoder.key:
                raise QueryError(f"{encoder.name} is the model in use: `aliens add FOLDER` embeds photos by it")
            model = add_model(session, encoder.key, encoder.name, encoder.dim)
            session.commit()
        before(model)
        own = catalog.of(model)
        run = FurtherRun(own, segment_store(catalog.folder, model.key, model.dim), encoder)
        report = run.embed(progress)
        with catalog.session() as session:
            lacking = count_without_vector(session, model)
            drift = model_standing(catalog.folder, session, model, in_use=False).drift
    return FurtherReport(
        model=model.key,
        name=model.name,
        run=report,
        left_out=run.left_out,
        recorded=run.recorded,
        lacking=lacking,
        drift=drift,
    )


def take_into_use(catalog: Catalog, name: str) -> UseReport:
    """Make another model of a library the one in use, which takes no time: its vectors are there.

    Raises:
        QueryError: the library has no such model.
        LibraryError: photos lack its vectors; another process changes the library, or it cannot be written.
    """
    with catalog.writing() as session:
        model, before = named_model(session, name), current_model(session)
        if model.key != before.key:
            refuse_lacking(session, model)
            use_model(session, model.key, model.name, model.dim)
            session.commit()
        anew = made_anew(catalog.of(model), session, before) if model.key != before.key else []
    return UseReport(model=model.key, name=model.name, before=before.key, anew=anew)


def refuse_lacking(session: Session, model: Model) -> None:
    """Make sure that every embedded photo has a vector of a model. Raises: LibraryError: some have none."""
    lacking = count_without_vector(session, model)
    if lacking:
        have = "has no vector" if lacking == 1 else "have no vectors"
        raise LibraryError(
            f"{counted(lacking, 'photo')} {have} of {model.name} yet, and would not be found: "
            f"`aliens embed --model {shell_word(model.name)}` makes them; where files are gone or have changed, "
            "`aliens add` with their folder takes note of that first"
        )


def made_anew(catalog: Catalog, session: Session, before: Model) -> list[str]:
    """Return what a model lacks that the one before it had, and how each is made."""
    folder, model, said = catalog.folder, catalog.model, []
    tagged, was_tagged = set(vocabulary_keys(session, model)), set(vocabulary_keys(session, before))
    if missing := sorted(was_tagged - tagged):
        said.append(f"tags of {', '.join(missing)} are not decided by it yet: `aliens tag` does so, from its vectors")
    had = (read_approximation, read_collection)
    if any(read(folder.index(before.key)) for read in had) and not any(read(folder.index(model.key)) for read in had):
        said.append("it has no search index yet, so every photo is compared: `aliens index` makes one")
    if not folder.text_tower(model.key).is_dir() or tower_problem(folder.text_tower(model.key), model.key):
        said.append("it has no text tower of its own here, so the first search of each program loads the whole model")
    if limited := [saved.name for saved in saved_searches(session) if saved.options.get("min_score") is not None]:
        said.append(f"least scores are of one model: look at those of saved searches again, of {', '.join(limited)}")
    if pending := count_pending(session):
        waiting = f"{counted(pending, 'photo')} {'waits' if pending == 1 else 'wait'} to be embedded"
        said.append(f"{waiting}: `aliens add FOLDER` does so, by this model")
    return said


def forget_model(catalog: Catalog, name: str, *, dry_run: bool = False) -> ModelStanding:
    """Remove a model which is not in use: its vectors, tags, index and text tower; return what it was.

    What people said, and captions that it chose, stay. A kill leaves files that `aliens verify --repair` removes.

    Raises:
        QueryError: the library has no such model, or it is in use.
        LibraryError: another process changes the library or makes vectors of the model, or the disk cannot be written.
    """
    with catalog.writing() as session:
        model = named_model(session, name)
        if model.key == current_model(session).key:
            raise QueryError(
                f"{model.name} is in use: take another into use first, with `aliens use NAME`"
                if len(library_models(session)) > 1
                else f"{model.name} is the library's only model: to be rid of it, remove the library's folder"
            )
        standing = model_standing(catalog.folder, session, model, in_use=False)
        if dry_run:
            return standing
        with building(catalog.folder, model.key):
            remove_model(session, model)
            session.commit()
            leave(catalog.folder.index(model.key), with_vectors=True)
            for folder in catalog.folder.of_model(model.key):
                shutil.rmtree(folder, ignore_errors=True)
        catalog.folder.embedding_lock(model.key).unlink(missing_ok=True)
    return standing
