import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

from embedding.colour import encoded, linear_of
from restyle.palettes import read_palette
from restyle.protanopia import colours_of, palette_distance, seen, seen_lab, seen_linear, visibility
from tests.restyle.pictures import flat, room

FERN = read_palette("fern")

# What protanopes see, of the design's table: leaf as ochre, peach as khaki, red as dark olive.
KNOWN = {
    (60, 140, 50): (151, 131, 48),
    (255, 203, 164): (222, 207, 164),
    (255, 0, 0): (106, 90, 13),
}
levels = st.tuples(*[st.integers(0, 255)] * 3)


def all_colours(step: int = 15) -> np.ndarray:
    """Return a grid of colours as a picture, (n, n * n, 3)."""
    axis = np.arange(0, 256, step, dtype=np.uint8)
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(len(axis), -1, 3)


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(deltaE_ciede2000(rgb2lab(one), rgb2lab(other)))


@pytest.mark.parametrize(("colour", "expected"), KNOWN.items())
def test_known_colours_are_seen_as_known(colour: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    assert np.abs(seen(np.array([[colour]], np.uint8))[0, 0].astype(int) - expected).max() <= 1


def test_it_is_the_simulation_of_daltonlens() -> None:
    from daltonlens import simulate

    colours = all_colours()
    reference = simulate.Simulator_Brettel1997().simulate_cvd(colours, simulate.Deficiency.PROTAN, severity=1.0)
    difference = seen(colours).astype(int) - reference
    assert set(np.unique(difference)) <= {0, 1}  # daltonlens cuts decimals off, this rounds


@pytest.mark.filterwarnings("ignore::colour.utilities.ColourUsageWarning")
def test_machado_2009_sees_nearly_the_same() -> None:
    from colour.blindness import matrix_cvd_Machado2009

    colours = all_colours()
    linear = (linear_of(colours) @ np.asarray(matrix_cvd_Machado2009("Protanomaly", 1.0), np.float32).T).astype(
        np.float32
    )
    machado = (encoded(linear) * 255 + 0.5).astype(np.uint8)
    differences = distance(seen(colours), machado)
    assert differences.mean() < 4  # 2.6 over random colours (design/restyle.md); a grid has more extremes
    assert differences.mean() < distance(colours, machado).mean() / 4


@given(levels)
def test_greys_stay_and_what_is_seen_is_seen_the_same(colour: tuple[int, int, int]) -> None:
    grey = np.full((1, 1, 3), colour[0], np.uint8)
    assert np.abs(seen(grey).astype(int) - grey).max() <= 1
    once = seen_linear(linear_of(np.array([[colour]], np.uint8)))
    assert np.abs(seen_linear(once) - once).max() < 1e-4  # a projection, before what sRGB cannot show is cut off


def test_red_and_green_collapse_and_yellow_and_blue_do_not() -> None:
    red, leaf, yellow, blue = (
        np.array([[c]], np.uint8) for c in ((255, 0, 0), (60, 140, 50), (240, 220, 40), (40, 80, 200))
    )
    assert distance(seen(red), seen(leaf)) < distance(red, leaf) / 3
    assert distance(seen(yellow), seen(blue)) > 0.9 * distance(yellow, blue)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 70_000, 3), (2, 5, 3)])
def test_any_shape_is_kept(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    view = seen(pixels)
    assert (view.shape, view.dtype) == (shape, np.uint8)
    assert np.array_equal(seen(pixels[:, ::-1]), view[:, ::-1])  # strides do not matter


def test_lab_of_what_is_seen_is_that_of_the_picture() -> None:
    colours = all_colours(51)
    assert np.abs(seen_lab(colours) - rgb2lab(seen(colours))).max() < 1.5  # rounding to 255 levels


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
