"""Laws of structure: a photo equals itself, a shift is measured as it is, new colours change little, damage much."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from embedding.colour import Pixels, encoded, lab_of, linear_of_lab
from restyle.structure import (
    Likeness,
    compare,
    edge_f1,
    hog_of,
    lightness_of,
    moved_by,
    registered,
    structure_of,
    thick,
)

SAME = Likeness(hog=pytest.approx(1, abs=1e-5), edge_f1=1, shift=0)


def noise(seed: int, size: tuple[int, int] = (160, 120)) -> Pixels:
    """Return a picture of smooth noise of a size, (width, height)."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC))


def read(path: Path) -> Pixels:
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB"))


def likeness_of(a: Pixels, b: Pixels) -> Likeness:
    return compare(structure_of(a), structure_of(b))


@pytest.fixture(scope="module")
def rooms(samples: Path) -> list[Pixels]:
    """Every 20th sample photo."""
    return [read(path) for path in sorted(samples.glob("images/**/*.jpg"))[::20]]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 300), st.integers(1, 300))
def test_a_photo_of_any_size_equals_itself(seed: int, width: int, height: int) -> None:
    pixels = noise(seed, (width, height))
    assert likeness_of(pixels, pixels.copy()) == SAME


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_likeness_is_symmetric(seed: int, other: int) -> None:
    a, b = structure_of(noise(seed)), structure_of(noise(other))
    there, back = compare(a, b), compare(b, a)
    assert there.hog == pytest.approx(back.hog, abs=1e-6)
    assert there.edge_f1 == pytest.approx(back.edge_f1)
    assert -1.001 <= there.hog <= 1.001
    assert 0 <= there.edge_f1 <= 1


@settings(max_examples=30)
@given(st.integers(0, 11), st.integers(-30, 30), st.integers(-30, 30))
def test_a_shift_is_measured_as_it_was_made(rooms: list[Pixels], number: int, down_px: int, right_px: int) -> None:
    photo = rooms[number]
    measured = likeness_of(photo, moved_by(photo, down_px, right_px)).shift
    assert measured == pytest.approx(np.hypot(down_px, right_px) / max(photo.shape), abs=0.005)


def test_shifts_of_panoramas_are_shares_of_the_longer_side() -> None:
    tall = noise(3, (100, 1000))
    assert likeness_of(tall, moved_by(tall, 30, 0)).shift == pytest.approx(0.03, abs=0.004)
    assert likeness_of(tall, moved_by(tall, 0, 10)).shift == pytest.approx(0.01, abs=0.002)


def test_unrelated_photos_correlate_about_nothing(samples: Path) -> None:
    hogs = np.stack([hog_of(read(path)) for path in sorted(samples.glob("images/**/*.jpg"))[::5]])
    assert abs((hogs @ hogs.T)[np.triu_indices(len(hogs), 1)].mean()) < 0.1
    assert np.linalg.norm(hogs, axis=1) == pytest.approx(1, abs=1e-5)
    assert hogs.mean(axis=1) == pytest.approx(0, abs=1e-6)


def test_photos_of_other_proportions_can_be_compared(rooms: list[Pixels]) -> None:
    photo = rooms[1]
    wide = np.asarray(Image.fromarray(photo).resize((photo.shape[1] * 3, photo.shape[0])))
    assert hog_of(wide) @ hog_of(photo) > 0.97
    assert hog_of(wide) @ hog_of(rooms[2]) < 0.5


def test_lightness_is_that_of_scikit_image(rooms: list[Pixels]) -> None:
    square = np.ascontiguousarray(rooms[0][:128, :128])
    assert np.abs(lightness_of(square, 128) - rgb2lab(square)[..., 0]).max() < 0.01


def recoloured(pixels: Pixels, lightness: float = 1.0, turn: float = 0.0) -> Pixels:
    """Return a photo with its lightness raised to a power and its hues turned by so many degrees."""
    lab = lab_of(pixels)
    a, b = lab[..., 1], lab[..., 2]
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    turned = np.stack([100 * (lab[..., 0].clip(0, 100) / 100) ** lightness, a * cos - b * sin, a * sin + b * cos], -1)
    return np.round(encoded(linear_of_lab(turned)) * 255).astype(np.uint8)


@settings(max_examples=25)
@given(st.integers(0, 11), st.floats(0.8, 1.25), st.floats(0, 360))
def test_new_colours_leave_structure_as_it_was(rooms: list[Pixels], number: int, power: float, turn: float) -> None:
    likeness = likeness_of(rooms[number], recoloured(rooms[number], power, turn))
    assert likeness.hog > 0.9
    assert likeness.edge_f1 > 0.8
    assert likeness.shift < 0.005


def test_tones_turned_round_keep_their_outlines(rooms: list[Pixels]) -> None:
    likeness = likeness_of(rooms[0], 255 - rooms[0])
    assert likeness.hog > 0.8
    assert likeness.edge_f1 > 0.8


def blurred(pixels: Pixels, amount: float) -> Pixels:
    return gaussian_filter(pixels, (8 * amount, 8 * amount, 0))


def overgrown(pixels: Pixels, amount: float) -> Pixels:
    """Return a photo under a leaf-like texture of so much opacity."""
    spots = gaussian_filter(np.random.default_rng(1).normal(size=pixels.shape[:2]), 2)
    leaves = np.where(spots[..., None] > 0, (120, 200, 80), (20, 60, 20))
    return ((1 - amount) * pixels + amount * leaves).astype(np.uint8)


def waved(pixels: Pixels, amount: float) -> Pixels:
    """Return a photo with its rows moved to and fro by up to 8 % of the width."""
    height, width = pixels.shape[:2]
    rows = np.arange(height)[:, None]
    moved = np.arange(width)[None, :] + 0.08 * amount * width * np.sin(rows / height * 6 * np.pi)
    return pixels[rows, np.clip(np.round(moved), 0, width - 1).astype(int)]


@pytest.mark.parametrize("damage", [blurred, overgrown, waved])
def test_likeness_falls_with_damage(rooms: list[Pixels], damage: object) -> None:
    for photo in rooms[:6]:
        original = structure_of(photo)
        steps = [compare(original, structure_of(damage(photo, amount))) for amount in (0, 0.2, 0.5, 1)]  # type: ignore[operator]
        for before, after in pairwise(steps):
            assert after.hog < before.hog
            assert after.edge_f1 < before.edge_f1 + 0.02
        assert steps[-1].edge_f1 < 0.7
        assert steps[-1].hog < 0.8


def bare_wall(seed: int, frame: int = 0) -> Pixels:
    """Return a wall, a little brighter to the right, with sensor noise and perhaps a picture on it."""
    shade = 200 + np.linspace(-8, 8, 640)[None, :, None] + np.zeros((480, 640, 3))
    shade[150:260, 250:400] -= frame
    return np.clip(shade + np.random.default_rng(seed).normal(0, 2, shade.shape), 0, 255).astype(np.uint8)


def test_noise_on_a_bare_wall_is_no_structure() -> None:
    assert likeness_of(bare_wall(1), bare_wall(2)) == SAME
    assert not hog_of(bare_wall(1)).any()


def test_a_picture_on_a_bare_wall_is_structure() -> None:
    again = likeness_of(bare_wall(1, frame=20), bare_wall(2, frame=20))
    assert again.hog > 0.9
    assert again.edge_f1 > 0.9
    assert likeness_of(bare_wall(1, frame=20), bare_wall(2)) == Likeness(hog=0, edge_f1=0, shift=0)


def test_a_dark_photo_has_structure(rooms: list[Pixels]) -> None:
    dark = (rooms[0] * 0.15).astype(np.uint8)
    assert likeness_of(rooms[0], dark).hog > 0.8
    assert likeness_of(dark, recoloured(dark, 0.9, 120)).edge_f1 > 0.8


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (50, 500), (500, 50)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_colours_equal_themselves_and_nothing_else(
    rooms: list[Pixels], shape: tuple[int, int], value: int
) -> None:
    plain = np.full((*shape, 3), value, np.uint8)
    assert likeness_of(plain, plain) == SAME
    assert likeness_of(plain, rooms[0]) == Likeness(hog=0, edge_f1=0, shift=0)
    assert (registered(plain, plain) == plain).all()


def test_edges_two_pixels_off_are_found_and_three_are_not() -> None:
    edges = np.zeros((40, 40), bool)
    edges[10, 5:35] = True
    assert edge_f1(edges, np.roll(edges, 2, axis=0)) == 1
    assert edge_f1(edges, np.roll(edges, 3, axis=0)) == 0
    assert edge_f1(edges, ~edges) < 1
    assert edge_f1(edges, np.zeros_like(edges)) == 0
    assert thick(edges).sum() == 5 * 34


@pytest.mark.parametrize(("down_px", "right_px"), [(12, -9), (-20, 15), (0, 7)])
def test_a_moved_result_is_moved_back(rooms: list[Pixels], down_px: int, right_px: int) -> None:
    photo = rooms[3]
    moved = moved_by(recoloured(photo, 0.9, 120), down_px, right_px)
    back = registered(photo, moved)
    assert back.shape == photo.shape
    likeness = likeness_of(photo, back)
    assert likeness.shift < 0.005
    assert likeness.edge_f1 > 0.8


def test_what_moves_in_at_the_border_is_reflected() -> None:
    row = np.arange(5, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert moved_by(row, 0, 2)[0, :, 0].tolist() == [1, 0, 0, 1, 2]
    assert moved_by(row, 7, -1)[0, :, 0].tolist() == [1, 2, 3, 4, 4]


def test_a_result_that_was_not_moved_stays(rooms: list[Pixels]) -> None:
    for photo, other in pairwise(rooms[:7]):
        result = overgrown(photo, 0.4)
        assert (registered(photo, result) == result).all()
        resized = np.asarray(Image.fromarray(other).resize(photo.shape[1::-1], Image.Resampling.LANCZOS))
        before, after = likeness_of(photo, resized), likeness_of(photo, registered(photo, resized))
        assert after.edge_f1 >= before.edge_f1  # a stranger is never moved to be less alike


def test_a_result_of_another_size_is_registered_at_the_size_of_its_original(rooms: list[Pixels]) -> None:
    photo = rooms[0]
    half = np.asarray(Image.fromarray(photo).resize((photo.shape[1] // 2, photo.shape[0] // 2)))
    assert registered(photo, half).shape == photo.shape
