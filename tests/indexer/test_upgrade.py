"""A library that version 0004 made, with 256-row shards replaced by 8-row ones, is brought up to date by who writes."""

import errno
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aliens
from aliens.library import Library
from base.errors import LibraryError
from base.settings import LibraryFolder
from db.revisions import REVISION, current_revision
from db.vector_rows import EmbeddedRows, segments_of
from embedding.scores import ScoreStore
from embedding.segments import SegmentStore
from indexer import upgrade
from tests.conftest import FakeEncoder, photo_bytes
from tests.indexer.conftest import failing_from, put, put_named
from tests.indexer.test_old_libraries import unpacked

pytestmark = pytest.mark.sqlite("versions before this one kept libraries there alone")

OLD = Path(__file__).parents[1] / "data" / "library-0004.tar.xz"
FOUND, MISSING = 59, 12  # photos that can be found; the id of the one whose file was gone


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A library of 61 photos: one was replaced, one vanished, one is no picture; tagged, with a graph."""
    with tarfile.open(OLD) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "library-0004"


@pytest.fixture
def expected(old: Path) -> dict[int, bytes]:
    """{photo id: its vector} as the shards have them."""
    with closing(sqlite3.connect(old / "library.db")) as database:
        statement = "SELECT photo_id, number, row FROM embedding JOIN vector_shard s ON s.id = shard_id"
        places = database.execute(statement).fetchall()
    folder = old / "vectors" / "fake-00000000"
    return {photo_id: np.load(folder / f"{number:06d}.npy")[row].tobytes() for photo_id, number, row in places}


def vectors(library: Library) -> dict[int, bytes]:
    """{photo id: its vector}, of missing photos as well."""
    with library.catalog.session() as session:
        stored = {}
        for file in segments_of(session, library.model):
            segment = library.store.open(file)
            stored |= {
                int(photo_id): vector.tobytes() for photo_id, vector in zip(segment.ids, segment.vectors, strict=True)
            }
        return stored


def opened(root: Path) -> Library:
    return aliens.open(root, encoder=FakeEncoder())


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_library_of_shards_is_brought_up_to_date(old: Path, expected: dict[int, bytes]) -> None:
    with opened(old) as library:
        library.update_index("hnsw", least_recall=0.5)
        assert current_revision(library.catalog.engine) == REVISION
        assert vectors(library) == expected
        with library.catalog.session() as session:
            current = library.store.current(EmbeddedRows(session, library.model))
            assert len(current) == FOUND
            assert MISSING not in current.ids
        assert library.encoder.encoded_photos == 0  # type: ignore[attr-defined] # of the fake one
        assert [d for d in library.verify() if d.part != "photo"] == []
    assert not [name for name in files(old) if name.endswith(".npy") and name.startswith(("vectors", "index"))]


def test_searches_answer_as_before(old: Path, expected: dict[int, bytes]) -> None:
    query = FakeEncoder().encode_prompts("a sofa", ())
    scores = {i: float(np.frombuffer(v, np.float16).astype(np.float32) @ query) for i, v in expected.items()}
    best = sorted((i for i in scores if i != MISSING), key=lambda i: -scores[i])[:10]
    with opened(old) as library:
        library.update_index("exact")
        hits = library.search("a sofa", k=10)
        assert [hit.photo_id for hit in hits] == best
        assert [hit.score for hit in hits] == pytest.approx([scores[i] for i in best], abs=1e-6)


def test_tags_stay_without_being_scored_anew(old: Path) -> None:
    with opened(old) as library:
        library.save_search("sofas", "tag:sofa")  # a small write
        assert library.encoder.encoded_photos == 0  # type: ignore[attr-defined]
        report = library.tag()
        assert (report.scored, report.photos) == (0, FOUND)


def test_an_approximate_index_that_held_all_goes_on(old: Path) -> None:
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        explained = library.search("a sofa", k=5).explanation
        assert explained.engine == "hnsw"
        assert "beside" not in explained.reason


def test_an_approximate_index_that_was_older_is_not_used(old: Path) -> None:
    manifest = old / "index" / "fake-00000000" / "approximate.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"generation": 1}))
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        assert library.search("a sofa", k=5).explanation.engine == "exact"


READERS: dict[str, Callable[[Library], object]] = {
    "search": lambda library: library.search("a sofa"),
    "similar": lambda library: library.similar(3),
    "info": lambda library: library.info(),
    "failures": lambda library: library.failures(),
    "verify": lambda library: library.verify(),
    "tags": lambda library: library.tags_of(3),
    "saved": lambda library: library.saved_searches(),
}


@pytest.mark.parametrize("name", READERS)
def test_who_only_reads_an_old_library_is_told_what_to_run(old: Path, name: str) -> None:
    before = files(old)
    with opened(old) as library, pytest.raises(LibraryError, match="earlier CV-Aliens: `aliens index` brings"):
        READERS[name](library)
    assert files(old) - {"library.db-wal", "library.db-shm"} == before


def test_one_who_opened_it_before_reads_on_after_another_has_upgraded_it(old: Path) -> None:
    with opened(old) as early, opened(old) as late:
        late.update_index("exact")
        assert len(early.search("a sofa", k=3)) == 3


STEPS: dict[str, tuple[Any, str]] = {
    "segments": (SegmentStore, "write_parts"),
    "scores": (ScoreStore, "write"),
    "keep_covering": (upgrade, "keep_covering"),
    "migrate": (upgrade, "migrate"),
    "remove_old": (upgrade, "remove_old"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_step_leaves_what_the_next_writer_brings_up_to_date(
    old: Path, expected: dict[int, bytes], step: str, when: str
) -> None:
    owner, name = STEPS[step]
    call = int(step == "migrate")  # the first only adds tables
    with (
        failing_from(owner, name, SystemExit, call=call, after=when == "after"),
        opened(old) as library,
        pytest.raises(SystemExit),
    ):
        library.save_search("sofas", "a sofa")
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        assert vectors(library) == expected
        assert library.tag().scored == 0
        assert library.search("a sofa", k=5).explanation.engine == "hnsw"
        library.repair()
        assert [d for d in library.verify() if d.part != "photo"] == []


@pytest.mark.parametrize("damage", ["absent", "truncated", "ids of other photos"])
def test_photos_of_a_damaged_shard_alone_are_embedded_anew(old: Path, expected: dict[int, bytes], damage: str) -> None:
    shard = old / "vectors" / "fake-00000000" / "000003.npy"
    ids = np.load(shard.with_name("000003.ids.npy")).tolist()
    if damage == "absent":
        shard.unlink()
    elif damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:-20])
    else:
        shutil.copy(shard.with_name("000004.ids.npy"), shard.with_name("000003.ids.npy"))
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        assert vectors(library) == {i: vector for i, vector in expected.items() if i not in ids}
        assert library.info().photos["pending"] == len(ids)


def test_a_library_whose_vectors_are_not_there_now_is_left_as_it_is(old: Path, expected: dict[int, bytes]) -> None:
    (old / "vectors").rename(old / "elsewhere")
    with opened(old) as library, pytest.raises(LibraryError, match="9 of the 9 files of vectors in "):
        library.save_search("sofas", "a sofa")
    (old / "elsewhere").rename(old / "vectors")
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        assert vectors(library) == expected


def test_a_shard_that_cannot_be_read_now_is_not_taken_for_lost(
    old: Path, expected: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = np.load

    def broken(path: Path, **options: object) -> object:
        if Path(path).name == "000002.npy":
            raise OSError(errno.EIO, "Input/output error")
        return load(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(np, "load", broken)
        with opened(old) as library, pytest.raises(LibraryError, match="shard 2 of the vectors cannot be read"):
            library.save_search("sofas", "a sofa")
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        assert vectors(library) == expected


def test_scores_of_a_shard_of_another_day_are_left_out(old: Path) -> None:
    (piece,) = (old / "tags" / "fake-00000000" / "case-study-928dcd08").glob("*.shards.npy")
    parts = np.load(piece)
    parts[2, 2] += 1  # another stamp
    np.save(piece, parts)
    with opened(old) as library:
        library.save_search("sofas", "a sofa")
        assert library.tag().scored == parts[2, 1]


def test_an_upgraded_library_takes_photos_as_any_other(old: Path, tmp_path: Path) -> None:
    photos = put(tmp_path / "more", 200)
    put_named(photos, "again.jpg", "again2.jpg", data=photo_bytes(0))  # bytes that it knows, of a file that is gone
    with opened(old) as library:
        report = library.add(photos)
        assert (report.run.encoded, report.run.reused, report.run.moved) == (1, 2, 1)
        assert len(library.search("a sofa", k=100, copies=True)) == FOUND + 2


def test_two_writers_at_once_upgrade_it_once(old: Path) -> None:
    folder = LibraryFolder(old)
    refused = pytest.raises(LibraryError, match="another process or thread is changing")
    with opened(old) as one, one.catalog.lock(), opened(old) as other, refused:
        other.save_search("sofas", "a sofa")
    assert not list(folder.vectors("fake-00000000").glob("*.faiss"))


def test_a_library_that_has_segments_keeps_its_files(tmp_path: Path) -> None:
    root = unpacked("0005", tmp_path) / "library"
    before = files(root)
    with opened(root) as older:
        with pytest.raises(LibraryError, match="was made by an earlier CV-Aliens: `aliens index"):
            older.search("a room")
        older.update_index()
        assert current_revision(older.catalog.engine) == REVISION
    assert files(root) - {"library.lock"} == before


def test_a_library_of_an_earlier_version_takes_hotels_dates_and_places(old: Path, tmp_path: Path) -> None:
    put(tmp_path / "more" / "jp01", 0)  # bytes that it knows, of a file that is gone
    facts = tmp_path / "facts.csv"
    facts.write_text("folder,chain,latitude,longitude,date\nmore/jp01,Azura,1.5,2.5,2015-01-31\n", encoding="utf-8")
    with opened(old) as library:
        library.add(tmp_path / "more", hotel_from="folder", metadata=facts)
        (hit,) = library.search("a sofa hotel:jp01 chain:azura near:1.5,2.5,1km after:2015-01-31 before:2015-02")
        assert (hit.hotel_name, hit.date_from, hit.latitude) == ("jp01", "table", 1.5)
        assert library.info().hotels == 1
