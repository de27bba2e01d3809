"""A collection in Milvus as the engine that names candidates: milvus-lite, in a file and behind a port."""

import json
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import LibraryError
from embedding.index import milvus, milvus_filters, milvus_sync
from embedding.index.building import IndexChoice
from embedding.index.left import Left
from embedding.index.milvus import (
    MILVUS_MANIFEST,
    Collection,
    MilvusEngine,
    connected,
    expressions,
    read_collection,
    shown_uri,
)
from embedding.index.milvus_fields import PhotoFields, quoted_text
from embedding.index.milvus_sync import leave
from embedding.index.photo_index import PhotoIndex, current_index
from embedding.opened_segment import Segment
from embedding.segments import SegmentStore, Vectors
from tests.embedding.conftest import unit_vectors
from tests.milvus_server import stop_lite

DIM = 16
pytestmark = pytest.mark.usefixtures("patient_with_milvus")

PHOTOS = 400
KEY = "ViT-B-32-openai-1f3a9c02"
SECRET = "pass,word"


def segment(folder: Path, ids: np.ndarray, seed: int = 0, dim: int = DIM) -> Segment:
    """Write a segment in which a photo has the same vector each time, and open it."""
    store = SegmentStore(folder / "vectors", dim)
    return store.open(store.write(ids, unit_vectors(int(ids.max(initial=0)) + 1, dim, seed)[ids]))


def photos(folder: Path, ids: np.ndarray, seed: int = 0, dim: int = DIM) -> PhotoIndex:
    """Return photos whose vectors lie in a new segment."""
    return PhotoIndex(Vectors(dim, [segment(folder, ids, seed, dim)], [None]))


ALL = np.arange(1, PHOTOS + 1)


def sync(
    folder: Path, base: PhotoIndex, choice: IndexChoice, key: str = KEY, **options: Any
) -> tuple[Collection, bool]:
    return milvus_sync.sync(folder, base, key, choice, **options)


@pytest.fixture
def choice(tmp_path: Path) -> Iterator[IndexChoice]:
    """A file of milvus-lite."""
    pytest.importorskip("pymilvus", reason="pymilvus is absent: pip install -e '.[milvus-lite]'")
    pytest.importorskip("milvus_lite", reason="milvus-lite is absent: pip install -e '.[milvus-lite]'")
    yield IndexChoice(milvus=str(tmp_path / "vectors.db"))
    stop_lite(tmp_path / "vectors.db")


def answers(port: int) -> bool:
    """Tell whether a server can be reached: now and then milvus-lite's cannot."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=60)
        except grpc.FutureTimeoutError:
            return False
    try:
        connected(f"http://user:{SECRET}@127.0.0.1:{port}").close()
    except LibraryError:
        return False
    return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URI of milvus-lite behind a port, as of a server, and what stops it."""
    pytest.importorskip("pymilvus", reason="pymilvus is absent: pip install -e '.[milvus-lite]'")
    lite = pytest.importorskip("milvus_lite.adapter.grpc.server", reason="milvus-lite is absent")
    for attempt in range(3):
        running, database, port = lite.start_server_in_thread(str(tmp_path / f"served-{attempt}"))
        if answers(port):
            break
        running.stop(grace=None).wait()
        database.close()
    else:
        pytest.skip("milvus-lite's server gives no answer on this machine")
    yield f"http://user:{SECRET}@127.0.0.1:{port}", lambda: running.stop(grace=None).wait()
    running.stop(grace=None).wait()
    database.close()


def searched(base: PhotoIndex, folder: Path) -> PhotoIndex:
    about = read_collection(folder)
    return base.with_engine(MilvusEngine(about))


def same(index: PhotoIndex, base: PhotoIndex, among: np.ndarray | None = None, k: int = 10) -> None:
    queries = unit_vectors(5, DIM, 77)
    scores, ids = index.search(queries, k, among=among)
    exact_scores, exact_ids = base.search(queries, k, among=among)
    assert isinstance(index.engine, MilvusEngine)
    assert index.engine.problem == ""
    named = index.engine.candidates(queries, k, among, 1.0)
    wanted = min(k, len(base) if among is None else len(np.intersect1d(among, base.ids)))
    assert (np.array([len(np.unique(row[row >= 0])) for row in named]) >= wanted).all()  # it named enough itself
    assert ids.tolist() == exact_ids.tolist()
    assert scores == pytest.approx(exact_scores, abs=1e-6)


# Filters


@given(ids=st.sets(st.integers(1, 300)), limit=st.integers(1, 20))
def test_expressions_let_exactly_the_ids_through_each_once(ids: set[int], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(milvus_filters, "IDS_AT_ONCE", limit)
        patch.setattr(milvus_filters, "RANGES_AT_ONCE", limit)
        texts = list(expressions(np.array(sorted(ids), np.int64)))
    through = [photo_id for text in texts for photo_id in range(0, 302) if eval(text, {"photo_id": photo_id})]
    assert sorted(through) == sorted(ids)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01, 1 / PHOTOS])
def test_filters_lose_nothing(tmp_path: Path, choice: IndexChoice, share: float) -> None:
    base = photos(tmp_path, ALL)
    sync(tmp_path, base, choice)
    index = searched(base, tmp_path)
    same(index, base)
    scattered = np.sort(np.random.default_rng(1).choice(ALL, max(round(share * PHOTOS), 1), replace=False))
    same(index, base, scattered)
    same(index, base, ALL[-len(scattered) :])
    plan = index.plan(10, among=scattered)
    assert (plan.engine, plan.recall) == ("milvus", None)


def test_a_filter_too_long_for_one_expression_is_put_together_from_several(
    tmp_path: Path, choice: IndexChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_filters, "IDS_AT_ONCE", 7)
    monkeypatch.setattr(milvus_filters, "RANGES_AT_ONCE", 3)
    base = photos(tmp_path, ALL)
    sync(tmp_path, base, choice)
    same(searched(base, tmp_path), base, np.setdiff1d(ALL, np.arange(0, PHOTOS, 5)))
    same(searched(base, tmp_path), base, ALL[::2], k=60)


def test_nothing_left_by_a_filter_gives_no_hit(tmp_path: Path, choice: IndexChoice) -> None:
    base = photos(tmp_path, ALL)
    sync(tmp_path, base, choice)
    _, ids = searched(base, tmp_path).search(unit_vectors(2, DIM, 1), 5, among=np.empty(0, np.int64))
    assert ids.shape == (2, 0)


# Keeping up


def changed(tmp_path: Path, first: PhotoIndex) -> PhotoIndex:
    """Return photos of which 1 to 50 have vanished, 51 has changed, 52 is back, and 30 are new: 32 in new segments."""
    (old,) = first.base.segments
    new = segment(tmp_path, np.append(52, PHOTOS + 1 + np.arange(30)))
    another = segment(tmp_path, np.array([51]), seed=5)
    return PhotoIndex(Vectors(DIM, [old, new, another], [old.ids > 52, None, None]))


def test_photos_that_came_changed_and_vanished(tmp_path: Path, choice: IndexChoice) -> None:
    base = photos(tmp_path, ALL)
    first, written = sync(tmp_path, base, choice)
    assert (written, first.entries, first.sound, first.covers) == (True, PHOTOS, True, base.base.names)
    assert sync(tmp_path, base, choice) == (first, False)

    sent = []
    later = changed(tmp_path, base)
    now, written = sync(tmp_path, later, choice, progress=lambda step: sent.append(step.total))
    assert (written, now.entries, now.covers, now.name) == (True, PHOTOS - 20, later.base.names, first.name)
    assert set(sent) == {32}
    same(searched(later, tmp_path), later)
    vector = later.vectors(np.array([51]))
    assert searched(later, tmp_path).search(vector, 1)[1].tolist() == [[51]]
    assert ids_in(now)[1:] == later.ids.tolist()


def test_what_came_since_is_compared_beside_the_collection(tmp_path: Path, choice: IndexChoice) -> None:
    base = photos(tmp_path, ALL)
    about, _ = sync(tmp_path, base, choice)
    later = changed(tmp_path, base)
    index = searched(later, tmp_path)
    assert (len(index.covered), len(index.uncovered)) == (PHOTOS - 52, 32)
    queries = np.concatenate([unit_vectors(5, DIM, 77), later.vectors(np.array([51, 52, PHOTOS + 7]))])
    for among in (None, later.ids[::2], np.array([51]), np.arange(1, 53)):
        scores, ids = index.search(queries, 10, among=among)
        exact_scores, exact_ids = later.search(queries, 10, among=among)
        assert ids.tolist() == exact_ids.tolist()
        assert scores == pytest.approx(exact_scores, abs=1e-6)
    assert index.search(queries[5:], 1)[1].tolist() == [[51], [52], [PHOTOS + 7]]
    plan = index.plan(10)
    assert plan.engine == "milvus"
    assert plan.reason.endswith("its candidates compared exactly, and 32 photos beside them")
    assert plan.rows == about.candidates + 32


def test_photos_that_vanished_alone_are_removed(tmp_path: Path, choice: IndexChoice) -> None:
    base = photos(tmp_path, ALL)
    sync(tmp_path, base, choice)
    (only,) = base.base.segments
    fewer, sent = PhotoIndex(Vectors(DIM, [only], [only.ids > 50])), []
    same(searched(fewer, tmp_path), fewer)  # those that are gone are named in vain
    now, written = sync(tmp_path, fewer, choice, progress=lambda step: sent.append(step.total))
    assert (written, now.entries, sent) == (True, PHOTOS - 50, [])
    same(searched(fewer, tmp_path), fewer, fewer.ids[::3])


def test_an_empty_library(tmp_path: Path, choice: IndexChoice) -> None:
    none = PhotoIndex(Vectors(DIM, [], []))
    sync(tmp_path, none, choice)
    assert searched(none, tmp_path).search(unit_vectors(1, DIM, 1), 5)[1].shape == (1, 0)
    base = photos(tmp_path, ALL)
    sync(tmp_path, base, choice)
    same(searched(base, tmp_path), base)


class Killed(BaseException):
    """Stands for a kill."""


class Dying:
    """A client of Milvus after whose nth call of one kind the process is killed."""

    def __init__(self, client: Any, step: str, calls: int) -> None:
        self._client = client
        self._step = step
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name != self._step:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            self._left -= 1
            if not self._left:
                raise Killed
            return result

        return call


@pytest.mark.parametrize(
    ("step", "calls", "whole"),
    [
        ("upsert", 1, False),  # of the new mark
        ("delete", 1, False),  # of the old one
        ("delete", 2, False),  # of a segment that is gone
        ("upsert", 2, False),
        ("upsert", 5, False),
        ("upsert", 7, False),  # the last of 6 parts
        ("flush", 1, True),  # now it is whole
    ],
)
def test_a_kill_between_any_two_steps_is_repaired(
    tmp_path: Path, choice: IndexChoice, monkeypatch: pytest.MonkeyPatch, step: str, calls: int, whole: bool
) -> None:
    before = photos(tmp_path, ALL[:200])
    sync(tmp_path, before, choice)
    base = photos(tmp_path, ALL[100:], seed=1)  # every vector is another one
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(milvus_sync, "BATCH_BYTES", 50 * 4 * DIM)
        patch.setattr(milvus_sync, "connected", lambda uri: Dying(connected(uri), step, calls))
        sync(tmp_path, base, choice)
    about = read_collection(tmp_path)
    assert (about.covers == base.base.names) == whole
    for now in (before, base):  # what was there before is still told by what is known of it
        index = current_index(tmp_path, KEY, now.base)
        assert (
            index.search(unit_vectors(5, DIM, 3), 5)[1].tolist() == now.search(unit_vectors(5, DIM, 3), 5)[1].tolist()
        )
    sync(tmp_path, base, choice)
    same(searched(base, tmp_path), base)
    assert ids_in(about)[1:] == ALL[100:].tolist()


def test_a_sync_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, choice: IndexChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_sync, "BLOCK_ROWS", 50)
    monkeypatch.setattr(milvus_sync, "KEPT_BLOCKS", 2)
    monkeypatch.setattr(milvus_sync, "BATCH_BYTES", 50 * 4 * DIM)
    parts = [segment(tmp_path, ALL[:100]), segment(tmp_path, ALL[100:])]
    base = PhotoIndex(Vectors(DIM, parts, [None, parts[1].ids % 7 > 0]))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(milvus_sync, "connected", lambda uri: Dying(connected(uri), "upsert", 1 + 2 + 5))
        sync(tmp_path, base, choice)
    about = read_collection(tmp_path)
    assert (about.covers, about.sending, about.sent) == ((parts[0].name,), parts[1].name, 200)
    told: list[tuple[int, int | None]] = []
    now, _ = sync(tmp_path, base, choice, progress=lambda step: told.append((step.done, step.total)))
    sent = int((parts[1].ids[:200] % 7 > 0).sum())
    assert told[0] == (sent + int((parts[1].ids[200:250] % 7 > 0).sum()), len(base) - 100)
    assert len(told) == 2
    assert ids_in(now)[1:] == base.ids.tolist()
    same(searched(base, tmp_path), base)


def test_rows_that_another_removed_are_noticed_at_the_next_sync_and_sent_again(
    tmp_path: Path, choice: IndexChoice
) -> None:
    parts = [segment(tmp_path, ALL[:100]), segment(tmp_path, ALL[100:])]
    base = PhotoIndex(Vectors(DIM, parts, [None, None]))
    about, _ = sync(tmp_path, base, choice)
    with closing(connected(about.uri)) as client:
        client.delete(about.name, filter="photo_id > 390")
    more = PhotoIndex(base.base.beside(photos(tmp_path, ALL[:5] + PHOTOS).base))
    sent: list[int | None] = []
    now, _ = sync(tmp_path, more, choice, progress=lambda step: sent.append(step.total))
    assert sent == [5, 300]
    assert ids_in(now)[1:] == more.ids.tolist()


SOURCE = 'a "b"'
ODD = """it's "quoted" \\ é"""


class Told:
    """Hotels and tags of photos, for a sync."""

    def __init__(self, hotels: Callable[[np.ndarray], np.ndarray], stamp: str) -> None:
        self.stamps = {"photos": stamp}
        self._hotels = hotels

    def of(self, ids: np.ndarray) -> PhotoFields:
        known = PhotoFields.unknown(len(ids))
        tags = [[f"words/{photo_id % 3}", ODD] for photo_id in ids.tolist()]
        return replace(known, hotel=self._hotels(ids), tags=tags, source=["" if i % 2 else SOURCE for i in ids])


def test_fields_that_change_are_written_anew_block_by_block_and_vectors_stay(
    tmp_path: Path, choice: IndexChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_sync, "BLOCK_ROWS", 50)
    base = photos(tmp_path, ALL)
    about, _ = sync(tmp_path, base, choice, fields=Told(lambda ids: ids % 4, "one"))
    assert about.stamps == {"photos": "one"}
    assert sync(tmp_path, base, choice, fields=Told(lambda ids: ids % 4, "one"))[1] is False
    written: list[int] = []
    real = milvus_sync.Sending._write

    def write(self: milvus_sync.Sending, part: Segment, ids: np.ndarray, *rest: Any, **options: Any) -> None:
        written.append(len(ids))
        real(self, part, ids, *rest, **options)

    monkeypatch.setattr(milvus_sync.Sending, "_write", write)
    now, _ = sync(tmp_path, base, choice, fields=Told(lambda ids: np.where(ids == 77, 9, ids % 4), "two"))
    assert (now.stamps, written) == ({"photos": "two"}, [50])
    engine = MilvusEngine(now)
    for expression, wanted in (
        ("hotel == 9", [77]),
        ("hotel in [1]", [i for i in ALL if i % 4 == 1 and i != 77]),
        ("not (hotel in [0, 1, 2, 3])", [77]),
        ('array_contains(tags, "words/2")', ALL[ALL % 3 == 2]),
        (f"array_contains(tags, {quoted_text(ODD)})", ALL),
        (f"source in [{quoted_text(SOURCE)}]", ALL[ALL % 2 == 0]),
    ):
        assert engine.count(expression) == len(wanted), expression
        left = Left(expression=expression, count=len(wanted), find=lambda some: pytest.fail("no ids are needed"))
        named = engine.candidates(unit_vectors(1, DIM, 3), 400, left, 0.5)
        assert sorted(named[named > 0].tolist()) == list(wanted)
    same(searched(base, tmp_path), base)


def ids_in(about: Collection) -> list[int]:
    """Return the ids of all rows of a collection, ascending: the first is the mark's."""
    with closing(connected(about.uri)) as client:
        rows = client.query(about.name, filter="photo_id < 100000", output_fields=["photo_id"], limit=16_000)
    return sorted(row["photo_id"] for row in rows)


def test_without_its_manifest_another_collection_is_made(tmp_path: Path, choice: IndexChoice) -> None:
    base = photos(tmp_path, ALL)
    first, _ = sync(tmp_path, base, choice)
    (tmp_path / MILVUS_MANIFEST).write_text("{", encoding="utf-8")
    assert read_collection(tmp_path) is None
    second, written = sync(tmp_path, base, choice)
    assert written
    assert second.name != first.name
    same(searched(base, tmp_path), base)


def test_a_copy_of_the_library_that_goes_its_own_way_is_noticed(tmp_path: Path, choice: IndexChoice) -> None:
    base, copy = photos(tmp_path, ALL), tmp_path / "copy"
    copy.mkdir()
    first, _ = sync(tmp_path, base, choice)
    (copy / MILVUS_MANIFEST).write_text((tmp_path / MILVUS_MANIFEST).read_text(encoding="utf-8"), encoding="utf-8")
    sync(copy, photos(tmp_path, ALL, seed=1), choice)
    index, told = searched(base, tmp_path), []
    index.engine.tell = told.append  # type: ignore[union-attr]
    assert index.search(unit_vectors(5, DIM, 3), 5)[1].tolist() == base.search(unit_vectors(5, DIM, 3), 5)[1].tolist()
    assert len(told) == 1
    assert f"the collection {first.name}" in told[0]
    assert "`aliens index` brings it up to date" in told[0]
    again, _ = sync(tmp_path, base, choice)  # into another collection: that one is the copy's by now
    assert again.name != first.name
    same(searched(base, tmp_path), base)
    same(searched(photos(tmp_path, ALL, seed=1), copy), photos(tmp_path, ALL, seed=1))


def test_another_model_gets_another_collection_and_the_old_one_is_dropped(tmp_path: Path, choice: IndexChoice) -> None:
    base = photos(tmp_path, ALL)
    first, _ = sync(tmp_path, base, choice)
    second, _ = sync(tmp_path, base, choice, "hf-hub:org/name-00000000")
    assert second.name.startswith("aliens_hf_hub_org_name_00000000_")
    with closing(milvus.connected(first.uri)) as client:
        assert client.list_collections() == [second.name]
    leave(tmp_path)
    assert read_collection(tmp_path) is None
    with closing(milvus.connected(first.uri)) as client:
        assert client.list_collections() == []


def test_a_collection_of_another_dimension_is_refused_and_rebuilt_when_asked(
    tmp_path: Path, choice: IndexChoice
) -> None:
    base = photos(tmp_path, ALL)
    about, _ = sync(tmp_path, base, choice)
    wider = photos(tmp_path, ALL, 2, 24)
    milvus.write_collection(tmp_path, replace(about, dim=24))
    with pytest.raises(LibraryError, match=r"does not hold vectors of 24 dimensions.*--rebuild"):
        sync(tmp_path, wider, choice)
    now, _ = sync(tmp_path, wider, choice, rebuild=True)
    assert (now.dim, now.entries) == (24, PHOTOS)


# A server


def test_a_server_is_measured_and_the_password_stays_out_of_sight(
    tmp_path: Path, server: tuple[str, Callable[[], None]]
) -> None:
    uri, stop_server = server
    base, texts = photos(tmp_path, ALL), unit_vectors(20, DIM, 9)
    unmeasured, _ = sync(tmp_path, base, IndexChoice(milvus=uri))
    assert (unmeasured.recall, unmeasured.sound) == (None, False)
    about, _ = sync(tmp_path, base, IndexChoice(milvus=uri), texts=lambda: texts)
    assert about.sound
    assert (about.queries, about.exact) == (20, False)
    assert about.candidates in (128, 256)
    assert stat.S_IMODE((tmp_path / MILVUS_MANIFEST).stat().st_mode) == 0o600
    index = searched(base, tmp_path)
    assert about.least_share < 1
    same(index, base, ALL[PHOTOS // 3 :])
    assert SECRET not in index.plan(10).reason

    stop_server()
    told: list[str] = []
    index.engine.tell = told.append  # type: ignore[union-attr]
    for _ in range(2):  # the second one does not wait
        found = index.search(unit_vectors(5, DIM, 3), 5)[1]
        assert found.tolist() == base.search(unit_vectors(5, DIM, 3), 5)[1].tolist()
    assert len(told) == 1
    assert "every photo is compared: Milvus at http://***@127.0.0.1" in told[0]
    assert SECRET not in told[0]
    assert "no answer from Milvus" in index.plan(10).reason
    with pytest.raises(LibraryError, match="gives no answer") as caught:
        sync(tmp_path, base, IndexChoice(milvus=uri))
    assert SECRET not in str(caught.value)
    leave(tmp_path)  # where nothing answers, nothing is dropped, and nothing fails
    assert not (tmp_path / MILVUS_MANIFEST).exists()


def test_more_candidates_are_asked_for_until_enough_is_found(
    tmp_path: Path, server: tuple[str, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([0.5, 0.9, 0.995])
    monkeypatch.setattr(milvus_sync, "recall_at_10", lambda *arguments: next(found))
    base = photos(tmp_path, ALL[:50])
    about, _ = sync(tmp_path, base, IndexChoice(milvus=server[0]), texts=lambda: unit_vectors(2, DIM, 9))
    assert (about.candidates, about.recall, about.sound) == (512, 0.995, True)


def test_filters_by_which_a_graph_loses_hits_are_answered_without_it(
    tmp_path: Path, server: tuple[str, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, texts = photos(tmp_path, ALL), unit_vectors(20, DIM, 9)
    measured = iter([0.995, 0.995, 0.9])
    real = milvus_sync.filtered_recall
    shares = []

    def filtered_recall(engine: MilvusEngine, *arguments: Any) -> float:
        shares.append((arguments[-1], real(engine, *arguments)))
        return next(measured)

    monkeypatch.setattr(milvus_sync, "filtered_recall", filtered_recall)
    about, _ = sync(tmp_path, base, IndexChoice(milvus=server[0]), texts=lambda: texts)
    assert about.least_share == 0.1
    assert [share for share, _ in shares] == [0.5, 0.1, 0.01]
    assert all(0 <= recall <= 1 for _, recall in shares)
    index = searched(base, tmp_path)
    assert index.plan(10, among=ALL[:41]).engine == "milvus"
    assert index.plan(10, among=ALL[:40]).engine == "exact"
    measured = iter([0.9])
    more = PhotoIndex(base.base.beside(photos(tmp_path, ALL[-1:] + 1).base))
    about, _ = sync(tmp_path, more, IndexChoice(milvus=server[0]), texts=lambda: texts)
    assert about.least_share == 1.0
    assert searched(more, tmp_path).plan(10, among=ALL).engine == "exact"
    assert searched(more, tmp_path).plan(10).engine == "milvus"


# Bad input


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://root:hunter2@127.0.0.1:1", "http://***@127.0.0.1:1"),
        ("bogus://root:hunter2@host", "bogus://***@host"),
        ("root:hunter2@host:19530", "***@host:19530"),
        ("http://127.0.0.1:1?token=hunter2", "http://127.0.0.1:1"),
        ("http://hunter2@host:99999999", "http://***@host:99999999"),
        ("/no/such/folder/vectors.db", "/no/such/folder/vectors.db"),
    ],
)
def test_what_cannot_be_reached_is_named_with_a_remedy_and_without_its_password(
    tmp_path: Path, uri: str, said: str
) -> None:
    pytest.importorskip("pymilvus", reason="pymilvus is absent: pip install -e '.[milvus-lite]'")
    assert shown_uri(uri) == said
    with pytest.raises(LibraryError) as caught:
        sync(tmp_path, photos(tmp_path, ALL[:5]), IndexChoice(milvus=uri))
    assert f"Milvus at {said} gives no answer" in str(caught.value)
    assert "`aliens index --kind auto`" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert read_collection(tmp_path) is None


@pytest.mark.parametrize(
    ("uri", "text", "said"),
    [
        (
            "http://u:pw@h:1",
            "server unavailable: pw of u:pw at http://u:pw@h:1",
            "server unavailable: *** of *** at http://***@h:1",
        ),
        ("http://secret-token@h", "token secret-token is wrong", "token *** is wrong"),
        ("http://h?token=abc-def", "token abc-def is wrong", "*** *** is wrong"),
        ("/a/b.db", "no /a/b.db", "no /a/b.db"),
    ],
)
def test_what_milvus_says_is_told_without_secrets(uri: str, text: str, said: str) -> None:
    assert milvus.without_secrets(text, uri) == said


def test_without_pymilvus_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymilvus"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(LibraryError, match=r"pip install -e '\.\[milvus\]'"):
        sync(tmp_path, photos(tmp_path, ALL[:5]), IndexChoice(milvus="http://127.0.0.1:1"))


ABOUT = Collection(model_key=KEY, uri="/vectors.db", name="aliens_x", dim=DIM, exact=True, covers=("a", "b"), mark=1)


@pytest.mark.parametrize("damaged", ["", "[]", json.dumps({"name": "x"}), json.dumps(asdict(ABOUT))])
def test_a_damaged_manifest_is_none(tmp_path: Path, damaged: str) -> None:
    (tmp_path / MILVUS_MANIFEST).write_text(damaged, encoding="utf-8")
    assert read_collection(tmp_path) is None


def test_a_manifest_is_kept_in_a_folder_that_is_made_and_none_once_a_letter_has_changed(tmp_path: Path) -> None:
    folder = tmp_path / "index" / KEY
    milvus.write_collection(folder, ABOUT)
    assert read_collection(folder) == ABOUT
    written = (folder / MILVUS_MANIFEST).read_text(encoding="utf-8")
    (folder / MILVUS_MANIFEST).write_text(written.replace("aliens_x", "aliens_y"), encoding="utf-8")
    assert read_collection(folder) is None
