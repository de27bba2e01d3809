from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.console import HIDDEN
from base.errors import OutputError, QueryError
from base.files import PhotoFile
from embedding.lettering import about_missing, font_of
from embedding.sheet import Cell, Photos, Section, SheetPlan, gallery_html, thumbnail, write_picture, write_sheet
from search.results import Explanation, Hit, Results, hit_cells
from tests.conftest import fill_folder, photo_bytes, raising
from tests.embedding.conftest import smooth
from tests.icc import in_space, rgb_profile


def hit(path: Path, photo_id: int = 7, **changes: object) -> Hit:
    columns = {
        "photo_id": photo_id,
        "image_id": None,
        "path": str(path),
        "member": "",
        "hotel_id": None,
        "hotel_name": None,
        "chain_id": None,
        "chain_name": None,
        "score": 0.7071,
    }
    return Hit(**(columns | changes))  # type: ignore[arg-type]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(photo_bytes(1))
    return tmp_path / "a.jpg"


def contact_sheet(photos: Photos, title: str, note: str = "") -> Image.Image:
    return SheetPlan(photos, title, note).draw()


def test_a_sheet_shows_every_photo(tmp_path: Path) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250), (250, 0, 250)]
    hits = []
    for number, colour in enumerate(colours):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (30, 20), colour).resize((300, 200)).save(path)
        hits.append(hit(path, number))
    sheet = np.asarray(contact_sheet(hit_cells(hits), "colours"))
    for colour in colours:
        assert (np.abs(sheet.astype(int) - colour).max(axis=2) < 12).sum() > 300 * 190


def test_captions_name_rank_score_hotel_and_file(tmp_path: Path) -> None:
    shown = [hit(tmp_path / "a b.jpg", hotel_id=5, hotel_name="Casa Coral"), hit(tmp_path / "x.tar", member="in/a.jpg")]
    named, alone = hit_cells([*shown[:1], replace(shown[1], hotel_id=5)], first_rank=3)
    assert named.lines == ("3.  0.707  Casa Coral", "photo 7  a b.jpg")
    assert alone.lines == ("4.  0.707  hotel 5", "photo 7  a.jpg")
    (of_no_hotel,) = hit_cells(shown[1:])
    assert of_no_hotel.lines[0] == f"1.  0.707  {tmp_path.name}"


def test_a_photo_that_is_gone_or_broken_leaves_its_place_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    sheet = contact_sheet(hit_cells([hit(tmp_path / "gone.jpg"), hit(tmp_path / "text.jpg")]), "broken")
    assert sheet.width > 600


def test_a_photo_with_a_wide_profile_is_shown_in_its_colours(tmp_path: Path) -> None:
    truth = smooth(300, 220)
    for name, picture, options in (
        ("plain.png", truth, {}),
        ("wide.png", in_space(truth, "prophoto"), {"icc_profile": rgb_profile("prophoto")}),
    ):
        picture.save(tmp_path / name, **options)
    plain, wide = (
        np.asarray(thumbnail(PhotoFile(str(tmp_path / name)))).astype(int) for name in ("plain.png", "wide.png")
    )
    assert np.abs(plain - wide).mean() < 1


def test_long_and_foreign_titles_fit(photo: Path) -> None:
    sheet = contact_sheet(hit_cells([hit(photo, hotel_name="Отель «Приморский» " * 9)]), "海の見える風呂 " * 40)
    right_edge = np.asarray(sheet)[:50, -10:]
    assert (right_edge == right_edge[0, 0]).all()


def test_titles_of_several_lines_stand_on_one(photo: Path) -> None:
    hits = [hit(photo, hotel_name="Casa\nCoral")]
    one, several = (
        np.asarray(contact_sheet(hit_cells(hits), title, title)) for title in ("a pool view", "a\n pool\u2028view\t")
    )
    assert (one == several).all()


def test_letters_that_no_font_has_are_told_of_below_the_title(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding.lettering.system_fonts", lambda: ())
    font_of.cache_clear()
    cells = [hit_cells([hit(photo, hotel_name=name)]) for name in ("Café", "Hôtel Žižkov", "東京")]
    plain, accents, unknown = (contact_sheet(of, "t") for of in cells)
    assert plain.height == accents.height < unknown.height
    said = contact_sheet(cells[0], "t", about_missing(["東京"]))
    assert (np.asarray(said)[:88] == np.asarray(unknown)[:88]).all()
    font_of.cache_clear()


@pytest.mark.parametrize(
    ("count", "name", "message"),
    [
        (
            1_200,
            "s.jpg",
            r"would be 67\d\d\d px high, but a \.jpg .* at most 65500 px: ask for at most 1165 photos, or end",
        ),
        (300, "s.webp", r"at most 16383 px: ask for at most 290 photos, or end its name in \.png"),
        (5_000, "s.png", r"would be 2\d\d\d\d\d px high, .* ask for at most 2\d\d\d photos$"),
        (5_000, "s.jpg", r"ask for at most 1165 photos$"),
    ],
)
def test_a_sheet_that_its_format_cannot_hold_is_refused_before_a_photo_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, name: str, message: str
) -> None:
    monkeypatch.setattr("embedding.sheet.thumbnail", raising(AssertionError("a photo was opened")))
    cells = hit_cells(hit(tmp_path / f"{number}.jpg", number) for number in range(count))
    with pytest.raises(QueryError, match=message):
        write_sheet(cells, "many", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_as_many_photos_as_are_named_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding.sheet.MOST_PIXELS", 2_000_000)
    cells = hit_cells(hit(tmp_path / f"{number}.jpg", number) for number in range(40))
    with pytest.raises(QueryError, match="ask for at most ") as refused:
        write_sheet(cells, "many", tmp_path / "s.jpg", note="a note")
    fit = int(str(refused.value).partition("at most ")[2].partition("at most ")[2].split()[0])
    assert 0 < fit < 40
    write_sheet(cells[:fit], "many", tmp_path / "s.jpg", note="a note")
    with pytest.raises(QueryError, match=f"ask for at most {fit} photos"):
        write_sheet(cells[: fit + 1], "many", tmp_path / "s.jpg", note="a note")


def test_a_picture_that_its_format_cannot_hold_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    picture = Image.new("L", (3, 70_000))
    for name in ("a.jpg", "a.webp", "a.gif"):
        with pytest.raises(QueryError, match=r"is 3 x 70000 px, more than a \.\w+ can be .*: end its name in \.png"):
            write_picture(picture, tmp_path / name)
    write_picture(picture, tmp_path / "a.png")


@pytest.mark.parametrize("name", ["sheet.jpg", "new folder/sheet.png", "sheet.webp"])
def test_written_in_the_format_of_its_name(photo: Path, tmp_path: Path, name: str) -> None:
    write_sheet(hit_cells([hit(photo)]), "one", tmp_path / name)
    with Image.open(tmp_path / name) as sheet:
        assert sheet.width >= 640


@pytest.mark.parametrize("name", ["sheet", "sheet.txt", "sheet.docx"])
def test_a_name_that_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(QueryError, match=r"end its name in \.jpg"):
        write_sheet([], "none", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_sheet([], "none", tmp_path / "file" / "sheet.jpg")


def test_a_line_parts_what_is_below_the_stop_line_and_a_note_stands_below_the_title(tmp_path: Path) -> None:
    fill_folder(tmp_path, range(3))
    hits = [hit(tmp_path / f"{n}.jpg", n, score=0.9 - n / 10, above_line=n < 2) for n in range(3)]
    explanation = Explanation(
        query="", filters="", selected=None, photos=3, engine="", reason="", rows=3, read_bytes=0, recall=None,
        note="", times_ms={},
    )  # fmt: skip
    results = Results(hits, 0.75, explanation)
    above, below = results.sections()
    assert [cell.lines[1] for cell in above.cells] == ["photo 0  0.jpg", "photo 1  1.jpg"]
    assert [cell.lines[0][:2] for cell in below.cells] == ["3."]
    assert (above.heading, "0.750" in below.heading) == ("", True)
    for plain in (hits[:2], hits[::-1]):  # nothing below the line; another order than by score
        assert Results(plain, 0.75, explanation).sections() == [Section("", hit_cells(plain))]
    (alone,) = Results(hits[2:], 0.75, explanation).sections()
    assert "0.750" in alone.heading
    whole, noted = contact_sheet(hit_cells(hits), "t"), contact_sheet([above, below], "t", "note")
    assert noted.height > whole.height
    results.write_sheet(tmp_path / "sheet.png", "t")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == noted.size


def test_hits_show_in_a_notebook_as_pictures_with_their_lines_escaped(photo: Path) -> None:
    html = gallery_html(hit_cells([hit(photo, hotel_name="<Fish & Chips>\u202e")] * 70), "<pool>\x1b", "\u202e")
    assert html.count('src="data:image/jpeg;base64,') == 60
    assert "... and 10 more" in html
    assert "&lt;Fish &amp; Chips&gt;" in html
    assert "&lt;pool&gt;" in html
    assert "<Fish" not in html
    assert not HIDDEN.search(html)
    assert html.count(r"\u202e") == 2 * 60 + 1


def test_no_hits_give_an_empty_sheet(tmp_path: Path) -> None:
    write_sheet([], "nothing found", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0


def test_cells_have_lines_of_their_own_and_every_line_takes_room(photo: Path) -> None:
    file = hit(photo).file
    sheets = [contact_sheet([Cell(file, lines)], "t") for lines in (("one",), ("one", "two", "three"))]
    assert sheets[1].height > sheets[0].height
    below = np.asarray(sheets[1])[sheets[0].height - 20 :]
    assert (below < 200).any()  # what the third line says
    mixed = contact_sheet([Section("hits", hit_cells([hit(photo)])), Section("cells", [Cell(file, ("x",))])], "t")
    assert mixed.height > 2 * 220
