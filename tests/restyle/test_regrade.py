import io
import tracemalloc
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.color import deltaE_ciede2000

from base.files import PhotoFile
from benchmarks.regrading import chroma_noise, noise_added, plain_greys, spread
from embedding.colour import lab_of, read_pixels
from restyle.palettes import palette_names, read_palette
from restyle.protanopia import colours_of, palette_distance, visibility
from restyle.regrade import FINE_PX, regrade
from restyle.structure import compare, structure_of
from tests.restyle.pictures import flat, room, texture, wall

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


def test_forty_megapixels_hold_little_more_than_themselves() -> None:
    photo = np.broadcast_to(room(0, (400, 250))[:, None, :, None], (250, 20, 400, 20, 3)).reshape(5000, 8000, 3)
    tracemalloc.start()
    try:
        result = regrade(photo, FERN)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * photo.nbytes
    small = regrade(photo[::20, ::20], FERN)
    assert np.abs(result[::20, ::20].astype(int) - small).mean() < 4  # the same colours, learnt at another size


def as_jpeg(pixels: np.ndarray, quality: int = 70) -> np.ndarray:
    """Return pixels as they come back from a JPEG."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def grey_wall(tint: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return a wall near grey in the light of a window, with a camera's blotchy noise, from a JPEG, (480, 640, 3)."""
    light = np.linspace(0.75, 1.1, 640)[None, :, None] * np.linspace(1, 0.9, 480)[:, None, None]
    noise = 30 * gaussian_filter(np.random.default_rng(seed).normal(size=(480, 640, 3)), (5, 5, 0))
    picture = np.clip(np.array(tint) * light + noise, 0, 255).astype(np.uint8)
    picture[300:420, 60:200] = (70, 60, 50)
    picture[300:440, 420:600] = (150, 60, 40)
    return as_jpeg(picture)


@pytest.mark.parametrize(
    ("name", "tint"),
    list(zip(palette_names(), [(150, 150, 150), (205, 203, 198), (170, 176, 180), (120, 116, 108)], strict=True)),
)
def test_walls_near_grey_have_no_blocks(name: str, tint: tuple[int, int, int]) -> None:
    photo = grey_wall(tint)
    where = plain_greys(photo)
    assert where.mean() > 0.2 and chroma_noise(photo, where) > 0.6
    added = noise_added(photo, regrade(photo, read_palette(name)))
    assert added is not None and added < 1.2


@pytest.mark.parametrize(("folder", "longest_px"), [("samples", None), ("shared_photos", 1024)])
def test_plain_greys_have_no_blocks(folder: str, longest_px: int | None, request: pytest.FixtureRequest) -> None:
    paths = sorted(request.getfixturevalue(folder).rglob("*.jpg"))
    photos = [read_pixels(PhotoFile(str(path)), longest_px) for path in spread(paths, 24)]
    noises = [noise for photo in photos if (noise := noise_added(photo, regrade(photo, FERN))) is not None]
    assert len(noises) >= 5
    assert np.median(noises) < 1.2


def seaside(size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """Return a white house with a red roof before a blue sky, above a pool, (h, w, 3)."""
    down = np.linspace(0, 1, size[1])[:, None, None]
    picture = np.repeat(np.array([70, 130, 215]) * (1 - down) + np.array([190, 215, 245]) * down, size[0], axis=1)
    picture[200:, :] = (196, 164, 120)
    picture[200:340, 200:400] = (246, 245, 242)
    picture[160:200, 190:410] = (170, 60, 40)
    picture[380:450, 80:560] = (50, 160, 190)
    return as_jpeg(np.clip(picture, 0, 255).astype(np.uint8), 90)


@pytest.mark.parametrize("name", palette_names())
def test_skies_and_pools_stay_blue_and_whites_white(name: str) -> None:
    photo = seaside()
    before, after = lab_of(photo), lab_of(regrade(photo, read_palette(name)))
    for part in (np.s_[10:140], np.s_[395:440, 100:540]):
        was, now = (np.median(lab[part].reshape(-1, 3), axis=0) for lab in (before, after))
        turned = np.degrees(np.arctan2(now[2], now[1]) - np.arctan2(was[2], was[1]))
        assert abs((turned + 180) % 360 - 180) < (40 if name == "emerald" else 30)  # whose sky is violet
        assert np.hypot(*now[1:]) > 0.6 * np.hypot(*was[1:])
        assert now[2] < -8
    assert np.hypot(*np.moveaxis(after[215:330, 215:385, 1:], -1, 0)).mean() < 8


@pytest.mark.parametrize("name", palette_names())
def test_white_walls_are_neutral(name: str) -> None:
    for white in ((250, 250, 250), (244, 243, 238), (236, 240, 244)):
        after = lab_of(regrade(as_jpeg(wall(white)), read_palette(name)))[:100]
        assert np.hypot(after[..., 1], after[..., 2]).max() < 10


@pytest.mark.parametrize("name", palette_names())
def test_edges_between_leaf_and_sky_have_no_halos(name: str) -> None:
    photo = flat((90, 60, 30), (400, 300)).copy()
    photo[:, 200:] = (110, 150, 230)
    colours = lab_of(regrade(photo, read_palette(name)))[150]
    left, right = colours[100], colours[300]
    assert np.abs(colours[:196] - left).max() < 3
    assert np.abs(colours[204:] - right).max() < 3
    assert right[2] < -8 < 8 < left[2]


def test_a_blue_thing_as_light_as_its_wall_keeps_its_outline() -> None:
    photo = flat((132, 132, 132), (400, 300)).copy()
    photo[100:200, 150:250] = (60, 130, 250)
    after = lab_of(regrade(photo, FERN))
    assert after[150, 200, 2] < -15
    assert np.abs(after[150, 146:154, 2] - after[150, 200, 2]).max() > 10
    assert np.abs(after[150, :130] - after[20, :130]).max() < 3


def test_large_photos_get_the_colours_of_small_ones_and_keep_their_own_detail() -> None:
    photo = room(7)
    large = photo.repeat(2, axis=0).repeat(2, axis=1)
    assert max(large.shape) > FINE_PX > max(photo.shape)
    result = regrade(large, FERN)
    assert np.abs(result.astype(int) - regrade(photo, FERN).repeat(2, axis=0).repeat(2, axis=1)).mean() < 2

    lines = np.full((601, 801, 3), 250, np.uint8)  # of odd sides
    lines[::7] = 4
    lightness = lab_of(regrade(lines, FERN))[..., 0]
    assert lightness[::7].max() < 5 and np.delete(lightness, np.s_[::7], axis=0).min() > 95

    keep = np.zeros(large.shape[:2], np.float32)
    keep[101:299, 201:499] = 1
    kept = regrade(large, FERN, keep=keep)
    assert np.array_equal(kept[104:296, 204:496], large[104:296, 204:496])
    assert np.array_equal(kept[:96], result[:96])


def test_kept_places_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 10\), the photo \(240, 320\)"):
        regrade(room(), FERN, keep=np.zeros((10, 10), np.float32))


def test_strips_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = room(6, (801, 534))
    whole = regrade(photo, FERN)
    monkeypatch.setattr("restyle.regrade.STRIP_PIXELS", 801 * 20)
    difference = np.abs(regrade(photo, FERN).astype(int) - whole)
    assert difference.mean() < 0.1 and (difference > 4).mean() < 0.002


def test_greyscale_night_and_green_photos_are_read_as_leaf_and_sky() -> None:
    grey = np.repeat(room(3)[..., :1], 3, axis=2)
    after = lab_of(regrade(grey, FERN))
    assert after[..., 2].max() > 15 and after[..., 2].min() < -8
    night = (room(4) * 0.15).astype(np.uint8)
    assert np.abs(lab_of(night)[..., 0] - lab_of(regrade(night, FERN))[..., 0]).mean() < 1
    green = as_jpeg(flat((70, 130, 50), (320, 240)))
    assert lab_of(regrade(green, FERN))[..., 1].max() < -8  # it stays green


def test_palettes_are_different_worlds() -> None:
    photos = [room(seed, hue=hue) for seed, hue in ((1, (214, 170, 130)), (2, (128, 128, 128)), (3, (200, 60, 50)))]
    views = {name: [lab_of(regrade(photo, read_palette(name))) for photo in photos] for name in palette_names()}
    for one, other in combinations(views, 2):
        assert np.median(deltaE_ciede2000(np.array(views[one]), np.array(views[other]))) > 5, (one, other)


def test_real_peach_bathrooms(shared_photos: Path) -> None:
    photos = [shared_photos / "houses" / "bathroom" / f"{number}.jpg" for number in (35, 39, 89, 17)]
    for path in photos:
        photo = read_pixels(PhotoFile(str(path)), 512)
        result = regrade(photo, FERN)
        likeness = compare(structure_of(photo), structure_of(result))
        assert min(likeness.hog, likeness.edge_f1) > 0.9
        assert visibility(colours_of(photo), colours_of(result)).median_de > 5
