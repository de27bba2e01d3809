import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
import pytest

from embedding import faiss_files
from embedding.faiss_files import Written, read_faiss, write_faiss
from tests.conftest import raising
from tests.embedding.conftest import unit_vectors

DIM = 8


def some_index(seed: int = 0, rows: int = 50) -> faiss.Index:
    index = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(unit_vectors(rows, DIM, seed))
    return index


def answer(index: faiss.Index) -> list[int]:
    rows: list[int] = index.search(unit_vectors(1, DIM, 99), 10)[1][0].tolist()
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.faiss"


@pytest.fixture
def written(path: Path) -> Written:
    return write_faiss(some_index(), path)


@pytest.mark.parametrize("writable", [False, True])
def test_a_file_answers_as_the_index_that_was_written(path: Path, written: Written, writable: bool) -> None:
    assert answer(read_faiss(path, written.size_bytes, writable=writable)) == answer(some_index())


def test_size_and_checksum_of_what_was_written_are_told(
    path: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = path.read_bytes()
    assert written == Written(len(data), hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(faiss_files, "WRITTEN_BYTES", 7)
    assert write_faiss(some_index(), path) == written
    assert path.read_bytes() == data


def test_an_opened_file_answers_on_while_a_new_one_takes_its_place(path: Path, written: Written) -> None:
    opened = read_faiss(path, written.size_bytes)
    newer = write_faiss(some_index(seed=1, rows=80), path)
    assert answer(opened) == answer(some_index())
    assert read_faiss(path, written.size_bytes) is None
    assert answer(read_faiss(path, newer.size_bytes)) == answer(some_index(seed=1, rows=80))
    assert list(path.parent.iterdir()) == [path]


def test_an_opened_file_that_is_writable_takes_more_vectors(path: Path, written: Written) -> None:
    opened = read_faiss(path, written.size_bytes, writable=True)
    opened.add(unit_vectors(1, DIM, 99))
    assert answer(opened)[0] == 50


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: b"no index of FAISS".ljust(len(data)),
    ],
)
def test_a_damaged_file_is_none_whatever_its_size(
    path: Path, written: Written, damage: Callable[[bytes], bytes]
) -> None:
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    assert read_faiss(path, written.size_bytes) is None
    assert read_faiss(path, len(damaged)) is None


def test_a_file_of_another_size_than_was_written_is_none(path: Path, written: Written) -> None:
    path.write_bytes(path.read_bytes() + b"\0")  # which FAISS itself does not mind
    assert read_faiss(path, written.size_bytes) is None


def test_a_missing_file_is_none(path: Path) -> None:
    assert read_faiss(path, 0) is None
    path.mkdir()
    assert read_faiss(path, path.stat().st_size) is None


def test_a_file_that_announces_more_than_the_memory_holds_is_none(
    path: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding.faiss_files.faiss.read_index", raising(MemoryError("std::bad_alloc")))
    assert read_faiss(path, written.size_bytes) is None


@pytest.mark.parametrize("kept_bytes", [1 << 24, 7], ids=["in the last bytes", "in the first bytes"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_while_writing_is_not_swallowed_and_leaves_the_old_file(
    path: Path, written: Written, monkeypatch: pytest.MonkeyPatch, error: BaseException, kept_bytes: int
) -> None:
    write = faiss_files.atomic_write

    @contextmanager
    def full(path: Path) -> Iterator[object]:
        with write(path) as file:

            class Full:
                def write(self, data: bytes) -> None:
                    raise error

                def __getattr__(self, name: str) -> object:
                    return getattr(file, name)

            yield Full()

    monkeypatch.setattr(faiss_files, "atomic_write", full)
    monkeypatch.setattr(faiss_files, "WRITTEN_BYTES", kept_bytes)
    with pytest.raises(type(error)) as caught:  # FAISS writes so small a file as it closes it, and tells of no failure
        write_faiss(some_index(seed=1), path)
    assert caught.value is error
    assert answer(read_faiss(path, written.size_bytes)) == answer(some_index())
    assert list(path.parent.iterdir()) == [path]


def test_what_faiss_cannot_write_is_an_error_of_the_disk(path: Path) -> None:
    quantizer = faiss.IndexFlatIP(DIM)
    unwritable = faiss.IndexSplitVectors(DIM)
    unwritable.add_sub_index(quantizer)
    with pytest.raises(OSError, match="could not write the index"):
        write_faiss(unwritable, path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("dim", [1, 3, 48, 512])
@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("known", [True, False])
def test_a_segment_is_written_part_by_part_as_faiss_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int, rows: int, known: bool
) -> None:
    if not known:  # a version of FAISS that lays it out otherwise
        monkeypatch.setattr(faiss_files, "segment_head", lambda dim: None)
    vectors, ids = unit_vectors(rows, dim, seed=dim).astype(np.float16), np.arange(7, 7 + 2 * rows, 2)
    parts = [(ids[low:high], vectors[low:high]) for low, high in ((0, 100), (100, 101), (101, rows))]
    index = faiss_files.empty_segment(dim)
    if rows:
        index.add_with_ids(vectors.astype(np.float32), ids)
    theirs = write_faiss(index, tmp_path / "theirs.faiss")
    assert faiss_files.write_segment(tmp_path / "ours.faiss", dim, parts) == (theirs, rows)
    assert (tmp_path / "ours.faiss").read_bytes() == (tmp_path / "theirs.faiss").read_bytes()
