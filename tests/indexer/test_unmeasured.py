from pathlib import Path

import pytest
from sqlalchemy import text

from aliens.library import Library
from base.errors import LibraryBusyError
from base.progress import Step
from tests.conftest import LibraryFactory, photo_bytes


def brightness_of_all(library: Library) -> list[float | None]:
    with library.catalog.session() as session:
        return list(session.scalars(text("SELECT brightness FROM photo ORDER BY id")))


@pytest.fixture
def old(opened: Library) -> tuple[Library, list[float | None]]:
    """A library of ten photos as an earlier version left it, and what it would know of their brightness."""
    known = brightness_of_all(opened)
    with opened.catalog.writing() as session:
        session.execute(text("UPDATE photo SET brightness = NULL"))
        session.commit()
    return opened, known


def test_photos_are_measured_when_they_are_embedded(stocked: LibraryFactory) -> None:
    assert all(value is not None and 0 < value < 100 for value in brightness_of_all(stocked.open()))


def test_copies_and_photos_that_moved_keep_what_was_measured(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    (photos / "copy.jpg").write_bytes((photos / "00.jpg").read_bytes())
    (photos / "01.jpg").rename(photos / "moved.jpg")
    library.add(photos)
    assert library.encoder.encoded_photos == 10
    found = library.open().stats()
    assert (found.summary.photos, found.summary.brightness_unknown) == (11, 0)


def test_older_photos_are_measured_as_if_they_were_embedded_now(old: tuple[Library, list[float | None]]) -> None:
    library, known = old
    assert library.stats().summary.brightness_unknown == 10
    steps: list[Step] = []
    assert str(library.measure(progress=steps.append)) == "measured the brightness of 10 photos"
    assert brightness_of_all(library) == known
    assert (steps[-1].done, steps[-1].total) == (10, 10)
    assert library.measure().measured == 0


def test_photos_that_are_gone_or_others_now_are_counted(old: tuple[Library, list[float | None]], photos: Path) -> None:
    library, _ = old
    (photos / "00.jpg").unlink()
    (photos / "01.jpg").write_bytes(photo_bytes(99))
    (photos / "02.jpg").write_bytes(b"")
    report = library.measure()
    assert (report.measured, report.unread) == (7, 3)
    assert "3 could not be read or are others by now: `aliens add FOLDER`" in str(report)
    assert library.stats().summary.brightness_unknown == 3


def test_what_was_measured_is_kept(old: tuple[Library, list[float | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    library, known = old
    monkeypatch.setattr("indexer.unmeasured.COMMIT_PHOTOS", 4)

    def stop(step: Step) -> None:
        if step.done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.measure(progress=stop)
    assert brightness_of_all(library) == [*known[:8], None, None]
    assert library.measure().measured == 2


def test_another_one_who_changes_the_library_is_not_disturbed(old: tuple[Library, list[float | None]]) -> None:
    library, _ = old
    with library.catalog.lock(), pytest.raises(LibraryBusyError):
        library.measure()
