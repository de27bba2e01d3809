"""kill -9 at random moments of adding, merging, tagging and the like: nothing is lost, doubled or changed."""

import multiprocessing
import random
import shutil
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import aliens
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes
from tests.killed import killed_until_done

KILLS, FEWER = 5, 3  # of each; of what mostly ends as it began
PHOTOS = 120
OLD = Path(__file__).with_name("data") / "library-0004.tar.xz"
SEED = 20261129


def add(root: Path, photos: Path) -> None:
    """Add photos, a few a segment, so that merges come often."""
    import indexer.pipeline
    from indexer import merging

    indexer.pipeline.COMMIT_PHOTOS = 4
    merging.FAN_OUT, merging.SMALLEST_ROWS = 3, 10
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.add(photos)


def tag(root: Path, photos: Path) -> None:
    """Tag the library."""
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.tag("case-study")


def index(root: Path, photos: Path) -> None:
    """Have a graph built, after a merge."""
    from indexer import merging

    merging.FAN_OUT = 2
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.update_index("hnsw", least_recall=0.1, rebuild=True)


def upgrade(root: Path, photos: Path) -> None:
    """Write to a library of an earlier version."""
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.save_search("sofas", "a sofa")


def take(root: Path, photos: Path) -> None:
    """Import vectors, a few a segment."""
    from indexer import vector_import

    vector_import.MOST_ROWS, vector_import.ASKED_ROWS = 24, 9
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.import_vectors(photos / "vectors.npy", made_by="fake")


def work(name: str, root: Path, photos: Path) -> None:
    """Run in a process of its own."""
    WORK[name](root, photos)


WORK: dict[str, Callable[[Path, Path], None]] = {
    "add": add,
    "tag": tag,
    "index": index,
    "upgrade": upgrade,
    "take": take,
}


def answers(root: Path) -> list[tuple[str, float]]:
    """All photos that can be found, with their scores for a text, the best first."""
    with aliens.open(root, encoder=FakeEncoder()) as library:
        hits = library.search("a sofa", k=1_000, exact=True)
        assert [d for d in library.verify() if d.part not in ("photo", "stray file")] == []
        return [(hit.path, round(hit.score, 6)) for hit in hits]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"{number:03d}.jpg").write_bytes(photo_bytes(number))
    return folder


@pytest.fixture
def begun(tmp_path: Path, photos: Path, request: pytest.FixtureRequest) -> Path:
    """What a kind of work begins with."""
    root = tmp_path / "begun"
    if request.param == "upgrade":
        with tarfile.open(OLD) as tar:
            tar.extractall(tmp_path, filter="data")
        return (tmp_path / "library-0004").rename(root)
    factory = LibraryFactory(root)
    if request.param == "take":
        vectors = np.random.default_rng(SEED).normal(size=(PHOTOS, FakeEncoder.dim)).astype(np.float32)
        np.save(photos / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        (photos / "vectors.txt").write_text(
            "\n".join(f"elsewhere/{path.name}" for path in sorted(photos.glob("*.jpg")))
        )
    elif request.param != "add":
        for third in range(3):
            part = tmp_path / str(third)
            part.mkdir()
            for path in sorted(photos.iterdir())[third::3]:
                shutil.copy(path, part)
            factory.add(part)
    factory.close()
    return root


@pytest.mark.parametrize(("begun", "name"), [(name, name) for name in WORK], indirect=["begun"])
def test_kill_9_loses_nothing_whatever_is_done(begun: Path, name: str, photos: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["aliens.library", "indexer.upgrade", "indexer.upkeep", "indexer.add", "torch"])

    def start(root: Path) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=work, args=(name, root, photos))
        process.start()
        return process

    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(begun, undisturbed)
    for _ in range(2):  # once more, to know how long it takes with the imports done
        shutil.rmtree(undisturbed)
        shutil.copytree(begun, undisturbed)
        begin = time.monotonic()
        process = start(undisturbed)
        process.join()
        longest_s = time.monotonic() - begin
        assert process.exitcode == 0
    expected = answers(undisturbed)
    moments, kills, rounds = random.Random(SEED), 0, 0
    most = FEWER if name == "take" else KILLS
    while kills < most:
        rounds += 1
        root = tmp_path / f"killed-{rounds}"
        shutil.copytree(begun, root)
        kills += killed_until_done(partial(start, root), moments, (0.02, longest_s), most - kills)
        assert answers(root) == expected, f"round {rounds} with seed {SEED}"
        with aliens.open(root, encoder=FakeEncoder()) as library:
            library.repair()  # removes what killed processes left
            assert [d for d in library.verify() if d.part != "photo"] == []
        shutil.rmtree(root)
    print(f"{name}: {kills} kills in {rounds} rounds")
