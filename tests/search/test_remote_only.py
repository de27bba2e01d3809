"""A library whose vectors lie in Milvus alone: what it answers, what it refuses, and that none is ever lost."""

import hashlib
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aliens.library import Library
from base.errors import AliensError, LibraryError
from embedding.index import milvus, milvus_rows, milvus_sync
from embedding.index.milvus import connected, counted_rows, read_collection
from embedding.opened_segment import row_sums
from tests.by_folder import found_vectors, photo_segments
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.milvus_server import MilvusServer

PHOTOS = 24


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milvus is waited for as long as a busy machine takes."""
    for name in ("CONNECT_S", "SEARCH_S", "LOAD_S"):
        monkeypatch.setattr(milvus, name, 300.0)
    monkeypatch.setattr(milvus_sync, "SEARCH_S", 300.0)
    monkeypatch.setattr(milvus_rows, "SEARCH_S", 300.0)


@pytest.fixture
def many(photos: Path) -> Path:
    return fill_folder(photos, range(10, PHOTOS), "{:02d}.jpg")


def away(library: LibraryFactory, server: MilvusServer) -> Library:
    """Have the vectors of a library lie in Milvus alone."""
    opened = library.open()
    report = opened.update_index(f"milvus:{server.uri}", remote_only=True, least_recall=0.9)
    assert (report.problem, report.written) == ("", True)
    return library.open()


def files(library: LibraryFactory) -> dict[str, str]:
    """Return the checksums of the files that vectors lie in."""
    where = library.folder.vectors(library.encoder.key)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(where.glob("*.faiss"))}


def found(library: Library, text: str = "pool", **options: Any) -> list[tuple[int, float]]:
    return [(hit.photo_id, pytest.approx(hit.score, abs=1e-6)) for hit in library.search(text, **options)]


def test_vectors_leave_answers_stay_and_the_same_files_come_back(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer
) -> None:
    library.add(many)
    before, opened = files(library), library.open()
    asked: list[dict[str, Any]] = [
        {"k": 5},
        {"k": 100},
        {"k": 5, "page": 2},
        {"k": 5, "diverse": 0.5},
        {"k": 5, "more_like": (3,), "less_like": (4,)},
        {"k": 5, "min_score": 0.0},
    ]
    texts = ("pool", "bed after:1990", "bed -after:2090 chain:none", "sea path:0", "like:7", "pool -bed kind:any")
    exact = {(text, n): found(opened, text, **options) for text in texts for n, options in enumerate(asked)}
    vectors = found_vectors(library.folder)

    remote = away(library, milvus_server)
    assert files(library) == {}
    for text in texts:
        for n, options in enumerate(asked):
            assert found(remote, text, **options) == exact[text, n], (text, options)
    explained = remote.search("pool after:1990", k=3).explanation
    assert (explained.engine, explained.selected) == ("milvus", PHOTOS)
    assert f"gives its own scores, since vectors lie there alone, measured over {PHOTOS} photos" in explained.reason
    assert explained.recall is not None
    assert remote.verify() == []
    assert remote.verify(quick=True) == []
    assert not remote.update_index().written
    assert dict(remote.update_index().rows())["milvus"].endswith("1 segment there alone")
    now = found_vectors(library.folder)
    assert all((now[photo_id] == vector).all() for photo_id, vector in vectors.items())

    assert remote.update_index("exact").milvus is None
    assert files(library) == before
    assert remote.verify() == []
    assert found(remote, "pool", k=5) == exact["pool", 0]


def test_what_needs_all_vectors_here_is_refused_with_the_remedy(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer
) -> None:
    library.add(many)
    remote = away(library, milvus_server)
    remedy = r"lie in Milvus alone: `aliens index --kind exact` brings them back"
    for refused in (lambda: remote.search("pool", exact=True), lambda: remote.order("pool")):
        with pytest.raises(AliensError, match=remedy):
            refused()


def test_photos_that_come_change_and_vanish_and_come_back(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer, tmp_path: Path
) -> None:
    library.add(many)
    remote = away(library, milvus_server)
    (many / "05.jpg").write_bytes(photo_bytes(99))
    (many / "06.jpg").rename(tmp_path / "06.jpg")
    fill_folder(many, (50, 51))
    library.add(many)
    twin = library.open()
    shutil.copytree(library.folder.root, tmp_path / "copy")
    paths = {Path(hit.path).name for hit in remote.search("pool", k=100)}
    assert paths == {path.name for path in many.iterdir()}
    assert "3 photos here are compared exactly" in remote.search("pool", k=3).explanation.reason
    assert remote.search("pool after:1990", k=3).explanation.selected == PHOTOS + 1

    report = remote.update_index()
    assert (report.problem, report.beside, files(library)) == ("", 0, {})
    assert {Path(hit.path).name for hit in twin.search("pool", k=100)} == paths
    assert twin.search(image=many / "05.jpg", k=1)[0].score == pytest.approx(1, abs=1e-3)
    assert twin.verify() == []
    encoded = library.encoder.encoded_photos
    (tmp_path / "06.jpg").rename(many / "06.jpg")  # its vector is in Milvus still
    library.add(many)
    assert library.encoder.encoded_photos == encoded
    assert "06.jpg" in {Path(hit.path).name for hit in twin.search("pool", k=100)}
    vectors = found_vectors(library.folder)
    twin.update_index("exact")
    assert twin.verify() == []
    now = found_vectors(library.folder)
    assert now.keys() == vectors.keys()
    assert all((now[photo_id] == vector).all() for photo_id, vector in vectors.items())


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("step", ["fetched_rows", "write_stub", "write_collection", "let_go"])
def test_a_kill_on_the_way_there_leaves_every_vector_here_or_there(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    library.add(many)
    vectors, exact = found_vectors(library.folder), found(library.open(), k=PHOTOS)
    where: Any = milvus_rows if step != "let_go" else milvus_rows.SegmentStore
    real = getattr(where, step)

    def killed(*arguments: Any, **options: Any) -> Any:
        real(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(where, step, killed)
        away(library, milvus_server)
    opened = library.open()
    assert found(opened, k=PHOTOS) == exact
    assert opened.verify() == []
    opened.update_index()
    assert files(library) == {}
    assert found(library.open(), k=PHOTOS) == exact
    now = found_vectors(library.folder)
    assert all((now[photo_id] == vector).all() for photo_id, vector in vectors.items())


def test_a_kill_on_the_way_back_loses_nothing(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(many)
    before = files(library)
    away(library, milvus_server)
    for step in ("write_segment", "write_collection"):
        module: Any = milvus_rows if step == "write_segment" else __import__("indexer.upkeep").upkeep
        real = getattr(module, step)

        def killed(*arguments: Any, real: Any = real, **options: Any) -> Any:
            real(*arguments, **options)
            raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(module, step, killed)
            library.open().update_index("exact")
        assert len(library.open().search("pool", k=100)) == PHOTOS
    library.open().update_index("exact")
    assert files(library) == before
    assert library.open().verify() == []


def test_without_milvus_searches_and_verify_say_so_and_repair_forgets_nothing(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(many)
    away(library, milvus_server)
    milvus_server.kill()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(milvus, "CONNECT_S", 1.0)
            opened = library.open()
            for refused in (lambda: opened.search("pool"), lambda: opened.update_index("exact")):
                with pytest.raises(LibraryError, match="gives no answer"):
                    refused()
            (said,) = opened.verify()
            assert (said.part, "gives no answer" in said.what) == ("Milvus", True)
            assert opened.repair() == 0
    finally:
        milvus_server.start()
    assert len(library.open().search("pool", k=100)) == PHOTOS
    assert library.open().verify() == []


def test_a_collection_that_is_gone_is_told_and_repair_has_its_photos_embedded_anew(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer
) -> None:
    library.add(many)
    away(library, milvus_server)
    about = read_collection(library.folder.index(library.encoder.key))
    assert about is not None
    with closing(connected(about.uri)) as client:
        client.drop_collection(about.name)
    assert "is gone, or was written by another library" in library.open().update_index().problem
    with pytest.raises(LibraryError, match=about.name):
        library.open().search("pool")
    (said,) = library.open().verify()
    assert about.name in said.what
    assert library.open().repair() == PHOTOS
    library.add(many)
    assert len(library.open().search("pool", k=100)) == PHOTOS
    assert library.open().verify() == []


def test_rows_that_another_wrote_are_noticed(library: LibraryFactory, many: Path, milvus_server: MilvusServer) -> None:
    library.add(many)
    away(library, milvus_server)
    about = read_collection(library.folder.index(library.encoder.key))
    assert about is not None
    with closing(connected(about.uri)) as client:
        (row,) = client.query(about.name, filter="photo_id == 3", output_fields=["*"])
        row["vector"] = np.roll(np.array(row["vector"], np.float32), 1)
        client.upsert(about.name, [row])
        assert counted_rows(client, about.name, "photo_id > 0") == PHOTOS
    (said,) = library.open().verify()
    assert "the vector of photo 3 came back from Milvus as another one" in said.what
    with pytest.raises(LibraryError, match="photo 3 came back from Milvus as another one"):
        library.open().update_index("exact")
    assert files(library) == {}


def test_vectors_stay_where_the_collection_was_not_found_good_enough_or_is_no_milvus(
    library: LibraryFactory, many: Path, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(many)
    with pytest.raises(LibraryError, match="give --kind milvus:URI"):
        library.open().update_index(remote_only=True)
    real = milvus_sync.measured
    monkeypatch.setattr(milvus_sync, "measured", lambda *rest: replace(real(*rest), recall=0.5))
    with pytest.raises(LibraryError, match="recall of the collection is 50"):
        library.open().update_index(f"milvus:{milvus_server.uri}", remote_only=True)
    assert len(photo_segments(library.folder)) == len(files(library))


def test_a_sum_tells_any_change_of_a_row() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 48)).astype(np.float16)
    sums = row_sums(rows)
    assert len(set(sums.tolist())) == 50
    for bit in range(16):
        other = rows.copy()
        other.view(np.uint16)[:, bit] ^= np.uint16(1 << bit)
        assert (row_sums(other) != sums).all()
    assert len(row_sums(rows[:0])) == 0
