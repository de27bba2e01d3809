"""Suggested galleries, and the files and pages of hotels that show them."""

import csv
import io
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow.parquet
import pytest
from PIL import Image

from aliens.library import Library
from base.console import HIDDEN
from base.errors import OutputError, QueryError
from base.progress import Step
from search.gallery import DOUBTED, ROOMS, Rooms
from tests.conftest import FakeEncoder, LibraryFactory, stopping_at
from tests.page import pictures_of, read_page
from tests.restyle.pictures import room
from tests.search.test_hotels import EVIL, put_into_hotels

ENDINGS = ("csv", "tsv", "jsonl", "json", "parquet")


@pytest.fixture
def hotels(library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Hotel 1: six rooms, a copy of the first in other bytes, one dark, one small, one cut short. Hotel 2: one room."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        Image.fromarray(room(number)).save(folder / f"{number}.png")
    Image.fromarray(room(0)).save(folder / "6-copy.jpg", quality=95)
    Image.fromarray((room(7) * 0.05).astype(np.uint8)).save(folder / "7-dark.png")
    Image.fromarray(room(8)[:100, :120]).save(folder / "8-small.png")
    Image.fromarray(room(9)).save(folder / "9-lost.png")
    Image.fromarray(room(10)).save(folder / "=other.png")
    library.add(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "search.gallery.UNWANTED_FROM", 2.0
    )  # the fake encoder takes one thing for another as chance has it
    with library.open() as opened:
        with opened.catalog.session() as session:
            from db.models import Photo

            ids = {Path(photo.path).name: photo.id for photo in session.query(Photo)}
        put_into_hotels(opened, {1: EVIL, 2: "=1+1"}, {i: 2 if name[0] == "=" else 1 for name, i in ids.items()})
        opened.tag()
        opened.label(ids["0.png"], "a pool")
        opened.label(ids["=other.png"], "a tv")
        (folder / "9-lost.png").write_bytes((folder / "9-lost.png").read_bytes()[:300])
        yield opened


def test_a_gallery_has_the_fit_photos_once_each_and_says_what_it_passed_over(hotels: Library) -> None:
    steps: list[Step] = []
    gallery = hotels.gallery(1, progress=steps.append)
    names = sorted(Path(photo.path).name for photo in gallery)
    assert len(names) == 6 and names[1:] == [f"{n}.png" for n in range(1, 6)]
    assert names[0] in ("0.png", "6-copy.jpg")
    assert [photo.rank for photo in gallery] == list(range(1, 7))
    assert (gallery.photos, gallery.opened) == (10, 10)
    passed = next(note for note in gallery.notes if note.startswith("passed over"))
    for part in ("1 too dark", "1 too small", "1 unreadable", "1 near copy"):
        assert part in passed
    assert "only 6 of 12: the hotel has no more photos that are fit" in gallery.notes
    assert (steps[-1].done, steps[-1].total) == (10, 10)
    assert list(hotels.gallery(1)) == list(gallery)
    assert [photo.photo_id for photo in hotels.gallery(1, n=2)] == [photo.photo_id for photo in gallery[:2]]


def test_one_photo_of_each_room_goes_before_a_second(hotels: Library) -> None:
    gallery = hotels.gallery(1)
    sure = [photo.room for photo in gallery if not photo.why.startswith("perhaps")]
    first = sure[: len(set(sure))]
    assert len(set(first)) == len(first) and first == sorted(first, key=list(ROOMS).index)
    assert all(photo.why for photo in gallery)


def test_rooms_are_shares_and_unsure_ones_count_for_none(starter: FakeEncoder) -> None:
    sample = np.random.default_rng(1).normal(size=(50, starter.dim)).astype(np.float32)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    rooms = Rooms(starter, sample)
    shares = rooms.shares(sample)
    assert shares.shape == (50, len(ROOMS)) and np.allclose(shares.sum(axis=1), 1, atol=1e-4)
    assert ((rooms.shown(sample) < 0) == (shares.max(axis=1) < DOUBTED)).all()
    shown = rooms.shown(starter.encode_texts([texts[0] for texts in ROOMS.values()]))
    assert shown.tolist() == list(range(len(ROOMS)))


def test_galleries_are_copied_and_drawn(hotels: Library, tmp_path: Path) -> None:
    gallery = hotels.gallery(1, n=3)
    copies = gallery.copy_to(tmp_path / "to" / "here")
    assert [copy.read_bytes() for copy in copies.files] == [Path(photo.path).read_bytes() for photo in gallery]
    assert re.fullmatch(r"01_[a-z ]+_\d+\.(png|jpg)", copies.files[0].name)
    gallery.write_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 640
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be"):
        gallery.copy_to(tmp_path / "file")


def read_rows(path: Path) -> list[dict[str, object]]:
    """Return a written table's rows, what is empty as None."""
    match path.suffix:
        case ".csv" | ".tsv":
            delimiter = "," if path.suffix == ".csv" else "\t"
            return [
                {name: cell or None for name, cell in row.items()}
                for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), delimiter=delimiter)
            ]
        case ".xlsx":
            head, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
            return [dict(zip(head, row, strict=True)) for row in rows]
        case ".jsonl":
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        case ".json":
            found: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
            return found
    rows_of: list[dict[str, object]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows_of


def test_every_table_says_the_same(hotels: Library, tmp_path: Path) -> None:
    for ending in ENDINGS:
        path, with_galleries = tmp_path / f"hotels.{ending}", ending in ("csv", "json")
        manifest = hotels.export_hotels(path, gallery=2 if with_galleries else None)
        other, evil = sorted(read_rows(path), key=lambda row: -int(str(row["hotel_id"])))
        assert (evil["a pool"], evil["a tv"], other["a pool"], other["a tv"]) == ("yes", None, None, "yes"), ending
        assert Path(str(evil["photo(a pool)"])).name == "0.png"
        assert float(str(evil["share(a pool)"])) == pytest.approx(0.1)
        assert evil["hotel_name"] == EVIL
        assert other["hotel_name"] == ("'=1+1" if ending in ("csv", "tsv") else "=1+1")  # no spreadsheet computes it
        assert ("gallery" in evil) == with_galleries
        kept = json.loads(path.with_name(path.name + ".manifest.json").read_text(encoding="utf-8"))
        assert (kept["hotels"], kept["photos"], kept["tags"]["a pool"]) == (2, 11, {"yes": 1, "maybe": 0})
        assert kept["bar"] == pytest.approx(0.4)
        assert kept["sha256"] == sha256(path.read_bytes()).hexdigest()
        assert str(manifest).startswith("2 hotels, 0.0 MB, case-study-")


def test_a_workbook_holds_names_as_texts_and_no_control_characters(hotels: Library, tmp_path: Path) -> None:
    path = tmp_path / "hotels.xlsx"
    with pytest.raises(QueryError, match=r"row 2: .*control character.*\.csv"):
        hotels.export_hotels(path)
    put_into_hotels(hotels, {1: "<b>ホテル</b>"}, dict.fromkeys(range(1, 11), 1) | {11: 2})
    hotels.export_hotels(path)
    rows = {row["hotel_id"]: row for row in read_rows(path)}
    assert (rows[1]["hotel_name"], rows[2]["hotel_name"]) == ("<b>ホテル</b>", "=1+1")
    assert (rows[1]["a pool"], rows[2]["a tv"], rows[2]["a pool"]) == ("yes", "yes", None)


def test_what_the_model_cannot_tell_is_unknown_and_not_missing(
    hotels: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.tags.calibration import Calibration

    monkeypatch.setattr(Calibration, "muted", np.arange(15) < 2)  # a pool, a king-size bed
    table = hotels.hotels()
    assert [name for name, mute in zip(table.names, table.untold, strict=True) if mute] == table.names[:2]
    assert any("the model cannot tell a pool, a king-size bed" in note for note in table.notes)
    assert not {"a pool", "a king-size bed"} & {tag for hotel in table for tag in hotel.missing}
    hotels.export_hotels(tmp_path / "hotels.jsonl")
    grades = {row["hotel_id"]: (row["a pool"], row["a king-size bed"]) for row in read_rows(tmp_path / "hotels.jsonl")}
    assert grades == {1: ("yes", "unknown"), 2: ("unknown", "unknown")}  # a person has seen the pool


def test_a_page_shows_every_hotel_and_asks_nothing_of_the_network(hotels: Library, tmp_path: Path) -> None:
    hotels.export_hotels(tmp_path / "hotels.html")
    source = (tmp_path / "hotels.html").read_text(encoding="utf-8")
    page = read_page(source)
    assert page.problems == []
    assert all(address.startswith(("data:", "#hotel-")) for address in page.addresses)
    assert "://" not in source and "url(" not in source and "<script>alert" not in source
    assert not HIDDEN.search(source.replace("\n", ""))
    assert r"<script>alert(1)</script>\x1b[31m \u202e ホテル 東京" in page.text and "=1+1" in page.text
    pictures = pictures_of(page)
    assert len(pictures) == len({alt for alt, _ in pictures})
    of_galleries = [alt for alt, _ in pictures if re.search(r"photo \d+: \d+\. ", alt)]
    assert len(of_galleries) == 7  # of six, and of one; others show tags
    assert max(max(picture.size) for _, picture in pictures) <= 280
    assert source.count('loading="lazy"') == len(pictures)
    assert "a pool: sure, 1 photo" in page.text and "no photo of:" in page.text


def test_what_rooms_are_told_by_is_encoded_once(
    hotels: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = FakeEncoder.encode_texts
    monkeypatch.setattr(FakeEncoder, "encode_texts", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    hotels.export_hotels(tmp_path / "hotels.jsonl", gallery=2)
    assert [encoded.count(text) for text in ("a hotel facade", "furniture", "a logo", "a human face")] == [1, 1, 1, 1]


def test_best_photos_that_cannot_be_read_are_told_of(hotels: Library, tmp_path: Path) -> None:
    with hotels.catalog.session() as session:
        from db.models import Photo

        lost = next(photo for photo in session.query(Photo) if photo.path.endswith("9-lost.png"))
        photo_id = lost.id
    hotels.label(photo_id, "a kitchen")
    hotels.export_hotels(tmp_path / "hotels.html", name=1)
    text = read_page((tmp_path / "hotels.html").read_text(encoding="utf-8")).text
    assert "not shown: " in text and "a kitchen: sure" in text


def test_pages_and_files_that_cannot_be_are_refused_before_anything_is_opened(
    hotels: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.hotel_pages.MOST_ON_PAGE", 1)
    hotels.export_hotels(tmp_path / "one.html", query="a room hotel:=1", k=1, gallery=1)
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("hotels.html", {}, r"a page of 2 hotels is more than a browser opens .*--hotel"),
        ("hotels.pdf", {}, "does not say in what format"),
        ("hotels.csv", {"format": "pdf"}, "no format 'pdf'"),
        ("", {"format": "csv"}, "is a folder"),
        ("hotels.csv", {"k": 3}, r"-n \(or -k\) is for queries"),
        ("hotels.csv", {"name": "x", "query": "a pool"}, "a name and a query"),
    ]
    for name, options, said in refused:
        with pytest.raises(QueryError, match=said):
            hotels.export_hotels(tmp_path / name, **options)
    assert sorted(path.name for path in tmp_path.glob("hotels*")) == []


def test_an_export_that_is_stopped_leaves_what_was_there(hotels: Library, tmp_path: Path) -> None:
    path = tmp_path / "hotels.csv"
    hotels.export_hotels(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        hotels.export_hotels(path, missing=["a pool"], progress=stopping_at("exporting"))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.glob("*hotels.csv*")) == ["hotels.csv", "hotels.csv.manifest.json"]
