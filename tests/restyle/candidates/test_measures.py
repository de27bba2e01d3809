import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from embedding.colour import encoded, linear_of_lab, within
from embedding.quality import small_copy
from restyle.candidates.measures import Measures, entropy_bits, measure
from restyle.palettes import read_palette
from tests.restyle.pictures import flat, room, texture

PALETTE = read_palette("fern")
PEACH, PINK, RED = (255, 203, 164), (240, 150, 160), (200, 40, 40)
KHAKI, BLUE, GREY = (222, 207, 164), (60, 110, 190), (130, 130, 130)


def measured(pixels: np.ndarray) -> Measures:
    return measure(pixels, PALETTE)


def test_noise_is_detailed_and_a_wall_is_minimal() -> None:
    noisy, plain, between = measured(texture(1)), measured(flat(GREY, (320, 240))), measured(room(1))
    assert noisy.detail > between.detail > plain.detail == 0
    assert plain.minimalism > between.minimalism > noisy.minimalism
    assert (plain.edge_density, plain.flat, plain.colours) == (0, 1, 1)
    assert noisy.edge_density > 0.15
    assert noisy.entropy_bits > 4.5


@pytest.mark.parametrize("colour", [PEACH, PINK, RED])
def test_peach_pink_and_red_are_opposed_to_a_green_world(colour: tuple[int, int, int]) -> None:
    assert measured(flat(colour)).warm == 1
    assert measured(flat(colour)).opposition > 0
    for other in (KHAKI, BLUE, GREY, (70, 140, 50), (250, 250, 240)):
        assert measured(flat(other)).opposition == 0


def test_a_peach_wall_counts_by_its_share() -> None:
    half = np.concatenate([flat(PEACH, (160, 240)), flat(BLUE, (160, 240))], axis=1)
    assert measured(half).warm == pytest.approx(0.5, abs=0.01)


def test_the_palettes_own_colours_lie_near_it_and_a_peach_wall_does_not() -> None:
    colours = np.concatenate([PALETTE.leaf.lab, PALETTE.sky.lab])
    alien = np.round(encoded(linear_of_lab(colours)) * 255).astype(np.uint8)[:, None]
    assert measured(alien.repeat(20, axis=0).repeat(240, axis=1)).palette_distance < 3
    assert measured(flat(PINK)).palette_distance > 2 * 3


def test_a_blurred_photo_is_told_from_a_sharp_one_with_as_few_edges() -> None:
    sharp = room(3)
    blurred = gaussian_filter(sharp.astype(float), (1.3, 1.3, 0)).astype(np.uint8)
    assert measured(sharp).sharpness > 1.5
    assert measured(blurred).sharpness < 1.2


def test_exposure_is_measured() -> None:
    night = (room(2) * 0.1).astype(np.uint8)
    assert measured(night).dark > 0.9
    assert measured(night).lightness < 12
    assert measured(flat((255, 255, 255))).white == 1
    assert measured(flat(GREY)).contrast < 1


def test_large_photos_are_measured_as_small_ones_are() -> None:
    large = room(4, (1280, 960))
    small = within(large, 320)
    assert measured(small) == measured(large)
    smaller = measured(within(large, 640)[::2, ::2])
    assert smaller.edge_density == pytest.approx(measured(small).edge_density, abs=0.02)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (3, 3)])
def test_photos_of_a_few_pixels_are_measured_too(size: tuple[int, int]) -> None:
    found = measured(flat(PEACH, size))
    assert np.isfinite([found.edge_density, found.entropy_bits, found.sharpness, found.palette_distance]).all()
    assert found.warm == 1


def test_entropy_is_shannons() -> None:
    assert entropy_bits(np.array([5, 5, 0, 5, 5])) == 2
    assert entropy_bits(np.array([0, 7])) == 0


def test_thumbnails_correlate_with_the_same_shot_in_other_colours_and_sizes() -> None:
    picture = room(5)
    assert small_copy(picture) @ small_copy((picture * 0.7).astype(np.uint8)) > 0.99
    assert small_copy(picture) @ small_copy(picture[::2, ::2]) > 0.98
    assert small_copy(picture) @ small_copy(room(6)) < 0.9
    assert small_copy(picture) @ small_copy(picture) == pytest.approx(1)
    assert not small_copy(flat(PEACH)).any()
