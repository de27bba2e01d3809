"""Hotels that folders name: remembered, moved with their photos, taken back."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from aliens.library import Library
from base.errors import QueryError
from db.hotel_rows import FIRST_OWN_ID
from tests.conftest import LibraryFactory, photo_bytes
from tests.db.statements import writes
from tests.indexer.conftest import HotelsTree, check_invariants, photos_of, write_tar
from tests.restyled import add_results, keep_results


@pytest.fixture
def hotels(tmp_path: Path) -> Path:
    """Five photos: two of jp01, one of them deeper, two of jp02, one that lies in no folder."""
    root = tmp_path / "hotels"
    for number, place in enumerate(("jp01/a.jpg", "jp01/pool/b.jpg", "jp02/c.jpg", "jp02/d.jpg", "loose.jpg")):
        put(root / place, number)
    return root


def put(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo_bytes(number))
    return path


def hotel_names(library: LibraryFactory) -> dict[str, str | None]:
    """{name of the photo's file: its hotel} of all photos that can be found."""
    with library.open() as opened:
        photos = [photo for photo in photos_of(library.folder).values() if photo.state == "embedded"]
        return {Path(photo.member or photo.path).name: opened.photo(photo.id).hotel_name for photo in photos}


BY_FOLDER = {"a.jpg": "jp01", "b.jpg": "jp01", "c.jpg": "jp02", "d.jpg": "jp02", "loose.jpg": None}


def test_the_first_folder_names_the_hotel_and_the_report_shows_the_level(library: LibraryFactory, hotels: Path) -> None:
    report = library.add(hotels, hotel_from="folder")
    assert hotel_names(library) == BY_FOLDER
    assert "these are of 2 hotels: jp01 (2 photos), jp02 (2 photos)" in str(report)
    assert [note for note in report.notes if "1 photo lies in no folder that names a hotel" in note]
    assert [note for note in report.notes if f"`aliens add {hotels} --hotel-from none` takes this back" in note]
    with library.open() as opened:
        assert opened.info().hotels == 2
        hits = opened.search("a room hotel:JP01", k=10)
        assert {Path(hit.path).name for hit in hits} == {"a.jpg", "b.jpg"}
        assert all(hit.hotel_id is not None and hit.hotel_id >= FIRST_OWN_ID for hit in hits)
        best = opened.search("a room", k=10, per_hotel=1)
        assert sorted(hit.hotel_name or "" for hit in best) == ["", "jp01", "jp02"]
        assert [hit.hotel_name for hit in opened.search("a room", k=5, sort="hotel")][-1] is None
        with pytest.raises(QueryError, match=r"no hotel 'jp03' of this library .near it: jp0"):
            opened.search("a room hotel:jp03")


def test_the_choice_is_remembered_for_later_photos_and_costs_no_write(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    with writes() as written:
        assert library.add(hotels).scan.unchanged == 5
    assert len(written) == 1  # of the scan
    put(hotels / "jp03" / "e.jpg", 10)
    put(hotels / "JP01" / "f.jpg", 11)
    report = library.add(hotels)
    assert "3 hotels" in str(report)
    assert not [note for note in report.notes if "takes this back" in note]
    assert hotel_names(library) == BY_FOLDER | {"e.jpg": "jp03", "f.jpg": "jp01"}
    put(hotels / "jp03" / "g.jpg", 12)
    library.add(hotels / "jp03")  # a folder below, or one photo of it
    put(hotels / "jp03" / "h.jpg", 13)
    library.add(hotels / "jp03" / "h.jpg")
    assert {hotel_names(library)[name] for name in ("g.jpg", "h.jpg")} == {"jp03"}


def test_another_choice_moves_photos_that_are_known_and_none_undoes_it(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    report = library.add(hotels, hotel_from="path")
    assert report.run.encoded == 0
    assert "5 photos known before have another hotel now, or none" in str(report)
    assert set(hotel_names(library).values()) == {"hotels"}
    assert library.open().info().hotels == 1
    library.add(hotels / "jp01", hotel_from="none")
    assert hotel_names(library) == dict.fromkeys(BY_FOLDER, "hotels") | {"a.jpg": None, "b.jpg": None}
    library.add(hotels)
    assert hotel_names(library)["a.jpg"] is None  # the deeper word counts
    library.add(hotels, hotel_from="none")
    assert set(hotel_names(library).values()) == {None}
    assert library.open().info().hotels == 0


def test_each_path_may_be_a_hotel(library: LibraryFactory, hotels: Path) -> None:
    for name in ("jp01", "jp02"):
        assert "these are of 1 hotel: " in str(library.add(hotels / name, hotel_from="path"))
    link = hotels.parent / "Hôtel du Lac"
    link.symlink_to(hotels / "jp02")
    assert hotel_names(library) == {name: hotel for name, hotel in BY_FOLDER.items() if hotel}
    library.add(link, hotel_from="path")  # by the name that was typed
    assert hotel_names(library)["c.jpg"] == "Hôtel du Lac"
    library.add(hotels)  # a folder around them, of which nothing was said
    assert hotel_names(library)["loose.jpg"] is None
    assert hotel_names(library)["a.jpg"] == "jp01"


def test_a_photo_that_no_listing_names_moves_to_the_new_hotel_too(library: LibraryFactory, hotels: Path) -> None:
    odd = put(hotels / "jp01" / "IMG_0001", 20)
    library.add(odd)
    library.add(hotels, hotel_from="folder")
    assert hotel_names(library) == BY_FOLDER | {"IMG_0001": "jp01"}


def test_photos_in_no_folder_are_told_the_other_choice(library: LibraryFactory, photos: Path) -> None:
    report = library.add(photos, hotel_from="folder")
    assert [note for note in report.notes if f"`aliens add {photos} --hotel-from path`" in note]
    assert report.metadata.without_hotel == 10


@pytest.mark.parametrize(
    ("tar", "members", "expected"),
    [
        ("jp01.tar", ["a.jpg", "./b.jpg"], {"a.jpg": "jp01", "b.jpg": "jp01"}),
        ("all.tar", ["jp01/a.jpg", "./jp02/deep/b.jpg"], {"a.jpg": "jp01", "b.jpg": "jp02"}),
        ("jp03/all.tar", ["jp01/a.jpg", "b.jpg"], {"a.jpg": "jp03", "b.jpg": "jp03"}),
    ],
)
def test_photos_in_tars_are_of_the_first_folder_or_of_the_tar(
    library: LibraryFactory, tmp_path: Path, tar: str, members: list[str], expected: dict[str, str]
) -> None:
    path = tmp_path / "tars" / tar
    path.parent.mkdir(parents=True)
    write_tar(path, {name: photo_bytes(number) for number, name in enumerate(members)})
    library.add(tmp_path / "tars", hotel_from="folder")
    assert hotel_names(library) == expected


def test_a_tar_may_itself_be_the_path(library: LibraryFactory, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "jp07.tar", {"in/a.jpg": photo_bytes(1), "b.jpg": photo_bytes(2)})
    library.add(tar, hotel_from="folder")
    assert hotel_names(library) == {"a.jpg": "in", "b.jpg": None}
    library.add(tar, hotel_from="path")
    assert set(hotel_names(library).values()) == {"jp07"}


def test_names_are_one_hotel_however_their_letters_are_written(library: LibraryFactory, tmp_path: Path) -> None:
    for number, name in enumerate(("Café", unicodedata.normalize("NFD", "café"), "CAFÉ")):
        put(tmp_path / str(number) / name / f"{number}.jpg", number)
        library.add(tmp_path / str(number), hotel_from="folder")
    assert set(hotel_names(library).values()) == {"Café"}
    with library.open() as opened:
        assert len(opened.search(f"a room hotel:{unicodedata.normalize('NFD', 'cafÉ')}")) == 3


def test_hostile_names_of_folders_are_names(library: LibraryFactory, tmp_path: Path) -> None:
    names = ["\x1b[31m\nred", "a,b;c", "=1+1", "100", "東京ホテル", "x" * 200]
    for number, name in enumerate([*names, "  "]):
        put(tmp_path / "evil" / name / f"{number}.jpg", number)
    report = library.add(tmp_path / "evil", hotel_from="folder")
    assert set(hotel_names(library).values()) == {*names, None}
    assert report.metadata.without_hotel == 1
    assert r"\x1b[31m\nred (1 photo)" in str(report)
    with library.open() as opened:
        assert [hit.hotel_name for hit in opened.search("a room hotel:100")] == ["100"]
        assert [hit.hotel_name for hit in opened.search("a room hotel:東京")] == ["東京ホテル"]


def test_a_whole_name_is_that_hotel_alone(library: LibraryFactory, tmp_path: Path) -> None:
    for number, name in enumerate(("jp1", "jp10", "jp11")):
        put(tmp_path / "jp" / name / f"{number}.jpg", number)
    library.add(tmp_path / "jp", hotel_from="folder")
    with library.open() as opened:
        assert [hit.hotel_name for hit in opened.search("a room hotel:JP1")] == ["jp1"]
        assert len(opened.search("a room hotel:jp")) == 3
        assert {hit.hotel_name for hit in opened.search("a room -hotel:jp1")} == {"jp10", "jp11"}
        assert opened.forget(hotels="jp10").photos == 1
        assert opened.info().hotels == 2


def test_a_photo_that_moves_is_of_the_hotel_where_it_lies(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    before = {photo.id: Path(place).name for place, photo in photos_of(library.folder).items()}
    (hotels / "jp01" / "a.jpg").rename(hotels / "jp02" / "a.jpg")
    (hotels / "jp02" / "c.jpg").rename(hotels / "c.jpg")
    (hotels / "jp02" / "d.jpg").rename(hotels.parent / "d.jpg")
    put(hotels.parent / "else" / "copy.jpg", 1)  # of b.jpg
    assert library.add(hotels).run.moved == 2
    expected = {"a.jpg": "jp02", "b.jpg": "jp01", "c.jpg": None, "loose.jpg": None}
    assert hotel_names(library) == expected
    assert library.add(hotels.parent / "d.jpg").run.moved == 1
    library.add(hotels.parent / "else")
    # Where nothing was said of hotels, a photo that came keeps its own, and a copy has none.
    assert hotel_names(library) == expected | {"d.jpg": "jp02", "copy.jpg": None}
    assert before.items() <= {p.id: Path(place).name for place, p in photos_of(library.folder).items()}.items()
    check_invariants(library.folder)


def test_restyled_photos_are_of_their_photos_hotel(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    (result,) = keep_results(library.folder, [1], library.encoder)
    library.add(hotels, hotel_from="path")
    with library.open() as opened:
        assert add_results(library.folder, library.encoder) == 0
        (hit,) = opened.search("a room kind:restyled hotel:hotels")
        assert hit.hotel_name == "hotels"
        assert result.lineage.source_photo_id == 1


def test_a_hotel_whose_photos_moved_goes_and_results_follow_at_once(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    with library.open() as opened:
        ids = opened.photo_ids([hotels / "jp02" / "c.jpg"])
    keep_results(library.folder, ids, library.encoder)
    add_results(library.folder, library.encoder)
    (hotels / "jp02").rename(hotels / "jp03")
    library.add(hotels)
    with library.open() as again:
        assert again.info().hotels == 2
        with pytest.raises(QueryError, match="no hotel 'jp02'"):
            again.search("a room hotel:jp02")
        assert len(again.search("a room hotel:jp03 kind:any")) == 3


def test_photos_named_one_by_one_are_of_their_own_folders_hotels(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    loose, late = put(hotels.parent / "z" / "40.jpg", 40), put(hotels / "jp01" / "late.jpg", 41)
    library.open().add(loose, late)
    assert hotel_names(library) == BY_FOLDER | {"40.jpg": None, "late.jpg": "jp01"}


def test_the_report_counts_photos_by_the_hotels_that_they_have(library: LibraryFactory, hotels: Path) -> None:
    table = hotels.parent / "said.csv"
    table.write_text("path,hotel\nhotels/jp01/a.jpg,Casa\n", encoding="utf-8")
    library.open().add(hotels, hotel_from="folder", metadata=table)
    report = library.open().add(hotels, hotel_from="folder", metadata="none")
    assert report.metadata.hotels == {"jp01": 1, "jp02": 2}
    assert any("goes before its folder" in note for note in report.notes)
    assert not any("goes before" in note for note in library.open().add(hotels).notes)
    report = library.open().add(hotels / "jp01" / "a.jpg", hotel_from="folder")
    assert any("--hotel-from is for folders" in note for note in report.notes)


def test_forgetting_a_folder_says_that_its_hotels_names_go(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    report = library.open().forget(hotels)
    assert report.choices == [str(hotels)]
    assert any(f"`aliens add {hotels} --hotel-from folder` says it again" in note for note in report.notes)
    with pytest.raises(QueryError, match="is no path: name several one by one"):
        library.open().add([hotels])  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"the table said\.csv is about"):
        library.open().add(metadata="said.csv")


def test_a_path_within_another_is_a_hotel_of_its_own(library: LibraryFactory, hotels: Path) -> None:
    library.open().add(hotels, hotels / "jp01", hotels / "jp02", hotel_from="path")
    assert hotel_names(library) == BY_FOLDER | {"loose.jpg": "hotels"}


def test_hotels_50k_keeps_its_hotels(library: LibraryFactory, tree: HotelsTree) -> None:
    with library.open() as opened:
        with pytest.raises(QueryError, match="the tables of Hotels-50K name its hotels"):
            opened.add(hotels50k=tree.root, hotel_from="folder")
        opened.add(hotels50k=tree.root)
        opened.add(tree.root / "images" / "train", hotel_from="folder")
        assert {photo.hotel_id for photo in photos_of(library.folder).values()} == {100, 200}
        assert opened.info().hotels == 2


def test_what_is_forgotten_is_not_remembered(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels, hotel_from="folder")
    with library.open() as opened:
        opened.forget(hotels)
        assert opened.info().hotels == 0
    library.add(hotels)
    assert set(hotel_names(library).values()) == {None}


def test_an_unknown_way_is_refused(library: LibraryFactory, hotels: Path) -> None:
    with pytest.raises(QueryError, match="hotel_from is 'parent': choose one of folder, path, none"):
        library.add(hotels, hotel_from="parent")
    assert photos_of(library.folder) == {}


def test_a_source_without_photos_remembers_nothing(library: LibraryFactory, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Exception, match="no photos under"):
        library.add(tmp_path / "empty", hotel_from="path")
    put(tmp_path / "empty" / "a.jpg", 1)
    library.add(tmp_path / "empty")
    assert hotel_names(library) == {"a.jpg": None}


OPTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("a room", {"per_hotel": 1}, "--per-hotel changes nothing: no photo of this library has a hotel: `aliens add"),
    ("a room", {"per_chain": 1}, "--per-chain changes nothing: no photo of this library has a hotel of a chain"),
    ("a room", {"sort": "hotel"}, "--sort hotel changes nothing: no photo of this library has a hotel"),
    ("a room after:1999", {}, "10 of 10 hits have no date of a camera, a table or an upload"),
    ("a room before:1999", {}, "no photo of this library has a date of a camera, a table or an upload"),
    ("a room", {"sort": "date"}, "10 of 10 hits have no date of a camera"),
]


@pytest.mark.parametrize(("query", "options", "words"), OPTIONS)
def test_what_means_nothing_is_told(stocked: LibraryFactory, query: str, options: dict[str, Any], words: str) -> None:
    assert words in stocked.open().search(query, **options).explanation.notes


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("a room hotel:jp01", "no hotel 'jp01': no photo of this library has a hotel: `aliens add FOLDER --hotel-from"),
        ("a room -hotel:7", "no hotel '7': no photo of this library has a hotel"),
        ("a room chain:Azura", "no chain 'Azura': no photo of this library has a hotel of a chain"),
        ("a room near:1,2,3km", "near:1,2,3km finds nothing: no photo of this library has a place: `aliens add"),
    ],
)
def test_filters_of_what_no_photo_has_tell_the_remedy(stocked: LibraryFactory, query: str, words: str) -> None:
    opened: Library = stocked.open()
    with pytest.raises(QueryError, match=words):
        opened.search(query)
    with pytest.raises(QueryError, match="photo 1 belongs to no hotel: leave --other-hotels out, or name it: `aliens"):
        opened.similar(1, other_hotels=True)
