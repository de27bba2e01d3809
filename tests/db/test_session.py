import errno
import os
import re
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from base.errors import LibraryError
from base.settings import LibraryFolder
from db.catalog import Catalog, connect, create_database, disk_errors, holds_library, new_session, open_database
from db.models import Chain, Photo
from db.settings_rows import write_setting
from tests.by_folder import create_library
from tests.conftest import FakeEncoder, LibraryFactory
from tests.db.statements import asked

pytestmark = pytest.mark.every_database


def file_opened(folder: LibraryFolder) -> Path:
    """Open a library's database and return its file."""
    engine, _ = open_database(folder)
    engine.dispose()
    return Path(engine.url.database or "")


@pytest.mark.sqlite
def test_sqlite_is_in_wal_mode_and_waits_for_locks(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000


@pytest.mark.sqlite
def test_sqlite_has_every_commit_on_disk_when_it_returns(engine: Engine) -> None:
    full = 2  # says SQLite's documentation; in WAL mode it would otherwise sync at checkpoints alone
    with engine.connect() as one, engine.connect() as another:
        for connection in (one, another):
            assert connection.execute(text("PRAGMA synchronous")).scalar() == full


def test_reader_is_not_held_up_by_a_writer(engine: Engine) -> None:
    with new_session(engine) as writer, new_session(engine) as reader:
        writer.add(Chain(id=1, name="Azura"))
        writer.flush()
        assert reader.get(Chain, 1) is None
        writer.commit()
        assert reader.get(Chain, 1) is not None


def test_photo_of_an_unknown_hotel_is_refused(session: Session) -> None:
    session.add(Photo(path="/photos/1.jpg", hotel_id=404))
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        session.flush()


def test_a_place_holds_one_photo(session: Session) -> None:
    session.add(Photo(path="/photos/1.tar", member="1.jpg"))
    session.add(Photo(path="/photos/1.tar", member="2.jpg"))
    session.flush()
    session.add(Photo(path="/photos/1.tar", member="1.jpg"))
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        session.flush()


def test_objects_stay_readable_after_a_commit(engine: Engine) -> None:
    with new_session(engine) as session:
        chain = Chain(id=1, name="Azura")
        session.add(chain)
        session.commit()
    assert chain.name == "Azura"


@pytest.mark.parametrize("url", ["library.db", "nonsense://host/name", "sqlite+nonsense:///library.db"])
def test_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(LibraryError, match=rf"{re.escape(url)}.* is no database URL that can be used"):
        connect(url)


def test_missing_driver_is_named_with_its_remedy_and_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LibraryError, match=r"psycopg.*pip install -e '\.\[postgres\]'") as caught:
        connect("postgresql+psycopg://user:secret@host/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "sqlite:library.db"])
def test_wrong_url_in_library_toml_is_refused(tmp_path: Path, url: str) -> None:
    folder = LibraryFolder(tmp_path)
    folder.config_file.write_text(f'database = "{url}"')
    with pytest.raises(LibraryError, match=rf"{url}.* is no database URL that can be used"):
        open_database(folder)


def test_database_that_holds_a_library_is_told_from_an_empty_one(engine: Engine, session: Session) -> None:
    assert not holds_library(engine)
    write_setting(session, "model_key", "fake-00000000")
    session.commit()
    assert holds_library(engine)


def test_database_that_holds_a_library_is_not_made_anew(library: LibraryFactory) -> None:
    with pytest.raises(LibraryError, match="holds a library already"):
        create_database(library.folder.database_url())


def test_database_that_was_removed_is_not_made_anew_unasked(tmp_path: Path) -> None:
    folder, other = LibraryFolder(tmp_path / "library"), tmp_path / "other.db"
    create_library(folder, FakeEncoder(), f"sqlite:///{other}")
    other.unlink()
    with pytest.raises(LibraryError, match="no library at"):
        open_database(folder)
    assert not other.exists()


def test_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=rf"{tmp_path} cannot be opened: unable to open"):
        connect(f"sqlite:///{tmp_path}")


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path)
    folder.database_file.write_bytes(b"photo" * 1000)
    with pytest.raises(LibraryError, match="cannot be opened: file is not a database"):
        open_database(folder)


def test_without_a_library_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path / "none")
    with pytest.raises(LibraryError, match=rf"no library at {folder.root}: .*`aliens init`"):
        open_database(folder)
    assert not folder.root.exists()


@pytest.mark.parametrize("name", ["plain.db", 'with "quotes".db', "back\\slash.db", "ванна.db", "\U0001f6c1.db"])
def test_database_of_library_toml_is_used_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = LibraryFolder(tmp_path / "library")
    create_library(folder, FakeEncoder(), f"sqlite:///{tmp_path / name}")
    assert file_opened(folder) == tmp_path / name
    assert not folder.database_file.exists()


def test_database_of_the_environment_comes_before_library_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = LibraryFolder(tmp_path / "library"), tmp_path / "environment.db"
    create_library(folder, FakeEncoder(), f"sqlite:///{tmp_path / 'toml.db'}")
    create_database(f"sqlite:///{other}").dispose()
    monkeypatch.setenv("ALIENS_DATABASE", f"sqlite:///{other}")
    assert file_opened(folder) == other


def test_library_made_in_the_environments_database_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = LibraryFolder(tmp_path / "library"), tmp_path / "environment.db"
    monkeypatch.setenv("ALIENS_DATABASE", f"sqlite:///{other}")
    create_library(folder, FakeEncoder())
    assert other.exists()
    assert file_opened(folder) == other


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "name", ["rooms", "rooms with a view", "комнаты", "rooms #5", "rooms & suites", "rooms?", "100%25"]
)
def test_database_lies_in_the_library_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = LibraryFactory(tmp_path / name / "library").folder
    assert folder.database_file.exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_revision_is_asked_for_once(library: LibraryFactory) -> None:
    with asked() as statements:
        Catalog.open(library.folder).close()
    assert sum("SELECT version_num" in statement for statement in statements) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EIO, r"the disk failed at .*a\.faiss .*another one"),
        (errno.EMFILE, r"a\.faiss cannot be opened: too many files are open; .*`ulimit -n`"),
    ],
)
def test_what_a_disk_cannot_do_is_told_with_the_file_and_a_remedy(tmp_path: Path, code: int, said: str) -> None:
    with pytest.raises(LibraryError, match=said), disk_errors(LibraryFolder(tmp_path)):
        raise OSError(code, os.strerror(code), str(tmp_path / "a.faiss"))
