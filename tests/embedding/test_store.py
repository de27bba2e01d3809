import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from base.errors import LibraryError
from embedding.store import VectorStore

DIM = 8
FILES = ["000001.ids.npy", "000001.npy"]


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "vectors" / "model", DIM)


def shard(seed: int, rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return photo ids, neither small nor in order, and unit vectors."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, DIM)).astype(np.float32)
    ids = rng.permutation(2**40 + np.arange(rows) * 7)
    return ids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def files(store: VectorStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir()) if store.folder.exists() else []


# Writing and reading


def test_a_shard_is_read_as_it_was_written(store: VectorStore) -> None:
    ids, vectors = shard(1)
    size_bytes = store.write(1, ids, vectors)
    read_ids, read_vectors = store.read(1)
    assert (read_ids == ids).all()
    assert (read_vectors == vectors.astype(np.float16)).all()
    assert (read_ids.dtype, read_vectors.dtype) == (np.int64, np.float16)
    assert isinstance(read_vectors, np.memmap)
    assert files(store) == FILES
    assert size_bytes == store.size_bytes(1) == sum(path.stat().st_size for path in store.folder.iterdir())


def test_half_precision_keeps_the_cosine(store: VectorStore) -> None:
    ids, vectors = shard(1, rows=50)
    store.write(1, ids, vectors)
    stored = store.read(1)[1].astype(np.float32)
    assert (stored * vectors).sum(axis=1) == pytest.approx(np.ones(50), abs=1e-3)


def test_a_shard_of_no_photos_can_be_kept(store: VectorStore) -> None:
    store.write(1, *shard(1, rows=0))
    ids, vectors = store.read(1)
    assert (ids.shape, vectors.shape) == ((0,), (0, DIM))


def test_a_shard_is_never_changed(store: VectorStore) -> None:
    store.write(1, *shard(1))
    before = store.folder.joinpath("000001.npy").read_bytes()
    with pytest.raises(LibraryError, match=r"000001\.npy exists: shards are never changed"):
        store.write(1, *shard(2))
    assert store.folder.joinpath("000001.npy").read_bytes() == before


@pytest.mark.parametrize("shape", [(4, DIM), (5, DIM + 1), (5,), (5, DIM, 1), (0, DIM)])
def test_vectors_that_do_not_fit_their_ids_are_refused(store: VectorStore, shape: tuple[int, ...]) -> None:
    with pytest.raises(LibraryError, match=r"5 ids takes vectors \(5, 8\), not ") as caught:
        store.write(1, np.arange(5), np.zeros(shape, dtype=np.float32))
    assert str(shape) in str(caught.value)
    assert files(store) == []


# Damage


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"not an array at all",
        lambda data: b"\0" * len(data),
        lambda data: data.replace(b"(5,", b"(6,"),
        lambda data: data.replace(b"(5,", b"(4,"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(
    store: VectorStore, name: str, damage: Callable[[bytes], bytes]
) -> None:
    store.write(1, *shard(1))
    path = store.folder / name
    path.write_bytes(damage(path.read_bytes()))
    refused(store)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_the_remedy(store: VectorStore, name: str) -> None:
    store.write(1, *shard(1))
    (store.folder / name).unlink()
    refused(store)


def refused(store: VectorStore) -> None:
    with pytest.raises(LibraryError) as caught:
        store.read(1)
    assert str(store.folder / "000001.npy") in str(caught.value)
    assert "aliens verify --repair" in str(caught.value)


def test_vectors_of_another_model_are_refused(store: VectorStore) -> None:
    store.write(1, *shard(1))
    with pytest.raises(LibraryError, match=r"float16 \(5, 8\) for 5 photos, not float16 \(5, 9\)"):
        VectorStore(store.folder, DIM + 1).read(1)


def test_vectors_of_another_precision_are_refused(store: VectorStore) -> None:
    ids, vectors = shard(1)
    store.write(1, ids, vectors)
    np.save(store.folder / "000001.npy", vectors)
    with pytest.raises(LibraryError, match="holds float32"):
        store.read(1)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("place", "byte"),
    [
        (8, 1),  # the header's length: tokenize.TokenError
        (21, ord(",")),  # the header's text: SyntaxError
        (26, ord("B")),  # a key becomes bytes: TypeError
    ],
)
def test_one_flipped_byte_in_a_header_is_named_with_the_remedy(
    store: VectorStore, name: str, place: int, byte: int
) -> None:
    store.write(1, *shard(1))
    path = store.folder / name
    data = bytearray(path.read_bytes())
    data[place] = byte
    path.write_bytes(data)
    refused(store)


@pytest.mark.parametrize("ids", [np.arange(5.0), np.zeros((5, 2), dtype=np.int64), np.array(5)])
def test_ids_that_are_no_ids_are_refused(store: VectorStore, ids: np.ndarray) -> None:
    store.write(1, *shard(1))
    np.save(store.folder / "000001.ids.npy", ids)
    refused(store)


# Rows


def test_gather_returns_the_named_rows_in_order(store: VectorStore) -> None:
    shards = {number: shard(number) for number in (1, 2, 3)}
    for number, (ids, vectors) in shards.items():
        store.write(number, ids, vectors)
    places = [(3, [4, 0, 4]), (1, [2]), (2, [])]
    gathered = list(store.gather(places))
    assert len(gathered) == 3
    for (number, rows), (ids, vectors) in zip(places, gathered, strict=True):
        assert ids.tolist() == shards[number][0][rows].tolist()
        assert vectors.dtype == np.float16
        assert (vectors == shards[number][1].astype(np.float16)[rows]).all()


def test_gather_refuses_a_row_that_the_shard_has_not(store: VectorStore) -> None:
    store.write(1, *shard(1))
    with pytest.raises(LibraryError, match=r"000001\.npy has no row 5: run `aliens verify`"):
        list(store.gather([(1, [0, 5, 1])]))


def test_gather_of_nothing_is_nothing(store: VectorStore) -> None:
    assert list(store.gather([])) == []


# What a kill leaves behind


def test_strays_are_found_and_removed_and_recorded_shards_kept(store: VectorStore) -> None:
    for number in (1, 2, 3):
        store.write(number, *shard(number))
    (store.folder / "000002.npy").unlink()  # half a shard: it was killed between the two files
    strays = ["000002.ids.npy", "000003.ids.npy", "000003.npy", "000004.ids.npy.tmp", "000004.npy.tmp"]
    for name in strays[3:]:
        (store.folder / name).write_bytes(b"half a file")
    (store.folder / "notes.txt").write_text("not ours", encoding="utf-8")
    assert [path.name for path in store.strays({1})] == strays
    assert store.remove_strays({1}) == 5
    assert files(store) == [*FILES, "notes.txt"]
    assert store.remove_strays({1}) == 0
    assert store.read(1)[0].shape == (5,)


def test_where_nothing_was_written_there_are_no_strays(store: VectorStore) -> None:
    assert store.strays({1, 2}) == []
    assert store.remove_strays(set()) == 0


def fail_at(call: int, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Let a function of `os` fail with a full disk at its n-th call."""
    calls = 0
    original = getattr(os, function)

    def failing(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args)

    monkeypatch.setattr(os, function, failing)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing(store: VectorStore, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    fail_at(1, monkeypatch, function)
    with pytest.raises(OSError, match="No space left") as caught:
        store.write(1, *shard(1))
    assert caught.value.errno == errno.ENOSPC
    assert files(store) == []


@pytest.mark.parametrize(("function", "call"), [("fsync", 2), ("fsync", 3), ("replace", 2)])
def test_a_disk_full_after_the_ids_leaves_no_shard_and_the_next_try_works(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, function: str, call: int
) -> None:
    fail_at(call, monkeypatch, function)
    with pytest.raises(OSError, match="No space left"):
        store.write(1, *shard(1))
    assert files(store) == ["000001.ids.npy"]
    assert store.strays(set()) == [store.folder / "000001.ids.npy"]
    with pytest.raises(LibraryError):
        store.read(1)
    ids, vectors = shard(2)
    store.write(1, ids, vectors)
    assert (store.read(1)[0] == ids).all()


def test_a_shard_whose_rename_could_not_be_synced_is_a_stray(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at(4, monkeypatch, "fsync")  # ids, their folder, vectors, their folder
    with pytest.raises(OSError, match="No space left"):
        store.write(1, *shard(1))
    assert store.remove_strays(set()) == 2
    store.write(1, *shard(1))
    assert store.read(1)[1].shape == (5, DIM)


# Reading with little ado


@pytest.mark.parametrize("rows", [0, 1, 5, 3000])
def test_a_shard_is_read_into_a_buffer(store: VectorStore, rows: int) -> None:
    ids, vectors = shard(1, rows)
    store.write(1, ids, vectors)
    buffer = np.full((rows + 4, DIM), 9, np.float16)
    store.read_into(1, buffer[2 : 2 + rows])
    assert (buffer[2 : 2 + rows] == vectors.astype(np.float16)).all()
    assert (buffer[[0, 1, -2, -1]] == 9).all()


@pytest.mark.parametrize("make", [np.asfortranarray, lambda vectors: np.repeat(vectors, 2, axis=1)[:, ::2]])
def test_a_shard_is_read_into_a_buffer_however_its_vectors_lay_in_memory(
    store: VectorStore, make: Callable[[np.ndarray], np.ndarray]
) -> None:
    ids, vectors = shard(1)
    store.write(1, ids, make(vectors))
    buffer = np.empty((5, DIM), np.float16)
    store.read_into(1, buffer)
    assert (buffer == vectors.astype(np.float16)).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: None,
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: data + b"0",
        lambda data: b"\0" * len(data),
        lambda data: data.replace(b"(5,", b"(6,"),
        lambda data: data.replace(b"<f2", b"<f4"),
    ],
)
def test_a_damaged_shard_is_not_read_into_a_buffer(store: VectorStore, damage: Callable[[bytes], bytes | None]) -> None:
    store.write(1, *shard(1))
    path = store.folder / "000001.npy"
    damaged = damage(path.read_bytes())
    path.unlink() if damaged is None else path.write_bytes(damaged)
    with pytest.raises(LibraryError, match=r"000001\.npy .*`aliens verify --repair`"):
        store.read_into(1, np.empty((5, DIM), np.float16))


@pytest.mark.parametrize("rows", [4, 6])
def test_a_shard_of_other_rows_is_not_read_into_a_buffer(store: VectorStore, rows: int) -> None:
    store.write(1, *shard(1))
    with pytest.raises(LibraryError, match=rf"does not hold float16 \({rows}, 8\)"):
        store.read_into(1, np.empty((rows, DIM), np.float16))


def test_the_stamp_tells_a_shard_from_one_of_the_same_number(store: VectorStore) -> None:
    store.write(1, *shard(1))
    first = store.stamp(1)
    os.utime(store.folder / "000001.npy", ns=(1, 2))  # as in a copy of the library
    assert store.stamp(1) == first
    ids, vectors = store.read(1)
    for other_ids, other_vectors in ((ids + 1, vectors), (ids, np.roll(vectors, 1, axis=1))):
        for path in store.folder.iterdir():
            path.unlink()
        store.write(1, other_ids, other_vectors)
        assert 0 <= store.stamp(1) != first
    with pytest.raises(FileNotFoundError):
        store.stamp(2)
