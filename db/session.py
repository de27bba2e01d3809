"""Opening the database: the engine, SQLite's settings, migrations. Holds no queries of photos."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from aliens.errors import LibraryError
from aliens.settings import LibraryFolder
from db.models import Setting

REVISION = "0004"  # the newest migration, known here so that opening a library need not import Alembic
MIGRATIONS = Path(__file__).with_name("migrations")


def create_database(url: str) -> Engine:
    """Create the tables in a database that holds no library yet, and return the engine.

    Raises: LibraryError: the URL is wrong, the database cannot be reached, or it holds a library already.
    """
    engine = connect(url)
    with disposing_on_error(engine):
        if holds_library(engine):
            raise LibraryError(
                f"the database {shown(url)} holds a library already: open it by its own folder, "
                "or name an empty database"
            )
        migrate(engine)
    return engine


def open_library(folder: LibraryFolder) -> Engine:
    """Return the engine of an existing library, migrated when it is older than this program.

    Raises: LibraryError: there is no library, it cannot be reached, or a newer CV-Aliens made it.
    """
    url = folder.database_url()
    if is_absent_file(url):  # SQLite would make an empty one
        raise LibraryError(
            f"no library at {folder.root}: make one with `aliens init --library {folder.root}`, "
            "or name yours with --library or ALIENS_LIBRARY"
        )
    engine = connect(url)
    with disposing_on_error(engine):
        revision = current_revision(engine)
        if revision is not None and revision > REVISION:
            raise LibraryError(
                f"the library at {folder.root} was made by a newer CV-Aliens (its tables are of revision {revision}, "
                f"known here is {REVISION}): update CV-Aliens"
            )
        if revision != REVISION:
            from filelock import FileLock

            with FileLock(folder.root / "migration.lock"):
                if current_revision(engine) != REVISION:  # another process may have done it meanwhile
                    migrate(engine)
    return engine


@contextmanager
def disposing(engine: Engine) -> Iterator[Engine]:
    """Close an engine's connections in the end, come what may."""
    try:
        yield engine
    finally:
        engine.dispose()


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
        engine = create_engine(make_url(url))
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", set_up_sqlite)
        with engine.connect():
            return engine
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise LibraryError(
            f"{shown(url)} is no database URL that can be used ({error}): for example sqlite:///library.db, or "
            "postgresql+psycopg://user@host/name with `pip install -e '.[postgres]'`"
        ) from error
    except DBAPIError as error:
        raise LibraryError(f"the database {shown(url)} cannot be opened: {error.orig}") from error


def shown(url: str) -> str:
    """Return a database's URL as it may be shown: without the password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(url)


def set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Readers and one writer at once (WAL), foreign keys enforced, up to 30 s of waiting for a lock."""
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "busy_timeout = 30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def current_revision(engine: Engine) -> str | None:
    """Return the revision of the tables, or None for an empty database."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return revision


def holds_library(engine: Engine) -> bool:
    """Tell whether a library was ever set up to its end in this database."""
    if not inspect(engine).has_table(Setting.__tablename__):
        return False
    with new_session(engine) as session:
        return session.scalars(select(Setting.name).limit(1)).first() is not None


def migrate(engine: Engine) -> None:
    """Run the migrations that the database has not seen."""
    from alembic import command  # takes 0.2 s to import, and few commands need it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def new_session(engine: Engine) -> Session:
    """Return a session whose objects stay readable after a commit."""
    return Session(engine, expire_on_commit=False)
