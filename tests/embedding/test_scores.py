from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import LibraryError
from embedding.scores import ScoreStore, ShardPart
from embedding.store import VectorStore

COLUMNS = 4


class Pieces:
    """Vector shards of some rows each, and a store of scores beside them."""

    def __init__(self, root: Path, rows: dict[int, int]) -> None:
        self.vectors = VectorStore(root / "vectors", 2)
        self.store = ScoreStore(root / "scores", COLUMNS)
        self.counts: dict[int, int] = {}
        self.scores: dict[int, np.ndarray] = {}
        for number, count in rows.items():
            self.put_shard(number, count)

    def put_shard(self, number: int, rows: int) -> None:
        """Write a vector shard, in place of one of the same number."""
        for path in (self.vectors._ids_file(number), self.vectors._vectors_file(number)):
            path.unlink(missing_ok=True)
        self.vectors.write(number, np.arange(rows) + 100 * len(self.scores), np.ones((rows, 2)))
        self.counts[number] = rows
        self.scores[number] = np.random.default_rng([number, rows]).normal(size=(rows, COLUMNS)).astype(np.float16)

    def missing(self) -> list[int]:
        return [part.number for part in self.store.open(self.vectors, self.counts)]

    def write(self, *numbers: int) -> None:
        """Write a piece of these shards."""
        parts = [ShardPart(number, self.counts[number], self.vectors.stamp(number)) for number in numbers]
        self.store.write(parts, (self.scores[number] for number in numbers))

    def check(self) -> None:
        """All shards have their scores."""
        assert self.missing() == []
        for number, rows in self.counts.items():
            found = self.store.gather(np.full(rows, number), np.arange(rows))
            assert (found == self.scores[number]).all()


@pytest.fixture
def pieces(tmp_path: Path) -> Pieces:
    return Pieces(tmp_path, {1: 5, 2: 3, 4: 7})


def test_nothing_is_scored_in_the_beginning(pieces: Pieces) -> None:
    assert pieces.store.open(pieces.vectors, pieces.counts) == [
        ShardPart(number, rows, pieces.vectors.stamp(number)) for number, rows in {1: 5, 2: 3, 4: 7}.items()
    ]


def test_scores_are_read_as_they_were_written(pieces: Pieces) -> None:
    pieces.write(1, 2)
    assert pieces.missing() == [4]
    pieces.write(4)
    pieces.check()
    folder = pieces.store.folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "000001.npy",
        "000001.shards.npy",
        "000004.npy",
        "000004.shards.npy",
    ]
    assert (np.load(folder / "000001.npy") == np.concatenate([pieces.scores[1], pieces.scores[2]])).all()


def test_a_vector_shard_that_is_absent_is_named(pieces: Pieces) -> None:
    pieces.vectors._vectors_file(2).unlink()
    with pytest.raises(LibraryError, match=r"000002\.npy is absent: run `aliens verify --repair`"):
        pieces.missing()


# Out of date


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("rows", [6, 9])
def test_the_scores_of_a_shard_that_was_replaced_count_as_missing(pieces: Pieces, number: int, rows: int) -> None:
    pieces.write(1, 2)
    pieces.write(4)
    pieces.put_shard(number, rows)
    missing = pieces.missing()
    assert number in missing
    assert 4 not in missing
    pieces.write(*missing)
    pieces.check()


def test_a_shard_of_other_photos_is_scored_again_and_the_others_keep_theirs(pieces: Pieces) -> None:
    pieces.write(1, 2, 4)
    pieces.put_shard(2, 3)  # as many rows as before
    assert pieces.missing() == [2]
    pieces.write(2)
    pieces.check()


def test_the_first_shard_of_a_piece_is_replaced_and_none_is_lost(pieces: Pieces) -> None:
    pieces.write(1, 2, 4)
    pieces.put_shard(1, 8)
    pieces.write(*pieces.missing())  # under the same file name
    pieces.check()


def test_shards_that_the_database_does_not_know_any_more_are_passed_over(pieces: Pieces) -> None:
    pieces.write(1, 2, 4)
    del pieces.counts[1]
    pieces.check()
    assert np.isnan(pieces.store.gather(np.array([1]), np.array([0]))).all()


def test_scores_of_another_number_of_columns_count_as_missing(pieces: Pieces) -> None:
    pieces.write(1, 2, 4)
    other = ScoreStore(pieces.store.folder, COLUMNS + 1)
    assert [part.number for part in other.open(pieces.vectors, pieces.counts)] == [1, 2, 4]


# Damage


@pytest.mark.parametrize("name", ["000001.npy", "000001.shards.npy"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "half", "nonsense", "zeros", "header"])
def test_damaged_scores_count_as_missing_and_are_written_again(pieces: Pieces, name: str, damage: str) -> None:
    pieces.write(1, 2)
    pieces.write(4)
    path = pieces.store.folder / name
    data = path.read_bytes()
    damaged = {
        "gone": None,
        "empty": b"",
        "cut": data[:-1],
        "half": data[: len(data) // 2],
        "nonsense": b"not an array at all",
        "zeros": b"\0" * len(data),
        "header": data[:21] + b"," + data[22:],
    }[damage]
    path.unlink() if damaged is None else path.write_bytes(damaged)
    assert pieces.missing() == [1, 2]
    pieces.write(1, 2)
    pieces.check()


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, COLUMNS), np.float32), np.zeros((7, COLUMNS), np.float16), np.zeros(8 * COLUMNS, np.float16)],
)
def test_an_array_that_does_not_fit_counts_as_missing(pieces: Pieces, array: np.ndarray) -> None:
    pieces.write(1, 2)
    np.save(pieces.store.folder / "000001.npy", array)
    assert pieces.missing() == [1, 2, 4]


def test_a_kill_while_a_piece_is_written_over_leaves_none_and_its_rest_is_removed(pieces: Pieces) -> None:
    pieces.write(1, 2)

    def killed() -> object:
        yield pieces.scores[1]
        raise KeyboardInterrupt

    parts = pieces.store.open(pieces.vectors, pieces.counts)
    with pytest.raises(KeyboardInterrupt):
        pieces.store.write([ShardPart(1, 5, 0), *parts], killed())  # type: ignore[arg-type]
    assert pieces.missing() == [1, 2, 4]
    (pieces.store.folder / "000009.npy.tmp").write_bytes(b"half a file")
    pieces.store.remove_strays()
    assert list(pieces.store.folder.glob("*.tmp")) == []
    pieces.write(1, 2, 4)
    pieces.check()


# Gathering


def test_rows_without_scores_are_nan(pieces: Pieces) -> None:
    pieces.write(1, 2)
    pieces.missing()
    found = pieces.store.gather(np.array([4, 2, 9, 1]), np.array([0, 2, 0, 4]))
    assert found.dtype == np.float32
    assert np.isnan(found).all(axis=1).tolist() == [True, False, True, False]
    assert (found[[1, 3]] == [pieces.scores[2][2], pieces.scores[1][4]]).all()


def test_no_rows_give_no_scores(pieces: Pieces) -> None:
    pieces.write(1, 2)
    pieces.missing()
    empty = np.array([], np.int64)
    assert pieces.store.gather(empty, empty).shape == (0, COLUMNS)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    pieces = Pieces(tmp_path_factory.mktemp("many"), {1: 5, 2: 3, 3: 1, 5: 7, 6: 2})
    pieces.write(1, 2, 3)
    pieces.write(6)
    pieces.missing()
    return pieces


PLACES = [(number, row) for number, rows in {1: 5, 2: 3, 3: 1, 5: 7, 6: 2, 8: 2}.items() for row in range(rows)]


@given(st.lists(st.sampled_from(PLACES)) | st.permutations(PLACES) | st.integers(0, 9).map(lambda n: PLACES[n : n + 7]))
def test_any_rows_in_any_order_are_those_of_a_plain_array(many: Pieces, places: list[tuple[int, int]]) -> None:
    scored = {number: many.scores[number] for number in (1, 2, 3, 6)}
    expected = np.full((len(places), COLUMNS), np.nan, np.float32)
    for position, (number, row) in enumerate(places):
        if number in scored:
            expected[position] = scored[number][row]
    numbers, rows = np.array(places, np.int64).reshape(-1, 2).T
    assert np.array_equal(many.store.gather(numbers, rows), expected, equal_nan=True)
