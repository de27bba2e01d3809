"""The revisions of the tables: which one a database has, and how it gets the newest, by what lies in migrations/."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from base import __version__
from db.settings_rows import PROGRAM, note_program, read_setting

REVISION = "0009"  # the newest migration, known here so that opening a library need not import Alembic
MIGRATIONS = Path(__file__).with_name("migrations")


def current_revision(engine: Engine) -> str | None:
    """Return the revision of the tables, or None for an empty database."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return revision


def newer(root: Path, session: Session, revision: str) -> str:
    """Return the message for a library whose tables are newer than those that are known here."""
    try:
        made_by = read_setting(session, PROGRAM)
    except DBAPIError:  # its table of settings is another one
        made_by = None
    return (
        f"the library at {root} was made by a newer CV-Aliens{f', {made_by}' if made_by else ''} (its tables are "
        f"of revision {revision}), and this is {__version__}, which knows them up to {REVISION}: update CV-Aliens; "
        "nothing was changed"
    )


def migrate(engine: Engine, revision: str = "head", segments: Sequence[Mapping[str, Any]] = ()) -> None:
    """Run the migrations that the database has not seen, all or none: a kill in their midst leaves it as it was.

    revision: the last one to run. segments: what the shards of an earlier version have become, see revision 0005.
    """
    from alembic import command  # takes 0.2 s to import, and few commands need it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with one_transaction(engine) as connection:
        config.attributes["connection"] = connection
        config.attributes["segments"] = segments
        command.upgrade(config, revision)
        if revision == "head":
            with Session(connection) as session:
                note_program(session)
                session.flush()  # the transaction is the connection's


@contextmanager
def one_transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that holds changes of tables as well.

    Python's driver of SQLite begins none before such changes, so each of them would be kept at once.
    """
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        before, driver.isolation_level = driver.isolation_level, None  # the driver begins nothing by itself
        try:
            with connection.begin():
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        finally:
            driver.isolation_level = before
