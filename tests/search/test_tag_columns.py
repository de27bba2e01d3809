"""Tags read their photos' columns from a file, and never from one that is out of date."""

from pathlib import Path

from indexer.hotels50k import Hotels50kSource
from search.tags.calibration import TagOptions
from search.tags.vocabulary import read_vocabulary
from tests.by_folder import add_photos, tag_library, tagging_of
from tests.conftest import LibraryFactory, photo_bytes


def tag(library: LibraryFactory) -> None:
    tag_library(library.folder, read_vocabulary("case-study"), lambda model: library.encoder, options=TagOptions())


def paths(library: LibraryFactory) -> list[str]:
    with tagging_of(library.folder) as (_, tagging):
        return [Path(path).name for photos in tagging.photos(["path"]) for path in photos.columns["path"].to_pylist()]


def table_file(library: LibraryFactory) -> Path:
    return library.folder.photo_table(library.encoder.key)


def test_photos_added_or_gone_since_the_last_tagging_are_seen(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    tag(library)
    before = paths(library)
    assert before == [f"{number:02d}.jpg" for number in range(10)]
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    (photos / "00.jpg").unlink()
    library.add(photos)
    assert paths(library) == [f"{number:02d}.jpg" for number in range(1, 11)]


def test_the_table_is_used_and_written_anew_when_it_is_out_of_date(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    tag(library)
    first = table_file(library).stat()
    tag(library)
    assert table_file(library).stat().st_mtime_ns == first.st_mtime_ns
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    library.add(photos)
    tag(library)
    assert table_file(library).stat().st_mtime_ns != first.st_mtime_ns
    assert len(paths(library)) == 11


def test_a_damaged_table_is_not_used(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    tag(library)
    before = paths(library)
    table_file(library).write_bytes(b"damaged")
    assert paths(library) == before
    tag(library)
    assert table_file(library).stat().st_size > 100


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
