from pathlib import Path

import pytest

from embedding.photo_table import KINDS, PhotoTable

PART = {
    "photo_id": [1, 2],
    "shard": [1, 1],
    "row": [0, 1],
    "path": ["/a/Zürich.jpg", "/b.tar"],
    "member": ["", "x.jpg"],
    "image_id": [7, None],
    "hotel_id": [None, 11],
    "image_source": [None, "traffickcam"],
    "width_px": [10, 20],
    "height_px": [30, None],
    "format": ["JPEG", "PNG"],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tags" / "photos.arrow"
    PhotoTable.write(file, 3, [PART, {name: values[:1] for name, values in PART.items()}])
    return file


def test_columns_come_back_part_by_part_as_they_were_written(path: Path) -> None:
    table = PhotoTable.open(path, 3)
    assert table is not None
    first, second = table.columns(list(KINDS))
    assert {name: column.to_pylist() for name, column in first.items()} == PART
    assert second["path"].to_pylist() == ["/a/Zürich.jpg"]


def test_only_the_columns_asked_for_come_in_their_order(path: Path) -> None:
    table = PhotoTable.open(path, 3)
    assert table is not None
    assert list(next(table.columns(["row", "photo_id"]))) == ["row", "photo_id"]


def test_a_table_of_another_generation_counts_as_absent(path: Path) -> None:
    assert PhotoTable.open(path, 4) is None


def test_a_table_that_is_absent_empty_truncated_or_something_else_counts_as_absent(path: Path) -> None:
    assert PhotoTable.open(path.with_name("other.arrow"), 3) is None
    whole = path.read_bytes()
    for damaged in (b"", b"no table", whole[: len(whole) // 2], whole[:-1], b"x" * len(whole)):
        path.write_bytes(damaged)
        assert PhotoTable.open(path, 3) is None


def test_an_error_while_writing_leaves_the_older_table(path: Path) -> None:
    def parts():  # type: ignore[no-untyped-def]
        yield PART
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        PhotoTable.write(path, 4, parts())
    assert PhotoTable.open(path, 3) is not None
    assert [file.name for file in path.parent.iterdir()] == ["photos.arrow"]
