"""Two writers of each kind at once, readers during every write, clocks that go back, and backups that do not fit."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

import aliens
from aliens.library import Library
from base.errors import AliensError
from tests.conftest import FakeEncoder, photo_bytes
from tests.faults.checks import answers, check, check_search, committed, mended, opened
from tests.faults.conftest import LONG, Tries
from tests.faults.faulty import END_S, LIMIT_S, Ended, Nursery
from tests.faults.rounds import IN_EACH, PARTS, Scene, begin_anew
from tests.faults.test_kills import DISTURBED

# Changing at once what the other one takes away is no matter of faults; nor is what has no library yet.
WRITERS = [work for work in DISTURBED if work not in ("create", "upgrade", "another model", "forget", "repair")]
EACH_TIME = ("add", "restyle")  # the others by `make faults`
REFUSED = ("base.errors.LibraryBusyError", "is there already: remove it", "another export is writing")

pytestmark = pytest.mark.sqlite("its files are put back and read")


@contextmanager
def beside(nursery: Nursery, scene: Scene, root: Path) -> Iterator[list[Ended]]:
    """Have a work done by a worker of its own during the block; how it ended is there after it."""
    ended: list[Ended] = []
    worker = Thread(target=lambda: ended.append(nursery.run(scene.work, root, scene.photos)))
    worker.start()
    try:
        yield ended
    finally:
        worker.join(LIMIT_S + 2 * END_S)
        assert not worker.is_alive()


@pytest.mark.parametrize("work", WRITERS)
def test_two_writers_at_once_end_as_one_after_the_other_or_one_is_told_to_wait(
    work: str,
    nursery: Nursery,
    request: pytest.FixtureRequest,
    scene_of: Callable[[str], Scene],
    ground: Path,
    rounds: Tries,
) -> None:
    if work not in EACH_TIME and rounds(0) == 0:
        pytest.skip(LONG)
    other = request.getfixturevalue("other")
    scene, root = scene_of(work), ground / "library"
    begin_anew(scene, root)
    with beside(other, scene, root) as second:
        first = nursery.run(work, root, scene.photos)
    for ended in (first, *second):
        assert ended.code == 0 or any(reason in ended.said for reason in REFUSED), ended.said
    check(root, scene.photos)
    assert nursery.run(work, root, scene.photos).code == 0
    assert answers(root) == scene.expected
    mended(root, scene.photos)


@pytest.fixture(scope="session")
def other(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """A second process that forks workers."""
    second = Nursery(nursery.library, tmp_path_factory.mktemp("other-nursery"))
    yield second
    second.close()


@pytest.mark.parametrize("work", ["add", "merge", "tag", "import of vectors", "forget"])
def test_who_reads_during_a_write_is_answered_rightly_all_the_time(
    work: str, nursery: Nursery, scene_of: Callable[[str], Scene], ground: Path, rounds: Tries
) -> None:
    if work not in EACH_TIME and rounds(0) == 0:
        pytest.skip(LONG)
    scene, root = scene_of(work), ground / "library"
    begin_anew(scene, root)
    everything, forgotten = set(committed(root)), min(scene.photos.glob("*/"))
    staying = {path for path in everything if not Path(path).is_relative_to(forgotten)}
    first, done, answered, errors = Event(), Event(), list[bool](), list[BaseException]()

    def look(library: Library) -> bool:
        """Search once, and tell whether that was answered."""
        before = set(committed(root))
        try:
            hits = library.search("a sofa", k=1_000, exact=True) if before else []
        except AliensError as error:
            if "is embedded yet" not in str(error):
                errors.append(error)
            return False
        after = set(committed(root))
        paths = {hit.path for hit in hits}
        # A photo that is forgotten and added again may be missing, although it is there before and after.
        least, most = (staying, everything) if work == "forget" else (before & after, before | after)
        if not least <= paths <= most:
            errors.append(AssertionError(f"{sorted(before ^ paths)} {sorted(after ^ paths)}"))
        return True

    def read() -> None:
        try:
            with opened(root) as library:
                answered.append(look(library))
                first.set()
                while not done.is_set():
                    answered.append(look(library))
                answered.append(look(library))
        except BaseException as error:
            errors.append(error)
        finally:
            first.set()

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        assert first.wait(LIMIT_S)
        ended = nursery.run(work, root, scene.photos)
    finally:
        done.set()
        reader.join(LIMIT_S)
    assert not reader.is_alive()
    assert ended.code == 0, ended.said
    assert errors == []
    assert answered[0] and answered[-1]
    assert answers(root) == scene.expected


# Clocks


def test_a_clock_that_is_wrong_loses_and_doubles_nothing(
    scene_of: Callable[[str], Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos of the future, files older than what was made of them, a clock that goes back between two runs."""
    photos, root = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    year_ns = 365 * 24 * 3600 * 10**9
    aliens.create(root, encoder=FakeEncoder()).close()
    for number, years in enumerate((10, -10, 0, 0)):
        path = photos / f"{number}.jpg"
        path.write_bytes(photo_bytes(number))
        os.utime(path, ns=(time.time_ns() + years * year_ns,) * 2)
    with opened(root) as library:
        assert library.add(photos).run.encoded == 4
        library.tag("case-study")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3 * 365 * 24 * 3600)
    (photos / "2.jpg").write_bytes(photo_bytes(22))
    os.utime(photos / "2.jpg", ns=(time.time_ns() - 2 * year_ns,) * 2)  # older than the photo that was there
    with opened(root) as library:
        assert library.add(photos).run.encoded == 1
        assert library.add(photos).run.total == 0
        library.tag("case-study")
        assert library.tag("case-study").scored == 0
        check_search(library, photos)
        assert library.verify() == []
        library.export(tmp_path / "tags.csv")
        library.export(tmp_path / "tags.csv")
    with opened(root) as library:
        assert {hit.path for hit in library.search("a sofa", k=9)} == {str(path) for path in photos.iterdir()}


# Backups


def put_back(root: Path, older: Path, name: str) -> None:
    """Put a file or a folder of another day into a library."""
    for path in root.glob(f"{name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    source = older / name
    if source.is_dir():
        shutil.copytree(source, root / name)
    else:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(root / name)) as new:
            old.backup(new)


@pytest.fixture(scope="module")
def days(nursery: Nursery, begun: Callable[[str], Path], ground: Path) -> tuple[Path, Path]:
    """A library of one day, and what became of it: other labels, segments, results, and photos that went and came."""
    root = ground / "library"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(begun("filled"), root)
    assert nursery.run("merge", root, ground / "photos").code == 0
    shutil.copytree(root, ground / "older")
    for work in ("import of tags", "restyle", "forget"):
        assert nursery.run(work, root, ground / "photos").code == 0
    return ground / "older", Path(shutil.copytree(root, ground / "newer"))


@pytest.mark.parametrize("what", ["library.db", "vectors", "tags", "index", "restyled"])
@pytest.mark.parametrize("which", ["older", "newer"])
def test_a_part_of_another_day_is_named_and_mended(
    what: str, which: str, nursery: Nursery, days: tuple[Path, Path], ground: Path
) -> None:
    root, photos = ground / "library", ground / "photos"
    whole, part = days if which == "newer" else reversed(days)
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root)
    put_back(root, part, what)
    with opened(root) as library:
        named = {told.part for told in library.verify()}
        try:
            check_search(library, photos)
        except AliensError:
            assert "segment" in named
        library.repair()
        assert [told for told in library.verify() if told.part != "photo"] == []
        library.add(*sorted(photos.glob("*/")))
        library.tag()
        assert library.verify() == []
        check_search(library, photos)
        assert len(committed(root)) == PARTS * IN_EACH
