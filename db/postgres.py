"""PostgreSQL: how it is connected to, what its errors mean, its lock, and how it compares letters. Knows no tables.

Every statement sees what was committed before it (READ COMMITTED), as SQLite's do that only read: whoever reads in
several statements has to notice what changes between them, as `embedding.segments` does.
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, case, collate, event, func, literal, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute, Session

from base.console import one_line, shell_word
from base.errors import DiskFullError, LibraryBusyError, LibraryError
from db import locks
from db.locks import Holder

NAME = "postgresql"
CONNECT_S = 15  # longer than a lost packet takes to be sent again; without it an address may be tried for minutes
ENCODING = "UTF8"
NUL = "\N{REPLACEMENT CHARACTER}"  # in the place of a character that PostgreSQL's texts cannot hold
ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
LETTERS = "und-x-icu"  # the collation of all languages, by which capital letters have small ones
LOCK = 0x616C6965, 0x6E73  # "alie", "ns": of a database's advisory locks the one of its library
TRIED_EVERY_S = 0.1
TextColumn = ColumnElement[Any] | InstrumentedAttribute[Any]
HIDDEN = ("password", "sslpassword")  # that an address may have behind its question mark
# What to do about an error, by its SQLSTATE; by its words where a server refuses a connection, which have no other.
REFUSED = {
    "password authentication failed|no password supplied|role .* does not exist|no pg_hba.conf entry": (
        "check the user and the password: in the address, in PGPASSWORD or in ~/.pgpass"
    ),
    "database .* does not exist": "make it first: `createdb {database}`",
    "too many clients|too many connections|connection slots": (
        "the server takes no more connections: close programs that use it, or raise its max_connections, then do the "
        "same again"
    ),
    "starting up|shutting down|not yet accepting|recovery mode": "wait until it is ready, then do the same again",
    "resolve|refused|timeout|timed out|unreachable|No such file|closed the connection|reset": (
        "see that the server runs, and that host and port are right, then do the same again"
    ),
}
NO_RIGHT, READ_ONLY, DISK_FULL = "42501", "25006", "53100"
SAME_ROWS = {"40001", "40P01"}  # two transactions that wait for each other; the first where a server is set stricter


def engine_options(url: URL) -> dict[str, Any]:
    """Return what an engine of PostgreSQL's is made with."""
    known: dict[str, Any] = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    if "application_name" not in url.query:
        known["application_name"] = f"aliens {os.getpid()}@{socket.gethostname()}"
    # A connection that the server has closed meanwhile is noticed before it is used, and made anew.
    return {"pool_pre_ping": True, "json_serializer": as_json, "connect_args": known}


def as_json(value: Any) -> str:
    """Return a value as JSON without the character that PostgreSQL's texts cannot hold."""
    written = json.dumps(value)
    return ESCAPED_NUL.sub(r"\1\\ufffd", written) if "\\u0000" in written else written


def use_postgres(engine: Engine) -> None:
    """Have an engine of PostgreSQL's write every text, and say what the user can mend of its errors."""
    event.listen(engine, "connect", take_any_text)
    event.listen(engine, "handle_error", raise_plainly)


def take_any_text(connection: Any, record: Any) -> None:
    """Have the character NUL, which PostgreSQL's texts cannot hold, be replaced in texts that it is given."""
    if adapters := getattr(connection, "driver_connection", connection).adapters:
        adapters.register_dumper(str, any_text_dumper())


def any_text_dumper() -> type[Any]:
    """Return the class that writes texts for the driver."""
    from psycopg.types.string import StrDumper

    class AnyTextDumper(StrDumper):
        """Writes texts; of a NUL it makes a replacement character."""

        def dump(self, obj: str) -> Any:
            """Return the bytes of a text."""
            return super().dump(obj.replace("\0", NUL) if "\0" in obj else obj)

    return AnyTextDumper


def raise_plainly(context: ExceptionContext) -> None:
    """Raise what the user can mend instead of the driver's error.

    Raises: LibraryError: the server cannot be reached or has gone, or what was asked is not allowed there.
    """
    error, original = context.sqlalchemy_exception, context.original_exception
    url = context.engine.url if context.engine is not None else None
    if url is None or not isinstance(error, DBAPIError):
        return
    if context.connection is None:
        raise server_unreachable(url, original) from original
    if context.is_disconnect:
        raise server_gone(url, original) from original
    if (plain := mendable(url, original)) is not None:
        raise plain from original


def server_unreachable(url: URL, error: BaseException) -> LibraryError:
    """Return the error for a database that no connection could be made to."""
    said = error_words(url, error)
    known = {"database": shell_word(url.database or url.username or "")}
    remedies = (remedy for pattern, remedy in REFUSED.items() if re.search(pattern, said))
    remedy = next(remedies, "see that the address is right, and that the server runs")
    return LibraryError(f"the database {safe_url(url)} cannot be opened: {said}: {remedy.format(**known)}")


def server_gone(url: URL, error: BaseException) -> LibraryError:
    """Return the error for a server that went away in the midst of what was asked of it."""
    return LibraryError(
        f"the database {safe_url(url)} has gone away ({error_words(url, error)}): see that the server runs, then do "
        "the same again; what was done before is kept"
    )


def mendable(url: URL, error: BaseException) -> LibraryError | None:
    """Return the error for what a server refuses to do; None for what is no fault of the user's."""
    state = getattr(error, "sqlstate", None)
    if state in (NO_RIGHT, READ_ONLY):
        return LibraryError(
            f"the database {safe_url(url)} cannot be written ({error_words(url, error)}): the library can be "
            "searched there; to change it, name a user who may, in the address"
        )
    if state == DISK_FULL:
        return DiskFullError(
            f"the disk of the database {safe_url(url)} is full: free some space there and do the same again; what was "
            "done so far is kept"
        )
    if state in SAME_ROWS:
        return LibraryBusyError(
            "another process or thread is changing the same rows of the library: do the same again; what was done "
            "before is kept"
        )
    return None


def error_words(url: URL, error: BaseException) -> str:
    """Return what the driver says, on one line and without a password."""
    said = one_line(" ".join(str(error).split("\n")[:3]).strip())
    for secret in {url.password, *(url.query.get(name) for name in HIDDEN)}:
        if isinstance(secret, str) and secret:
            said = said.replace(secret, "***")
    return said or type(error).__name__


def safe_url(url: URL) -> str:
    """Return a database's address as it may be shown: without a password, wherever it is."""
    hidden = {name: "***" for name in HIDDEN if name in url.query}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def refuse_other_letters(connection: Connection, url: URL) -> None:
    """Make sure that a database can hold every name of a file.

    Raises: LibraryError: it has an encoding that cannot.
    """
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != ENCODING:
        name = shell_word(url.database or "NAME")
        raise LibraryError(
            f"the database {safe_url(url)} has the encoding {encoding}, which cannot hold every name: make one that "
            f"can, `createdb --template=template0 --encoding={ENCODING} {name}`"
        )


def server_bytes(session: Session) -> int:
    """Return how many bytes a database has on its server's disk; 0 where it is another kind of database."""
    if session.get_bind().dialect.name != NAME:
        return 0
    return int(session.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def letters(column: TextColumn) -> ColumnElement[Any]:
    """Return a text as `base.names.folded` does: by its letters, whatever their case and however they are written."""
    plain = collate(column, LETTERS)
    everything = func.normalize(func.lower(func.upper(func.normalize(plain))))
    is_ascii = func.octet_length(column) == func.char_length(column)
    return case((is_ascii, func.lower(plain)), else_=everything)


def contains_letters(column: TextColumn, part: str) -> ColumnElement[bool]:
    """Return the condition that a text contains another one, by the letters of both."""
    return func.strpos(letters(column), letters(literal(part))) > 0


def says_word(column: TextColumn, word: str) -> ColumnElement[bool]:
    """Return the condition that an English text says a word in one of its forms, whatever signs are around it."""
    return func.to_tsvector("english", column).bool_op("@@")(func.phraseto_tsquery("english", word))


def same_letters(column: TextColumn, value: str) -> ColumnElement[bool]:
    """Return the condition that a text is another one, by the letters of both."""
    return letters(column) == letters(literal(value))


TRY_LOCK = text(f"SELECT pg_try_advisory_lock({LOCK[0]}, {LOCK[1]})")
UNLOCK = text(f"SELECT pg_advisory_unlock({LOCK[0]}, {LOCK[1]})")
CALL = text("SELECT set_config('application_name', :name, false)")
HOLDER = text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    f" WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {LOCK[0]} AND l.objid = {LOCK[1]}"  # nosec B608
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class DatabaseLock:
    """The library's lock in its database, which processes on other machines meet as well.

    A connection holds it, and with the connection it is lost: whoever has it has to ask now and then whether it is so.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def make_sure(self) -> None:
        """Make sure that the lock is still held.

        Raises: LibraryError: the server has gone away meanwhile, and another process may have the lock by now.
        """
        if self._connection.invalidated:
            raise server_gone(self._connection.engine.url, RuntimeError("with the library's lock"))
        self._connection.execute(text("SELECT 1"))


@contextmanager
def database_locked(engine: Engine) -> Iterator[DatabaseLock | Holder | None]:
    """Yield the library's lock, held until the end; or who else holds it, None where that cannot be told."""
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        end = time.monotonic() + locks.LOCK_TIMEOUT_S
        while not (granted := bool(connection.execute(TRY_LOCK).scalar_one())) and time.monotonic() < end:
            time.sleep(TRIED_EVERY_S)
        if not granted:
            yield Holder.named(connection.execute(HOLDER).scalar())
            return
        name = connection.execute(text("SHOW application_name")).scalar_one()
        connection.execute(CALL, {"name": Holder.here().name})
        try:
            yield DatabaseLock(connection)
        finally:
            if not connection.invalidated:
                with suppress(LibraryError):  # the server has gone away, and the lock with it
                    connection.execute(UNLOCK)
                    connection.execute(CALL, {"name": name})
