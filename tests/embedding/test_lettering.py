import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont, features

from embedding import lettering
from embedding.lettering import (
    MISSING,
    UNPRINTABLE,
    about_missing,
    fitted,
    font_of,
    line_length,
    main_font,
    missing_scripts,
    outlined,
    runs,
    system_fonts,
    write_line,
)


@pytest.fixture(autouse=True)
def no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's fonts, which differ from machine to machine, are away."""
    monkeypatch.setattr(lettering, "FOLDERS", ())
    for cached in (system_fonts, font_of):
        cached.cache_clear()
    yield
    for cached in (system_fonts, font_of):
        cached.cache_clear()


@pytest.fixture
def other_font(monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a font that is taken for one with Chinese and Japanese letters."""
    path = "/fonts/other.ttf"
    monkeypatch.setattr(lettering, "system_fonts", lambda: (path,))
    known, real = set("東京ホテル"), lettering.has_glyph

    def has(of: str, character: str) -> bool:
        return character in known if of == path else real(of, character)

    monkeypatch.setattr(lettering, "has_glyph", has)
    return path


def written(text: str, size_px: int = 20, width_px: int = 400) -> np.ndarray:
    """Return how a line looks, (h, w)."""
    picture = Image.new("RGB", (400, 40), "white")
    write_line(picture, (2, 2), text, size_px, "black", width_px)
    return np.asarray(picture.convert("L"))


EUROPEAN = ["é", "ü", "ß", "–", "“", "ø", "ő", "ž", "İ", "я", "Ж", "λ", "ά", "€", "…", "↓", "©", "ש", "م"]


@pytest.mark.parametrize("letter", EUROPEAN)
def test_a_letter_is_no_box(letter: str) -> None:
    assert runs(letter) == [(main_font(), letter)]
    assert not np.array_equal(written(letter), written(MISSING))
    assert not np.array_equal(written(letter), written("\uffff"))
    assert missing_scripts([letter]) == []


def test_the_main_font_comes_along_with_matplotlib() -> None:
    assert Path(main_font()).name == "DejaVuSans.ttf"
    assert "matplotlib" in Path(main_font()).parts


def test_without_that_font_pillows_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "find_spec", lambda name: None)
    main_font.cache_clear()
    try:
        assert main_font() == ""
        assert (written("a pool") < 128).any()
    finally:
        main_font.cache_clear()


def test_what_no_font_has_is_a_box_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs("東京 hotel") == [(main_font(), f"{MISSING}{MISSING} hotel")]
    assert runs("ที่พัก") == [(main_font(), MISSING * 3)]  # vowels and tones above are parts of their letters
    assert about_missing(["plain", "東京ホテル", "ที่พัก"]).startswith(
        f"{MISSING}: no font on this system has CJK or Katakana"
    )
    assert missing_scripts(["ที่พัก", "🏨", "👩🏽‍🚀"]) == ["Thai", "emoji"]
    assert about_missing(["Hôtel Žižkov"]) == ""


def test_a_line_is_cut_where_its_font_changes(other_font: str) -> None:
    main = main_font()
    assert runs("1. 東京 ホテル, Café") == [
        (main, "1. "),
        (other_font, "東京"),
        (main, " "),
        (other_font, "ホテル"),
        (main, ", Café"),
    ]
    assert missing_scripts(["東京"]) == []
    assert outlined("北京") == (MISSING + MISSING, [])


def test_the_systems_fonts_are_found_in_their_folders_plain_ones_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("A-Bold.ttf", "deep/B-Regular.TTF", "LastResort.otf", "readme.txt"):
        shutil.copy(main_font(), tmp_path / name)
    monkeypatch.setattr(lettering, "FOLDERS", (str(tmp_path), str(tmp_path / "none")))
    system_fonts.cache_clear()
    assert system_fonts() == (str(tmp_path / "deep/B-Regular.TTF"), str(tmp_path / "A-Bold.ttf"))


def test_a_file_that_is_no_font_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(lettering, "system_fonts", lambda: (str(tmp_path / "broken.ttf"),))
    assert runs("東") == [(main_font(), MISSING)]


def test_accents_look_the_same_however_they_are_put_together() -> None:
    assert np.array_equal(written("Cafe\u0301 u\u0308"), written("Café ü"))


def test_what_cannot_be_printed_is_shown_as_such() -> None:
    assert runs("a\x07b\u202ec")[0][1] == f"a{UNPRINTABLE}b{UNPRINTABLE}c"
    assert fitted("a\n pool\u2028view\t", 20, 400) == "a pool view"
    assert fitted("a\udc80b\u202ec\x1b", 20, 400) == r"a\x80b\u202ec\x1b"


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow has no raqm, which turns letters around")
def test_a_line_runs_from_left_to_right_and_the_letters_in_it_as_they_do() -> None:
    line, hebrew = written("1.  0.7  שלום"), written("שלום")
    assert np.array_equal(line[:, 2:20], written("1.")[:, 2:20])  # the rank stays in front
    assert not np.array_equal(hebrew, written("םולש"))


def test_a_line_is_measured_a_few_times_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def counting(text: str, size_px: int) -> float:
        measured.append(len(text))
        return line_length(text, size_px)

    monkeypatch.setattr(lettering, "line_length", counting)
    for text in ("wide " * 20_000, "i" * 100_000, "я" * 100_000, "東" * 100_000):
        measured.clear()
        fitted(text, 24, 700)
        assert len(measured) < 20
        assert max(measured) < 3000


def test_a_line_that_is_too_wide_is_shortened() -> None:
    line = fitted("wide " * 50, 20, 200)
    assert line.startswith("wide wide")
    assert line.endswith("…")
    assert line_length(line, 20) <= 200 < line_length(f"{line[:-1]}wide", 20)
    assert [fitted(text, 20, 200) for text in ("short", "")] == ["short", ""]
    assert (written("wide " * 50, width_px=100)[:, 110:] == 255).all()


def test_a_font_of_pictures_is_brought_to_size(other_font: str, monkeypatch: pytest.MonkeyPatch) -> None:
    large, real = ImageFont.truetype(main_font(), 109), lettering.font_at
    monkeypatch.setattr(lettering, "font_at", lambda path, *args: large if path == other_font else real(path, *args))
    assert line_length("東京", 20) == pytest.approx(large.getlength("東京") * 20 / 109)
    dark = np.argwhere(written("東京") < 128)
    assert len(dark) > 50
    assert dark[:, 0].max() < 30  # no higher than a line of 20 pixels
    assert outlined("a 東京")[0] == f"a {MISSING}"
