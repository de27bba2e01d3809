"""A library's database, opened once and handed down: engine, sessions, migrations, the writer's lock.

Holds no queries of photos.
"""

import copy
import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from weakref import WeakSet

from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from base import __version__
from base.console import shell_word
from base.errors import DiskFullError, LibraryError, ModelMismatchError, QueryError
from base.files import atomic_write, make_folder
from base.settings import LibraryFolder
from db import postgres
from db.locks import busy, locked
from db.model_rows import named_model
from db.models import Model, Setting
from db.revisions import REVISION, current_revision, migrate, newer
from db.settings_rows import PROGRAM, write_setting
from db.sqlite_files import (
    TOO_MANY,
    error_of_sqlite,
    failing,
    full,
    sqlite_options,
    too_many,
    unwritable,
    use_sqlite_files,
)
from db.vector_rows import current_model, use_model


class Catalog:
    """A library's database: what photos there are, and where their vectors lie. Threads may share it.

    folder: where the library lies. model: the row of the model in use, as it was when this was opened, or of another
    one that was asked for.
    """

    def __init__(
        self,
        folder: LibraryFolder,
        engine: Engine,
        upgrade: "Upgrade | None" = None,
        *,
        revision: str = REVISION,
        model: str | None = None,
    ) -> None:
        """`upgrade`: brings a library of an earlier `revision` up to date, with the lock held. `model`: see `open`."""
        self.folder = folder.absolute()
        self.engine = engine
        OPENED.add(self)
        self._closed = False
        self._upgrade = upgrade
        self._locks: list[postgres.DatabaseLock] = []  # one at most, shared with what `of` returns
        with disposing_on_error(engine):
            self._outdated = revision != REVISION
            with new_session(engine) as session:
                self.model = current_model(session) if model is None else named_model(session, model)

    @classmethod
    def open(cls, folder: LibraryFolder, upgrade: "Upgrade | None" = None, model: str | None = None) -> Self:
        """Open an existing library's database. One of an earlier version is brought up to date by who first writes.

        `model`: another of its models than the one in use, by what `named_model` takes.

        Raises:
            LibraryError: there is no library, it cannot be reached, or a newer CV-Aliens made it.
            QueryError: the library has no such model.
        """
        with disk_errors(folder):
            engine, revision = open_database(folder)
            return cls(folder, engine, upgrade, revision=revision, model=model)

    @classmethod
    def create(cls, folder: LibraryFolder, *, key: str, name: str, dim: int, url: str | None = None) -> Self:
        """Create a library for vectors of a model, in SQLite or at another database's URL, and open it.

        Raises: LibraryError: there is one already, or the database cannot be used.
        """
        refuse_library(folder)
        with disk_errors(folder):
            if url is None:
                make_folder(folder.root)
            url = None if url is None else lasting_url(url)
            engine = create_database(url or database_of(folder))
            with disposing_on_error(engine):
                with new_session(engine) as session:
                    use_model(session, key, name, dim)
                    write_setting(session, PROGRAM, __version__)
                    session.commit()
                if url is not None:
                    line = f"database = {json.dumps(url, ensure_ascii=False)}\n"
                    with atomic_write(folder.config_file) as file:
                        file.write(line.encode())
        return cls(folder, engine)

    def of(self, model: Model) -> Self:
        """Return the same opened library as seen by another of its models."""
        other = copy.copy(self)
        other.model = model
        return other

    def refuse_other_model(self, session: Session) -> None:
        """Make sure that this is the model in use, of which every embedded photo has a vector.

        Raises: ModelMismatchError: it is another, perhaps since somebody else has changed that.
        """
        used = current_model(session)
        if used.key != self.model.key:
            raise ModelMismatchError(
                f"photos are added by the model in use, {used.name}, and this library was opened with "
                f"{self.model.name}: open it without naming a model; `aliens embed` makes vectors of others then"
            )

    def nothing_embedded(self, session: Session) -> QueryError:
        """Return the error for a library without a photo that the model which it was opened with can find."""
        if current_model(session).key != self.model.key:
            name = self.model.name
            return QueryError(
                f"no photo in {self.folder.root} has a vector of {name} yet: `aliens embed --model {shell_word(name)}` "
                "makes them"
            )
        return QueryError(f"no photo in {self.folder.root} is embedded yet: add some with `aliens add FOLDER`")

    def session(self) -> Session:
        """Return a new session, whose objects stay readable after a commit.

        Raises: LibraryError: the library was closed, or is of an earlier version.
        """
        root = str(self.folder.root)
        if self._closed:
            raise LibraryError(f"the library at {root} was closed: open it again with aliens.open({root!r})")
        if self._is_outdated():
            made = f"the library at {root} was made by an earlier CV-Aliens"
            if not os.access(root, os.W_OK):
                raise LibraryError(
                    f"{made} and has to be brought up to date, but cannot be written: copy it to where you may write, "
                    "and use the copy; what it holds is kept"
                )
            raise LibraryError(
                f"{made}: `aliens index` brings it up to date, as adding and tagging do; what it holds is kept"
            )
        session = new_session(self.engine)
        if self.engine.dialect.name == postgres.NAME:
            event.listen(session, "after_begin", self._make_sure_of_lock)
            event.listen(session, "before_commit", self._make_sure_of_lock)
        return session

    def _make_sure_of_lock(self, *told: object) -> None:
        """Have nothing be written once the lock that is held here was lost with the server."""
        for lock in self._locks:
            lock.make_sure()

    @contextmanager
    def saving(self) -> Iterator[Session]:
        """Yield a session for a small write, beside which others may change the library; the caller commits.

        Raises: LibraryError: the disk is full or cannot be written.
        """
        with disk_errors(self.folder):
            if self._is_outdated():
                with self.lock():
                    self._bring_up_to_date()
            with self.session() as session:
                yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session while holding the library's lock: one thread of one process at a time; the caller commits.

        Raises: LibraryError: another one holds the lock; the disk is full or cannot be written.
        """
        with disk_errors(self.folder), self.lock():
            self._bring_up_to_date()
            with self.session() as session:
                yield session

    def refuse_unwritable(self) -> None:
        """Refuse what would be in vain, before it takes long. Raises: LibraryError: nothing can be written here."""
        if not os.access(self.folder.root, os.W_OK):
            raise LibraryError(unwritable(self.folder.root, "a disk that is read-only, or no right to"))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the library's lock: one thread of one process at a time changes it.

        A file is the lock; where the database is a server, that has one as well, for the processes of other machines.

        Raises: LibraryBusyError: another one holds it; the message says who.
        """
        with locked(self.folder), ExitStack() as held:
            if self.engine.dialect.name == postgres.NAME:
                lock = held.enter_context(postgres.database_locked(self.engine))
                if not isinstance(lock, postgres.DatabaseLock):
                    raise busy(self.folder, lock)
                self._locks.append(lock)
                held.callback(self._locks.remove, lock)
            yield

    def _is_outdated(self) -> bool:
        """Tell whether the library is of an earlier version; another process may have changed that since."""
        self._outdated = self._outdated and current_revision(self.engine) != REVISION
        return self._outdated

    def _bring_up_to_date(self) -> None:
        if self._upgrade is not None and not self._closed and self._is_outdated():
            self._upgrade(self)

    def close(self) -> None:
        """Let go of the database; what still asks for a session is refused."""
        self._closed = True
        self.engine.dispose()


Upgrade = Callable[[Catalog], None]
OPENED: WeakSet[Catalog] = WeakSet()


def leave_connections() -> None:
    """Close the connections that nobody uses: SQLite allows no process to touch those of another, not to close them."""
    for catalog in list(OPENED):
        catalog.engine.dispose()


def make_connections_anew() -> None:
    """Have a forked child leave the connections to its parent that were in use."""
    for catalog in list(OPENED):
        catalog.engine.dispose(close=False)


os.register_at_fork(before=leave_connections, after_in_child=make_connections_anew)


def is_library(folder: LibraryFolder) -> bool:
    """Tell whether a folder holds a library that was set up to its end.

    Raises: LibraryError: its database cannot be opened.
    """
    if not (folder.config_file.exists() or folder.database_file.exists()):
        return False
    engine = connect(database_of(folder))
    try:
        return holds_library(engine)
    finally:
        engine.dispose()


def refuse_library(folder: LibraryFolder) -> None:
    """Make sure that a folder holds no library yet.

    Raises: LibraryError: it does, it is no folder, or its database cannot be opened.
    """
    if folder.root.exists() and not folder.root.is_dir():
        raise LibraryError(f"{folder.root} is a file: name a new folder for the library")
    if is_library(folder):
        raise LibraryError(f"{folder.root} is a library already: add photos to it, or name another folder")


def create_database(url: str) -> Engine:
    """Create the tables in a database that holds no library yet, and return the engine.

    Raises: LibraryError: the URL is wrong, the database cannot be reached, or it holds a library already.
    """
    engine = connect(url)
    with disposing_on_error(engine):
        if holds_library(engine):
            raise LibraryError(
                f"the database {shown_url(url)} holds a library already: open it by its own folder, "
                "or name an empty database"
            )
        if engine.dialect.name == postgres.NAME:
            with engine.connect() as connection:
                postgres.refuse_other_letters(connection, engine.url)
        migrate(engine)
    return engine


def open_database(folder: LibraryFolder) -> tuple[Engine, str]:
    """Return the engine of an existing library, and the revision of its tables.

    Raises: LibraryError: there is no library, it cannot be reached, or a newer CV-Aliens made it.
    """
    url = database_of(folder)
    if is_absent_file(url):  # SQLite would make an empty one
        if folder.root.exists() and not folder.root.is_dir():
            raise LibraryError(f"{folder.root} is a file, not the folder of a library: name that folder")
        if url != lasting_url(folder.own_database_url()):
            raise LibraryError(
                f"no library at {folder.root}: its database {shown_url(url)} is not there, so bring it back, or say "
                f"where it is in {folder.config_file}"
            )
        raise LibraryError(
            f"no library at {folder.root}: make one with `aliens init`, or name yours with --library or ALIENS_LIBRARY"
        )
    engine = connect(url)
    with disposing_on_error(engine):
        revision = current_revision(engine)
        if revision is not None and revision > REVISION:
            with new_session(engine) as session:
                raise LibraryError(newer(folder.root, session, revision))
        if revision is None:  # nothing is in it
            migrate(engine)
    return engine, revision or REVISION


def database_of(folder: LibraryFolder) -> str:
    """Return the URL of a library's database; a relative one of library.toml's means a file beside it, if there is one.

    Raises: LibraryError: library.toml cannot be read.
    """
    url = folder.database_url()
    beside = lasting_url(url, folder.root)
    return lasting_url(url) if is_absent_file(beside) else beside


def lasting_url(url: str, folder: Path = Path()) -> str:
    """Return a database's URL that means the same in every working folder: SQLite's file by its whole path."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url
    file = parsed.database or ""
    if parsed.get_backend_name() != "sqlite" or file.startswith((":", "file:", "/")) or not file:
        return url
    return parsed.set(database=str(folder.absolute() / file)).render_as_string(hide_password=False)


@contextmanager
def disposing_on_error(engine: Engine) -> Iterator[None]:
    """Close an engine's connections when it will not be handed on."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def is_absent_file(url: str) -> bool:
    """Tell whether a URL names an SQLite file that does not exist."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return False
    return parsed.get_backend_name() == "sqlite" and parsed.database is not None and not Path(parsed.database).exists()


def connect(url: str) -> Engine:
    """Return an engine that has reached its database, with SQLite in WAL mode and foreign keys enforced.

    Raises: LibraryError: the URL is wrong, its driver is not installed, or nothing answers.
    """
    try:
        parsed = make_url(url)
        options = {"sqlite": sqlite_options, postgres.NAME: postgres.engine_options}.get(parsed.get_backend_name())
        engine = create_engine(parsed, **(options(parsed) if options else {}))
        if engine.dialect.name == "sqlite":
            use_sqlite_files(engine)
        elif engine.dialect.name == postgres.NAME:
            postgres.use_postgres(engine)
        with disposing_on_error(engine), engine.connect():
            return engine
    except (ArgumentError, ValueError, NoSuchModuleError, ModuleNotFoundError) as error:  # of a port that is no number
        raise LibraryError(
            f"{shown_url(url)} is no database URL that can be used ({error}): for example sqlite:///library.db, or "
            "postgresql+psycopg://user@host/name with `pip install -e '.[postgres]'`"
        ) from error
    except DBAPIError as error:
        raise LibraryError(f"the database {shown_url(url)} cannot be opened: {error.orig}") from error


def shown_url(url: str | URL) -> str:
    """Return a database's URL as it may be shown: without the password."""
    try:
        return postgres.safe_url(make_url(url))
    except (ArgumentError, ValueError):
        return repr(re.sub(r"(?<=://)([^:/]*):.*@", r"\1:***@", str(url)))


def holds_library(engine: Engine) -> bool:
    """Tell whether a library was ever set up to its end in this database."""
    if not inspect(engine).has_table(Setting.__tablename__):
        return False
    with new_session(engine) as session:
        return session.scalars(select(Setting.name).limit(1)).first() is not None


@contextmanager
def undone_on_error(session: Session) -> Iterator[None]:
    """Take back what was not committed where the block fails: a commit that failed halfway leaves no session to use."""
    try:
        yield
    except BaseException:
        session.rollback()
        raise


def new_session(engine: Engine) -> Session:
    """Return a session whose objects stay readable after a commit."""
    return Session(engine, expire_on_commit=False)


@contextmanager
def disk_errors(folder: LibraryFolder) -> Iterator[None]:
    """Turn the system's and the database's words for a disk that is full or cannot be written into one error."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder.root
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(full(folder.root)) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LibraryError(unwritable(where, str(error.strerror))) from error
        if error.errno == errno.EIO:
            raise LibraryError(failing(where)) from error
        if error.errno in TOO_MANY:
            raise LibraryError(f"{where} cannot be opened: {too_many()}") from error
        raise
    except DBAPIError as error:
        told = error_of_sqlite(error.orig, folder.database_file)
        raise told or LibraryError(f"the library's database failed: {error.orig}") from error
