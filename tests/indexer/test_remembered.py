"""Places that are remembered: looked at again with what was said of them, one by one where something is wrong."""

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from aliens.library import Library
from base.errors import QueryError, SourceError
from db.models import Hotel, PhotoSource, Scan
from tests.by_folder import session_of
from tests.conftest import LibraryFactory, photo_bytes, raising
from tests.db.statements import writes
from tests.file_server import serving_files
from tests.indexer.conftest import HotelsTree, at_step, photos_of, put, states_of, write_tar

LONG_AGO = datetime(2001, 1, 1)


def hotels_of(library: Library) -> dict[str, str | None]:
    with session_of(library.folder) as session:
        names = {hotel.id: hotel.name for hotel in session.scalars(select(Hotel))}
    return {Path(path).name: names.get(photo.hotel_id or 0) for path, photo in photos_of(library.folder).items()}


def told(library: Library) -> dict[str, tuple[str, int, dict[str, object]]]:
    return {Path(each.place).name: (each.kind, each.photos, each.options) for each in library.sources()}


def test_all_places_are_looked_at_as_was_said(library: LibraryFactory, tmp_path: Path, whole_tree: HotelsTree) -> None:
    one, two = put(tmp_path / "one", 1), put(tmp_path / "two" / "jp01", 2).parent
    put(two / "raw", 3)
    table = tmp_path / "said.csv"
    table.write_text("folder,hotel\none,Casa\n", encoding="utf-8")
    tar, alone = write_tar(tmp_path / "a.tar", {"in.jpg": photo_bytes(4)}), put(tmp_path / "more", 5, 6) / "5.jpg"
    with library.open() as opened:
        with pytest.raises(SourceError, match="no folder was added yet"):
            opened.add()
        opened.add(one, metadata=table)
        opened.add(two, hotel_from="folder", exclude="raw/")
        opened.add(tar, alone)
        opened.add(hotels50k=whole_tree.root)
        opened.add(hotels50k=whole_tree.root, split="low")
        opened.add(two / "jp01")  # a part, of which nothing is said
        assert told(opened) == {
            "one": ("folder", 1, {"metadata": str(table)}),
            "two": ("folder", 1, {"exclude": ["raw/"]}),
            "a.tar": ("tar", 1, {}),
            "5.jpg": ("file", 1, {}),
            "hotels": ("hotels50k", 3, {}),
            "low_occlusions": ("hotels50k-test", 2, {}),
        }
        put(one, 11), put(two / "jp01", 12), put(two / "raw", 13), put(tmp_path / "more", 14)
        write_tar(tar, {"in.jpg": photo_bytes(4), "new.jpg": photo_bytes(15)})
        report = opened.add()
        assert (report.scan.new, report.run.encoded, report.absent, report.failed) == (3, 3, {}, {})
        hotels = hotels_of(opened)
        assert (hotels["11.jpg"], hotels["12.jpg"]) == ("Casa", "jp01")
        assert {"13.jpg", "14.jpg"}.isdisjoint(hotels)
        with writes() as written:
            assert opened.add().scan.unchanged == 12
        assert not [each for each in written if not each.startswith(("INSERT INTO scan", "UPDATE photo_source"))]
        assert opened.add(two, exclude="none").scan.new == 2
        assert told(opened)["two"] == ("folder", 4, {})


def test_a_pattern_is_remembered_and_new_matches_get_their_hotels(library: LibraryFactory, tmp_path: Path) -> None:
    put(tmp_path / "p" / "a" / "rooms", 1), put(tmp_path / "p" / "b" / "rooms", 2), put(tmp_path / "p" / "b", 3)
    pattern = tmp_path / "p" / "*" / "rooms"
    with library.open() as opened:
        opened.add(pattern, hotel_from="path")
        opened.add(tmp_path / "p" / "a" / "rooms", hotel_from="none")
        put(tmp_path / "p" / "c" / "rooms", 4)
        assert opened.add().scan.new == 1
        hotels = hotels_of(opened)
        assert (hotels["1.jpg"], hotels["2.jpg"], hotels["4.jpg"]) == (None, "rooms", "rooms")
        place = next(each for each in opened.sources() if each.kind == "pattern")
        assert (place.place, place.photos, place.options) == (str(pattern), 3, {"hotel_from": "path"})
        shutil.rmtree(tmp_path / "p")
        with pytest.raises(SourceError, match="nothing matches it now"):
            opened.add()
        assert set(states_of(library.folder).values()) == {("embedded", None)}


def test_lists_series_and_addresses_are_looked_at_again(library: LibraryFactory, tmp_path: Path) -> None:
    put(tmp_path / "served", 1, 2), put(tmp_path / "named", 3, 4)
    for number in (0, 1):
        write_tar(tmp_path / f"s-{number:02d}.tar", {"in.jpg": photo_bytes(10 + number)})
    listed = tmp_path / "list.csv"
    listed.write_text("picture,price\nnamed/3.jpg,7\n", encoding="utf-8")
    series = tmp_path / "s-{00..09}.tar"
    with library.open() as opened, serving_files(tmp_path / "served") as server:
        assert "--hotel-from is for folders" in str(
            opened.add(photo_list=listed, path_column="picture", hotel_from="folder").notes
        )
        opened.add(series, f"{server.address}/1.jpg")
        assert {(each.kind, each.place, each.photos) for each in opened.sources()} == {
            ("list", str(listed), 1),
            ("pattern", str(series), 2),
            ("address", f"{server.address}/1.jpg", 1),
        }
        assert {source.problem for source in opened.sources()} == {None}
        assert next(each.options for each in opened.sources() if each.kind == "list") == {"path_column": "picture"}
        with session_of(library.folder) as session:
            session.execute(update(PhotoSource).values(scanned_at=LONG_AGO))
            session.execute(update(Scan).values(started_at=LONG_AGO))
            session.commit()
        listed.write_text("picture,price\nnamed/3.jpg,8\nnamed/4.jpg,9\n", encoding="utf-8")
        write_tar(tmp_path / "s-07.tar", {"in.jpg": photo_bytes(17)})
        asked = len(server.bytes_sent())
        report = opened.add()
        assert (report.scan.new, report.run.encoded, report.failed, report.absent) == (2, 2, {}, {})
        assert not [note for note in report.notes if "--hotel-from" in note]
        assert all(source.looked_at and source.looked_at > LONG_AGO for source in opened.sources())
        assert len(server.bytes_sent()) == asked  # the bytes are not asked for again
        assert photos_of(library.folder)[str(tmp_path / "named" / "3.jpg")].details == {"price": "8"}
    with library.open() as opened:  # the server is gone
        assert opened.add().scan.vanished == 0
        assert opened.forget_source(series) == 3
        assert {each.kind for each in opened.sources()} == {"list", "address"}
    assert set(states_of(library.folder).values()) == {("embedded", None)}


def test_what_is_wrong_at_one_place_stops_no_other_and_deletes_none(library: LibraryFactory, tmp_path: Path) -> None:
    for number, name in enumerate(("gone", "sound", "broken", "emptied"), start=1):
        put(tmp_path / name, number)
    table = tmp_path / "said.csv"
    table.write_text("folder,hotel\nbroken,Casa\n", encoding="utf-8")
    with library.open() as opened:
        opened.add(tmp_path / "gone", tmp_path / "sound", tmp_path / "emptied")
        opened.add(tmp_path / "broken", metadata=table)
        (tmp_path / "gone").rename(tmp_path / "moved")
        (tmp_path / "emptied" / "4.jpg").unlink()
        table.write_text("folder,hotel,latitude\nbroken,Casa,999\n", encoding="utf-8")
        put(tmp_path / "sound", 12)
        report = opened.add()
        assert report.scan.new == 1
        assert report.absent == {str(tmp_path / "gone"): "is not there"}
        assert list(report.failed) == [str(tmp_path / "broken")]
        assert "999" in report.failed[str(tmp_path / "broken")]
        notes = "\n".join(report.notes)
        assert f"`aliens sources move {tmp_path / 'gone'} NEW`" in notes
        assert f"no photos under {tmp_path / 'emptied'}: 1 photo known there" in notes
        assert set(states_of(library.folder).values()) == {("embedded", None)}
        table.unlink()
        report = opened.add()
        assert (report.failed, report.scan.vanished) == ({}, 0)
        assert any("said.csv" in note and "looked at without it" in note for note in report.notes)
        assert json.loads(json.dumps(report.as_json()))["absent"]
        with pytest.raises(QueryError, match="allow-empty is said of"):
            opened.add(allow_empty=True)


def test_a_place_is_remembered_once_it_held_a_photo_despite_a_kill(library: LibraryFactory, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    photos = put(tmp_path / "photos", 1, 2)

    with library.open() as opened:
        with pytest.raises(SourceError, match="no photos under"):
            opened.add(tmp_path / "empty")
        assert opened.sources() == []
        with pytest.raises(KeyboardInterrupt):
            opened.add(photos, exclude="raw/", progress=at_step("scanning", raising(KeyboardInterrupt())))
        assert [(each.options, each.looked_at) for each in opened.sources()] == [({"exclude": ["raw/"]}, None)]
        assert opened.add().run.encoded == 2


def test_folders_join_to_the_one_that_holds_them(library: LibraryFactory, tmp_path: Path) -> None:
    folder = put(tmp_path / "photos", 1)
    part, own, hidden = put(folder / "part", 2), put(folder / "own", 3), put(folder / ".hidden", 4)
    with library.open() as opened:
        opened.add(part, part / "2.jpg", hidden)
        opened.add(own, exclude="raw/")
        opened.add(folder)
        assert set(told(opened)) == {"photos", "own", ".hidden"}
        assert opened.add().scan.new == 0
        assert opened.forget_source(own) == 1
        assert set(told(opened)) == {"photos", ".hidden"}
        with pytest.raises(QueryError, match=re.escape(f"near it: {folder}")):
            opened.forget_source(tmp_path / "photo")


def test_what_is_forgotten_is_looked_at_no_more(library: LibraryFactory, tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", 1), put(tmp_path / "two" / "deep", 2).parent
    put(two, 3)
    with library.open() as opened:
        opened.add(one, two)
        report = opened.forget(one)
        assert (report.sources, report.taken_up) == ([str(one)], None)
        report = opened.forget(two / "deep")
        assert (report.sources, report.taken_up) == ([], str(two))
        assert any("takes them up again" in note for note in report.notes)
        assert opened.add().scan.new == 1
        assert set(told(opened)) == {"two"}
        opened.forget(two / "3.jpg", two / "deep" / "2.jpg")
        assert opened.forget(two, dry_run=True).photos == 0  # a place without photos can be forgotten as well
        opened.forget(two)
        assert opened.sources() == []
