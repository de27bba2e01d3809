"""Tables of what is known of photos, and what cameras say: whose word counts, what is refused, what stays."""

import io
import os
import unicodedata
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook
from PIL import Image
from sqlalchemy import text

from aliens.library import Library
from base.errors import SourceError
from base.progress import Step
from db.models import Photo
from embedding.apart import PHOTO_PROCESSES, Answer
from indexer import asked_files
from indexer.metadata import MetadataTable
from tests.conftest import LibraryFactory, photo_bytes
from tests.embedding.conftest import encoded
from tests.embedding.test_exif import SAID, SYDNEY, TAKEN, exif_block
from tests.indexer.conftest import HotelsTree, check_invariants, photos_of, write_tar

ROOM = "a room"


def with_camera(seed: int, **said: Any) -> bytes:
    """Return a photo whose EXIF block says this."""
    return encoded(Image.open(io.BytesIO(photo_bytes(seed))), "JPEG", exif=exif_block(**said))


@pytest.fixture
def hotels(tmp_path: Path) -> Path:
    """jp01 with photos a (by a camera) and b, jp02 with photo c."""
    root = tmp_path / "hotels"
    for name in ("jp01", "jp02"):
        (root / name).mkdir(parents=True)
    (root / "jp01" / "a.jpg").write_bytes(with_camera(0, gps=SYDNEY, taken=SAID))
    (root / "jp01" / "b.jpg").write_bytes(photo_bytes(1))
    (root / "jp02" / "c.jpg").write_bytes(photo_bytes(2))
    return root


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def facts(library: LibraryFactory) -> dict[str, tuple[Any, ...]]:
    """{file: (hotel, chain, date, who says so, latitude)} of all photos that can be found."""
    found = {}
    with library.open() as opened:
        for photo in photos_of(library.folder).values():
            if photo.state == "embedded":
                record = opened.photo(photo.id)
                when = record.date if record.date_from != "file" else None
                found[Path(photo.member or photo.path).name] = (
                    record.hotel_name,
                    record.chain_name,
                    when,
                    record.date_from,
                    None if record.latitude is None else round(record.latitude, 2),
                )
    return found


BY_CAMERA = (None, None, TAKEN, "camera", -33.86)
BY_FILE = (None, None, None, "file", None)


def row_of(library: LibraryFactory, name: str) -> Photo:
    return next(photo for place, photo in photos_of(library.folder).items() if place.endswith(name))


def names(hits: Any) -> set[str]:
    return {Path(hit.path).name for hit in hits}


# Cameras


def test_a_camera_s_date_and_place_are_found_by(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels)
    assert facts(library) == {"a.jpg": BY_CAMERA, "b.jpg": BY_FILE, "c.jpg": BY_FILE}
    with library.open() as opened:
        assert names(opened.search(f"{ROOM} near:-33.86,151.2,5km")) == {"a.jpg"}
        assert names(opened.search(f"{ROOM} -near:-33.86,151.2,5km")) == {"b.jpg", "c.jpg"}
        assert names(opened.search(f"{ROOM} near:-33.86,151.2,5km near:0,0,5km")) == {"a.jpg"}
        assert names(opened.search(f"{ROOM} near:0,0,5km")) == set()
        assert names(opened.search(f"{ROOM} before:2019-06")) == {"a.jpg"}
        assert names(opened.search(f"{ROOM} after:2019-05-18")) == {"b.jpg", "c.jpg"}
        found = opened.search(f"{ROOM} after:2019-05 ")
        assert found.explanation.notes.startswith("2 of 3 hits have no date of a camera, a table or an upload")
        notes: list[str] = []
        assert len(list(opened.stream(f"{ROOM} after:2019-05", min_score=-1.0, tell=notes.append))) == 3
        assert notes == [found.explanation.notes]
        assert opened.search(f"{ROOM} before:2019-06").explanation.notes == ""
        (hit,) = opened.search(f"{ROOM} before:2019-06")
        said = hit.as_json()
        assert (said["date"], said["date_from"]) == (TAKEN, "camera")
        assert (said["latitude"], said["longitude"]) == pytest.approx((-33.8567, 151.21), abs=1e-4)


def test_what_a_camera_says_follows_the_bytes(library: LibraryFactory, hotels: Path) -> None:
    library.add(hotels)
    (hotels / "jp02" / "copy.jpg").write_bytes((hotels / "jp01" / "a.jpg").read_bytes())
    (hotels / "jp01" / "a.jpg").rename(hotels / "jp02" / "moved.jpg")
    library.add(hotels)
    assert facts(library)["copy.jpg"] == facts(library)["moved.jpg"] == BY_CAMERA
    (hotels / "jp02" / "moved.jpg").write_bytes(photo_bytes(7))
    (hotels / "jp02" / "c.jpg").write_bytes(with_camera(8, changed="2001:02:03 04:05:06"))
    library.add(hotels)
    assert facts(library)["moved.jpg"] == BY_FILE
    assert facts(library)["c.jpg"] == (None, None, datetime(2001, 2, 3, 4, 5, 6), "camera", None)


def test_photos_of_an_earlier_version_are_asked_once(
    library: LibraryFactory, hotels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar = write_tar(hotels / "more.tar", {"t.jpg": with_camera(3, taken=SAID)})
    library.add(hotels)
    with library.open() as opened, opened.catalog.session() as session:  # as that version left them
        silent = "dated_at = NULL, date_from = NULL, latitude = NULL, longitude = NULL, place_from = NULL"
        session.execute(text(f"UPDATE photo SET exif_read = NULL, {silent}"))
        session.commit()
    assert facts(library)["a.jpg"] == BY_FILE
    library.add(hotels / "jp02")
    assert row_of(library, "b.jpg").exif_read is None
    steps: list[Step] = []
    report = library.add(hotels, progress=steps.append)
    assert (report.scan.unchanged, report.run.done) == (4, 0)
    assert facts(library)["a.jpg"] == BY_CAMERA
    assert facts(library)["t.jpg"] == (None, None, TAKEN, "camera", None)
    assert [(step.done, step.total) for step in steps if step.what == "reading dates and places"] == [(3, 3)]
    monkeypatch.setattr(asked_files, "camera_at", None)
    library.add(hotels)
    library.add(tar)
    check_invariants(library.folder)


def test_an_imported_photo_that_goes_apart_is_asked_about_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, wanted, ask = tmp_path / "a.bmp", list[str](), PHOTO_PROCESSES.ask

    def counted(request: dict[str, Any], data: bytes) -> Answer | None:
        wanted.append(request["want"])
        return ask(request, data)

    monkeypatch.setattr(PHOTO_PROCESSES, "ask", counted)
    path.write_bytes(photo_bytes(1, file_format="BMP"))
    columns = asked_files.asked_columns(Photo(path=str(path), member="", content_sha256=None))
    assert (columns["format"], columns["exif_read"], columns["dated_at"]) == ("BMP", True, None)
    assert "camera" not in columns and wanted == ["header"]


# Tables


def test_a_table_says_what_counts_before_folders_and_cameras(library: LibraryFactory, hotels: Path) -> None:
    said = table(
        hotels.parent / "facts.csv",
        "path,hotel,chain,lat,lng,taken,stars",
        "hotels/jp01/a.jpg,,,48.85,2.35,2015-01-31 17:40,5",
        "hotels/jp02,Azura Inn,Azura,36.5,-4.25,2016-02-01,4",
    )
    report = library.add(hotels, hotel_from="folder", metadata=said)
    assert facts(library) == {
        "a.jpg": ("jp01", None, datetime(2015, 1, 31, 17, 40), "table", 48.85),
        "b.jpg": ("jp01", None, None, "file", None),
        "c.jpg": ("Azura Inn", "Azura", datetime(2016, 2, 1), "table", 36.5),
    }
    assert "facts.csv: 2 of 2 rows used" in str(report)
    assert "facts.csv: 1 column not used: 'stars'" in report.notes
    with library.open() as opened:
        assert names(opened.search(f"{ROOM} near:36.5,-4.25,1km")) == {"c.jpg"}  # by its hotel
        assert names(opened.search(f"{ROOM} chain:azura")) == {"c.jpg"}
        assert names(opened.search(f"{ROOM} near:48.85,2.35,1km near:36.5,-4.25,1km")) == {"a.jpg", "c.jpg"}
    before = facts(library)
    os.utime(hotels / "jp01" / "a.jpg", ns=(5, 5))
    library.add(hotels)  # a later one without it takes nothing away, though it reads a photo anew
    assert facts(library) == before
    check_invariants(library.folder)


def test_photos_that_are_known_are_told_of_and_not_read(
    library: LibraryFactory, hotels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(hotels)
    monkeypatch.setattr("base.files.PhotoFile.read", None)
    monkeypatch.setattr("base.files.PhotoFile.start", None)
    said = table(hotels / "facts.tsv", "folder\tHotel name\tDate taken", "jp01\tGrand\t2015-01-31")
    assert library.add(hotels, metadata=said).run.done == 0
    assert facts(library)["b.jpg"] == ("Grand", None, datetime(2015, 1, 31), "table", None)
    assert facts(library)["c.jpg"] == BY_FILE


def test_the_deepest_place_counts_fact_by_fact(library: LibraryFactory, hotels: Path) -> None:
    said = table(
        hotels / "facts.csv",
        "folder,path,hotel,date",
        ".,,Whole,2001-01-01",
        "jp01,,One,",
        "jp01,a.jpg,,2002-02-02",
        ",jp01/b.jpg,Single,",
    )
    library.add(hotels, metadata=said)
    assert {name: (hotel, when and when.year) for name, (hotel, _, when, *_) in facts(library).items()} == {
        "a.jpg": ("One", 2002),
        "b.jpg": ("Single", 2001),
        "c.jpg": ("Whole", 2001),
    }


def test_a_row_by_hotel_alone_is_of_that_hotel(library: LibraryFactory, hotels: Path) -> None:
    said = table(hotels / "facts.csv", "hotel;chain;latitude;longitude", "JP01;Azura;48,85;2,35", "jp09;Azura;1;1")
    report = library.add(hotels, hotel_from="folder", metadata=said)
    assert facts(library)["b.jpg"] == ("jp01", "Azura", None, "file", 48.85)
    assert facts(library)["a.jpg"][4] == -33.86  # its own place goes before its hotel's
    assert "facts.csv: 1 row of no photo found here: 'jp09' (row 3)" in report.notes
    with library.open() as opened:
        assert names(opened.search(f"{ROOM} near:48.85,2.35,1km")) == {"b.jpg"}
        assert len(opened.search(ROOM, per_chain=1)) == 2
        assert opened.search(ROOM, per_chain=1).explanation.notes == ""
    said = table(hotels / "facts.csv", "hotel,chain", "jp01,none")
    library.add(hotels, metadata=said)
    assert facts(library)["b.jpg"] == ("jp01", None, None, "file", 48.85)
    library.add(hotels, hotel_from="none")
    assert (library.open().info().hotels, library.open().info().chains) == (0, 0)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_paths_match_however_their_letters_are_written(library: LibraryFactory, tmp_path: Path, form: Any) -> None:
    folder = tmp_path / "p" / unicodedata.normalize(form, "Hôtel é")
    folder.mkdir(parents=True)
    (folder / "ü.jpg").write_bytes(photo_bytes(1))
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "Hôtel é/ü.jpg")
    library.add(tmp_path / "p", metadata=table(tmp_path / "t.csv", "path,hotel", f"{other},X"))
    assert [hotel for hotel, *_ in facts(library).values()] == ["X"]


def test_paths_may_be_absolute_by_links_of_windows_or_in_a_tar(library: LibraryFactory, hotels: Path) -> None:
    link = hotels.parent / "link"
    link.symlink_to(hotels)
    write_tar(hotels / "s.tar", {"in/t.jpg": photo_bytes(5), "in/u.jpg": photo_bytes(6)})
    said = table(
        hotels.parent / "t.csv",
        "path,hotel",
        f"{link}/jp01/a.jpg,Linked",
        "jp01\\b.jpg,Windows",
        f"{hotels}/./jp02/../jp02/c.jpg,Dots",
        "s.tar!in/t.jpg,Member",
        "s.tar/in,Folder",
    )
    library.add(link, metadata=said)
    assert {name: hotel for name, (hotel, *_) in facts(library).items()} == {
        "a.jpg": "Linked",
        "b.jpg": "Windows",
        "c.jpg": "Dots",
        "t.jpg": "Member",
        "u.jpg": "Folder",
    }


def test_tables_of_every_kind_are_read(library: LibraryFactory, hotels: Path) -> None:
    book = Workbook()
    book.active.append(["Folder", "Hotel", "Latitude", "Longitude", "Date"])
    book.active.append(["jp01", "Excel", 48.85, 2, date(2015, 1, 31)])
    book.save(hotels / "t.xlsx")
    library.add(hotels, metadata=hotels / "t.xlsx")
    assert facts(library)["b.jpg"] == ("Excel", None, datetime(2015, 1, 31), "table", 48.85)
    columns = {"folder": ["jp01", None], "hotel": ["Parquet", None], "date": [datetime(2014, 1, 31, 5), None]}
    pq.write_table(pa.table(columns | {"n": [1, 2]}), hotels / "t.parquet")
    report = library.add(hotels, metadata=hotels / "t.parquet")
    assert facts(library)["b.jpg"] == ("Parquet", None, datetime(2014, 1, 31, 5), "table", None)
    assert "t.parquet: 1 column not used: 'n'" in report.notes


BAD = [
    (["path,lat,lon", "a.jpg,north,2"], ":2: latitude 'north': it is no number of degrees"),
    (["path,lat,lon", "a.jpg,nan,2"], ":2: latitude 'nan': it is no number of degrees"),
    (["path,lat,lon", "a.jpg,91,2"], ":2: latitude '91': a latitude lies between -90 and 90"),
    (["path,lat,lon", "a.jpg,9,inf"], ":2: longitude 'inf': a longitude lies between -180 and 180"),
    (["path,lat,lon", "a.jpg,9,"], ":2: longitude '': a place needs both"),
    (["path,lat,lon", "a.jpg,0,0.0"], ":2: latitude '0': 0, 0 lies in the sea"),
    (["path,date", "", "a.jpg,31/01/2015"], ":3: date '31/01/2015': it is no date such as 2015-01-31"),
    (["path,date", "a.jpg,2015-02-30"], ":2: date '2015-02-30': it is no date"),
    (["path,hotel", "a.jpg,X", "./a.jpg,Y"], ":3: the hotel of './a.jpg' is 'Y', and 'X' in row 2"),
    (["hotel,chain", "X,One", "x,Two"], ":3: the chain of 'x' is 'Two', and 'One' in row 2"),
    (["path,hotel,chain", "a.jpg,X,One", "b.jpg,X,Two"], ":3: the chain of 'b.jpg' is 'Two', and 'One' in row 2"),
    (["hotel,lat,lon", "X,1,2", "X,1,3"], ":3: the longitude of 'X' is '3.0', and '2.0' in row 2"),
    (["hotel,date", "X,2015-01-31"], ":2: date '2015-01-31 00:00:00': a date is of a photo or a folder"),
    (["path,hotel", ",X", "a.jpg,Y,Z"], "row 3: there are 3 cells, but 2 columns"),
    (["path,hotel,chain", ",,One"], ":2: path '': it names no photo, folder or hotel"),
    (["lat,latitude,path", "1,1,a"], "the columns 'lat' and 'latitude' both mean latitude: remove one"),
    (["photo_id,stars", "1,2"], "it names no photo, folder or hotel|says nothing of any photo, folder or hotel"),
    (
        ["path,hotel"],
        "says nothing of any photo, folder or hotel: it has no such row; a table needs a head with a column path",
    ),
    ([], "says nothing of any photo"),
]


@pytest.mark.parametrize(("lines", "words"), BAD)
def test_a_senseless_table_changes_nothing(library: LibraryFactory, hotels: Path, lines: list[str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        library.add(hotels, metadata=table(hotels / "bad.csv", *lines))
    assert photos_of(library.folder) == {}


@pytest.mark.parametrize("content", [b"\0\1\2", b"PK\x03\x04 no workbook", b"PAR1 nothing", b"\xd0\xcf\x11\xe0"])
def test_files_that_are_no_tables_are_refused(hotels: Path, content: bytes) -> None:
    (hotels / "bad").write_bytes(content)
    with pytest.raises(SourceError, match=f"the table {hotels / 'bad'} "):
        MetadataTable(hotels / "bad")
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        MetadataTable(hotels / "nothing.csv")
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        MetadataTable(hotels)


def test_paths_are_relative_to_folders_of_named_photos(library: LibraryFactory, hotels: Path, tmp_path: Path) -> None:
    said = table(tmp_path / "said.csv", "path,hotel", "c.jpg,Lone Inn", "b.jpg,Grand Hotel")
    library.open().add(hotels / "jp01" / "b.jpg", hotels / "jp02" / "c.jpg", metadata=said)
    assert {name: fact[0] for name, fact in facts(library).items()} == {"b.jpg": "Grand Hotel", "c.jpg": "Lone Inn"}


def test_rows_are_looked_for_only_where_something_of_their_name_lies(tmp_path: Path) -> None:
    folders = [tmp_path / f"source {number}" for number in range(20)]
    for number, folder in enumerate(folders):
        (folder / f"jp{number}").mkdir(parents=True)
    lines = [f"jp{number}/{photo}.jpg,Hotel {number}" for number in range(20) for photo in range(50)]
    said = MetadataTable(table(tmp_path / "said.csv", "path,hotel", *lines))
    for folder in folders:
        said.look_from(str(folder))
    assert len(said._by_place) == 1000 + 1000  # beside the table, and in the one source where each may lie


def test_a_name_with_a_zero_byte_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r":2: path 'x.*code 0"):
        MetadataTable(table(tmp_path / "bad.csv", "path,hotel", "x\0y/z.jpg,Lone Inn"))


def test_rows_of_nothing_are_counted_and_all_of_them_are_an_error(library: LibraryFactory, hotels: Path) -> None:
    rows = [f"jp0{number}/x.jpg,X" for number in range(3, 9)]
    with pytest.raises(SourceError, match=r"t.csv:2: nothing is at 'jp03/x.jpg', nor at any other place of its 6 rows"):
        library.add(hotels, metadata=table(hotels / "t.csv", "path,hotel", *rows))
    assert photos_of(library.folder) == {}
    report = library.add(hotels, metadata=table(hotels / "t.csv", "path,hotel", *rows, "jp01,X"))
    (note,) = [note for note in report.notes if "row" in note]
    assert note == (
        "t.csv: 6 rows of no photo found here: 'jp03/x.jpg' (row 2), 'jp04/x.jpg' (row 3), 'jp05/x.jpg' (row 4), ..."
    )
    with pytest.raises(SourceError, match=r"no row is of a photo found here, .*: 'jp01' .row 2."):
        library.add(hotels / "jp02", metadata=table(hotels / "t.csv", "path,hotel", "jp01,X"))


def test_a_chain_without_a_hotel_is_a_problem_that_is_listed(library: LibraryFactory, hotels: Path) -> None:
    said = table(hotels / "t.csv", "folder,chain", "jp01,Azura")
    assert library.add(hotels, metadata=said).scan.problems == 1
    (failure,) = library.open().failures()
    assert (failure.where, failure.reason[:44]) == (f"{said}:2", "the chain 'Azura' belongs to a hotel: add a ")
    library.add(hotels, hotel_from="folder", metadata=said)
    assert facts(library)["b.jpg"][:2] == ("jp01", "Azura")
    assert list(library.open().failures()) == []


def test_a_table_s_word_goes_before_hotels_50k_s_and_stays(library: LibraryFactory, tree: HotelsTree) -> None:
    said = table(tree.root / "t.csv", "path,hotel,date", "images/train/7/100/traffickcam/1.jpg,Mine,2001-02-03")
    with library.open() as opened:
        for metadata in (said, None):
            opened.add(hotels50k=tree.root, metadata=metadata)
            one = opened.photo(row_of(library, "/1.jpg").id)
            assert (one.hotel_name, one.date, one.date_from, one.image_id) == (
                "Mine",
                datetime(2001, 2, 3),
                "table",
                1,
            )
            assert opened.photo(row_of(library, "/2.jpg").id).date_from == "upload"


def test_dates_and_places_are_exported(library: LibraryFactory, hotels: Path) -> None:
    said = table(hotels / "t.csv", "hotel,lat,lon", "jp02,48.85,2.35")
    library.add(hotels, hotel_from="folder", metadata=said)
    opened: Library = library.open()
    os.utime(hotels / "jp01" / "b.jpg", ns=(0, 10**18))
    opened.add(hotels)
    opened.tag()
    columns = ["path", "date", "date_from", "latitude", "longitude"]
    for _ in range(2):  # beside the table of photos, and from it
        opened.export(hotels.parent / "out.parquet", columns=columns)
        rows = {Path(row.pop("path")).name: row for row in pq.read_table(hotels.parent / "out.parquet").to_pylist()}
        assert rows["a.jpg"]["date"] == "2019-05-17 18:03:59"
        assert rows["a.jpg"]["longitude"] == pytest.approx(151.21)
        assert rows["b.jpg"] == {
            "date": "2001-09-09 01:46:40",
            "date_from": "file",
            "latitude": None,
            "longitude": None,
        }
        assert (rows["c.jpg"]["date_from"], rows["c.jpg"]["latitude"]) == ("file", 48.85)
        (hotels.parent / "out.parquet").unlink()
        library.add(hotels, metadata=said)
