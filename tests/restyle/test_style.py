import numpy as np
import pytest

from restyle.palettes import read_palette
from restyle.protanopia import colours_of, palette_distance, visibility
from tests.restyle.pictures import flat, room

FERN = read_palette("fern")


def test_no_change_is_not_seen() -> None:
    colours = colours_of(room())
    seen = visibility(colours, colours)
    assert (seen.median_de, seen.share) == (0, 0)


def test_red_to_green_is_wasted_on_protanopes_and_yellow_to_blue_is_not() -> None:
    # The design's figures: terracotta to leaf dE 52 / 10, yellow to blue 81 / 78.
    wasted = visibility(colours_of(flat((196, 98, 64))), colours_of(flat((60, 140, 50))))
    seen = visibility(colours_of(flat((240, 220, 40))), colours_of(flat((40, 80, 200))))
    assert wasted.median_de == pytest.approx(10, abs=1.5)
    assert wasted.wasted > 0.75
    assert seen.median_de == pytest.approx(78, abs=2)
    assert seen.wasted < 0.1


def test_share_is_that_of_the_picture_that_changes() -> None:
    photo = flat((120, 120, 120), (200, 100)).copy()
    changed = photo.copy()
    changed[:, :50] = (40, 80, 200)
    assert visibility(colours_of(photo), colours_of(changed)).share == pytest.approx(0.25, abs=0.02)


def test_colours_of_the_palette_are_at_no_distance() -> None:
    assert palette_distance(colours_of(flat((85, 127, 56))), FERN.leaf, FERN.sky) < 3
    assert palette_distance(colours_of(flat((255, 0, 255))), FERN.leaf, FERN.sky) > 15


@pytest.mark.parametrize("size", [(1, 1), (1000, 2), (3000, 2000)])
def test_any_size(size: tuple[int, int]) -> None:
    colours = colours_of(np.full((size[1], size[0], 3), 90, np.uint8))
    assert max(colours.plain.shape) <= 256
    assert visibility(colours, colours).median_de == 0
