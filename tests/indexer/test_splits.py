import pytest

from base.errors import QueryError, SourceError
from indexer.hotels50k import SPLITS, Hotels50kSource
from tests.by_folder import add_photos, list_failures
from tests.conftest import LibraryFactory, photo_bytes
from tests.indexer.conftest import EMBEDDED, HotelsTree, found_in, problems_of, states_of


@pytest.mark.parametrize(
    ("split", "folder"),
    [
        ("unoccluded", "unoccluded"),
        ("low", "low_occlusions"),
        ("medium", "medium_occlusions"),
        ("high", "high_occlusions"),
    ],
)
def test_each_split_of_the_test_is_found_in_its_folder(whole_tree: HotelsTree, split: str, folder: str) -> None:
    source = Hotels50kSource(whole_tree.root, split)
    assert source.root == str(whole_tree.root / "images" / "test" / folder)
    found = list(source.photos())
    assert [photo.path.removeprefix(source.root) for photo in found] == [
        "/7/100/traffickcam/11.jpg",
        "/-1/200/traffickcam/12.jpg",
    ]
    assert [(photo.image_id, photo.hotel_id, photo.image_source) for photo in found] == [
        (11, 100, "traffickcam"),
        (12, 200, "traffickcam"),
    ]
    assert all(photo.failure_kind is None for photo in found)


def test_training_photos_are_meant_unless_one_says_otherwise(whole_tree: HotelsTree) -> None:
    source = Hotels50kSource(whole_tree.root)
    assert (source.split, [photo.image_id for photo in source.photos()]) == ("train", [1, 2, 3])


def test_unknown_split_is_refused_with_those_that_there_are(tree: HotelsTree) -> None:
    with pytest.raises(QueryError, match="'val' is no split of Hotels-50K: choose one of " + ", ".join(SPLITS)):
        Hotels50kSource(tree.root, "val")


def test_tree_without_the_photos_of_a_split_is_refused_with_the_remedy(tree: HotelsTree) -> None:
    with pytest.raises(SourceError, match=r"no test photos at images/test/low_occlusions: unpack the archive"):
        Hotels50kSource(tree.root, "low")


def test_tree_without_the_list_of_the_test_is_refused(whole_tree: HotelsTree, library: LibraryFactory) -> None:
    (whole_tree.root / "dataset" / "test_set.csv").unlink()
    with pytest.raises(SourceError, match=r"test_set.csv cannot be read: No such file"):
        add_photos(library.folder, Hotels50kSource(whole_tree.root, "low"), lambda model: library.encoder)


def test_training_photos_and_a_split_stand_beside_each_other(whole_tree: HotelsTree, library: LibraryFactory) -> None:
    whole_tree.add_rows("train_set.csv", "x,100,,traffickcam,")
    whole_tree.add_rows("test_set.csv", "y,100,,traffickcam,")
    for split in ("train", "high"):
        add_photos(library.folder, Hotels50kSource(whole_tree.root, split), lambda model: library.encoder)
    assert states_of(library.folder) == dict.fromkeys(["1.jpg", "2.jpg", "3.jpg", "11.jpg", "12.jpg"], EMBEDDED)
    assert sorted(problem["where"] for problem in problems_of(library.folder)) == ["test_set.csv:4", "train_set.csv:5"]


@pytest.mark.parametrize("place", ["8/100/traffickcam/1.jpg", "Unknown/100/traffickcam/1.jpg"])
def test_photo_in_the_folder_of_another_chain_is_found(tree: HotelsTree, place: str) -> None:
    (tree.root / "images/train/7/100/traffickcam/1.jpg").unlink()
    tree.image(place, 1)
    source = Hotels50kSource(tree.root)
    assert f"images/train/{place}" in found_in(source)
    assert all(photo.failure_kind is None for photo in source.photos())


@pytest.mark.parametrize("name", ["1.png", "1.JPG", "1.jpeg"])
def test_photo_with_another_ending_than_its_address_is_found(tree: HotelsTree, name: str) -> None:
    path = tree.root / "images/train/7/100/traffickcam/1.jpg"
    path.rename(path.with_name(name))
    assert f"images/train/7/100/traffickcam/{name}" in found_in(Hotels50kSource(tree.root))


def test_what_is_no_photo_is_not_taken_for_one(tree: HotelsTree) -> None:
    folder = tree.root / "images/train/7/100/traffickcam"
    (folder / "1.jpg").unlink()
    for name in ("1.json", "1.txt", "01.png", "1.jpg.part"):
        (folder / name).write_bytes(photo_bytes(1))
    (folder / "masks").mkdir()
    (folder / "masks" / "1.png").write_bytes(photo_bytes(1))
    assert [photo.failure_kind for photo in Hotels50kSource(tree.root).photos()] == ["missing", None, None]


def test_reason_of_a_dead_link_is_that_of_the_missing_photo(tree: HotelsTree, library: LibraryFactory) -> None:
    (tree.root / "images/train/7/100/traffickcam/1.jpg").unlink()
    Hotels50kSource(tree.root).dead_links.add(
        [(1, "HTTP Error 404: Not Found", "https://example.com/1.jpg"), (2, "timed out", "https://example.com/2.jpg")]
    )
    add_photos(library.folder, Hotels50kSource(tree.root), lambda model: library.encoder)
    ((failure),) = list_failures(library.folder)
    assert (failure.kind, failure.reason) == ("missing", "there is no such file: HTTP Error 404: Not Found")


@pytest.mark.parametrize("source", ["../../../..", "/etc", "..", "masks", "宿" * 86])
def test_source_that_names_another_folder_is_a_problem(tree: HotelsTree, library: LibraryFactory, source: str) -> None:
    tree.add_rows("train_set.csv", f"4,100,,{source},")
    add_photos(library.folder, Hotels50kSource(tree.root), lambda model: library.encoder)
    assert problems_of(library.folder) == [
        {"where": "train_set.csv:5", "reason": f"image_source {source[:60]!r} cannot be the name of a folder"}
    ]


def test_library_adds_a_split_and_says_what_a_split_is_of(whole_tree: HotelsTree, library: LibraryFactory) -> None:
    opened = library.open()
    assert opened.add(hotels50k=whole_tree.root, split="medium").scan.found == 2
    with pytest.raises(QueryError, match="--split low is of a Hotels-50K tree: name its root with --hotels50k ROOT"):
        opened.add(whole_tree.root, split="low")
