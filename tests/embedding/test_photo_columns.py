"""Columns of all photos: put together of what was known, the same as read anew."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.photo_columns import CODES, UNDATED, USUAL_RATIO, PhotoColumns, coded, repeated
from tests.embedding.conftest import in_segments, unit_vectors

DIM = 8


def row(photo_id: int, draw: np.random.Generator) -> dict[str, Any]:
    def perhaps(value: Any) -> Any:
        return None if draw.random() < 0.2 else value

    return {
        "photo_id": photo_id,
        "hotel_id": perhaps(int(draw.integers(1, 5))),
        "image_source": perhaps(f"source {draw.integers(3)}"),
        "width_px": perhaps(int(draw.integers(1, 4000))),
        "height_px": perhaps(int(draw.integers(1, 4000))),
        "grey": perhaps(bool(draw.integers(2))),
        "date": perhaps(f"20{draw.integers(10, 20)}-0{draw.integers(1, 10)}-11 12:30:01"),
        "mtime_ns": perhaps(int(draw.integers(10**18, 2 * 10**18))),
        "latitude": perhaps(float(draw.uniform(-90, 90))),
        "longitude": perhaps(float(draw.uniform(-180, 180))),
        "content_sha256": perhaps(draw.bytes(32)),
    }


def read_of(rows: dict[int, dict[str, Any]]) -> Any:
    def read(ids: Any) -> Any:
        wanted = [rows[i] for i in (sorted(rows) if ids is None else ids.tolist())]
        for start in range(0, len(wanted), 3):
            part = wanted[start : start + 3]
            yield {name: [each[name] for each in part] for name in part[0]}

    return read


def as_read(columns: PhotoColumns) -> list[tuple[Any, ...]]:
    """The columns row by row, sources by their names."""
    named = [columns.sources[place] if place >= 0 else None for place in columns.source]
    codes = [np.nan_to_num(getattr(columns, name), nan=-999).tolist() for name in CODES if name != "source"]
    return list(zip(columns.ids.tolist(), named, *codes, strict=True))


@given(seed=st.integers(0, 10**6), first=st.integers(0, 12), more=st.integers(0, 8), data=st.data())
def test_what_is_taken_over_is_what_would_be_read(seed: int, first: int, more: int, data: st.DataObject) -> None:
    draw = np.random.default_rng(seed)
    ids = np.arange(1, first + more + 1)
    rows = {int(i): row(int(i), draw) for i in ids}
    where = np.where(np.arange(len(ids)) < first, 0, 1)
    vectors = unit_vectors(max(len(ids), 1), DIM)[: len(ids)].astype(np.float16)
    whole = in_segments(ids, vectors, where, np.ones(len(ids), bool))
    before = PhotoColumns.of(
        whole.only([whole.names[0]]) if len(whole.names) else whole, "1", read_of(rows_of(rows, first))
    )
    gone = np.array(data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)), "gone"), bool)
    now = in_segments(ids, vectors, where, ~gone)
    left = {i: rows[i] for i in ids[~gone].tolist()}
    anew = PhotoColumns.of(now, "1", read_of(left))
    for known in (before, PhotoColumns.of(now, "0", read_of(left))):
        assert as_read(PhotoColumns.of(now, "1", read_of(left), known)) == as_read(anew)
    assert anew.ids.tolist() == ids[~gone].tolist()


def rows_of(rows: dict[int, dict[str, Any]], count: int) -> dict[int, dict[str, Any]]:
    return {i: each for i, each in rows.items() if i <= count}


def columns_of(rows: list[dict[str, Any]], vectors: np.ndarray) -> PhotoColumns:
    ids = np.array([each["photo_id"] for each in rows], np.int64)
    stored = in_segments(ids, vectors.astype(np.float16), np.zeros(len(ids), int), np.ones(len(ids), bool))
    return PhotoColumns.of(stored, "", read_of({each["photo_id"]: each for each in rows}))


def test_twins_have_the_very_same_vector() -> None:
    vectors = unit_vectors(6, DIM)
    vectors[4], vectors[5] = vectors[1], vectors[1]
    draw = np.random.default_rng(1)
    rows = [row(i, draw) | {"content_sha256": bytes([i]) * 32} for i in range(1, 7)]
    rows[3]["content_sha256"] = rows[2]["content_sha256"]  # the same bytes, another vector
    columns = columns_of(rows, vectors)
    assert columns.twins.tolist() == [0, 1, 2, 3, 1, 1]
    assert columns.twinned.tolist() == [False, True, False, False, True, True]
    assert columns.odd.tolist() == [2, 3]
    assert (columns.distinct(), columns.distinct(np.array([0, 0, 1, 1, 1, 1], bool))) == (4, 3)


def test_dates_ratios_and_places() -> None:
    draw = np.random.default_rng(1)
    facts: list[dict[str, Any]] = [
        {"date": "2015-06-01 00:00:00", "mtime_ns": 5, "width_px": 300, "height_px": 200},
        {"date": None, "mtime_ns": 1_000_000_000_000, "width_px": 100, "height_px": 100},
        {"date": None, "mtime_ns": None, "width_px": 1, "height_px": 9000},
        {"date": "9999-12-31 23:59:59", "mtime_ns": None, "width_px": None, "height_px": 10},
        {"date": "0001-01-01 00:00:00", "mtime_ns": None, "width_px": 9000, "height_px": 1},
    ]
    rows = [row(10 * i, draw) | fact for i, fact in enumerate(facts, start=1)]
    columns = columns_of(rows, unit_vectors(5, DIM))
    assert columns.years.tolist() == [2015, 0, 0, 9999, 1]
    assert columns.by_file.tolist() == [False, True, False, False, False]
    assert columns.taken_us[1:3].tolist() == [1_000_000_000, UNDATED]
    assert columns.ratios.tolist() == [51, 32, 0, USUAL_RATIO, 64]
    assert columns.newest_first.tolist() == [3, 0, 1, 4, 2]
    places, here = columns.positions(np.array([5, 10, 30, 31, 50, 51, -1]))
    assert here.tolist() == [False, True, True, False, True, False, False]
    assert places[here].tolist() == [0, 2, 4]


@given(keys=st.lists(st.integers(0, 5)))
def test_what_comes_more_than_once(keys: list[int]) -> None:
    found = repeated(np.array(keys, np.uint64), besides=0).tolist()
    assert sorted(found) == [at for at, key in enumerate(keys) if key and keys.count(key) > 1]
    assert [keys[at] for at in found] == sorted(keys[at] for at in found)


def test_nothing_read_is_no_column() -> None:
    assert {len(values) for name, values in coded([]).items()} == {0}
    empty = columns_of([], np.empty((0, DIM), np.float32))
    assert (len(empty), empty.distinct(), empty.twins.tolist(), empty.odd.tolist()) == (0, 0, [], [])
    assert empty.positions(np.array([3]))[1].tolist() == [False]
    assert pytest.approx(0) == len(empty.newest_first)
