import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from base.errors import SourceError
from base.settings import LibraryFolder
from db.hotel_rows import count_hotels
from db.models import Chain, Hotel
from db.photo_rows import columns_stamp
from indexer.add import AddReport
from indexer.hotels50k import Hotels50kSource
from tests.by_folder import add_photos, list_failures, session_of
from tests.by_folder import disagreements as verify
from tests.conftest import LibraryFactory
from tests.db.statements import writes
from tests.indexer.conftest import (
    EMBEDDED,
    HOTELS,
    IMAGES,
    PHOTOS,
    HotelsTree,
    check_invariants,
    photos_of,
    problems_of,
    states_of,
)

ALL_EMBEDDED = {"1.jpg": EMBEDDED, "2.jpg": EMBEDDED, "3.jpg": EMBEDDED}


def add(library: LibraryFactory, tree: HotelsTree | Path) -> AddReport:
    root = tree.root if isinstance(tree, HotelsTree) else tree
    report = add_photos(library.folder, Hotels50kSource(root), lambda model: library.encoder)
    check_invariants(library.folder)
    return report


def hotels_of(folder: LibraryFolder) -> dict[int, tuple[str | None, int | None, float | None, float | None]]:
    with session_of(folder) as session:
        return {h.id: (h.name, h.chain_id, h.latitude, h.longitude) for h in session.query(Hotel)}


def row(
    image_id: object = 4, hotel_id: object = 100, url: str = "", source: str = "traffickcam", time: str = ""
) -> str:
    return f"{image_id},{hotel_id},{url},{source},{time}"


def test_samples_load(library: LibraryFactory, samples: Path) -> None:
    report = add(library, samples)
    assert (report.scan.found, report.scan.new, report.scan.missing, report.scan.problems) == (240, 240, 0, 0)
    assert (report.run.encoded + report.run.reused, report.run.failed) == (240, 0)
    with session_of(library.folder) as session:
        assert count_hotels(session) == (30, 6)
        assert session.get(Chain, -1) is None
    with open(samples / "dataset" / "hotel_info.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert hotels_of(library.folder) == {
        int(row["hotel_id"]): (
            row["hotel_name"],
            int(row["chain_id"]) if row["chain_id"] != "-1" else None,
            float(row["latitude"]),
            float(row["longitude"]),
        )
        for row in rows
    }
    assert sum(row["chain_id"] == "-1" for row in rows) == 6


def test_photos_know_what_the_csv_says_of_them(library: LibraryFactory, tree: HotelsTree) -> None:
    assert add(library, tree).run.encoded == 3
    assert states_of(library.folder) == ALL_EMBEDDED
    assert hotels_of(library.folder) == {
        100: ("Azura One", 7, 36.5, -4.25),
        200: ("Lone Inn", None, None, None),
    }
    facts = {p.image_id: (p.hotel_id, p.image_source, p.uploaded_at) for p in photos_of(library.folder).values()}
    assert facts == {
        1: (100, "traffickcam", datetime(2018, 6, 16, 17, 39, 46)),
        2: (100, "travel_website", datetime(2018, 2, 9, 13, 34, 47)),
        3: (200, "travel_website", None),
    }


def test_unchanged_tree_costs_one_scan_record(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.add_rows("train_set.csv", row(image_id=5), row(hotel_id=404), "broken")
    add(library, tree)
    with writes() as statements:
        assert add(library, tree).scan.unchanged == 5
    assert [statement.split("(")[0] for statement in statements] == ["INSERT INTO scan "]


def test_photo_that_is_listed_but_absent_is_missing_until_it_appears(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.add_rows("train_set.csv", row(image_id=4))
    report = add(library, tree)
    assert (report.scan.found, report.scan.missing, report.run.encoded) == (4, 1, 3)
    assert states_of(library.folder) == ALL_EMBEDDED | {"4.jpg": ("failed", "missing")}
    ((failure),) = list_failures(library.folder)
    assert (failure.kind, failure.reason) == ("missing", "there is no such file")
    assert failure.where == str(tree.root / "images/train/7/100/traffickcam/4.jpg")

    tree.image("7/100/traffickcam/4.jpg", 4)
    report = add(library, tree)
    assert (report.scan.changed, report.scan.missing, report.run.encoded) == (1, 0, 1)
    assert states_of(library.folder) == ALL_EMBEDDED | {"4.jpg": EMBEDDED}
    assert list(list_failures(library.folder)) == []


def test_photo_that_went_missing_is_not_found_and_comes_back_free(library: LibraryFactory, tree: HotelsTree) -> None:
    add(library, tree)
    gone = tree.root / "images/train/7/100/traffickcam/1.jpg"
    data = gone.read_bytes()
    gone.unlink()
    report = add(library, tree)
    assert (report.scan.missing, report.run.total) == (1, 0)
    with library.open() as opened_library:
        assert {hit.image_id for hit in opened_library.search("a room")} == {2, 3}
    assert verify(library.folder) == []
    gone.write_bytes(data)
    report = add(library, tree)
    assert (report.run.reused, report.run.encoded) == (1, 0)
    with library.open() as opened_library:
        assert {hit.image_id for hit in opened_library.search("a room")} == {1, 2, 3}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("4,100", "has 2 fields, not 5 (image_id, hotel_id, image_url, image_source, upload_timestamp)"),
        (row() + ",more", "has 6 fields, not 5 (image_id, hotel_id, image_url, image_source, upload_timestamp)"),
        (row(image_id="four"), "image_id 'four' is no number"),
        (row(image_id=""), "image_id '' is no number"),
        (row(image_id="4\0"), "holds a NUL byte"),
        (row(source="traffic\0cam"), "holds a NUL byte"),
        (row(hotel_id="100.5"), "hotel_id '100.5' is no number"),
        (row(image_id=1), "image 1 is listed a second time"),
        (row(image_id=10**20), f"image_id {10**20} does not fit into 64 bits"),
        (row(hotel_id=10**20), f"hotel_id {10**20} does not fit into 64 bits"),
        (row(image_id=-(10**19)), f"image_id {-(10**19)} does not fit into 64 bits"),
    ],
)
def test_row_of_a_photo_that_cannot_be_used_is_a_problem_and_nothing_else_is_lost(
    library: LibraryFactory, tree: HotelsTree, bad: str, reason: str
) -> None:
    head, *rest = PHOTOS.splitlines()
    tree.csv("train_set.csv", "\n".join([head, rest[0], bad, *rest[1:]]))
    report = add(library, tree)
    assert (report.scan.found, report.scan.problems, report.run.encoded) == (3, 1, 3)
    assert problems_of(library.folder) == [{"where": "train_set.csv:3", "reason": reason}]
    assert states_of(library.folder) == ALL_EMBEDDED


@pytest.mark.parametrize("name", ["hotel_info.csv", "train_set.csv"])
def test_quote_that_is_not_closed_loses_its_own_row_alone(library: LibraryFactory, tree: HotelsTree, name: str) -> None:
    path = tree.root / "dataset" / name
    head, *rows = path.read_text().splitlines()
    broken = '300,"Broken Inn,7,1.0,2.0' if name == "hotel_info.csv" else '4,100,"https://example.com,traffickcam,'
    path.write_text("\n".join([head, broken, *rows]) + "\n")
    assert add(library, tree).scan.problems == 1
    assert states_of(library.folder) == ALL_EMBEDDED
    assert hotels_of(library.folder)[200][0] == "Lone Inn"


@pytest.mark.parametrize("time", ["yesterday", "2018-13-01 00:00:00", "1529170786"])
def test_photo_with_a_bad_timestamp_is_kept_without_it(library: LibraryFactory, tree: HotelsTree, time: str) -> None:
    tree.add_rows("train_set.csv", row(time=time))
    tree.image("7/100/traffickcam/4.jpg", 4)
    assert add(library, tree).run.encoded == 4
    ((problem),) = problems_of(library.folder)
    assert problem["where"] == "train_set.csv:5"
    assert f"upload_timestamp '{time}' is no time such as 2018-06-16 17:39:46" in problem["reason"]
    assert [photo.uploaded_at for photo in photos_of(library.folder).values() if photo.image_id == 4] == [None]


def test_hotel_that_is_not_listed_keeps_its_photos_without_a_name(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.add_rows("train_set.csv", row(image_id=4, hotel_id=900), row(image_id=5, hotel_id=900), row(6, 901))
    tree.image("55/900/traffickcam/4.jpg", 4)
    tree.image("55/900/traffickcam/5.jpg", 5)
    report = add(library, tree)
    assert (report.run.encoded, report.scan.missing) == (5, 1)
    assert problems_of(library.folder) == [
        {
            "where": f"train_set.csv:{line}",
            "reason": f"hotel {hotel_id} is not in hotel_info.csv: its photos are kept without its name",
        }
        for line, hotel_id in ((5, 900), (7, 901))
    ]
    assert hotels_of(library.folder)[900] == (None, None, None, None)
    hotels = [(photo.image_id, photo.hotel_id) for photo in photos_of(library.folder).values()]
    assert sorted(hotels) == [(1, 100), (2, 100), (3, 200), (4, 900), (5, 900), (6, 901)]


def test_name_of_a_hotel_that_a_tree_lacks_is_kept(library: LibraryFactory, tree: HotelsTree, tmp_path: Path) -> None:
    add(library, tree)
    other = HotelsTree(tmp_path / "other")
    other.csv("hotel_info.csv", "200,Lone Inn,-1,,\n")
    add(library, other)
    assert hotels_of(library.folder)[100][0] == "Azura One"


def test_hotel_of_an_unknown_chain_is_kept_in_no_chain(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.add_rows("hotel_info.csv", "300,Orphan Inn,99,1,2")
    tree.add_rows("train_set.csv", row(image_id=4, hotel_id=300))
    tree.image("99/300/traffickcam/4.jpg", 4)
    assert add(library, tree).run.encoded == 4
    assert hotels_of(library.folder)[300] == ("Orphan Inn", None, 1.0, 2.0)
    assert problems_of(library.folder) == [
        {
            "where": "hotel_info.csv:4",
            "reason": "chain 99 is not in chain_info.csv: hotel 300 is kept in no chain",
        }
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("300,Broken Inn", "has 2 fields, not 5 (hotel_id, hotel_name, chain_id, latitude, longitude)"),
        ("x,Broken Inn,7,1,2", "hotel_id 'x' is no number"),
        ("300,Broken Inn,seven,1,2", "chain_id 'seven' is no number"),
        ("300,Broken Inn,7,north,2", "latitude 'north' is no number"),
    ],
)
def test_row_of_a_hotel_that_cannot_be_used_is_a_problem_and_nothing_else_is_lost(
    library: LibraryFactory, tree: HotelsTree, bad: str, reason: str
) -> None:
    tree.add_rows("hotel_info.csv", bad, "400,Good Inn,7,1,2")
    add(library, tree)
    assert problems_of(library.folder) == [{"where": "hotel_info.csv:4", "reason": reason}]
    assert states_of(library.folder) == ALL_EMBEDDED
    hotels = hotels_of(library.folder)
    assert {100, 200, 400} <= hotels.keys()
    assert hotels.get(300, ("Broken Inn", 7, None, 2.0)) == ("Broken Inn", 7, None, 2.0)


def test_row_of_a_chain_that_cannot_be_used_is_a_problem_by_itself(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.add_rows("chain_info.csv", "8", "nine,Nine Hotels", "10,Ten Hotels")
    add(library, tree)
    assert [problem["where"] for problem in problems_of(library.folder)] == ["chain_info.csv:4", "chain_info.csv:5"]
    with session_of(library.folder) as session:
        assert {chain.id: chain.name for chain in session.query(Chain)} == {7: "Azura Bay", 10: "Ten Hotels"}


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda text: without_head(text).encode(), id="no header"),
        pytest.param(lambda text: text.encode("utf-8-sig"), id="a byte order mark"),
        pytest.param(lambda text: without_head(text).encode("utf-8-sig"), id="a byte order mark and no header"),
        pytest.param(lambda text: text.replace("\n", "\r\n").rstrip().encode(), id="line ends of Windows"),
        pytest.param(lambda text: text.replace("\n", "\n\n").rstrip().encode(), id="blank lines"),
        pytest.param(lambda text: text.rstrip().encode(), id="no end of the last line"),
        pytest.param(lambda text: text.replace(",", ";").encode("utf-8-sig"), id="by a spreadsheet"),
        pytest.param(lambda text: text.replace(",", "\t").encode("utf-16"), id="by a spreadsheet, as Unicode text"),
        pytest.param(lambda text: text.replace(",", ";").encode("cp1252"), id="by a spreadsheet, in Windows letters"),
    ],
)
def test_csv_files_of_many_dialects(library: LibraryFactory, tree: HotelsTree, written: Callable[[str], bytes]) -> None:
    tree.add_rows("hotel_info.csv", "300,Hôtel Café,7,1,2")
    for path in (tree.root / "dataset").iterdir():
        path.write_bytes(written(path.read_text(encoding="utf-8")))
    assert add(library, tree).scan.problems == 0
    assert states_of(library.folder) == ALL_EMBEDDED
    hotels = hotels_of(library.folder)
    assert {hotel_id: name for hotel_id, (name, *_) in hotels.items()} == {
        100: "Azura One",
        200: "Lone Inn",
        300: "Hôtel Café",
    }
    with session_of(library.folder) as session:
        assert count_hotels(session) == (3, 1)


def without_head(text: str) -> str:
    return text.partition("\n")[2]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (('300,"The ""Grand"", Riga",7,1,2',), ('The "Grand", Riga', 7, 1.0, 2.0)),
        (("300,Отель Ванна,7,1,2",), ("Отель Ванна", 7, 1.0, 2.0)),
        (("300,Hôtel Café,7,1,2".encode("latin-1"), "301,Next Inn,7,1,2"), ("Hôtel Café", 7, 1.0, 2.0)),
        (("300,Nowhere Inn,7,,",), ("Nowhere Inn", 7, None, None)),
    ],
)
def test_names_may_hold_any_letters_and_coordinates_may_lack(
    library: LibraryFactory, tree: HotelsTree, rows: tuple[str | bytes, ...], expected: tuple[object, ...]
) -> None:
    tree.add_rows("hotel_info.csv", *rows)
    assert add(library, tree).scan.problems == 0
    assert hotels_of(library.folder)[300] == expected


@pytest.mark.parametrize(
    ("name", "bad"),
    [("hotel_info.csv", "300,Nowhere Inn,7,nan,nan"), ("train_set.csv", row(time="2018-06-16T17:39:46+02:00"))],
    ids=["nan", "time zone"],
)
def test_coordinates_and_times_of_any_form_are_not_written_at_every_scan(
    library: LibraryFactory, tree: HotelsTree, name: str, bad: str
) -> None:
    tree.add_rows(name, bad)
    add(library, tree)
    with writes() as statements:
        add(library, tree)
    assert len(statements) == 1


@pytest.mark.parametrize("place", ["input/dataset", "."])
def test_csv_files_may_lie_elsewhere_in_the_tree(library: LibraryFactory, tree: HotelsTree, place: str) -> None:
    (tree.root / place).mkdir(parents=True, exist_ok=True)
    for path in (tree.root / "dataset").iterdir():
        path.rename(tree.root / place / path.name)
    add(library, tree)
    assert states_of(library.folder) == ALL_EMBEDDED


def test_folder_without_the_csv_files_is_refused_with_the_layout(photos: Path) -> None:
    with pytest.raises(SourceError, match=r"no Hotels-50K tree.*chain_info.csv.*hotel_info.csv.*train_set.csv.*images"):
        Hotels50kSource(photos)


@pytest.mark.parametrize("name", ["chain_info.csv", "hotel_info.csv"])
def test_tree_without_one_of_the_csv_files_is_refused(tree: HotelsTree, name: str) -> None:
    (tree.root / "dataset" / name).unlink()
    with pytest.raises(SourceError, match=rf"{name} cannot be read: .*No such file"):
        Hotels50kSource(tree.root)


def test_tree_that_lists_no_photo_is_refused_and_changes_nothing(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.csv("train_set.csv", PHOTOS.splitlines(keepends=True)[0])
    with writes() as statements, pytest.raises(SourceError, match="nothing was changed"):
        add(library, tree)
    assert statements == []


def test_hotels_and_chains_are_renamed_by_a_newer_list(library: LibraryFactory, tree: HotelsTree) -> None:
    add(library, tree)
    tree.csv("chain_info.csv", "7,Azura Shores\n")
    tree.csv("hotel_info.csv", "100,Azura Shores One,7,36.5,-4.25\n200,Lone Inn,7,1,2\n")
    add(library, tree)
    assert hotels_of(library.folder) == {
        100: ("Azura Shores One", 7, 36.5, -4.25),
        200: ("Lone Inn", 7, 1.0, 2.0),
    }


def test_photos_of_a_folder_learn_their_hotels_without_encoding(library: LibraryFactory, tree: HotelsTree) -> None:
    library.add(tree.root)
    assert {photo.hotel_id for photo in photos_of(library.folder).values()} == {None}
    report = add(library, tree)
    assert (report.scan.unchanged, report.run.total) == (3, 0)
    assert {photo.hotel_id for photo in photos_of(library.folder).values()} == {100, 200}
    report = library.add(tree.root)  # a plain folder takes no hotel away
    assert (report.scan.unchanged, report.run.total) == (3, 0)
    assert {photo.hotel_id for photo in photos_of(library.folder).values()} == {100, 200}


def stamp_of(library: LibraryFactory) -> str:
    with session_of(library.folder) as session:
        return columns_stamp(session)


def test_the_stamp_of_columns_changes_with_those_of_photos_found(library: LibraryFactory, tree: HotelsTree) -> None:
    library.add(tree.root)
    stamps = [stamp_of(library)]
    add(library, tree)  # every photo gets its hotel
    stamps.append(stamp_of(library))
    tree.csv("train_set.csv", PHOTOS.replace("2018-06-16", "2019-06-16"))
    add(library, tree)
    stamps.append(stamp_of(library))
    assert len(set(stamps)) == 3


def test_the_stamp_of_the_columns_stays_when_nobodys_columns_change_or_only_those_of_photos_that_are_not_found(
    library: LibraryFactory, tree: HotelsTree
) -> None:
    add(library, tree)
    before = stamp_of(library)
    add(library, tree)
    (tree.root / "images" / "train" / IMAGES[0]).unlink()
    add(library, tree)  # one is missing
    tree.csv("train_set.csv", PHOTOS.replace("2018-06-16", "2019-06-16"))
    add(library, tree)  # and has another date
    tree.csv("hotel_info.csv", HOTELS.replace("Lone", "Lonely"))  # whose name is no column
    add(library, tree)
    tree.image(IMAGES[0], 0)
    tree.image(IMAGES[1], 77)
    assert add(library, tree).scan.changed == 2  # these get another vector, in another segment
    assert stamp_of(library) == before


def test_files_that_the_csv_does_not_list_are_none_of_its_business(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.image("7/100/traffickcam/77.jpg", 77)
    library.add(tree.root)
    assert add(library, tree).scan.found == 3
    assert states_of(library.folder)["77.jpg"] == EMBEDDED


def test_problems_beyond_what_a_scan_stores_are_still_counted(library: LibraryFactory, tree: HotelsTree) -> None:
    tree.add_rows("train_set.csv", *["broken"] * 1500)
    assert add(library, tree).scan.problems == 1500
    assert len(problems_of(library.folder)) == 1000
