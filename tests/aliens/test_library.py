"""A library as Python users have it: opened, shared, stopped half way, closed, and asked for what makes no sense."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import aliens
from aliens import LibraryError, ModelMismatchError, QueryError
from aliens.library import Library
from base.progress import Step
from tests.conftest import FakeEncoder, LibraryFactory
from tests.db.statements import connections
from tests.embedding.conftest import flip
from tests.indexer.conftest import EMBEDDED, GroupEncoder, check_invariants, states_of, vectors_of

ROOT = Path(__file__).parents[2]
ELSEWHERE = """
import json, sys
import aliens
from tests.conftest import FakeEncoder

root, photos = sys.argv[1:]
with aliens.open(root, encoder=FakeEncoder()) as library:
    found = sorted(hit.photo_id for hit in library.search("a room", k=100))
    try:
        refused = str(library.add(photos))
    except aliens.LibraryError as error:
        refused = str(error)
print(json.dumps({"found": found, "refused": refused}))
"""


class Stopped(Exception):
    """What a callback of a test raises."""


@pytest.fixture(params=[4, 256], ids=["recorded group by group", "recorded at the end"])
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are recorded after every group of four, or all together."""
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", request.param)


@pytest.fixture
def undisturbed(library: LibraryFactory, photos: Path, tmp_path: Path) -> dict[str, bytes]:
    """The vectors of a library to which the photos were added in one go; they depend on whole groups."""
    library.encoder = GroupEncoder()
    other = LibraryFactory(tmp_path / "undisturbed", library.folder.root)
    other.encoder = GroupEncoder()
    other.add(photos)
    return vectors_of(other.folder)


def acting_at(what: str, done: int, act: Callable[[], object]) -> Callable[[Step], None]:
    """Return a progress that acts at one step, the first time that it is told."""
    told: list[Step] = []

    def tell(step: Step) -> None:
        if (step.what, step.done) == (what, done) and not told:
            told.append(step)
            act()

    return tell


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def stop() -> None:
    raise Stopped


# Stopped half way


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("done", [4, 8, 10])
def test_a_progress_that_raises_keeps_what_was_encoded_and_the_next_add_goes_on(
    library: LibraryFactory, photos: Path, undisturbed: dict[str, bytes], done: int
) -> None:
    opened = library.open()
    with pytest.raises(Stopped):
        opened.add(photos, progress=acting_at("embedding", done, stop))
    assert list(states_of(library.folder).values()).count(EMBEDDED) == done
    check_invariants(library.folder)
    assert len(opened.search("a room", k=100)) == done
    report = opened.add(photos)
    assert (report.run.total, report.run.encoded, report.interrupted) == (10 - done, 10 - done, False)
    assert report.index.photos == 10
    assert vectors_of(library.folder) == undisturbed
    assert opened.verify() == []


def test_a_progress_that_raises_while_scanning_can_be_tried_again(
    library: LibraryFactory, photos: Path, undisturbed: dict[str, bytes]
) -> None:
    opened = library.open()
    with pytest.raises(Stopped):
        opened.add(photos, progress=acting_at("scanning", 10, stop))
    check_invariants(library.folder)
    assert opened.add(photos).run.encoded == 10
    assert vectors_of(library.folder) == undisturbed


@pytest.mark.usefixtures("ctrl_c", "recorded")
@pytest.mark.parametrize("done", [4, 8])
def test_ctrl_c_gives_a_report_and_the_next_add_goes_on(
    library: LibraryFactory, photos: Path, undisturbed: dict[str, bytes], done: int
) -> None:
    opened = library.open()
    before = signal.getsignal(signal.SIGINT)
    report = opened.add(photos, progress=acting_at("embedding", done, press_ctrl_c))
    assert signal.getsignal(signal.SIGINT) is before
    assert report.interrupted
    assert (report.run.encoded, report.run.total, report.index.photos) == (done, 10, done)
    assert f"stopped: {10 - done} photos to go" in "\n".join(report.notes)
    assert list(states_of(library.folder).values()).count(EMBEDDED) == done
    assert opened.verify() == []
    assert len(opened.search("a room", k=100)) == done
    report = opened.add(photos)
    assert (report.run.encoded, report.interrupted) == (10 - done, False)
    assert vectors_of(library.folder) == undisturbed
    assert opened.verify() == []


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_tagging_loses_nothing_and_the_next_call_goes_on(opened: Library, photos: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        opened.tag("case-study", progress=acting_at("scoring", 10, press_ctrl_c))
    with pytest.raises(QueryError, match="is not tagged yet"):
        opened.tags()
    assert opened.tag("case-study").photos == 10
    assert opened.tags().unscored == 0
    with aliens.create(photos.parent / "undisturbed", encoder=FakeEncoder()) as other:
        other.add(photos)
        other.tag("case-study")
        assert list(other.tags()) == list(opened.tags())


# Shared


def test_of_two_threads_that_add_at_once_the_second_is_refused(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.locks.LOCK_TIMEOUT_S", 0)
    opened = library.open()
    begun, refused = threading.Event(), threading.Event()

    def wait_for_the_other() -> None:
        begun.set()
        assert refused.wait(60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(opened.add, photos, progress=acting_at("embedding", 4, wait_for_the_other))
        assert begun.wait(60)
        with pytest.raises(LibraryError, match=rf"another process or thread is changing {opened.path}: wait for it"):
            opened.add(photos)
        refused.set()
        assert first.result().run.encoded == 10
    assert opened.add(photos).scan.unchanged == 10
    assert opened.verify() == []


def elsewhere(library: Library, photos: Path) -> dict[str, object]:
    """Search, and try to add, in another process."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(library.path), str(photos)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_library_is_open_three_times_while_one_adds(library: LibraryFactory, photos: Path) -> None:
    (photos / "more").mkdir()
    for number in range(5, 10):
        (photos / f"{number:02d}.jpg").rename(photos / "more" / f"{number:02d}.jpg")
    library.add(photos / "more")
    adding, beside = library.open(), library.open()
    told: list[dict[str, object]] = []

    def look() -> None:
        assert len(beside.search("a room", k=100)) == 5
        with pytest.raises(LibraryError, match="another process or thread is changing"):
            beside.add(photos)
        told.append(elsewhere(adding, photos))

    assert adding.add(photos, progress=acting_at("embedding", 4, look)).run.encoded == 5
    ((other),) = told
    assert other["found"] == [1, 2, 3, 4, 5]
    assert str(other["refused"]).startswith(f"another process or thread is changing {adding.path}: wait for it")
    for each in (adding, beside):
        assert len(each.search("a room", k=100)) == 10
        assert each.info().photos["embedded"] == 10
    assert elsewhere(beside, photos)["found"] == list(range(1, 11))
    assert beside.verify() == []


def test_threads_that_search_one_library_get_the_answers_of_one(library: LibraryFactory, opened: Library) -> None:
    texts = ["a room", "a pool", "a bed -window", "a view", "a chair", "a lamp", "a door", "a sea"]

    def answers(searched: Library) -> list[list[tuple[int, float]]]:
        return [[(hit.photo_id, hit.score) for hit in searched.search(text, k=7)] for text in texts]

    expected, fresh, gate = answers(opened), library.open(), threading.Barrier(len(texts))

    def at_once(number: int) -> list[list[tuple[int, float]]]:
        gate.wait(60)  # all meet the library before it has read anything
        return answers(fresh)

    with ThreadPoolExecutor(len(texts)) as pool:
        assert list(pool.map(at_once, range(len(texts)))) == [expected] * len(texts)


@pytest.mark.parametrize("fan_out", [2, 3])
def test_answers_of_a_library_that_is_open_stay_while_its_segments_are_merged(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, fan_out: int
) -> None:
    """As many are merged at once."""
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    library.add(photos)
    opened, beside = library.open(), library.open()
    hits, tagged = opened.search("a room", k=100), opened.tag("case-study")
    found = {hit.photo_id: hit.score for hit in hits}
    tags = list(opened.tags())
    assert (len(list(opened.store.folder.iterdir())), tagged.scored) == (3, 10)
    monkeypatch.setattr("indexer.merging.FAN_OUT", fan_out)
    beside.add(photos)
    assert len(list(opened.store.folder.iterdir())) == 1
    for each in (opened, beside):
        again = {hit.photo_id: hit.score for hit in each.search("a room", k=100)}
        assert list(again) == list(found)
        assert again == pytest.approx(found, abs=1e-6)
        assert list(each.tags()) == tags
    assert opened.tag("case-study").scored == 0
    assert opened.verify() == []


# Sound to the last byte


def test_a_flipped_bit_is_seen_by_verify_alone_and_repair_has_the_photos_embedded_anew(
    opened: Library, photos: Path
) -> None:
    before = vectors_of(opened.folder)
    (file,) = opened.store.folder.iterdir()
    flip(file)
    assert opened.verify(quick=True) == []
    (told,) = opened.verify()
    assert (told.part, told.remedy) == ("segment", "`aliens verify --repair`")
    assert f"{file} is not what was written" in told.what
    assert opened.repair() == 10
    assert opened.verify() == []
    assert opened.add(photos).run.encoded == 10
    assert vectors_of(opened.folder) == before


# Opening and creating


@pytest.fixture
def no_connection() -> Iterator[None]:
    """No connection to a database is left open."""
    with connections() as left:
        yield
    assert left == []


@pytest.mark.usefixtures("no_connection")
def test_a_folder_that_is_no_library_is_refused_with_what_makes_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(LibraryError, match=rf"no library at {folder}: make one with `aliens init"):
            aliens.open(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_connection")
def test_a_file_is_no_library_and_none_is_made_of_it(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    with pytest.raises(LibraryError, match=rf"{file} is a file, not the folder of a library"):
        aliens.open(file)
    with pytest.raises(LibraryError, match=rf"{file} is a file: name a new folder"):
        aliens.create(file, encoder=FakeEncoder())
    assert file.read_text() == "notes"


def test_a_library_of_a_later_version_is_refused(library: LibraryFactory) -> None:
    with closing(sqlite3.connect(library.folder.database_file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with connections() as left, pytest.raises(LibraryError, match=r"newer CV-Aliens.*9999.*: update CV-Aliens"):
        aliens.open(library.folder.root)
    assert left == []


def test_no_library_is_made_over_another(stocked: LibraryFactory, photos: Path) -> None:
    with pytest.raises(LibraryError, match=rf"{stocked.folder.root} is a library already: add photos to it"):
        aliens.create(stocked.folder.root, encoder=FakeEncoder("other-00000000"))
    with stocked.open() as opened:
        assert (opened.model.key, opened.info().photos["embedded"]) == ("fake-00000000", 10)


def test_a_library_is_refused_before_a_model_is_loaded(
    library: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding.open_clip_encoder.OpenClipEncoder.load", lambda *args, **options: 1 / 0)
    with pytest.raises(LibraryError, match="is a library already"):
        aliens.create(library.folder.root, "starter")


def test_another_models_encoder_is_refused_and_both_are_named(library: LibraryFactory) -> None:
    with connections() as left, pytest.raises(ModelMismatchError) as caught:
        aliens.open(library.folder.root, encoder=FakeEncoder("other-11111111"))
    for part in (str(library.folder.root), "fake-00000000", "other-11111111", "make a new library"):
        assert part in str(caught.value)
    assert left == []
    with aliens.open(library.folder.root, encoder=FakeEncoder()) as opened:
        assert opened.encoder.key == opened.model.key


def test_the_model_is_asked_before_ctrl_c_is_listened_for(library: LibraryFactory, photos: Path) -> None:
    handlers: list[object] = []

    class Asked(FakeEncoder):
        def __getattribute__(self, name: str) -> object:
            if name in ("batch_photos", "keeps_cpu_busy", "preprocessing"):
                handlers.append(signal.getsignal(signal.SIGINT))
            return super().__getattribute__(name)

    library.encoder = Asked()
    library.add(photos)
    assert handlers == [signal.getsignal(signal.SIGINT)] * 3


# A closed library, and words that are none

USES: dict[str, Callable[[Library], object]] = {
    "add": lambda library: library.add(library.path.parent / "photos"),
    "candidates": lambda library: library.candidates(n=1),
    "caption_sets": lambda library: library.caption_sets(),
    "captions": lambda library: library.captions("room"),
    "failures": lambda library: library.failures(),
    "info": lambda library: library.info(),
    "label": lambda library: library.label(1, "a pool"),
    "photo": lambda library: library.photo(1),
    "quiz": lambda library: library.quiz(),
    "repair": lambda library: library.repair(),
    "restyle": lambda library: library.restyle([1], engine="regrade"),
    "restyled": lambda library: library.restyled(),
    "save_search": lambda library: library.save_search("name", "a room"),
    "saved_searches": lambda library: library.saved_searches(),
    "search": lambda library: library.search("a room"),
    "similar": lambda library: library.similar(1),
    "stream": lambda library: list(library.stream("a room")),
    "tag": lambda library: library.tag("case-study"),
    "tags": lambda library: library.tags(),
    "update_index": lambda library: library.update_index(),
    "verify": lambda library: library.verify(),
}


@pytest.mark.parametrize("used", [False, True], ids=["at once", "after a search"])
def test_a_closed_library_says_how_to_open_it_again(opened: Library, used: bool) -> None:
    if used:
        opened.search("a room")
    opened.close()
    said: dict[str, str] = {}
    with connections() as left:
        for name, use in USES.items():
            with pytest.raises(LibraryError) as caught:
                use(opened)
            said[name] = str(caught.value)
    remedy = f"the library at {opened.path} was closed: open it again with aliens.open({str(opened.path)!r})"
    assert said == dict.fromkeys(USES, remedy)
    assert left == []


def test_closing_twice_does_no_harm_and_the_library_can_be_opened_again(opened: Library) -> None:
    with opened:
        opened.close()
    opened.close()
    with aliens.open(opened.path, encoder=FakeEncoder()) as again:
        assert again.info().photos["embedded"] == 10


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda library: library.add(library.path, retry_faild=True), "retry_faild"),
        (lambda library: library.update_index(kid="ivf"), "kid"),
        (lambda library: library.search("a room", top=3), "top"),
        (lambda library: library.stream("a room", min_scor=0.1), "min_scor"),
        (lambda library: library.similar(1, other_hotel=True), "other_hotel"),
        (lambda library: library.save_search("name", "a room", kk=3), "kk"),
        (lambda library: library.tag(treshold=0.5), "treshold"),
        (lambda library: library.restyle([1], engin="regrade"), "engin"),
        (lambda library: aliens.open(library.path, devise="cpu"), "devise"),
        (lambda library: aliens.create(library.path, modell="starter"), "modell"),
    ],
)
def test_a_misspelt_keyword_is_named(opened: Library, call: Callable[[Library], object], word: str) -> None:
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{word}'"):
        call(opened)
    assert opened.saved_searches() == []


def test_a_tree_goes_with_no_paths_and_no_patterns(opened: Library) -> None:
    with pytest.raises(QueryError, match="either paths, or a list, or the root of a Hotels-50K tree"):
        opened.add("a", "c", hotels50k="b")
    with pytest.raises(QueryError, match=r"--exclude '\*\.png' does not go with a Hotels-50K tree.* train_set\.csv"):
        opened.add(hotels50k="tree", exclude="*.png")


KILLED_WHILE_TABLES_ARE_MADE = """
import os, signal, sys
from sqlalchemy import Engine, event
import aliens
from tests.conftest import FakeEncoder

@event.listens_for(Engine, "before_cursor_execute")
def count(connection, cursor, statement, *others):
    global left
    left -= "CREATE" in statement or "ALTER" in statement
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

for root in sys.argv[1:]:
    left = int(root.rpartition("-")[2])
    if (child := os.fork()) == 0:
        aliens.create(root, encoder=FakeEncoder())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, root
"""


def test_a_kill_while_tables_are_made_leaves_a_folder_that_a_library_can_be_made_in(tmp_path: Path) -> None:
    roots = [tmp_path / f"after-{changes}" for changes in (0, 5, 20)]
    command = [sys.executable, "-c", KILLED_WHILE_TABLES_ARE_MADE, *map(str, roots)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    for root in roots:
        with aliens.create(root, encoder=FakeEncoder()) as library:
            assert library.info().photos["embedded"] == 0
