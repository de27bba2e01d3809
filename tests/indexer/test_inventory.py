from pathlib import Path

import pytest
from sqlalchemy import make_url

from base.errors import LibraryError
from base.records import write_record
from base.settings import LibraryFolder
from embedding.index.approximate import APPROXIMATE_FILE, APPROXIMATE_MANIFEST, Approximation
from embedding.index.milvus import Collection, write_collection
from indexer.hotels50k import Hotels50kSource
from tests.by_folder import add_photos, create_library, list_failures, take_inventory
from tests.conftest import FakeEncoder, LibraryFactory
from tests.indexer.conftest import HotelsTree, write_tar

KEY = "fake-00000000"


def test_empty_library_is_counted(library: LibraryFactory) -> None:
    inventory = take_inventory(library.folder)
    assert inventory.photos == {"pending": 0, "embedded": 0, "failed": 0}
    assert (inventory.failures, inventory.hotels, inventory.chains, inventory.segments) == ({}, 0, 0, 0)
    assert (inventory.model, inventory.dim) == (KEY, 48)
    assert (inventory.index, inventory.index_bytes, inventory.vectors_bytes) == ("exact: every photo is compared", 0, 0)
    assert inventory.database_bytes > 0


def test_photos_failures_hotels_and_sizes_are_counted(library: LibraryFactory, photos: Path, tree: HotelsTree) -> None:
    (photos / "a.jpg").write_text("no photo")
    (photos / "b.jpg").write_text("no photo either")
    (photos / "c.jpg").write_bytes(b"")
    library.add(photos)
    tree.add_rows("train_set.csv", "4,100,,traffickcam,", "5,200,,traffickcam,", "6,200,,traffickcam,")
    add_photos(library.folder, Hotels50kSource(tree.root), lambda model: library.encoder)
    inventory = take_inventory(library.folder)
    assert inventory.photos == {"pending": 0, "embedded": 13, "failed": 6}
    assert list(inventory.failures.items()) == [("missing", 3), ("not an image", 2), ("empty", 1)]
    assert (inventory.hotels, inventory.chains) == (2, 1)
    assert inventory.index == "exact: every photo is compared"
    segments = library.folder.vectors(KEY)
    assert inventory.segments == len(list(segments.iterdir())) == 2
    assert inventory.vectors_bytes == sum(path.stat().st_size for path in segments.iterdir())
    assert inventory.index_bytes == 0
    assert inventory.library == str(library.folder.root)
    assert make_url(inventory.database) == make_url(library.folder.database_url())


@pytest.mark.parametrize(("recall", "said"), [(0.995, "ivf, 10 photos"), (0.5, "ivf, 10 photos, not used")])
def test_an_approximate_index_and_its_photos(stocked: LibraryFactory, recall: float, said: str) -> None:
    about = Approximation(model_key=KEY, kind="ivf", factory="IVF1,SQ8", dim=48, entries=10, recall=recall)
    where = stocked.folder.index(KEY)
    where.mkdir(parents=True)
    write_record(where / APPROXIMATE_MANIFEST, about)
    (where / APPROXIMATE_FILE).write_bytes(bytes(1000))
    inventory = take_inventory(stocked.folder)
    assert inventory.index == said
    assert inventory.index_bytes == 1000 + (where / APPROXIMATE_MANIFEST).stat().st_size


def test_a_collection_in_milvus_is_named_without_asking_milvus(stocked: LibraryFactory, photos: Path) -> None:
    where = stocked.folder.index(KEY)
    where.mkdir(parents=True)
    about = Collection(model_key=KEY, uri="http://127.0.0.1:9", name="aliens", dim=48, exact=False, entries=10)
    write_collection(where, about)
    assert take_inventory(stocked.folder).index == "Milvus, 10 photos"


def test_inventory_is_written_for_people_and_machines(library: LibraryFactory, photos: Path) -> None:
    (photos / "a.jpg").write_text("no photo")
    library.add(photos)
    inventory = take_inventory(library.folder)
    assert inventory.as_json()["photos"] == {"pending": 0, "embedded": 10, "failed": 1}
    assert inventory.as_json().keys() == set(type(inventory).__slots__)
    rows = inventory.as_rows()
    assert ("photos", "11 photos") in rows
    assert ("  embedded", "10 photos") in rows
    assert rows[rows.index(next(row for row in rows if row[0] == "  failed")) + 1] == ("    not an image", "1 photos")


def test_database_that_lies_elsewhere_is_named(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path / "library")
    create_library(folder, FakeEncoder(), f"sqlite:///{tmp_path / 'other.db'}")
    assert take_inventory(folder).database == f"sqlite:///{tmp_path / 'other.db'}"


def test_failures_are_listed_with_their_reasons(library: LibraryFactory, photos: Path) -> None:
    (photos / "05a.jpg").write_bytes(b"")
    tar = write_tar(photos / "10.tar", {"room/1.jpg": b"no photo"})
    (photos / "zz.jpg").symlink_to(photos / "gone.jpg")
    library.add(photos)
    listed = [(failure.kind, failure.where, failure.reason) for failure in list_failures(library.folder)]
    assert listed == [
        ("empty", str(photos / "05a.jpg"), "the file is empty (0 bytes)"),
        ("not an image", f"{tar}!room/1.jpg", "no image format that is read here (starts with b'no photo')"),
        ("missing", str(photos / "zz.jpg"), "there is no such file"),
    ]
    ids = [failure.photo_id for failure in list_failures(library.folder)]
    assert ids == [7, 12, 13]


def test_failures_of_one_kind_are_listed(library: LibraryFactory, photos: Path) -> None:
    (photos / "a.jpg").write_bytes(b"")
    (photos / "b.jpg").write_text("no photo")
    (photos / "c.tar").write_text("no tar")
    library.add(photos)
    assert [Path(failure.where).name for failure in list_failures(library.folder, "empty")] == ["a.jpg"]
    assert [Path(failure.where).name for failure in list_failures(library.folder, "source")] == ["c.tar"]
    assert list(list_failures(library.folder, "truncated")) == []


def test_problems_of_sources_are_listed_after_photos(library: LibraryFactory, photos: Path, tree: HotelsTree) -> None:
    (photos / "a.jpg").write_bytes(b"")
    (photos / "b.tar").write_text("no tar")
    library.add(photos)
    tree.add_rows("train_set.csv", "broken")
    add_photos(library.folder, Hotels50kSource(tree.root), lambda model: library.encoder)
    listed = [(failure.kind, Path(failure.where).name, failure.photo_id) for failure in list_failures(library.folder)]
    assert listed == [("empty", "a.jpg", 11), ("source", "train_set.csv:5", None), ("source", "b.tar", None)]


def test_without_a_library_there_is_no_inventory(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="no library at"):
        take_inventory(LibraryFolder(tmp_path))
    with pytest.raises(LibraryError, match="no library at"):
        list(list_failures(LibraryFolder(tmp_path)))
