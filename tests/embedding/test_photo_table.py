from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.records import write_record
from embedding import photo_table
from embedding.photo_table import (
    KINDS,
    TABLE_FILE,
    TABLE_MANIFEST,
    Columns,
    PhotoTable,
    arrays,
    put_together,
    remove_table,
    table_problem,
)
from tests.embedding.conftest import flipped, in_segments, overwrite, unit_vectors

STAMP = "2024-01-01 7"
COVERS = ("0a", "0b")
PART = {
    "photo_id": [1, 2],
    "path": ["/a/Zürich.jpg", "/b.tar"],
    "member": ["", "x.jpg"],
    "image_id": [7, None],
    "hotel_id": [None, 11],
    "image_source": [None, "traffickcam"],
    "width_px": [10, 20],
    "height_px": [30, None],
    "format": ["JPEG", "PNG"],
    "date": [None, "2015-01-31 17:40:00"],
    "date_from": [None, "upload"],
    "mtime_ns": [10**18, None],
    "latitude": [48.5, None],
    "longitude": [2.5, None],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a table of two parts."""
    folder = tmp_path / "tags"
    PhotoTable.write(folder, STAMP, COVERS, [PART, {name: values[:1] for name, values in PART.items()}])
    return folder


def opened(folder: Path) -> PhotoTable:
    table = PhotoTable.open(folder, STAMP)
    return table


# On disk


def test_columns_come_back_part_by_part_as_they_were_written(folder: Path) -> None:
    first, second = opened(folder).columns(list(KINDS))
    assert {name: column.to_pylist() for name, column in first.items()} == PART
    assert second["path"].to_pylist() == ["/a/Zürich.jpg"]


def test_only_the_columns_asked_for_come_in_their_order(folder: Path) -> None:
    assert list(next(opened(folder).columns(["hotel_id", "photo_id"]))) == ["hotel_id", "photo_id"]


def test_the_manifest_names_the_segments_whose_photos_are_in_the_table(folder: Path) -> None:
    about = opened(folder).about
    assert (about.covers, about.stamp) == (COVERS, STAMP)
    assert about.size_bytes == (folder / TABLE_FILE).stat().st_size
    assert table_problem(folder) is None
    assert PhotoTable.open(folder, "2024-01-01 8") is None  # another stamp


def test_a_table_of_no_photos_can_be_kept(tmp_path: Path) -> None:
    PhotoTable.write(tmp_path / "tags", STAMP, (), [])
    assert list(opened(tmp_path / "tags").columns(["photo_id"])) == []


def test_where_nothing_was_written_there_is_none(tmp_path: Path) -> None:
    assert PhotoTable.open(tmp_path / "nothing", STAMP) is None
    assert table_problem(tmp_path / "nothing") is None
    remove_table(tmp_path / "nothing")


@pytest.mark.parametrize("damage", ["empty", "nonsense", "half", "cut", "longer", "other bytes"])
@pytest.mark.parametrize("name", [TABLE_FILE, TABLE_MANIFEST])
def test_a_table_that_is_empty_truncated_or_something_else_counts_as_absent(
    folder: Path, name: str, damage: str
) -> None:
    whole = (folder / name).read_bytes()
    kinds = {"empty": b"", "nonsense": b"no table", "half": whole[: len(whole) // 2], "cut": whole[:-3]}
    kinds |= {"longer": whole + b"x", "other bytes": b"x" * len(whole)}
    overwrite(folder / name, kinds[damage])
    assert PhotoTable.open(folder, STAMP) is None
    problem = table_problem(folder)
    assert str(folder / name) in problem


@pytest.mark.parametrize("name", [TABLE_FILE, TABLE_MANIFEST])
def test_a_file_that_is_gone_leaves_none(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert PhotoTable.open(folder, STAMP) is None
    without_manifest = name == TABLE_MANIFEST  # as a kill leaves it
    assert table_problem(folder) == (None if without_manifest else f"{folder / TABLE_FILE} is gone")
    remove_table(folder)
    assert list(folder.iterdir()) == []


def test_any_flipped_byte_is_noticed(folder: Path) -> None:
    data = (folder / TABLE_FILE).read_bytes()
    for place in range(0, len(data), 17):
        overwrite(folder / TABLE_FILE, flipped(data, place, 1 << place % 8))
        assert PhotoTable.open(folder, STAMP) is None, place
        assert table_problem(folder) == f"{folder / TABLE_FILE} is not what was written: its checksum is another one"
    overwrite(folder / TABLE_FILE, data)
    assert len(list(opened(folder).columns(["photo_id"]))) == 2


def test_a_manifest_of_another_table_is_noticed(folder: Path, tmp_path: Path) -> None:
    PhotoTable.write(tmp_path / "other", STAMP, COVERS, [PART])
    (tmp_path / "other" / TABLE_MANIFEST).replace(folder / TABLE_MANIFEST)
    assert PhotoTable.open(folder, STAMP) is None
    assert table_problem(folder) is not None


def test_a_table_of_other_columns_counts_as_absent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # as an earlier version had them
        patch.setattr(photo_table, "KINDS", {name: kind for name, kind in KINDS.items() if name != "format"})
        older = {name: values for name, values in PART.items() if name != "format"}
        PhotoTable.write(folder, STAMP, COVERS, [older])
    assert table_problem(folder) is None
    assert PhotoTable.open(folder, STAMP) is None


def test_a_segment_more_in_the_manifest_leaves_the_table_as_it_is(folder: Path) -> None:
    about = asdict(opened(folder).about) | {"covers": [*COVERS, "0c"]}
    write_record(folder / TABLE_MANIFEST, about)
    assert opened(folder).about.covers == (*COVERS, "0c")
    assert table_problem(folder) is None


def test_an_error_while_writing_leaves_no_table_that_could_be_opened(folder: Path) -> None:
    def parts() -> Iterator[dict[str, list[Any]]]:
        yield PART
        raise OSError(28, "No space left on device")

    before = opened(folder)
    with pytest.raises(OSError, match="No space left"):
        PhotoTable.write(folder, "2024-01-01 8", COVERS, parts())
    for stamp in (STAMP, "2024-01-01 8"):
        assert PhotoTable.open(folder, stamp) is None
    assert [file.name for file in folder.iterdir()] == [TABLE_FILE]
    assert len(list(before.columns(["path"]))) == 2  # whoever has it open keeps it


# With what came later


def columns_of(ids: list[int] | np.ndarray, text: str) -> Columns:
    return arrays({"photo_id": list(ids), "path": [f"{text} {photo_id}" for photo_id in ids]})


@given(data=st.data())
def test_a_table_and_what_came_later_come_in_the_order_of_their_ids(data: st.DataObject) -> None:
    tabled = sorted(data.draw(st.sets(st.integers(1, 60), max_size=30), "in the table"))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tabled)), max_size=4), "parts"))
    parts = [tabled[low:high] for low, high in zip([0, *cuts], [*cuts, len(tabled)], strict=True)]
    kept = sorted(data.draw(st.sets(st.sampled_from(tabled or [1]), max_size=len(tabled)), "kept") & set(tabled))
    later = sorted(data.draw(st.sets(st.integers(1, 60), max_size=30), "later") - set(kept))
    ids = np.array(kept, np.int64)
    covered = in_segments(ids, unit_vectors(len(ids), 2), ids % 3)
    asked: list[int] = []

    def read(wanted: np.ndarray) -> Iterator[Columns]:
        asked.extend(wanted.tolist())
        for start in range(0, len(wanted), 4):
            yield columns_of(wanted[start : start + 4], "later")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_table, "READ_ROWS", data.draw(st.integers(1, 9), "read at a time"))
        found = list(
            put_together((columns_of(part, "table") for part in parts), covered, np.array(later, np.int64), read)
        )
    assert all(len(columns["photo_id"]) for columns in found)
    photo_ids = [photo_id for columns in found for photo_id in columns["photo_id"].to_pylist()]
    paths = [path for columns in found for path in columns["path"].to_pylist()]
    assert photo_ids == sorted([*kept, *later])
    assert paths == [f"{'table' if photo_id in kept else 'later'} {photo_id}" for photo_id in photo_ids]
    assert sorted(asked) == later  # each is read once


def test_a_table_that_covers_all_is_handed_on_as_it_is() -> None:
    ids = np.array([1, 2, 3])
    part = columns_of(ids, "table")
    covered = in_segments(ids, unit_vectors(3, 2), np.zeros(3, int))
    (found,) = put_together([part], covered, np.empty(0, np.int64), lambda ids: [])
    assert found is part
