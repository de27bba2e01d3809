"""kill -9 at random moments of `aliens add`, with the embedded model: nothing is lost, doubled or changed."""

import multiprocessing
import random
import time
from functools import partial
from pathlib import Path

from base.settings import LibraryFolder
from db.catalog import is_library
from db.vector_rows import EmbeddedRows
from indexer.hotels50k import Hotels50kSource
from tests.by_folder import add_photos, catalog_of, create_library, store_of
from tests.by_folder import disagreements as verify
from tests.conftest import some_samples
from tests.killed import killed_until_done

KILLS = 4  # with a model whose encoding can be killed as well; tests/test_kills.py has more, with a fake one
PHOTOS, COMMIT_PHOTOS = 40, 6  # of the samples: a run has seven commits


def add_samples(root: Path, samples: Path, commit_photos: int) -> None:
    """Run in a process of its own: make the library if there is none, and add the samples."""
    import indexer.pipeline
    from embedding.open_clip_encoder import OpenClipEncoder

    indexer.pipeline.COMMIT_PHOTOS = commit_photos
    folder = LibraryFolder(root)
    encoder = OpenClipEncoder.load("starter", device="cpu", precision="float32")
    if not is_library(folder):
        create_library(folder, encoder)
    add_photos(folder, Hotels50kSource(samples), lambda model: encoder)


def vectors_by_photo(root: Path) -> dict[int, bytes]:
    with catalog_of(LibraryFolder(root)) as catalog, catalog.session() as session:
        found: dict[int, bytes] = {}
        for ids, vectors in store_of(catalog).current(EmbeddedRows(session, catalog.model)).parts():
            for photo_id, vector in zip(ids.tolist(), vectors, strict=True):
                assert photo_id not in found
                found[photo_id] = vector.tobytes()
    return found


def test_kill_9_loses_nothing(tmp_path: Path, samples: Path) -> None:
    tree = some_samples(tmp_path / "samples", samples)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["embedding.open_clip_encoder"])

    def start(root: Path, commit_photos: int) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=add_samples, args=(root, tree, commit_photos))
        process.start()
        return process

    for name in ("imports", "uninterrupted"):  # the second time, to know how long it takes with the imports done
        begin = time.monotonic()
        reference = start(tmp_path / name, 256)
        reference.join()
        assert reference.exitcode == 0
        longest_s = time.monotonic() - begin
    expected = vectors_by_photo(tmp_path / "uninterrupted")
    assert len(expected) == PHOTOS

    seed = 20260101
    moments = random.Random(seed)
    kills, rounds = 0, 0
    while kills < KILLS:
        rounds += 1
        root = tmp_path / f"killed-{rounds}"
        kills += killed_until_done(partial(start, root, COMMIT_PHOTOS), moments, (0.2, 0.6 * longest_s), KILLS - kills)
        assert vectors_by_photo(root) == expected, f"round {rounds} with seed {seed}"
        assert verify(LibraryFolder(root)) == []
    print(f"{longest_s:.1f} s a run; {kills} kills in {rounds} rounds")
