"""Tags read their photos' columns from a file, and never from one that is out of date."""

from collections.abc import Callable
from pathlib import Path

import pytest

from embedding.photo_table import TABLE_FILE, TABLE_MANIFEST
from indexer.hotels50k import Hotels50kSource
from search.tags.calibration import TagOptions
from search.tags.vocabulary import read_vocabulary
from tests.by_folder import add_photos, disagreements, merge_due, tag_library, tagging_of
from tests.conftest import LibraryFactory, photo_bytes


def tag(library: LibraryFactory) -> None:
    tag_library(library.folder, read_vocabulary("case-study"), lambda model: library.encoder, options=TagOptions())


def paths(library: LibraryFactory) -> list[str]:
    with tagging_of(library.folder) as (_, tagging):
        return [Path(path).name for photos in tagging.photos(["path"]) for path in photos.columns["path"].to_pylist()]


def table_file(library: LibraryFactory) -> Path:
    return library.folder.photo_table(library.encoder.key) / TABLE_FILE


def written_by(library: LibraryFactory) -> int:
    """Tag a library, and return which writing its table is from."""
    tag(library)
    return table_file(library).stat().st_ino


def test_photos_added_replaced_or_gone_since_the_last_tagging_are_seen(stocked: LibraryFactory, photos: Path) -> None:
    tag(stocked)
    assert paths(stocked) == [f"{number:02d}.jpg" for number in range(10)]
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    (photos / "05.jpg").write_bytes(photo_bytes(55))
    (photos / "00.jpg").unlink()
    stocked.add(photos)
    assert paths(stocked) == [f"{number:02d}.jpg" for number in range(1, 11)]


def test_the_table_is_used_and_written_anew_when_much_lies_beside_it(stocked: LibraryFactory, photos: Path) -> None:
    first = written_by(stocked)
    assert written_by(stocked) == first
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    stocked.add(photos)
    assert written_by(stocked) != first
    assert len(paths(stocked)) == 11


def test_a_few_photos_are_read_beside_the_table(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tags.tagging.MOST_BESIDE", 0.2)
    library.add(photos)
    first = written_by(library)
    for number, name in enumerate(["00a.jpg", "99.jpg"]):
        (photos / name).write_bytes(photo_bytes(70 + number))
    library.add(photos)
    assert written_by(library) == first
    assert paths(library) == [*(f"{number:02d}.jpg" for number in range(10)), "00a.jpg", "99.jpg"]
    (photos / "05.jpg").write_bytes(photo_bytes(55))  # its row in the table may not be taken any more
    library.add(photos)
    assert paths(library) == [*(f"{number:02d}.jpg" for number in range(10)), "00a.jpg", "99.jpg"]
    assert written_by(library) != first


def test_a_merge_leaves_the_table_in_use(scattered: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    first, before = written_by(scattered), paths(scattered)
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    assert merge_due(scattered.folder) > 0
    monkeypatch.setattr("search.tags.tagging.embedded_columns", lambda *args: pytest.fail("read from the database"))
    assert paths(scattered) == before
    assert written_by(scattered) == first


def with_another_name(whole: bytes) -> bytes:
    place = whole.index(b"05.jpg")
    return whole[:place] + b"0X" + whole[place + 2 :]


@pytest.mark.parametrize("spoil", [lambda whole: b"damaged", lambda whole: whole[:-1], with_another_name])
def test_a_damaged_table_is_told_by_verify_and_written_anew_by_tagging(
    stocked: LibraryFactory, spoil: Callable[[bytes], bytes]
) -> None:
    tag(stocked)
    before, whole = paths(stocked), table_file(stocked).read_bytes()
    table_file(stocked).write_bytes(spoil(whole))
    assert [found.part for found in disagreements(stocked.folder)] == ["table"]
    if spoil is not with_another_name:  # which only reading every byte tells
        assert paths(stocked) == before
    tag(stocked)
    assert table_file(stocked).read_bytes() == whole
    assert paths(stocked) == before
    assert disagreements(stocked.folder) == []


@pytest.mark.parametrize(("name", "part"), [(TABLE_FILE, "table"), (TABLE_MANIFEST, "stray file")])
def test_half_a_table_is_not_used_and_is_completed(stocked: LibraryFactory, name: str, part: str) -> None:
    tag(stocked)
    before = paths(stocked)
    table_file(stocked).with_name(name).unlink()
    assert [found.part for found in disagreements(stocked.folder)] == [part]
    assert paths(stocked) == before
    tag(stocked)
    assert disagreements(stocked.folder) == []
    assert paths(stocked) == before


def test_hotels_that_become_known_put_the_table_out_of_date(library: LibraryFactory, tmp_path: Path) -> None:
    root = tmp_path / "hotels50k"
    photo = root / "images" / "train" / "-1" / "1" / "traffickcam" / "5.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(photo_bytes(1))
    (root / "dataset").mkdir()
    for name, text in (
        ("chain_info", "chain_id,chain_name\n-1,unknown\n"),
        ("hotel_info", "hotel_id,hotel_name,chain_id,latitude,longitude\n1,First,-1,0,0\n"),
        (
            "train_set",
            "image_id,hotel_id,image_url,image_source,upload_timestamp\n"
            "5,1,https://example.org/5.jpg,traffickcam,2015-01-01 00:00:00\n",
        ),
    ):
        (root / "dataset" / f"{name}.csv").write_text(text)

    def hotels() -> list[int | None]:
        with tagging_of(library.folder) as (_, tagging):
            return [hotel for p in tagging.photos(["hotel_id"]) for hotel in p.columns["hotel_id"].to_pylist()]

    library.add(root)  # as a plain folder
    tag(library)
    assert hotels() == [None]
    add_photos(library.folder, Hotels50kSource(root), lambda model: library.encoder)
    assert hotels() == [1]
