"""One library in several processes and working folders: forked, sent by pickle, and after the folder was changed."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aliens
from aliens import LibraryError
from base.settings import LibraryFolder
from embedding.encoder import Encoder
from restyle.picks import read_picks
from tests.conftest import FakeEncoder, LibraryFactory

ROOT = Path(__file__).parents[2]
LONGEST_S = 300  # of a child that answers in moments, or never
FORKED = """
import json, multiprocessing, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
import numpy as np
import aliens

root, photo, longest_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
TEXTS = [f"a long text of many words, number {n}" for n in range(40)]

def search(library):
    return [hit.photo_id for hit in library.search("a bath", k=3)]

def image(library):
    return [hit.photo_id for hit in library.search(image=photo, k=3)]

def texts(library):
    return library.encoder.encode_texts(TEXTS).round(3).tolist()

def batch(library):
    with library.catalog.session() as session:
        index = library.index(session)
        return index.search(index.sample(64), 3)[1].tolist()

def decoded(library):
    with library.catalog.session() as session:
        segment = library.index(session).base.segments[0]
        return segment.decoded(np.arange(len(segment)).repeat(1000)).shape

def tags(library):
    return [tag.photos for tag in library.tags()]

def tag(library):
    return library.tag().photos

def verify(library):
    return len(library.verify())

def in_threads(library):
    found = []
    threads = [threading.Thread(target=lambda: found.append((batch(library), image(library)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [list(pair) for pair in found]

WAYS = [search, image, texts, batch, decoded, tags, tag, verify, in_threads]

def worker(library, answers):
    own = library is None
    library = aliens.open(root) if own else library
    for way in WAYS:
        answers.send((way.__name__, way(library)))
    answers.close()

library = aliens.open(root)
expected = {way.__name__: way(library) for way in WAYS}
said = {}
for name, handed_on in (("inherited", library), ("its own", None)):
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)
    process = context.Process(target=worker, args=(handed_on, writing))
    process.start()
    writing.close()
    answers = {}
    try:
        while reading.poll(longest_s):
            way, answer = reading.recv()
            answers[way] = "same" if json.dumps(answer) == json.dumps(expected[way]) else repr(answer)
        said[name, "hung"] = True
    except EOFError:
        said[name, "hung"] = False
    process.kill()
    process.join()
    said[name, "answers"] = answers
    said[name, "parent"] = all(way(library) == expected[way.__name__] for way in (search, batch, verify))
print(json.dumps({" ".join(key): value for key, value in said.items()}))
"""


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory, starter: Encoder, samples: Path) -> Path:
    """A tagged library of sample photos with the embedded model, and its text tower."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "photos").mkdir()
    for number, photo in enumerate(sorted(samples.rglob("*.jpg"))[::20]):
        shutil.copy(photo, folder / "photos" / f"{number:02d}.jpg")
    with aliens.create(folder / "library", encoder=starter) as library:
        library.add(folder / "photos")
        library.tag()
    return folder / "library"


def test_a_forked_process_answers_whether_it_opens_the_library_or_was_handed_it(tagged: Path) -> None:
    """OpenMP's threads, by which FAISS and PyTorch share out work, do not come along: whoever waits for them hangs."""
    arguments = [str(tagged), str(tagged.parent / "photos" / "00.jpg"), str(LONGEST_S)]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}  # or there would be no threads to wait for
    done = subprocess.run(
        [sys.executable, "-c", FORKED, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for name in ("inherited", "its own"):
        assert said[f"{name} answers"] == dict.fromkeys(
            ("search", "image", "texts", "batch", "decoded", "tags", "tag", "verify", "in_threads"), "same"
        )
        assert not said[f"{name} hung"]
        assert said[f"{name} parent"]


def test_a_forked_child_leaves_the_connections_to_its_parent(tagged: Path) -> None:
    """SQLite allows no process to use, or close, what another one has opened."""
    script = """
import os, sys, warnings
import aliens

def open_files():
    return sum("library.db" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
               if os.path.islink(f"/proc/self/fd/{fd}"))

library = aliens.open(sys.argv[1])
library.saved_searches()
before = open_files()
pid = os.fork()
if pid == 0:
    found = open_files()
    library.saved_searches()
    os._exit(0 if found == 0 else 1)
print(before > 0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), list(library.saved_searches()))
"""
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are told by /proc")
    done = subprocess.run([sys.executable, "-c", script, str(tagged)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "True 0 []", done.stderr


# Sent to another process


def test_a_library_that_is_sent_by_pickle_is_opened_there(tagged: Path) -> None:
    with aliens.open(tagged, device="cpu", precision="float32") as library:
        there = pickle.loads(pickle.dumps(library))
        with there:
            assert (there.path, there.device, there.catalog is library.catalog) == (tagged, "cpu", False)
            assert [hit.photo_id for hit in there.search("a bath", k=3)] == [
                hit.photo_id for hit in library.search("a bath", k=3)
            ]


def test_a_library_with_an_encoder_of_somebodys_is_not_sent(library: LibraryFactory) -> None:
    with pytest.raises(LibraryError, match="has an encoder of yours, which is not sent along: open it in the other"):
        pickle.dumps(library.open())


# When the working folder changes


@pytest.fixture
def elsewhere(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder to work in; the one at work holds the photos."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(photos.parent)
    return tmp_path / "elsewhere"


def test_a_library_opened_by_a_relative_path_stays_the_same(
    elsewhere: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aliens.create("library", encoder=FakeEncoder()) as library:
        library.add("photos")
        monkeypatch.chdir(elsewhere)
        assert library.path == photos.parent / "library"
        assert len(library.search("a room", k=20)) == 10
        library.add(photos)
        library.tag()
        library.update_index("hnsw", least_recall=0.1)
        (result,) = library.restyle([1], engine="regrade").results
        assert result.exists and result.path.is_absolute()
        assert library.add_restyled([result]) == 1
        assert len(library.export("tags.csv").tags) == 15
        assert library.verify() == []
    assert [path.name for path in sorted(elsewhere.iterdir())] == ["tags.csv", "tags.csv.manifest.json"]


def test_a_search_that_is_still_being_answered_finds_its_photo(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aliens.create("library", encoder=FakeEncoder()) as library:
        library.add("photos")
        streams = [
            library.stream(image="photos/03.jpg", min_score=-1),
            library.stream("image:photos/03.jpg", min_score=-1),
        ]
        monkeypatch.chdir(elsewhere)
        assert [Path(next(stream).path).name for stream in streams] == ["03.jpg", "03.jpg"]


def test_a_saved_search_finds_its_photo(elsewhere: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with aliens.create("library", encoder=FakeEncoder()) as library:
        library.add("photos")
        library.save_search("option", image="photos/03.jpg")
        library.save_search("term", "image:photos/03.jpg")
        monkeypatch.chdir(elsewhere)
        for name in ("option", "term"):
            saved = library.saved_search(name)
            assert Path(library.search(saved.text, **saved.options)[0].path) == photos / "03.jpg"


def test_a_manifest_names_its_palette_in_full(
    elsewhere: Path, samples: Path, tagged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    palette = ROOT / "restyle" / "palettes" / "fern.toml"
    shutil.copy(palette, "mine.toml")
    where = Path("mine.toml").absolute()
    with aliens.open(tagged) as library:
        library.candidates(n=1, palette="mine.toml").write_picks("picks.toml")
        library.candidates(n=1, palette="fern").write_picks("fern.toml")
    assert read_picks(Path("picks.toml")).palette == str(where)
    assert read_picks(Path("fern.toml")).palette == "fern"


def test_a_relative_database_is_the_same_from_everywhere(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aliens.create("library", encoder=FakeEncoder(), database="sqlite:///photos.db").close()
    root, file = Path("library").absolute(), Path("photos.db").absolute()
    assert LibraryFolder(root).database_url() == f"sqlite:///{file}"
    monkeypatch.chdir(elsewhere)
    with aliens.open(root, encoder=FakeEncoder()) as library:
        assert library.catalog.engine.url.database == str(file)


def test_a_relative_database_of_library_toml_lies_beside_it_or_else_in_the_working_folder(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliens.create("library", encoder=FakeEncoder(), database="sqlite:///photos.db").close()
    config = Path("library/library.toml").absolute()
    config.write_text('database = "sqlite:///photos.db"\n', encoding="utf-8")  # as earlier versions wrote it
    aliens.open("library", encoder=FakeEncoder()).close()
    Path("photos.db").rename(config.parent / "photos.db")
    monkeypatch.chdir(elsewhere)
    with aliens.open(config.parent, encoder=FakeEncoder()) as library:
        assert library.catalog.engine.url.database == str(config.parent / "photos.db")
    (config.parent / "photos.db").unlink()
    with pytest.raises(
        LibraryError, match=rf"no library at {config.parent}: its database sqlite.* say where .*{config}"
    ):
        aliens.open(config.parent)


@pytest.mark.parametrize("name", ["rooms #5", "a room?", "100%25 комнаты"])
def test_a_relative_library_may_have_any_name(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(LibraryError, match=r"no library at .*make one with"):
        aliens.open(name)
    aliens.create(name, encoder=FakeEncoder()).close()
    with aliens.open(name, encoder=FakeEncoder()) as library:
        monkeypatch.chdir(elsewhere)
        assert list(library.saved_searches()) == []
        assert library.folder.database_file.exists()
