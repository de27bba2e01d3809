import errno
import gc
import hashlib
import os
import re
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import LibraryError
from base.files import SegmentFile
from embedding import segments
from embedding.faiss_files import read_faiss, write_faiss
from embedding.opened_segment import ELSEWHERE, Segment, write_stub
from embedding.segments import KEPT_MOMENTS, OPENINGS, SegmentStore, Vectors
from tests.conftest import raising
from tests.embedding.conftest import Rows, flipped, in_segments, segment_of, unit_vectors

DIM = 8


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore(tmp_path / "vectors" / "model", DIM)


def photos(seed: int, rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return photo ids, neither small nor in order, and vectors that half precision holds exactly, as float32."""
    ids = np.random.default_rng(seed).permutation(2**40 + 1000 * seed + np.arange(rows) * 7)
    return ids, unit_vectors(rows, DIM, seed).astype(np.float16).astype(np.float32)


def files(store: SegmentStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir()) if store.folder.exists() else []


# Writing and opening


@settings(max_examples=50)
@given(
    ids=st.lists(st.integers(0, 2**62), max_size=20, unique=True),
    block=st.integers(1, 25),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_a_segment_is_opened_as_it_was_written_in_the_order_of_its_ids(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int], block: int, dtype: type
) -> None:
    store = SegmentStore(tmp_path_factory.mktemp("vectors"), DIM)
    vectors = photos(1, len(ids))[1].astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BLOCK_ROWS", block)
        file = store.write(np.array(ids, np.int64), vectors)
    opened = store.open(file)
    order = np.argsort(ids)
    assert (opened.name, len(opened)) == (file.name, len(ids))
    assert opened.ids.tolist() == sorted(ids)
    assert (opened.vectors == vectors.astype(np.float16)[order]).all()
    assert opened.vectors.shape == (len(ids), DIM)
    assert (opened.ids.dtype, opened.vectors.dtype) == (np.int64, np.float16)


def test_what_was_written_is_told_for_the_database(store: SegmentStore) -> None:
    file = store.write(*photos(1))
    data = store.path(file.name).read_bytes()
    assert file == SegmentFile(
        name=file.name, rows=5, alive=5, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    assert files(store) == [f"{file.name}.faiss"]
    assert store.problem(file) is None
    assert store.problem(file, quick=True) is None


def test_half_precision_keeps_the_cosine(store: SegmentStore) -> None:
    vectors = unit_vectors(50, DIM)
    stored = store.open(store.write(np.arange(50), vectors)).vectors.astype(np.float32)
    assert (stored * vectors).sum(axis=1) == pytest.approx(np.ones(50), abs=1e-3)


def test_a_segment_of_no_photos_can_be_kept(store: SegmentStore) -> None:
    opened = store.open(store.write(*photos(1, rows=0)))
    assert (opened.ids.shape, opened.vectors.shape, len(opened)) == ((0,), (0, DIM), 0)
    rows, here = opened.rows_of(np.array([1, 2]))
    assert (len(rows), here.tolist()) == (2, [False, False])
    assert opened.mask_of(np.array([1, 2])).shape == (0,)


def test_names_are_random_and_no_segment_is_ever_changed(store: SegmentStore) -> None:
    ids, vectors = photos(1)
    written = [store.write(ids, vectors) for _ in range(3)]
    assert len({file.name for file in written}) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", file.name) for file in written)
    assert len({file.sha256 for file in written}) == 1
    before = {name: (store.folder / name).stat().st_mtime_ns for name in files(store)}
    store.write(*photos(2))
    assert {name: (store.folder / name).stat().st_mtime_ns for name in before} == before


@given(cuts=st.lists(st.integers(0, 12), max_size=4))
def test_parts_make_the_file_that_all_at_once_would_make(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    store = SegmentStore(tmp_path_factory.mktemp("vectors"), DIM)
    ids, vectors = np.arange(12) * 3, unit_vectors(12, DIM)
    edges = [0, *sorted(cuts), 12]
    parts = ((ids[low:high], vectors[low:high]) for low, high in pairwise(edges))
    assert store.write_parts(parts).sha256 == store.write(ids, vectors).sha256


@pytest.mark.parametrize("make", [np.asfortranarray, lambda vectors: np.repeat(vectors, 2, axis=1)[:, ::2]])
def test_a_segment_is_the_same_however_its_vectors_lay_in_memory(
    store: SegmentStore, make: Callable[[np.ndarray], np.ndarray]
) -> None:
    ids, vectors = photos(1)
    assert store.write(ids, make(vectors)).sha256 == store.write(ids, vectors).sha256


# Refused


@pytest.mark.parametrize("shape", [(4, DIM), (5, DIM + 1), (5,), (5, DIM, 1), (0, DIM)])
def test_vectors_that_do_not_fit_their_ids_are_refused(store: SegmentStore, shape: tuple[int, ...]) -> None:
    with pytest.raises(LibraryError, match=r"5 ids takes vectors \(5, 8\), not ") as caught:
        store.write(np.arange(5), np.zeros(shape, dtype=np.float32))
    assert str(shape) in str(caught.value)
    assert files(store) == []


@given(data=st.data())
def test_an_id_that_comes_twice_is_refused_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = SegmentStore(tmp_path_factory.mktemp("vectors"), DIM)
    ids = data.draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=12, unique=True), "ids")
    ids.insert(data.draw(st.integers(0, len(ids)), "place"), data.draw(st.sampled_from(ids), "twice"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BLOCK_ROWS", data.draw(st.integers(1, 5), "block"))
        with pytest.raises(LibraryError, match="comes twice"):
            store.write(np.array(ids), unit_vectors(len(ids), DIM))
    assert files(store) == []


@pytest.mark.parametrize("parts", [([1, 3], [2]), ([1, 3], [3]), ([3, 1],), ([2], [], [1])])
def test_parts_whose_ids_do_not_ascend_are_refused(store: SegmentStore, parts: tuple[list[int], ...]) -> None:
    with pytest.raises(LibraryError, match="do not ascend"):
        store.write_parts((np.array(ids, np.int64), unit_vectors(len(ids), DIM)) for ids in parts)
    assert files(store) == []


# Damage


def refused(store: SegmentStore, file: SegmentFile) -> None:
    with pytest.raises(LibraryError) as caught:
        SegmentStore(store.folder, store.dim).open(file)
    assert str(store.path(file.name)) in str(caught.value)
    assert "aliens verify --repair" in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: b"not an index at all",
        lambda data: b"no index of FAISS".ljust(len(data)),
        lambda data: b"\0" * len(data),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(store: SegmentStore, damage: Callable[[bytes], bytes]) -> None:
    file = store.write(*photos(1))
    path = store.path(file.name)
    path.write_bytes(damage(path.read_bytes()))
    refused(store, file)
    assert store.problem(file) is not None


# In a header: of the ids' index 37 bytes, of the codes' index 37, of the codes 28, then 8 that count the ids.
KINDS_OF_INDEX, DIMENSIONS, COUNTS = (0, 3, 37, 40), (4, 41, 86), (8, 45, 110)
TRAINED, METRIC, CODES_OF = 69, 70, 74


@pytest.mark.parametrize("place", [*KINDS_OF_INDEX, *DIMENSIONS, *COUNTS, TRAINED, METRIC, CODES_OF])
def test_a_flipped_bit_of_the_header_is_named_with_the_remedy(store: SegmentStore, place: int) -> None:
    file = store.write(*photos(1))
    path, data = store.path(file.name), store.path(file.name).read_bytes()
    for bit in range(8):
        path.write_bytes(flipped(data, place, 1 << bit))
        refused(store, file)


def test_a_missing_file_is_named_with_the_remedy(store: SegmentStore) -> None:
    file = store.write(*photos(1))
    store.path(file.name).unlink()
    refused(store, file)
    for quick in (False, True):
        problem = store.problem(file, quick=quick)
        assert problem is not None
        assert str(store.path(file.name)) in problem


@pytest.mark.parametrize("rows", [4, 6])
def test_a_segment_of_other_rows_than_the_database_says_is_refused(store: SegmentStore, rows: int) -> None:
    refused(store, replace(store.write(*photos(1)), rows=rows))


def test_vectors_of_another_model_are_refused(store: SegmentStore) -> None:
    file = store.write(*photos(1))
    with pytest.raises(LibraryError, match="not 5 vectors of 9 dimensions"):
        SegmentStore(store.folder, DIM + 1).open(file)


@pytest.mark.parametrize("kind", [faiss.IndexFlatIP, lambda dim: faiss.index_factory(dim, "HNSW4")])
def test_an_index_of_another_kind_is_refused(store: SegmentStore, kind: Callable[[int], faiss.Index]) -> None:
    file, index = store.write(*photos(1)), kind(DIM)
    index.add(unit_vectors(5, DIM))
    size_bytes, sha256 = write_faiss(index, store.path(file.name))
    refused(store, replace(file, size_bytes=size_bytes, sha256=sha256))


def test_a_file_that_announces_more_than_the_memory_holds_is_refused(
    store: SegmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = store.write(*photos(1))
    too_much = MemoryError("std::bad_alloc")  # FAISS's answer to one flipped byte in the count of the ids, on 8 GB
    monkeypatch.setattr("embedding.faiss_files.faiss.read_index", raising(too_much))
    refused(store, file)


def test_the_checksum_finds_every_flipped_byte_and_the_size_none(store: SegmentStore) -> None:
    file = store.write(*photos(1))
    path, data = store.path(file.name), store.path(file.name).read_bytes()
    for place in range(len(data)):
        path.write_bytes(flipped(data, place, 1 << place % 8))
        assert store.problem(file) == f"{path} is not what was written: its checksum is another one", place
    assert store.problem(file, quick=True) is None
    for other in (data[:-1], data + b"\0"):
        path.write_bytes(other)
        said = f"{path} has {len(other)} bytes, {len(data)} bytes were written"
        assert store.problem(file) == store.problem(file, quick=True) == said


# An opened segment


def test_an_opened_segment_stays_readable_when_its_file_is_removed(store: SegmentStore) -> None:
    ids, vectors = photos(1, rows=3000)
    file = store.write(ids, vectors)
    opened = store.open(file)
    store.path(file.name).unlink()
    assert (opened.vectors == vectors[np.argsort(ids)].astype(np.float16)).all()
    assert opened.flat.search(vectors[7:8], 1)[1] == opened.rows_of(ids[7:8])[0]


def test_an_array_of_a_segment_keeps_what_it_lies_in(store: SegmentStore) -> None:
    ids, vectors = photos(1)
    file = store.write(ids, vectors)
    opened = SegmentStore(store.folder, DIM).open(file)
    index, vector = weakref.ref(opened._index), opened.vector(int(ids[3]))
    del opened
    gc.collect()
    assert index() is not None  # or reading the vector would end the process
    assert (vector == vectors[3].astype(np.float16)).all()
    del vector
    gc.collect()
    assert index() is None


def test_a_segment_is_opened_once(store: SegmentStore) -> None:
    file = store.write(*photos(1))
    assert store.open(file) is store.open(replace(file, alive=3))


def test_a_photo_that_a_segment_has_not_is_named(store: SegmentStore) -> None:
    file = store.write(np.array([3, 5, 9]), unit_vectors(3, DIM))
    for photo_id in (-1, 4, 10):
        with pytest.raises(LibraryError, match=f"{file.name} has no vector of photo {photo_id}: run `aliens verify`"):
            store.open(file).vector(photo_id)


def test_rows_are_decoded_to_single_precision(store: SegmentStore) -> None:
    opened = store.open(store.write(*photos(1)))
    decoded = opened.decoded(np.array([4, 0, 4]))
    assert decoded.dtype == np.float32
    assert (decoded == opened.vectors[[4, 0, 4]].astype(np.float32)).all()


IDS = st.sets(st.integers(0, 40), max_size=30).map(lambda ids: np.array(sorted(ids), np.int64))


@given(ids=IDS, wanted=st.lists(st.integers(-2, 42), max_size=30))
def test_rows_of_photos_are_those_that_numpy_finds(ids: np.ndarray, wanted: list[int]) -> None:
    segment, asked = segment_of(ids, unit_vectors(len(ids), DIM)), np.array(wanted, np.int64)
    rows, here = segment.rows_of(asked)
    assert (here == np.isin(asked, ids)).all()
    assert (segment.ids[rows[here]] == asked[here]).all()
    assert rows.shape == here.shape == asked.shape


@given(ids=IDS, among=IDS | st.sampled_from([np.arange(100), np.arange(7, 9)]), first=st.sampled_from([0, 5, 2**40]))
def test_the_mask_of_photos_is_numpys(ids: np.ndarray, among: np.ndarray, first: int) -> None:
    segment = segment_of(ids + first, unit_vectors(len(ids), DIM))
    mask = segment.mask_of(among + first)
    assert mask.dtype == bool
    assert mask.tolist() == np.isin(ids, among).tolist()


# The photos that can be found now


def test_the_same_photos_are_the_same_object(store: SegmentStore) -> None:
    first, second = (store.write(*photos(seed)) for seed in (1, 2))
    assert len(store.current(Rows([]))) == 0
    before = store.current(Rows([first]))
    assert before.ids.tolist() == sorted(photos(1)[0].tolist())
    assert store.current(Rows([first])) is before
    more = store.current(Rows([first, second]))
    assert more is not before
    assert (more.names, len(more)) == ((first.name, second.name), 10)
    assert more.segments[0] is before.segments[0]
    assert store.current(Rows([first])) is before  # of a reader who began earlier


def test_photos_that_die_are_masked_and_asked_for_once(store: SegmentStore) -> None:
    ids = np.sort(photos(1)[0])
    first, second = store.write(*photos(1)), store.write(*photos(2))
    whole = store.current(Rows([first, second]))
    dying = Rows([replace(first, alive=2), second], dead={first.name: ids[[0, 2, 3]]})
    fewer = store.current(dying)
    assert (whole.live, whole.counts) == ([None, None], [5, 5])
    assert fewer.counts == [2, 5]
    assert fewer.live[0].tolist() == [False, True, False, False, True]
    assert fewer.live[1] is None
    assert fewer.ids_of(0).tolist() == ids[[1, 4]].tolist()
    assert store.current(dying) is fewer
    assert dying.asked == [first.name]
    none = store.current(Rows([replace(first, alive=0)], dead={first.name: ids}))
    assert (len(none), none.ids.tolist()) == (0, [])


def test_photos_of_which_the_database_counts_others_than_it_names_are_refused(store: SegmentStore) -> None:
    ids, vectors = photos(1)
    file = store.write(ids, vectors)
    with pytest.raises(LibraryError, match=f"{file.name} has 4 living rows, and 2 are counted: run `aliens verify`"):
        store.current(Rows([replace(file, alive=2)], dead={file.name: ids[:1]}))


def test_segments_that_are_merged_away_while_they_are_opened_are_looked_up_anew(store: SegmentStore) -> None:
    old, kept = store.write(*photos(1)), store.write(*photos(2))
    merged = store.write(*photos(1))
    store.path(old.name).unlink()
    rows = Rows([kept, old], [kept, merged])
    assert store.current(rows).names == (kept.name, merged.name)


def test_a_segment_that_is_removed_in_the_moment_before_it_is_read_is_looked_up_anew(
    store: SegmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, merged = store.write(*photos(1)), store.write(*photos(1))

    def late(path: Path, size_bytes: int) -> object:
        if path == store.path(old.name):
            path.unlink()
        return read_faiss(path, size_bytes)

    monkeypatch.setattr(segments, "read_faiss", late)
    assert store.current(Rows([old], [merged])).names == (merged.name,)


def test_segments_may_be_merged_away_several_times_while_they_are_opened(store: SegmentStore) -> None:
    written = [store.write(*photos(1)) for _ in range(OPENINGS)]
    for file in written[:-1]:
        store.path(file.name).unlink()
    assert store.current(Rows(*([file] for file in written))).names == (written[-1].name,)


def test_a_segment_that_is_lost_is_named_with_the_remedy(store: SegmentStore) -> None:
    kept, lost = store.write(*photos(1)), store.write(*photos(2))
    store.path(lost.name).unlink()
    for _ in range(2):
        with pytest.raises(LibraryError, match=r"is absent: run `aliens verify` .* --repair`") as caught:
            store.current(Rows([kept, lost]))
        assert str(store.path(lost.name)) in str(caught.value)
    assert len(store.current(Rows([kept]))) == 5


def test_looking_for_segments_that_are_always_gone_ends(store: SegmentStore) -> None:
    gone = [replace(store.write(*photos(1)), name=f"{number:016x}") for number in range(100)]
    with pytest.raises(LibraryError, match="is absent"):
        store.current(Rows(*([file] for file in gone)))


def test_a_damaged_segment_is_named_even_where_another_could_be_looked_up(store: SegmentStore) -> None:
    damaged, sound = store.write(*photos(1)), store.write(*photos(1))
    store.path(damaged.name).write_bytes(b"")
    with pytest.raises(LibraryError, match=r"is damaged \(0 bytes, not 5 vectors of 8 dimensions"):
        store.current(Rows([damaged], [sound]))


def test_threads_are_given_the_same_photos(store: SegmentStore) -> None:
    file, ready = store.write(*photos(1)), Barrier(8)

    def look(_: int) -> Vectors:
        ready.wait()
        return store.current(Rows([file]))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(look, range(8)))
    assert all(vectors is found[0] for vectors in found)


def test_segments_that_nobody_needs_any_more_are_let_go(store: SegmentStore) -> None:
    written = [store.write(*photos(seed)) for seed in range(KEPT_MOMENTS + 1)]
    segment = weakref.ref(store.current(Rows([written[0]])).segments[0])
    for file in written[1:-1]:
        store.current(Rows([file]))
    gc.collect()
    assert segment() is not None
    store.current(Rows([written[-1]]))
    gc.collect()
    assert segment() is None
    store.let_go(written[0].name)  # which is not open any more


def test_vectors_come_as_they_lie_on_disk_in_the_order_of_the_ids(
    store: SegmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "BLOCK_ROWS", 3)
    vectors = store.current(Rows([store.write(*photos(seed)) for seed in (1, 2)]))
    for asked in (vectors.ids[[7, 0, 3, 9, 1]], vectors.ids[2:5], vectors.ids[[0, 2, 4]], vectors.ids):
        halves = np.concatenate(list(vectors.halves(asked)))
        assert halves.dtype == np.float16
        assert (halves == vectors.gather(asked)).all()
    (part,) = vectors.halves(vectors.ids[2:5])
    assert np.shares_memory(part, vectors.segments[0].vectors)  # nothing is copied that lies together
    with pytest.raises(LibraryError, match="no photo 5 in the index"):
        list(vectors.halves(np.array([5])))


# Rows that lie in Milvus alone


def send_away(store: SegmentStore, file: SegmentFile) -> bytes:
    """Leave the ids and sums of a segment's rows alone; return what its file was."""
    write_stub(store.stub(file.name), store.open(file))
    data = store.path(file.name).read_bytes()
    store.path(file.name).unlink()
    return data


def test_rows_that_leave_for_milvus_and_come_back_are_looked_for_where_they_are(store: SegmentStore) -> None:
    files = [store.write(*photos(seed)) for seed in (1, 2, 3)]
    rows, whole = Rows(files), store.current(Rows(files))
    shared = SegmentStore(store.folder, DIM, lambda ids: whole.gather(ids).astype(np.float16))
    before = shared.current(rows)
    assert (before.is_remote, before.remote.names) == (False, ())
    data = {file.name: send_away(store, file) for file in files[:2]}
    shared.let_go(files[0].name)  # as whoever sends them away does
    away = shared.current(rows)
    assert away is shared.current(rows) is not before
    assert [shared.is_remote(file.name) for file in files] == [True, True, False]
    assert (away.is_remote, away.names, away.remote.names) == (True, before.names, before.names[:2])
    assert away.segments[2] is before.segments[2]
    assert (away.gather(whole.ids) == whole.gather(whole.ids)).all()
    for name, was in data.items():
        store.path(name).write_bytes(was)
    back = shared.current(rows)
    assert (back.is_remote, back.names) == (False, before.names)
    assert (back.gather(whole.ids) == whole.gather(whole.ids)).all()


def test_of_dead_rows_alone_milvus_may_have_others(store: SegmentStore) -> None:
    ids, vectors = np.arange(5), unit_vectors(5, DIM).astype(np.float16)
    file = store.write(ids, vectors)
    send_away(store, file)
    changed = np.where((ids == 2)[:, None], np.float16(1), vectors)
    shared = SegmentStore(store.folder, DIM, lambda asked: changed[asked])
    found = shared.current(Rows([replace(file, alive=4)], dead={file.name: np.array([2])}))
    assert (found.segments[0].vectors[:] == np.where((ids == 2)[:, None], 0, vectors)).all()
    whole = shared.current(Rows([file]))
    with pytest.raises(LibraryError, match=f"photo 2 came back from Milvus as another one than segment {file.name} "):
        whole.gather(ids)


def test_rows_in_milvus_are_not_fetched_where_nobody_says_how(store: SegmentStore) -> None:
    file = store.write(*photos(1))
    send_away(store, file)
    with pytest.raises(LibraryError, match=re.escape(ELSEWHERE)):
        SegmentStore(store.folder, DIM).vector(lambda: file, int(photos(1)[0][0]))


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-8], lambda data: b"no array"])
def test_damaged_ids_of_rows_in_milvus_are_named_with_the_remedy(
    store: SegmentStore, damage: Callable[[bytes], bytes]
) -> None:
    file = store.write(*photos(1))
    send_away(store, file)
    stub, other = store.stub(file.name), replace(file, rows=4)
    named = re.escape(f"the ids of a segment whose rows are in Milvus are damaged, {stub}: run `aliens verify`")
    assert (store.problem(file), store.problem(other)) == (None, f"{stub} is damaged")
    with pytest.raises(LibraryError, match=f"^{named}"):
        SegmentStore(store.folder, DIM).open(other)
    stub.write_bytes(damage(stub.read_bytes()))
    assert store.problem(file) == f"{stub} is damaged"
    with pytest.raises(LibraryError, match=f"^{named}"):
        SegmentStore(store.folder, DIM).open(file)


# One photo, be it findable or not


def test_a_photo_that_cannot_be_found_now_has_its_vector_still(store: SegmentStore) -> None:
    ids, vectors = photos(1)
    file = replace(store.write(ids, vectors), alive=0)
    found = store.vector(lambda: file, int(ids[2]))
    assert (found == vectors[2].astype(np.float16)).all()
    assert store.vector(lambda: None, 7) is None


def test_a_vector_that_was_merged_away_a_moment_ago_is_looked_up_anew(store: SegmentStore) -> None:
    ids, vectors = photos(1)
    old, merged = store.write(ids, vectors), store.write(ids, vectors)
    store.path(old.name).unlink()
    looks = iter([old, merged, merged])
    found = store.vector(lambda: next(looks), int(ids[0]))
    assert (found == vectors[0].astype(np.float16)).all()
    with pytest.raises(LibraryError, match=f"{old.name}.*is absent"):
        store.vector(lambda: old, int(ids[0]))


# Photos in several segments


@st.composite
def scattered(draw: st.DrawFn) -> tuple[Vectors, np.ndarray, np.ndarray]:
    """Photos in up to 4 segments, some dead, some dead in one and alive in another; (vectors, ids, float32) living."""
    ids = np.array(sorted(draw(st.sets(st.integers(0, 60), max_size=40))), np.int64)
    homes = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(-3, 3)), min_size=len(ids))
    rows = []
    for photo_id, (home, alive, before) in zip(ids.tolist(), draw(homes), strict=False):
        rows.append((photo_id, home, alive))
        if before >= 0 and before != home:
            rows.append((photo_id, before, False))
    all_ids, where, live = (np.array([row[part] for row in rows], np.int64) for part in range(3))
    vectors = photos(draw(st.integers(0, 99)), len(rows))[1]
    alive = live.astype(bool)
    return in_segments(all_ids, vectors, where, alive), all_ids[alive], vectors[alive]


@given(scattered(), st.lists(st.integers(-2, 62), max_size=30))
def test_photos_are_located_and_gathered_as_from_a_plain_array(
    made: tuple[Vectors, np.ndarray, np.ndarray], wanted: list[int]
) -> None:
    found, ids, vectors = made
    assert len(found) == sum(found.counts) == len(ids)
    assert (found.ids.tolist(), found.ids.dtype) == (ids.tolist(), np.int64)
    asked = np.array(wanted, np.int64)
    places, rows = found.locate(asked)
    assert (places >= 0).tolist() == np.isin(asked, ids).tolist()
    for photo_id, place, row in zip(wanted, places.tolist(), rows.tolist(), strict=True):
        if place >= 0:
            assert found.segments[place].ids[row] == photo_id
    here = asked[places >= 0]
    gathered = found.gather(here)
    assert gathered.dtype == np.float32
    assert (gathered == vectors[np.searchsorted(ids, here)]).all()
    if len(absent := asked[places < 0]):
        with pytest.raises(LibraryError, match=f"no photo {absent[0]} in the index"):
            found.gather(asked)


@given(scattered(), IDS | st.none())
def test_masks_leave_the_living_photos_of_a_filter(
    made: tuple[Vectors, np.ndarray, np.ndarray], among: np.ndarray | None
) -> None:
    found, ids, _ = made
    left = [
        segment.ids if mask is None else segment.ids[mask]
        for segment, mask in zip(found.segments, found.masks(among), strict=True)
    ]
    expected = ids if among is None else np.intersect1d(ids, among)
    assert np.sort(np.concatenate([np.empty(0, np.int64), *left])).tolist() == expected.tolist()


@given(scattered(), st.integers(1, 9))
def test_parts_are_all_living_photos_once(made: tuple[Vectors, np.ndarray, np.ndarray], block: int) -> None:
    found, ids, vectors = made
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BLOCK_ROWS", block)
        parts = list(found.parts())
    assert all(len(part) == len(halves) <= block for part, halves in parts)
    seen = np.concatenate([np.empty(0, np.int64), *(part for part, _ in parts)])
    order = np.argsort(seen)
    assert seen[order].tolist() == ids.tolist()
    gathered = np.concatenate([np.empty((0, DIM), np.float16), *(halves for _, halves in parts)])
    assert gathered.dtype == np.float16
    assert (gathered[order].astype(np.float32) == vectors).all()


@given(scattered(), st.integers(0, 50))
def test_a_sample_is_spread_evenly_over_the_photos_whatever_segment_they_lie_in(
    made: tuple[Vectors, np.ndarray, np.ndarray], count: int
) -> None:
    found, ids, vectors = made
    sample = found.sample(count)
    assert sample.shape == (min(count, len(ids)), DIM)
    ranks = [int(np.flatnonzero((vectors == vector).all(axis=1))[0]) for vector in sample]
    gaps = np.diff(ranks)
    assert (sample == found.sample(count)).all()
    if len(gaps):
        assert (ranks[0], ranks[-1]) == (0, len(ids) - 1)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


@given(scattered(), st.sets(st.sampled_from(["0", "1", "2", "3", "unknown"])))
def test_segments_named_and_the_others_are_all(made: tuple[Vectors, np.ndarray, np.ndarray], names: set[str]) -> None:
    found, ids, vectors = made
    named, others = found.only(names), found.without(names)
    assert set(named.names) == names & set(found.names)
    assert set(others.names) == set(found.names) - names
    both = named.beside(others)
    assert both.ids.tolist() == ids.tolist()
    assert (both.gather(ids) == vectors).all()


@given(scattered(), IDS)
def test_a_rule_leaves_the_living_photos_that_it_holds_of(
    made: tuple[Vectors, np.ndarray, np.ndarray], meant: np.ndarray
) -> None:
    found, ids, vectors = made
    left = found.where(lambda asked: np.isin(asked, meant))
    assert (left.ids.tolist(), left.names) == (np.intersect1d(ids, meant).tolist(), found.names)
    assert (left.gather(left.ids) == vectors[np.isin(ids, meant)]).all()


@pytest.mark.parametrize("held", [[], [segment_of(np.empty(0, np.int64), unit_vectors(0, DIM))]])
def test_where_there_are_no_photos_nothing_is_found(held: list[Segment]) -> None:
    empty = Vectors(DIM, held, [None] * len(held))
    assert (len(empty), empty.ids.tolist(), empty.ids.dtype) == (0, [], np.int64)
    assert empty.locate(np.array([1, 2]))[0].tolist() == [-1, -1]
    assert empty.gather(np.empty(0, np.int64)).shape == (0, DIM)
    assert empty.sample(5).shape == (0, DIM)
    assert list(empty.parts()) == []
    assert [mask.shape for mask in empty.masks(np.array([1])) if mask is not None] == [(0,)] * len(held)
    with pytest.raises(LibraryError, match="no photo 7 in the index: take an id that a search shows"):
        empty.gather(np.array([7]))


# What a kill leaves behind


def test_strays_are_found_and_removed_and_recorded_segments_kept(store: SegmentStore) -> None:
    assert (store.strays({"0123456789abcdef"}), store.remove_strays(())) == ([], 0)  # nothing was written yet
    kept, other = store.write(*photos(1)), store.write(*photos(2))
    left = [".0123.faiss.89ab.tmp", "000001.ids.npy", "000001.npy"]  # half written, or of an earlier version
    for name in left:
        (store.folder / name).write_bytes(b"half a file")
    (store.folder / "notes.txt").write_text("not ours", encoding="utf-8")
    (store.folder / "folder.npy").mkdir()
    for file in (kept, other):
        write_stub(store.stub(file.name), store.open(file))
    strays = sorted([*left, f"{other.name}.faiss", f"{other.name}.npy"])
    assert [path.name for path in store.strays({kept.name})] == strays
    assert store.remove_strays({kept.name}) == 5
    assert files(store) == sorted([f"{kept.name}.faiss", f"{kept.name}.npy", "notes.txt", "folder.npy"])
    assert store.remove_strays({kept.name}) == 0
    assert len(store.open(kept)) == 5


FULL = raising(OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize("function", ["mkdir", "open", "fsync", "replace"])
def test_a_full_disk_leaves_nothing_and_the_next_try_works(
    store: SegmentStore, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    if function != "mkdir":
        store.folder.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, FULL)
        with pytest.raises(OSError, match="No space left"):
            store.write(*photos(1))
    assert files(store) == []
    assert len(store.open(store.write(*photos(1)))) == 5


def test_a_segment_whose_rename_could_not_be_synced_is_a_stray(
    store: SegmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.folder.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("base.files.sync_folder", FULL)
        with pytest.raises(OSError, match="No space left"):
            store.write(*photos(1))
    assert store.remove_strays(()) == 1
    assert files(store) == []
