"""`aliens see`, as the shell runs it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restyle.protanopia import LEAST_PX, seen, side_by_side
from tests.commands.conftest import Aliens
from tests.conftest import raising
from tests.restyle.pictures import flat, room

PEACH, LEAF = (255, 203, 164), (60, 140, 50)


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(room(1)).save(tmp_path / "room.png")
    return tmp_path / "room.png"


def test_a_photo_beside_what_a_protanope_sees(aliens: Aliens, photo: Path) -> None:
    code, out, err = aliens("see", photo, "-o", "seen/room.png")
    assert (code, out, err) == (0, "", "picture: seen/room.png\n")
    with Image.open("seen/room.png") as picture:
        page = np.asarray(picture.convert("RGB"))
    pixels = room(1)
    for expected in (pixels, seen(pixels)):
        assert holds(page, expected)


def holds(page: np.ndarray, part: np.ndarray) -> bool:
    """Tell whether a picture holds another, pixel by pixel."""
    height, width = part.shape[:2]
    rows, columns = np.nonzero((page[: 1 - height or None, : 1 - width or None] == part[0, 0]).all(axis=-1))
    return any(
        np.array_equal(page[row : row + height, column : column + width], part)
        for row, column in zip(rows, columns, strict=True)
    )


def test_a_photo_of_the_library_by_its_number(aliens: Aliens, filled: Path) -> None:
    assert aliens("see", 3, "-o", "by-number.png")[0] == 0
    assert aliens("see", filled / "02.jpg", "-o", "by-name.png")[0] == 0
    assert Path("by-number.png").read_bytes() == Path("by-name.png").read_bytes()


def test_a_number_is_a_photo_of_the_library_and_a_file_of_that_name_has_a_folder(
    aliens: Aliens, filled: Path, photo: Path
) -> None:
    photo.rename("3")
    aliens("see", "3", "-o", "number.png")
    aliens("see", "./3", "-o", "file.png")
    assert size_of("number.png")[0] < 600 < size_of("file.png")[0]  # the room is 320 px wide, the photos are 96


def test_what_a_protanope_sees_of_a_change(aliens: Aliens, photo: Path) -> None:
    Image.fromarray(flat(PEACH)).save("peach.png")
    Image.fromarray(flat(LEAF)).save("leaf.png")
    (measured,) = aliens.records("see", "peach.png", "--against", "leaf.png", "-o", "both.png")
    assert measured["median_de"] > 20
    assert measured["share"] == 1
    assert 0 < measured["wasted"] < 1
    words = aliens("see", "peach.png", "--against", "leaf.png", "-o", "both.png", "--explain")[1]
    assert words.startswith(f"visitors notice the change on 100 % of the picture; {100 * measured['wasted']:.0f} % of")
    assert f"median change of {measured['median_de']:.1f} dE2000" in words
    unchanged = aliens("see", photo, "--against", photo, "-o", "same.png")[1]
    assert unchanged == "visitors notice the change on 0 % of the picture; 0 % of it is lost on their eyes\n"
    assert size_of("both.png")[1] > size_of("peach.png")[1]


def test_a_changed_photo_of_another_size_is_shown_at_the_photos(aliens: Aliens, photo: Path) -> None:
    Image.fromarray(room(1)).resize((90, 70)).save("small.png")
    assert aliens("see", photo, "--against", "small.png", "-o", "both.png")[0] == 0
    assert size_of("both.png")[0] == side_by_side(room(1)).width


@pytest.mark.parametrize("size", [(1, 1), (30, 20), (320, 240), (240, 320), (1024, 15), (15, 1024), (640, 300)])
def test_pictures_of_any_shape_are_shown_large_enough_and_no_larger(size: tuple[int, int]) -> None:
    pixels = flat(PEACH, size)
    picture, both = side_by_side(pixels), side_by_side(pixels, pixels)
    assert all(LEAST_PX <= each.width <= 2 * max(size[0], LEAST_PX) + 100 for each in (picture, both))
    assert picture.height <= 2 * (max(size[1], LEAST_PX) + 80)
    page = np.asarray(picture).reshape(-1, 3)
    shown = {(page == colour).all(axis=1).sum() for colour in (PEACH, seen(pixels)[0, 0])}
    assert len(shown) == 1  # both as large
    assert min(shown) >= size[0] * size[1]


def test_the_longer_side_is_what_was_asked_for(aliens: Aliens, photo: Path) -> None:
    for longest_px in (300, 250):
        aliens("see", photo, "-o", f"{longest_px}.png", "--longest-px", longest_px)
    assert size_of("300.png")[0] - size_of("250.png")[0] >= 100


def test_the_photo_itself_is_never_overwritten(aliens: Aliens, filled: Path, photo: Path) -> None:
    before = photo.read_bytes()
    os.symlink(photo, "link.png")
    for arguments in ([photo, "-o", "room.png"], ["room.png", "-o", "link.png"], [3, "-o", filled / "02.jpg"]):
        assert "is the photo itself" in aliens.fails(2, "see", *arguments)
    assert aliens("see", filled / "01.jpg", "--against", photo, "-o", photo)[0] == 2
    assert photo.read_bytes() == before


def test_a_file_that_may_not_be_read_is_named(aliens: Aliens, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.files.PhotoFile.read", raising(PermissionError(13, "Permission denied")))
    assert "room.png cannot be read: Permission denied" in aliens.fails(2, "see", photo, "-o", "x.png")
