import errno
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from base.errors import LibraryBusyError, LibraryError, SourceError
from base.progress import Step
from base.settings import LibraryFolder
from db.vector_rows import current_model
from tests.by_folder import (
    add_photos,
    create_library,
    list_failures,
    open_library,
    repair,
    session_of,
    source_at,
    take_inventory,
)
from tests.by_folder import disagreements as verify
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes, raising
from tests.db.statements import connections
from tests.indexer.conftest import (
    EMBEDDED,
    WatchedEncoder,
    at_step,
    check_invariants,
    check_sound,
    failing_from,
    segments_in,
    set_sizes,
    states_of,
)

pytestmark = pytest.mark.every_database


never = raising(AssertionError("the encoder was loaded"))
interrupted = raising(KeyboardInterrupt())


def test_new_library_knows_its_model_and_is_empty(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path / "deep" / "library")
    create_library(folder, FakeEncoder("fake-12345678"))
    with session_of(folder) as session:
        model = current_model(session)
    assert (model.key, model.name, model.dim) == ("fake-12345678", "fake", 48)
    assert states_of(folder) == {}
    assert verify(folder) == []


def test_library_is_not_made_over_another(stocked: LibraryFactory, photos: Path) -> None:
    with pytest.raises(LibraryError, match=rf"{stocked.folder.root} is a library already: add photos to it, or name"):
        create_library(stocked.folder, FakeEncoder("other-00000000"))
    assert len(states_of(stocked.folder)) == 10


def test_library_whose_database_is_elsewhere_is_not_made_over_another(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path / "library")
    create_library(folder, FakeEncoder(), f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(LibraryError, match="is a library already"):
        create_library(folder, FakeEncoder())


def test_library_in_the_environments_database_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIENS_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
    create_library(LibraryFolder(tmp_path / "library"), FakeEncoder())
    with pytest.raises(LibraryError, match="holds a library already"):
        create_library(LibraryFolder(tmp_path / "library"), FakeEncoder("other-00000000"))


def test_wrong_database_leaves_no_library_behind(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path / "library")
    with pytest.raises(LibraryError, match="no database URL that can be used"):
        create_library(folder, FakeEncoder(), "nonsense://host/name")
    create_library(folder, FakeEncoder())


def test_library_that_was_half_made_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LibraryFolder(tmp_path / "library")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("db.catalog.use_model", interrupted)
        create_library(folder, FakeEncoder())
    create_library(folder, FakeEncoder())


def test_encoder_is_loaded_only_when_a_photo_is_pending(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for number in range(3):
        (tmp_path / "empty" / f"{number}.jpg").symlink_to(photos / "gone.jpg")
    source = source_at(tmp_path / "empty", library.folder.root)
    assert add_photos(library.folder, source, never).scan.missing == 3
    loaded = []
    source = source_at(photos, library.folder.root)
    add_photos(library.folder, source, lambda model: loaded.append(model.key) or library.encoder)
    assert loaded == ["fake-00000000"]
    add_photos(library.folder, source_at(photos, library.folder.root), never)


def test_caller_is_told_what_happens(library: LibraryFactory, photos: Path) -> None:
    told: list[Step] = []
    library.add(photos, progress=told.append)
    assert told == [Step("scanning", 10), *(Step("embedding", done, 10) for done in (4, 8, 10))]
    told.clear()
    library.add(photos, progress=told.append)
    assert told == [Step("scanning", 10)]


def test_report_tells_what_can_be_found_and_where_it_lies(library: LibraryFactory, photos: Path) -> None:
    report = library.add(photos)
    (file,) = segments_in(library.folder)
    assert (report.index.photos, report.index.segments, report.index.size_bytes) == (10, 1, file.size_bytes)
    assert library.add(photos).index == report.index
    (photos / "09.jpg").unlink()
    report = library.add(photos)
    assert (report.index.photos, report.index.segments) == (9, 1)
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    report = library.add(photos)
    assert (report.index.photos, report.index.segments) == (10, 2)
    assert report.index.size_bytes == sum(file.size_bytes for file in segments_in(library.folder))


def test_an_unchanged_folder_leaves_every_file_of_the_vectors_as_it_is(stocked: LibraryFactory, photos: Path) -> None:
    folder = stocked.folder.vectors("fake-00000000")
    before = [(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()]
    stocked.add(photos)
    assert [(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()] == before


@pytest.fixture
def merging_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every 4 photos recorded by themselves, and every two such segments merged."""
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    set_sizes(monkeypatch, fan_out=2, smallest=8)


@pytest.mark.usefixtures("merging_early")
@pytest.mark.parametrize(("call", "code"), [*((call, errno.ENOSPC) for call in range(8)), (0, errno.EDQUOT)])
def test_full_disk_is_named_with_its_remedy_and_a_later_run_completes(
    library: LibraryFactory, photos: Path, call: int, code: int
) -> None:
    with (
        failing_from(os, "fsync", OSError(code, os.strerror(code)), call=call),
        pytest.raises(LibraryError, match=rf"the disk that holds {library.folder.root} is full: free some space"),
    ):
        library.add(photos)
    assert list(library.folder.root.rglob("*.tmp")) == []
    check_invariants(library.folder)
    library.add(photos)
    assert set(states_of(library.folder).values()) == {EMBEDDED}
    check_sound(library.folder)


def test_what_was_recorded_before_the_disk_was_full_is_kept(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    library.folder.vectors(library.encoder.key).mkdir(parents=True, exist_ok=True)
    full = OSError(errno.ENOSPC, "No space left on device")
    with failing_from(os, "fsync", full, call=2), pytest.raises(LibraryError, match="what was done so far is kept"):
        library.add(photos)
    assert list(states_of(library.folder).values()).count(EMBEDDED) == 4
    assert library.add(photos).run.encoded == 6
    assert verify(library.folder) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (sqlite3.SQLITE_FULL, "the disk that holds .* is full: free some space and run the same command again"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, r"another program keeps the database .*library\.db locked: wait for it"),
        (sqlite3.SQLITE_IOERR_FSYNC, r"the disk failed at .*library\.db \(input/output error\).*aliens verify"),
        (sqlite3.SQLITE_TOOBIG, "the library's database failed: in SQLite's words"),
    ],
)
def test_database_that_cannot_write_is_an_error_of_the_library(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    error = sqlite3.OperationalError("in SQLite's words")
    error.sqlite_errorcode = code
    with monkeypatch.context() as patch:
        patch.setattr("indexer.pipeline.record_segment", raising(OperationalError("INSERT", {}, error)))
        with pytest.raises(LibraryError, match=message):
            library.add(photos)
    library.add(photos)
    assert set(states_of(library.folder).values()) == {EMBEDDED}
    assert verify(library.folder) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_disk_that_cannot_be_written_is_named(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("base.files.os.fsync", raising(OSError(code, os.strerror(code))))
    with pytest.raises(LibraryError, match=rf"\.faiss cannot be written \({os.strerror(code)}\)"):
        library.add(photos)


def test_unwritable_lock_is_named(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = raising(PermissionError(errno.EACCES, "Permission denied", str(library.folder.lock_file)))
    monkeypatch.setattr(FileLock, "_acquire", refuse)
    with pytest.raises(LibraryError, match=r"library\.lock cannot be written"):
        library.add(photos)


def test_another_is_refused_while_photos_are_added_and_told_who_adds(library: LibraryFactory, photos: Path) -> None:
    refused: list[str] = []

    def add_elsewhere(group: int) -> None:
        if group == 2:
            with pytest.raises(LibraryBusyError) as caught:
                library.open().add(photos)
            refused.append(str(caught.value))

    library.encoder = WatchedEncoder(add_elsewhere)
    assert library.add(photos).run.encoded == 10
    ((said),) = refused
    assert said.startswith(f"another process or thread is changing {library.folder.root}: wait for it")
    assert f"; it is process {os.getpid()} on {socket.gethostname()}, since 20" in said
    assert verify(library.folder) == []


def test_search_works_while_photos_are_added(stocked: LibraryFactory, photos: Path) -> None:
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    found: list[int] = []

    def search(group: int) -> None:
        with stocked.open() as opened_library:
            found.append(len(opened_library.search("a room", k=100)))

    plain, stocked.encoder = stocked.encoder, WatchedEncoder(search)
    stocked.add(photos)
    stocked.encoder = plain
    search(0)
    assert found == [10, 11]


def test_lock_is_free_again_after_an_error(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no photos under"):
        library.add(tmp_path / "empty")
    with FileLock(library.folder.lock_file, timeout=0):
        pass
    assert library.add(photos).run.encoded == 10


def test_no_connection_is_left_open(library: LibraryFactory, photos: Path) -> None:
    with connections() as left:
        library.add(photos)
        repair(library.folder)
        verify(library.folder)
        take_inventory(library.folder)
        list(list_failures(library.folder))
        create_library(LibraryFolder(photos.parent / "another library"), FakeEncoder())
    assert left == []


@pytest.mark.parametrize("what", ["add", "interrupted add", "verify", "repair", "inventory", "create", "open"])
def test_no_connection_is_left_open_after_an_error(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (photos.parent / "empty").mkdir()
    steps: dict[str, Callable[[], object]] = {
        "add": lambda: library.add(photos.parent / "empty"),
        "interrupted add": lambda: library.add(photos, progress=at_step("scanning", interrupted)),
        "verify": lambda: verify(library.folder),
        "repair": lambda: repair(library.folder),
        "inventory": lambda: take_inventory(library.folder),
        "create": lambda: create_library(library.folder, FakeEncoder()),
        "open": lambda: open_library(library.folder.root),
    }
    with session_of(library.folder) as session:
        if what in ("verify", "repair", "inventory"):
            session.execute(text("DELETE FROM setting"))
        if what == "open":
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.commit()
    with connections() as left, pytest.raises((LibraryError, SourceError, KeyboardInterrupt)):
        steps[what]()
    assert left == []


def test_held_lock_refuses_before_anything_is_scanned(library: LibraryFactory, photos: Path) -> None:
    with (
        FileLock(library.folder.lock_file, timeout=0),
        pytest.raises(LibraryError, match=r"another process or thread is changing.*searching meanwhile is fine"),
    ):
        library.add(photos)
    assert states_of(library.folder) == {}
