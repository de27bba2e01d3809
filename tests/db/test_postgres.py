"""What PostgreSQL alone can do to a library: servers that stop, refuse or are shared by several machines."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text

import aliens
from aliens.library import Library
from base.errors import DiskFullError, LibraryBusyError, LibraryError
from base.settings import LibraryFolder
from db.catalog import Catalog, connect, create_database, new_session
from db.models import Photo, PhotoState, Setting
from db.photo_rows import count_photos, photo_ids_under
from tests.conftest import FakeEncoder
from tests.postgres import PASSWORD, Server, needs_postgres

pytestmark = needs_postgres
IN_GROUP = 2  # of four photos each, what happens to the server happens


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests alone, which they may stop if they start it again."""
    with Server("max_connections=30", "synchronous_commit=on") as server:
        yield server


@pytest.fixture(scope="module")
def empty(server: Server) -> str:
    """The name of an empty database of the newest revision, to be copied."""
    name = server.new_database()
    create_database(server.url(name)).dispose()
    return name


@pytest.fixture
def database(server: Server, empty: str) -> Iterator[str]:
    """The name of an empty database of the newest revision."""
    name = server.new_database(empty)
    yield name
    server.drop(name)


class Watched(FakeEncoder):
    """An encoder that has something happen before a group of photos, once."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens: Callable[[], object] | None = happens
        self._groups = 0

    def encode_images(self, pixels: Any) -> Any:
        self._groups += 1
        if self._groups == IN_GROUP and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return super().encode_images(pixels)


@pytest.fixture
def library(server: Server, tmp_path: Path) -> Iterator[Library]:
    """An empty library whose rows are in the server, reached by its port."""
    name = server.new_database()
    with aliens.create(tmp_path / "library", encoder=FakeEncoder(), database=server.tcp_url(name)) as library:
        yield library
    server.drop(name)


def added_whole(root: Path, photos: Path) -> None:
    """Add again after a fault, and see that nothing is lost and nothing twice."""
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.add(photos)
        with library.catalog.session() as session:
            assert count_photos(session)[PhotoState.EMBEDDED] == 10
            assert session.scalar(select(func.count()).select_from(Photo)) == 10
        assert library.verify() == []
        assert len(library.search("a pool", k=20)) == 10


# Addresses


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "password authentication failed.*check the user and the password"),
        ({"user": "nobody"}, "authentication failed.*check the user and the password"),
        ({"database": "nowhere"}, r'database "nowhere" does not exist: make it first: `createdb nowhere`'),
    ],
)
def test_an_address_that_is_refused_is_told_with_its_remedy(server: Server, change: Any, said: str) -> None:
    asked: dict[str, Any] = {"database": "postgres"} | change
    with pytest.raises(LibraryError, match=rf"the database postgresql.* cannot be opened: .*{said}") as caught:
        connect(server.tcp_url(**asked))
    for secret in ("wrong", PASSWORD, "bath%40tub"):
        assert secret not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_told_with_its_remedy() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LibraryError, match="see that the server runs, and that host and port are right") as caught:
        connect(f"postgresql+psycopg://user:secret@127.0.0.1:{port}/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://user:secret@host:port/name",
        "postgresql+psycopg://user@/name?host=/nowhere&password=secret",
        "postgresql+psycopg://user:secret@127.0.0.1:1/name?nonsense=1",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    with pytest.raises(LibraryError) as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_hold_every_name_is_refused(server: Server) -> None:
    server.execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    with pytest.raises(LibraryError, match=r"has the encoding LATIN1.*createdb --template=template0 --encoding=UTF8"):
        create_database(server.url("latin"))
    server.drop("latin")


# What a server may do


def test_a_library_that_is_open_goes_on_after_a_restart(server: Server, library: Library, photos: Path) -> None:
    library.add(photos)
    server.restart()
    assert len(library.search("a pool", k=20)) == 10
    server.restart()
    assert library.add(photos).run.encoded == 0


def test_a_server_that_stops_in_the_midst_of_a_search_is_told(server: Server, library: Library, photos: Path) -> None:
    library.add(photos)
    asked: list[str] = []

    def stop(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        asked.append(statement)
        if len(asked) == 2:
            server.stop()

    event.listen(library.catalog.engine, "before_cursor_execute", stop)
    with pytest.raises(LibraryError, match=r"has gone away .*see that the server runs, then do the same again"):
        library.search("a pool")
    event.remove(library.catalog.engine, "before_cursor_execute", stop)
    with pytest.raises(LibraryError, match="cannot be opened"):
        library.search("a pool")
    server.start()
    assert len(library.search("a pool", k=20)) == 10


def test_a_server_that_stops_while_photos_are_added_costs_the_batch_in_hand(
    server: Server, library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    with (
        aliens.open(library.path, encoder=Watched(server.stop)) as opened,
        pytest.raises(LibraryError, match=r"has gone away|cannot be opened") as caught,
    ):
        opened.add(photos)
    assert PASSWORD not in str(caught.value)
    server.start()
    with library.catalog.session() as session:
        assert count_photos(session)[PhotoState.EMBEDDED] == 4
    added_whole(library.path, photos)


class Wire:
    """Stands between a library and its server, and cuts the wire at a commit: before the server hears of it, or after.

    What was committed then, the library does not know.
    """

    def __init__(self, server: Server) -> None:
        self.cut: str | None = None  # before or after
        self._server = server
        self._listens = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listens.getsockname()[1]
        self._open: list[socket.socket] = [self._listens]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listens.accept()
                far = socket.create_connection(("127.0.0.1", self._server.port))
                self._open += [near, far]
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, to_server: bool) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                if to_server and self.cut is not None and b"COMMIT" in data:
                    if self.cut == "after":
                        other.sendall(data)
                        self.cut = "answer"
                        continue
                    self.cut = None
                    break
                if not to_server and self.cut == "answer":
                    self.cut = None
                    break
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut all."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.mark.parametrize(("cut", "kept"), [("before", 4), ("after", 8)])
def test_a_commit_that_nobody_answered_is_neither_lost_nor_done_twice(
    server: Server,
    library: Library,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: str,
    kept: int,
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    with closing(Wire(server)) as wire:
        address = library.catalog.engine.url.set(port=wire.port).render_as_string(hide_password=False)
        with monkeypatch.context() as patch:
            patch.setenv("ALIENS_DATABASE", address)
            with (
                aliens.open(library.path, encoder=Watched(lambda: setattr(wire, "cut", cut))) as opened,
                pytest.raises(LibraryError, match="has gone away"),
            ):
                opened.add(photos)
    with library.catalog.session() as session:
        assert count_photos(session)[PhotoState.EMBEDDED] == kept
    added_whole(library.path, photos)


def test_who_may_only_read_searches_and_is_told_why_nothing_is_added(
    server: Server, library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(photos)
    name = library.catalog.engine.url.database or ""
    server.execute("CREATE ROLE reader LOGIN PASSWORD 'secret'")
    with server.connect(name) as own:
        own.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    monkeypatch.setenv("ALIENS_DATABASE", server.tcp_url(name, user="reader", password="secret"))
    with aliens.open(library.path, encoder=FakeEncoder()) as opened:
        assert len(opened.search("a pool", k=20)) == 10
        (photos / "00.jpg").unlink()
        with pytest.raises(LibraryError, match=r"cannot be written \(permission denied.*name a user who may"):
            opened.add(photos)
    monkeypatch.setenv("ALIENS_DATABASE", server.url(name) + "&options=-cdefault_transaction_read_only%3Don")
    with (
        aliens.open(library.path, encoder=FakeEncoder()) as opened,
        pytest.raises(LibraryError, match=r"cannot be written \(cannot execute .* in a read-only transaction"),
    ):
        opened.add(photos)
    with server.connect(name) as own:
        own.execute("DROP OWNED BY reader")
    server.execute("DROP ROLE reader")


def test_a_server_that_takes_no_more_connections_is_told(server: Server, library: Library) -> None:
    name = library.catalog.engine.url.database or ""
    library.catalog.engine.dispose()
    server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    server.execute("CREATE ROLE guest LOGIN PASSWORD 'secret'")  # a superuser is let in all the same
    with pytest.raises(LibraryError, match=r"takes no more connections: close programs that use it.*max_connections"):
        connect(server.tcp_url(name, user="guest", password="secret"))
    server.execute("DROP ROLE guest")


def test_a_library_tells_where_its_rows_are_and_how_large_without_the_password(library: Library) -> None:
    info = library.info()
    assert info.database.startswith("postgresql+psycopg://aliens:***@127.0.0.1")
    assert info.database_bytes > 1_000_000


# Several machines


def of_another_machine(library: Library, folder: Path) -> Catalog:
    """Open a library by another folder, whose lock file is another one, as another machine may."""
    folder.mkdir()
    shutil.copy(library.folder.config_file, folder)
    return Catalog.open(LibraryFolder(folder))


def test_the_lock_holds_between_machines_and_names_who_has_it(library: Library, tmp_path: Path) -> None:
    import os

    with closing(of_another_machine(library, tmp_path / "other")) as other:
        with library.catalog.lock():
            who = rf"it is process {os.getpid()} on {socket.gethostname()}, since 20\d\d-"
            with pytest.raises(LibraryError, match=rf"another process or thread is changing .*; {who}"):
                other.lock().__enter__()
        with other.writing(), pytest.raises(LibraryError, match="is changing"):
            library.catalog.writing().__enter__()
        with library.catalog.lock():
            pass


def test_nothing_is_written_once_the_lock_was_lost(server: Server, library: Library) -> None:
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE "
    with pytest.raises(LibraryError, match="has gone away"), library.catalog.writing() as session:
        session.add(Setting(name="one", value="1"))
        session.flush()
        server.execute(
            f"SELECT pg_terminate_backend(pid) FROM ({held} datname = %s)) AS held",
            library.catalog.engine.url.database,
        )
        session.commit()
    with library.catalog.session() as session:
        assert session.get(Setting, "one") is None
    with library.catalog.lock():  # it is free
        pass


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("53100", DiskFullError, "is full: free some space there and do the same again"),
        ("40P01", LibraryBusyError, "changing the same rows of the library: do the same again"),
        ("25006", LibraryError, "cannot be written .*the library can be searched there"),
    ],
)
def test_what_a_server_cannot_do_is_told_with_what_to_do_and_without_a_password(
    server: Server, database: str, state: str, kind: type[LibraryError], said: str
) -> None:
    refused = text(f"DO $$ BEGIN RAISE EXCEPTION 'so it says' USING ERRCODE = '{state}'; END $$")
    with opened(server, database) as engine, new_session(engine) as session:
        with pytest.raises(kind, match=said) as error:
            session.execute(refused)
        assert type(error.value) is kind and PASSWORD not in str(error.value)
        session.rollback()
        assert session.execute(select(func.count()).select_from(Photo)).scalar_one() == 0  # it can be asked again


# What it compares otherwise


@contextmanager
def opened(server: Server, name: str) -> Iterator[Engine]:
    engine = connect(server.url(name))
    try:
        yield engine
    finally:
        engine.dispose()


def test_texts_with_a_nul_are_kept_with_a_sign_in_its_place(server: Server, database: str) -> None:
    with opened(server, database) as engine, new_session(engine) as session:
        said = {"note": "a\0b", "as it is": "a\\u0000b"}
        session.add(Photo(path="/a\0b", details=said))
        session.commit()
        session.expire_all()
        (photo,) = session.scalars(select(Photo))
        assert photo.path == "/a\N{REPLACEMENT CHARACTER}b"
        assert photo.details == {"note": "a\N{REPLACEMENT CHARACTER}b", "as it is": "a\\u0000b"}
        assert session.scalars(select(Photo.details["note"].as_string())).all() == ["a\N{REPLACEMENT CHARACTER}b"]


def test_photos_under_a_folder_are_found_by_an_index(server: Server, database: str) -> None:
    with opened(server, database) as engine, new_session(engine) as session:
        session.add_all(Photo(path=path) for path in ("/a/1", "/a-b/2", "/a/é", "/A/3", "/a"))
        session.flush()
        asked: list[tuple[str, Any]] = []
        event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2:4]))
        assert len(list(photo_ids_under(session, "/a"))) == 3
        statement, parameters = asked[-1]
        session.execute(text("SET LOCAL enable_seqscan = off"))
        steps = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
        assert any("ix_photo_path_bytes" in step for step in steps)
