"""A migrated database, and rows for its tables."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from base.files import SegmentFile
from db.catalog import connect, create_database, new_session
from db.models import Model, Photo, PhotoState
from db.photo_rows import insert_photos, update_photos
from db.vector_rows import add_model, record_segment, use_model
from tests.postgres import EveryLibrary


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory, on_postgres: EveryLibrary | None) -> Callable[[Path], str]:
    """Make, in a folder, an empty database of the newest revision by copying one, and return its address."""
    template = tmp_path_factory.mktemp("migrated")
    if on_postgres is None:
        create_database(f"sqlite:///{template / 'test.db'}").dispose()
        return lambda folder: f"sqlite:///{shutil.copy(template / 'test.db', folder / 'test.db')}"
    server, empty = on_postgres.server, on_postgres.new(template)
    create_database(server.url(empty)).dispose()
    return lambda folder: server.url(on_postgres.new(folder / "test.db", empty))


@pytest.fixture
def engine(empty_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Engine]:
    """An empty database of the newest revision."""
    engine = connect(empty_database(tmp_path))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def migrated_engine(
    empty_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """A database of the newest revision for all tests of a file."""
    engine = connect(empty_database(tmp_path_factory.mktemp("module")))
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on the empty database."""
    with new_session(engine) as session:
        yield session


@pytest.fixture
def model(session: Session) -> Model:
    """The database's current model."""
    return use_model(session, "fake-00000000", "fake", 48)


@pytest.fixture
def other(session: Session, model: Model) -> Model:
    """Another model than the current one."""
    return add_model(session, "other-00000000", "other", 16)


def numbered(count: int, folder: str = "/photos") -> list[str]:
    """Return so many paths of photos."""
    return [f"{folder}/{number:04d}.jpg" for number in range(count)]


def put_photos(session: Session, paths: Sequence[str], **columns: Any) -> list[int]:
    """Insert a photo for every path and return their ids, in the order of the paths."""
    defaults = {"member": "", "state": PhotoState.PENDING}
    insert_photos(session, [defaults | {"path": path} | columns for path in paths])
    first = len(session.scalars(select(Photo.id)).all()) - len(paths)
    return list(session.scalars(select(Photo.id).order_by(Photo.id).offset(first)))


def segment_file(name: str, rows: int) -> SegmentFile:
    """Return a segment that is nowhere on disk."""
    return SegmentFile(name=name, rows=rows, alive=rows, size_bytes=100 * rows, sha256="0" * 64)


def put_embedded(session: Session, model: Model, name: str, paths: Sequence[str], **columns: Any) -> list[int]:
    """Insert photos and record a segment of their vectors; return their ids."""
    ids = put_photos(session, paths, **columns)
    record_segment(session, model, segment_file(name, len(ids)), ids)
    update_photos(session, [{"id": photo_id, "state": PhotoState.EMBEDDED} for photo_id in ids])
    return ids
