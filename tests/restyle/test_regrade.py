from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.files import PhotoFile
from embedding.colour import lab_of, read_pixels
from restyle.palettes import palette_names, read_palette
from restyle.protanopia import colours_of, palette_distance, visibility
from restyle.regrade import regrade
from restyle.structure import compare, structure_of
from tests.restyle.pictures import flat, room, texture

FERN = read_palette("fern")
# From light to dark: sRGB of skin of Fitzpatrick's types I to VI, about the middle of each.
SKIN = [(244, 208, 177), (231, 180, 143), (210, 158, 124), (186, 119, 80), (165, 93, 43), (60, 32, 29)]


def test_nothing_happens_at_strength_0_and_the_same_always() -> None:
    photo = room()
    assert np.array_equal(regrade(photo, FERN, 0), photo)
    assert np.array_equal(regrade(photo, FERN), regrade(photo, FERN))


@pytest.mark.parametrize("name", palette_names())
@pytest.mark.parametrize("photo", [room(1), room(2, hue=(90, 90, 95)), texture(), room(3, hue=(250, 190, 170))])
def test_structure_and_lightness_stay(name: str, photo: np.ndarray) -> None:
    result = regrade(photo, read_palette(name))
    likeness = compare(structure_of(photo), structure_of(result))
    assert likeness.hog > 0.9
    assert likeness.edge_f1 > 0.9
    assert likeness.shift < 0.005
    assert np.abs(lab_of(photo)[..., 0] - lab_of(result)[..., 0]).mean() < 2.0


@pytest.mark.parametrize("name", palette_names())
@pytest.mark.parametrize("hue", [(250, 200, 170), (128, 128, 128), (200, 60, 50)])
def test_grey_rooms_come_near_the_palette_and_protanopes_see_every_change(name: str, hue: tuple[int, int, int]) -> None:
    palette, photo = read_palette(name), room(1, hue=hue)
    before, after = colours_of(photo), colours_of(regrade(photo, palette))
    far, near = (palette_distance(colours, palette.leaf, palette.sky) for colours in (before, after))
    assert near < (1.6 if hue == (200, 60, 50) else 0.8) * far  # a protanope takes red for the colours of leaves
    assert visibility(before, after).median_de > 2.5


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_more_strength_is_more_change(seed: int, strength: float) -> None:
    photo = room(seed, (96, 64))
    changes = [np.abs(lab_of(regrade(photo, FERN, s)) - lab_of(photo)).mean() for s in (strength / 2, strength, 1.0)]
    assert changes[0] < changes[1] + 0.15  # rounding to 255 levels
    assert changes[1] < changes[2] + 0.15


def test_greys_keep_their_order_and_white_and_black_stay() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    result = lab_of(regrade(ramp, FERN))
    assert (np.diff(result[0, :, 0]) > -0.6).all()  # half a level of rounding
    assert np.abs(result[0, 255]).tolist()[1:] < [4, 12]
    assert result[0, 255, 0] > 96
    assert result[0, 0, 0] < 4


def test_skin_keeps_its_lightness_and_is_not_garish() -> None:
    photo = np.concatenate([flat(colour) for colour in SKIN], axis=1)
    result = regrade(photo, FERN)
    before, after = (lab_of(np.stack([p[24, 32 + 64 * place] for place in range(len(SKIN))])) for p in (photo, result))
    assert np.abs(after[:, 0] - before[:, 0]).max() < 3
    assert np.hypot(after[:, 1], after[:, 2]).max() < 65


def test_local_contrast_is_kept() -> None:
    photo = texture(4)
    before, after = (lab_of(p)[..., 0] for p in (photo, regrade(photo, FERN)))
    steps = [np.abs(np.diff(lightness, axis=1)).mean() for lightness in (before, after)]
    assert 0.9 < steps[1] / steps[0] < 1.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 3)])
def test_tiny_and_thin_photos(shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert regrade(photo, FERN).shape == photo.shape
    assert regrade(np.full((*shape, 3), 128, np.uint8), FERN).shape == photo.shape


def test_forty_megapixels() -> None:
    photo = np.broadcast_to(room(0, (400, 250))[:, None, :, None], (250, 20, 400, 20, 3)).reshape(5000, 8000, 3)
    result = regrade(photo, FERN)
    small = regrade(photo[::20, ::20], FERN)
    assert np.abs(result[::20, ::20].astype(int) - small).mean() < 4  # the same colours, learnt at another size


def test_real_peach_bathrooms(shared_photos: Path) -> None:
    photos = [shared_photos / "houses" / "bathroom" / f"{number}.jpg" for number in (35, 39, 89, 17)]
    for path in photos:
        photo = read_pixels(PhotoFile(str(path)), 512)
        result = regrade(photo, FERN)
        likeness = compare(structure_of(photo), structure_of(result))
        assert min(likeness.hog, likeness.edge_f1) > 0.9
        assert visibility(colours_of(photo), colours_of(result)).median_de > 5
