import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding.opened_segment import Segment
from embedding.scores import ScoreStore, merge_scores, remove_scores, score_files, stray_scores
from embedding.segments import Vectors
from tests.conftest import raising
from tests.embedding.conftest import flipped, overwrite, segment_of, unit_vectors

COLUMNS, DIM = 4, 2
FIRST = 2**40  # ids are no row positions


class Scored:
    """Segments of some rows each, all of them alive, and a store of scores beside them."""

    def __init__(self, folder: Path, rows: dict[str, int]) -> None:
        self.store = ScoreStore(folder, COLUMNS)
        self.segments: dict[str, Segment] = {}
        self.scores: dict[str, np.ndarray] = {}
        for name, count in rows.items():
            ids = FIRST + 100 * len(self.segments) + 3 * np.arange(count)
            self.segments[name] = segment_of(ids, unit_vectors(count, DIM), name)
            self.scores[name] = some_scores(count, len(self.scores))

    @property
    def vectors(self) -> Vectors:
        return Vectors(DIM, list(self.segments.values()), [None] * len(self.segments))

    def missing(self) -> list[str]:
        return [segment.name for segment in self.store.open(self.vectors)]

    def write(self, *names: str) -> None:
        for name in names:
            self.store.write(name, len(self.segments[name]), [self.scores[name]])

    def path(self, name: str) -> Path:
        return score_files(self.store.folder)[name]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.store.folder.iterdir())

    def check(self) -> None:
        """All segments have their scores."""
        assert self.missing() == []
        for name, segment in self.segments.items():
            assert (self.store.of(segment.ids) == self.scores[name]).all()


def some_scores(rows: int, seed: int, columns: int = COLUMNS) -> np.ndarray:
    return np.random.default_rng([seed, rows]).normal(size=(rows, columns)).astype(np.float16)


@pytest.fixture
def scored(tmp_path: Path) -> Scored:
    return Scored(tmp_path / "tags" / "hotel-0123", {"0a": 5, "0b": 3, "0c": 7})


def test_a_segment_of_no_photos_needs_no_scores(tmp_path: Path) -> None:
    assert Scored(tmp_path, {"0a": 0, "0b": 1}).missing() == ["0b"]


def test_scores_are_read_as_they_were_written(scored: Scored) -> None:
    assert scored.missing() == ["0a", "0b", "0c"]
    scored.write("0a", "0b")
    assert scored.missing() == ["0c"]
    scored.write("0c")
    scored.check()
    assert all(re.fullmatch(r"0[abc]-[0-9a-f]{16}\.npy", name) for name in scored.files())
    stored = np.load(scored.path("0a"))
    assert stored.dtype == np.float16
    assert (stored == scored.scores["0a"]).all()


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_blocks_make_the_file_that_all_at_once_would_make(scored: Scored, cut: int) -> None:
    scored.write("0a")
    before = {name: scored.path("0a").read_bytes() for name in scored.files()}
    whole = scored.scores["0a"].astype(np.float32)
    scored.store.write("0a", 5, (whole[start : start + cut] for start in range(0, 5, cut)))
    assert {name: scored.path("0a").read_bytes() for name in scored.files()} == before


def test_scores_that_are_written_anew_take_the_place_of_the_older_ones(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    scored.scores["0a"] = some_scores(5, 99)
    scored.write("0a")
    assert len(scored.files()) == 3
    scored.check()


# Of something else


def test_scores_swapped_between_segments_count_as_missing(scored: Scored) -> None:
    scored.segments["0b"] = segment_of(FIRST + 500 + np.arange(5), unit_vectors(5, DIM), "0b")  # as many rows as 0a
    scored.scores["0b"] = some_scores(5, 99)
    scored.write("0a", "0b", "0c")
    scored.check()
    first, second = scored.path("0a"), scored.path("0b")
    checksums = [path.stem.partition("-")[2] for path in (first, second)]
    first.rename(first.with_name("other"))
    second.rename(second.with_name(f"0a-{checksums[1]}.npy"))
    first.with_name("other").rename(first.with_name(f"0b-{checksums[0]}.npy"))
    assert scored.missing() == ["0a", "0b"]


def test_scores_of_another_vocabulary_or_of_other_columns_count_as_missing(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    other = Path(shutil.copytree(scored.store.folder, scored.store.folder.with_name("hotel-4567")))
    for store in (ScoreStore(other, COLUMNS), ScoreStore(scored.store.folder, COLUMNS + 1)):
        assert [segment.name for segment in store.open(scored.vectors)] == ["0a", "0b", "0c"]


@pytest.mark.parametrize("rows", [4, 6])
def test_scores_of_other_rows_count_as_missing(scored: Scored, rows: int) -> None:
    scored.store.write("0a", rows, [some_scores(rows, 1)])
    assert scored.missing() == ["0a", "0b", "0c"]


def test_segments_that_are_not_known_any_more_are_passed_over(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    gone = scored.segments.pop("0a")
    scored.check()
    assert np.isnan(scored.store.of(gone.ids)).all()


# Damage


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "longer", "half", "nonsense", "zeros"])
def test_damaged_scores_count_as_missing_and_are_written_again(scored: Scored, damage: str) -> None:
    scored.write("0a", "0b", "0c")
    path = scored.path("0b")
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        kinds = {"empty": b"", "cut": data[:-1], "longer": data + b"0", "half": data[: len(data) // 2]}
        kinds |= {"nonsense": b"not an array at all", "zeros": b"\0" * len(data)}
        overwrite(path, kinds[damage])
    assert scored.missing() == ["0b"]
    assert np.isnan(scored.store.of(scored.segments["0b"].ids)).all()
    scored.write("0b")
    assert len(scored.files()) == 3
    scored.check()


def test_any_flipped_byte_is_noticed(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    data = scored.path("0b").read_bytes()
    for place in range(len(data)):
        overwrite(scored.path("0b"), flipped(data, place, 1 << place % 8))
        assert scored.missing() == ["0b"], place
    overwrite(scored.path("0b"), data)
    scored.check()


def test_an_array_under_the_name_of_another_checksum_counts_as_missing(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    np.save(scored.path("0a"), scored.scores["0a"].astype(np.float32))
    scored.path("0b").rename(scored.store.folder / f"0b-{'0' * 16}.npy")
    assert scored.missing() == ["0a", "0b"]


def test_ctrl_c_while_scores_are_written_leaves_the_older_ones_alone(scored: Scored) -> None:
    scored.write("0a")
    before = scored.files()

    def killed() -> Iterator[np.ndarray]:
        yield scored.scores["0a"][:2]
        raise KeyboardInterrupt

    for name in ("0a", "0b"):
        with pytest.raises(KeyboardInterrupt):
            scored.store.write(name, len(scored.segments[name]), killed())
    assert scored.files() == before
    assert scored.missing() == ["0b", "0c"]


@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_nothing(scored: Scored, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, function, raising(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            scored.write("0a")
    assert scored.files() == []
    scored.write("0a", "0b", "0c")
    scored.check()


# What is left over


def test_what_belongs_to_no_known_segment_is_found_and_removed(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    kept = scored.files()
    left = [".0a.89ab.tmp", f"0a-{'0' * 16}.npy", f"0d-{'f' * 16}.npy", "000001.npy", "000001.shards.npy"]
    for name in left:
        (scored.store.folder / name).write_bytes(b"half a file")
    (scored.store.folder / "folder").mkdir()
    known = ["0a", "0b", "0c", "0e"]
    assert stray_scores(scored.store.folder / "nothing", known) == []
    assert [path.name for path in stray_scores(scored.store.folder, known)] == sorted(left)
    remove_scores(scored.store.folder, known)
    assert scored.files() == sorted([*kept, "folder"])
    scored.check()
    remove_scores(scored.store.folder, ["0b"])
    assert scored.missing() == ["0a", "0c"]


# Scores of photos


def test_photos_that_cannot_be_found_have_no_scores(scored: Scored) -> None:
    scored.write("0a", "0b", "0c")
    live = np.array([True, False, True, True, False])
    vectors = Vectors(DIM, list(scored.segments.values()), [live, None, None])
    assert scored.store.open(vectors) == []
    ids = scored.segments["0a"].ids
    assert np.isnan(scored.store.of(ids)).all(axis=1).tolist() == (~live).tolist()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    scored = Scored(tmp_path_factory.mktemp("many"), {"0a": 5, "0b": 3, "0c": 1, "0d": 7, "0e": 2})
    scored.write("0a", "0b", "0c", "0e")
    scored.missing()
    return scored


COUNTS = {"0a": 5, "0b": 3, "0c": 1, "0d": 7, "0e": 2, "unknown": 2}
PLACES = [(number, name, row) for number, (name, rows) in enumerate(COUNTS.items()) for row in range(rows)]


@given(st.lists(st.sampled_from(PLACES)) | st.permutations(PLACES) | st.integers(0, 9).map(lambda n: PLACES[n : n + 7]))
def test_any_photos_in_any_order_have_the_scores_of_a_plain_array(
    many: Scored, places: list[tuple[int, str, int]]
) -> None:
    expected = np.full((len(places), COLUMNS), np.nan, np.float32)
    for position, (_, name, row) in enumerate(places):
        if name in ("0a", "0b", "0c", "0e"):
            expected[position] = many.scores[name][row]
    ids = np.array([FIRST + 100 * number + 3 * row for number, _, row in places], np.int64)
    found = many.store.of(ids)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected, equal_nan=True)


# Segments that become one


def merged_of(scored: Scored, taken: dict[str, np.ndarray]) -> Segment:
    """Merge the scores of segments, of which some photos are taken, and return the segment that is made of them."""
    parts = [(scored.segments[name], ids) for name, ids in taken.items()]
    ids = np.sort(np.concatenate(list(taken.values())))
    new = segment_of(ids, unit_vectors(len(ids), DIM), "ff")
    merge_scores(scored.store.folder, parts, new)
    return new


@settings(max_examples=30)
@given(data=st.data())
def test_scores_follow_their_photos_into_a_merged_segment(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(st.dictionaries(st.sampled_from(["0a", "0b", "0c"]), st.integers(1, 6), min_size=1), "rows")
    scored = Scored(tmp_path_factory.mktemp("merged") / "hotel-0123", rows)
    shuffled = np.random.default_rng(sum(rows.values())).permutation(FIRST + np.arange(sum(rows.values())))
    ends = np.cumsum([0, *rows.values()])
    taken, expected = {}, {}
    for number, (name, count) in enumerate(rows.items()):  # ids of several segments lie among each other
        ids = np.sort(shuffled[ends[number] : ends[number + 1]])
        scored.segments[name] = segment_of(ids, unit_vectors(count, DIM), name)
        keep = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count), f"taken of {name}"))
        taken[name] = ids[keep]
        expected |= dict(zip(ids[keep].tolist(), scored.scores[name][keep], strict=True))
    scored.write(*rows)
    new = merged_of(scored, taken)
    assert scored.store.open(Vectors(DIM, [new], [None])) == []
    found = scored.store.of(new.ids)
    assert new.ids.tolist() == sorted(expected)
    for photo_id, scores in zip(new.ids.tolist(), found, strict=True):
        assert (scores == expected[photo_id]).all()
    assert scored.missing() == []  # until the database knows the new one


@pytest.mark.parametrize("problem", ["absent", "damaged", "other columns", "other rows", "of another segment"])
def test_where_the_scores_of_one_cannot_be_used_none_are_merged(scored: Scored, problem: str) -> None:
    scored.write("0a", "0b", "0c")
    path = scored.path("0b")
    if problem == "absent":
        path.unlink()
    elif problem == "damaged":
        overwrite(path, flipped(path.read_bytes(), -1))
    elif problem == "of another segment":
        overwrite(path, scored.path("0a").read_bytes())
    else:
        rows, columns = (3, COLUMNS + 1) if problem == "other columns" else (4, COLUMNS)
        ScoreStore(scored.store.folder, columns).write("0b", rows, [some_scores(rows, 1, columns)])
    new = merged_of(scored, {name: segment.ids for name, segment in scored.segments.items()})
    assert [segment.name for segment in scored.store.open(Vectors(DIM, [new], [None]))] == ["ff"]
    assert "ff" not in score_files(scored.store.folder)
