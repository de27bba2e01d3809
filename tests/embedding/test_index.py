import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base import records
from base.errors import LibraryError
from embedding.index import exact
from embedding.index.exact import (
    INDEX_FILE,
    MANIFEST_FILE,
    SAMPLE_FILE,
    FaissIndex,
    checksum_problem,
    read_index_manifest,
)

DIM = 8
GENERATION = 7


def unit_vectors(rows: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def problem_of(folder: Path) -> str | None:
    """Return what the checksum of a folder's index file says."""
    manifest = read_index_manifest(folder)
    assert manifest is not None
    return checksum_problem(folder / INDEX_FILE, manifest.sha256)


def some_index(seed: int = 0, rows: int = 50) -> FaissIndex:
    ids = 2**40 + 3 * np.arange(rows)
    return FaissIndex.build(DIM, [(ids, unit_vectors(rows, DIM, seed).astype(np.float16))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds a saved index of generation 7."""
    folder = tmp_path / "index" / "model"
    some_index().save(folder, model_key="model-00000000", generation=GENERATION)
    return folder


# Searching


@settings(max_examples=150)
@given(data=st.data())
def test_exact_search_equals_numpy(data: st.DataObject) -> None:
    dim = data.draw(st.sampled_from([1, 3, 8, 16, 33, 384]), "dim")
    ids = np.array(data.draw(st.lists(st.integers(1, 2**40), min_size=1, max_size=80, unique=True), "ids"))
    k = data.draw(st.integers(1, 100), "k")
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    twins = data.draw(st.integers(0, len(ids) - 1), "twins")  # so many photos have the vector of the photo before
    stored = unit_vectors(len(ids), dim, seed).astype(np.float16)
    for row in range(1, twins + 1):
        stored[row] = stored[row - 1]
    queries = unit_vectors(data.draw(st.integers(1, 3), "queries"), dim, seed + 1)

    half = len(ids) // 2
    index = FaissIndex.build(dim, [(ids[:half], stored[:half]), (ids[half:], stored[half:])])
    scores, found = index.search(queries, k)

    assert len(index) == len(ids)
    assert scores.shape == found.shape == (len(queries), min(k, len(ids)))
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    every = queries @ stored.astype(np.float32).T
    for query_scores, query_ids, truth in zip(scores, found, every, strict=True):
        score_of = dict(zip(ids.tolist(), truth.tolist(), strict=True))
        best = np.sort(truth)[::-1][: len(query_scores)]
        assert query_scores == pytest.approx(best, abs=1e-5)
        assert query_scores == pytest.approx([score_of[photo_id] for photo_id in query_ids.tolist()], abs=1e-5)
        assert len(set(query_ids.tolist())) == len(query_ids)
        ranked = list(zip(-query_scores, query_ids, strict=True))
        assert ranked == sorted(ranked)  # best first, and by id where scores are equal


def test_distinct_scores_give_the_ids_of_numpy() -> None:
    index, query = some_index(rows=200), unit_vectors(1, DIM, 99)
    scores = query @ unit_vectors(200, DIM, 0).astype(np.float16).astype(np.float32).T
    assert np.diff(np.sort(scores[0])).min() > 1e-6
    order = np.argsort(-scores[0])
    assert index.search(query, 20)[1][0].tolist() == (2**40 + 3 * order[:20]).tolist()


def test_equal_scores_come_in_the_order_of_their_ids() -> None:
    vectors = np.repeat(unit_vectors(1, DIM, 0), 5, axis=0).astype(np.float16)
    index = FaissIndex.build(DIM, [(np.array([50, 2**40, 3, 40, 20]), vectors)])
    assert index.search(unit_vectors(1, DIM, 1), 5)[1].tolist() == [[3, 20, 40, 50, 2**40]]


def test_of_equal_scores_the_first_ids_are_taken_where_photos_were_added_in_order() -> None:
    vectors = np.repeat(unit_vectors(1, DIM, 0), 100, axis=0).astype(np.float16)
    index = FaissIndex.build(DIM, [(np.arange(100), vectors)])
    for k in (1, 7, 50, 99):
        assert index.search(unit_vectors(1, DIM, 1), k)[1].tolist() == [list(range(k))]


@pytest.mark.parametrize("shape", [(1, DIM + 1), (1, DIM - 1), (DIM,), (1, 1, DIM)])
def test_queries_of_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LibraryError, match="holds vectors of 8 dimensions") as caught:
        some_index().search(np.ones(shape, dtype=np.float32), 3)
    assert str(shape) in str(caught.value)


def test_queries_need_not_be_contiguous_float32() -> None:
    queries = unit_vectors(4, DIM, 3)
    scores, ids = some_index().search(np.asfortranarray(queries.astype(np.float64)), 5)
    expected_scores, expected_ids = some_index().search(queries, 5)
    assert (ids == expected_ids).all()
    assert scores == pytest.approx(expected_scores, abs=1e-6)


def test_an_empty_index_answers_with_no_columns() -> None:
    index = FaissIndex.build(DIM, [])
    assert len(index) == 0
    scores, ids = index.search(unit_vectors(2, DIM, 0), 3)
    assert scores.shape == ids.shape == (2, 0)


# On disk


def test_a_saved_index_answers_as_before(folder: Path) -> None:
    opened = FaissIndex.open(folder, GENERATION)
    assert opened is not None
    assert (len(opened), opened.dim) == (50, DIM)
    queries = unit_vectors(3, DIM, 5)
    for ours, before in zip(opened.search(queries, 10), some_index().search(queries, 10), strict=True):
        assert (ours == before).all()


def test_the_manifest_tells_what_the_file_holds(folder: Path) -> None:
    manifest = read_index_manifest(folder)
    assert manifest is not None
    assert asdict(manifest) | {"sha256": ""} == {
        "model_key": "model-00000000",
        "kind": "exact",
        "count": 50,
        "dim": DIM,
        "generation": GENERATION,
        "size_bytes": (folder / INDEX_FILE).stat().st_size,
        "sha256": "",
        "last_shard": 0,
        "last_stamp": 0,
    }
    assert problem_of(folder) is None


def test_an_opened_index_answers_on_while_a_new_one_takes_its_place(folder: Path) -> None:
    opened = FaissIndex.open(folder, GENERATION)
    assert opened is not None
    some_index(seed=1, rows=80).save(folder, model_key="model-00000000", generation=GENERATION + 1)
    query = unit_vectors(1, DIM, 5)
    assert (opened.search(query, 10)[1] == some_index().search(query, 10)[1]).all()
    assert FaissIndex.open(folder, GENERATION) is None
    newer = FaissIndex.open(folder, GENERATION + 1)
    assert newer is not None
    assert len(newer) == 80
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_FILE, INDEX_FILE, SAMPLE_FILE]


@pytest.mark.parametrize("generation", [GENERATION - 1, GENERATION + 1, -1])
def test_an_index_of_another_generation_is_none(folder: Path, generation: int) -> None:
    assert FaissIndex.open(folder, generation) is None


def test_where_nothing_was_saved_there_is_none(tmp_path: Path) -> None:
    assert FaissIndex.open(tmp_path / "nothing", 0) is None


@pytest.mark.parametrize("name", [INDEX_FILE, MANIFEST_FILE])
def test_a_missing_file_is_none(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert FaissIndex.open(folder, GENERATION) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: b"\0" * len(data),
        lambda data: b"no index of FAISS".ljust(len(data)),
    ],
)
def test_a_damaged_file_is_none(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = folder / INDEX_FILE
    path.write_bytes(damage(path.read_bytes()))
    assert FaissIndex.open(folder, GENERATION) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '{"generation": 7}', '{"generation": 7, "colour": "green"}', "\xff\xfe"],
)
def test_a_garbage_manifest_is_none(folder: Path, text: str) -> None:
    (folder / MANIFEST_FILE).write_bytes(text.encode("latin-1"))
    assert read_index_manifest(folder) is None
    assert FaissIndex.open(folder, GENERATION) is None


def test_a_manifest_with_a_field_too_many_is_none(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest | {"more": 1}), encoding="utf-8")
    assert FaissIndex.open(folder, GENERATION) is None


def flip(path: Path, place: int, byte: int) -> None:
    data = bytearray(path.read_bytes())
    assert data[place] != byte
    data[place] = byte
    path.write_bytes(data)


def test_a_file_that_announces_more_than_the_memory_holds_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_index(*args: object) -> None:
        raise MemoryError("std::bad_alloc")  # FAISS's answer to one flipped byte in the count of the ids, on 8 GB

    monkeypatch.setattr("embedding.index.exact.faiss.read_index", read_index)
    assert FaissIndex.open(folder, GENERATION) is None


def test_a_file_of_other_dimensions_than_its_manifest_is_none(folder: Path) -> None:
    flip(folder / INDEX_FILE, 4, DIM + 1)  # behind the 4 letters of the type
    assert FaissIndex.open(folder, GENERATION) is None


@pytest.mark.parametrize("place", [0, 100, -1])
def test_the_checksum_finds_a_flipped_byte(folder: Path, place: int) -> None:
    flip(folder / INDEX_FILE, place, (folder / INDEX_FILE).read_bytes()[place] ^ 1)
    assert problem_of(folder) == "the file's checksum is not the manifest's"


def test_the_checksum_tells_of_a_missing_file(folder: Path) -> None:
    (folder / INDEX_FILE).unlink()
    problem = problem_of(folder)
    assert problem is not None
    assert INDEX_FILE in problem


@pytest.mark.parametrize("killed_while_writing", [INDEX_FILE, SAMPLE_FILE, MANIFEST_FILE])
def test_a_failed_save_leaves_the_old_index_or_none_of_the_new_generation(
    folder: Path, monkeypatch: pytest.MonkeyPatch, killed_while_writing: str
) -> None:
    write = exact.atomic_write

    def failing(path: Path) -> object:
        if path.name == killed_while_writing:
            raise OSError(28, "No space left on device")
        return write(path)

    for module in (exact, records):
        monkeypatch.setattr(module, "atomic_write", failing)
    with pytest.raises(OSError, match="No space left"):
        some_index(seed=1, rows=60).save(folder, model_key="model-00000000", generation=GENERATION + 1)
    assert FaissIndex.open(folder, GENERATION + 1) is None
    old = FaissIndex.open(folder, GENERATION)
    assert (old is not None) == (killed_while_writing == INDEX_FILE)  # readers keep it while the new one is written
    if old is not None:
        query = unit_vectors(1, DIM, 5)
        assert (old.search(query, 10)[1] == some_index().search(query, 10)[1]).all()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_in_the_last_bytes_is_not_swallowed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write = exact.atomic_write

    @contextmanager
    def full(path: Path) -> Iterator[object]:
        with write(path) as file:

            class Full:
                def write(self, data: bytes) -> None:
                    raise error

                def __getattr__(self, name: str) -> object:
                    return getattr(file, name)

            yield Full()

    monkeypatch.setattr(exact, "atomic_write", full)
    before = (folder / INDEX_FILE).read_bytes()
    with pytest.raises(type(error)):  # FAISS writes so small a file when it closes it, and tells nobody what fails then
        some_index(seed=1).save(folder, model_key="model-00000000", generation=GENERATION + 1)
    assert (folder / INDEX_FILE).read_bytes() == before


@settings(max_examples=60)
@given(data=st.data())
def test_of_equal_scores_the_first_ids_come_first_whatever_k(data: st.DataObject) -> None:
    kinds = data.draw(st.integers(1, 6), "different vectors")
    rows = data.draw(st.integers(1, 60), "rows")
    which = np.array(data.draw(st.lists(st.integers(0, kinds - 1), min_size=rows, max_size=rows), "which"))
    ids = np.random.default_rng(rows).permutation(1000)[:rows]
    index = FaissIndex.build(DIM, [(ids, unit_vectors(kinds, DIM, 3).astype(np.float16)[which])])
    query = unit_vectors(1, DIM, 4)
    whole = index.search(query, rows)[1][0].tolist()
    for k in range(1, rows + 1):
        assert index.search(query, k)[1][0].tolist() == whole[:k]
