import numpy as np
import pytest

from restyle.sky import SIDE_PX, sky_of
from tests.restyle.pictures import flat, wall


def view(size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """Return a house before a blue sky with a pale horizon, a lawn, and a pool in it, (h, w, 3)."""
    width, height = size
    down = np.linspace(0, 1, height)[:, None, None]
    picture = np.array([70, 130, 215]) * (1 - down) + np.array([215, 235, 250]) * down
    picture = np.repeat(picture, width, axis=1)
    picture[height // 3 :, width // 4 : width // 2] = (190, 160, 130)
    picture[height * 3 // 5 :] = (80, 120, 50)
    picture[height * 3 // 4 : height * 9 // 10, width // 5 : width * 4 // 5] = (60, 170, 190)
    noise = np.random.default_rng(0).normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def share(found: np.ndarray, top: float, bottom: float, left: float, right: float) -> float:
    """Return the mean of a part of what was found, by shares of its sides."""
    height, width = found.shape
    return float(found[int(top * height) : int(bottom * height), int(left * width) : int(right * width)].mean())


def test_sky_and_pool_are_found_and_neither_house_nor_lawn() -> None:
    found = sky_of(view())
    assert found.shape == (120, 160) and found.dtype == np.float32
    assert share(found, 0, 0.3, 0, 1) > 0.95
    assert share(found, 0.78, 0.87, 0.25, 0.75) > 0.95
    assert share(found, 0.4, 0.55, 0.3, 0.45) < 0.05
    assert share(found, 0.63, 0.72, 0, 1) < 0.05


@pytest.mark.parametrize("hue", [(214, 170, 130), (128, 128, 128), (250, 250, 250), (60, 120, 60)])
def test_rooms_and_greys_have_no_sky(hue: tuple[int, int, int]) -> None:
    assert sky_of(flat(hue, (320, 240))).max() == 0
    assert sky_of(wall(hue)).max() == 0


def test_a_white_overcast_sky_is_not_told_and_a_blue_dusk_is() -> None:
    white, dusk = view(), view()
    white[:160], dusk[:288] = (238, 238, 240), (24, 34, 78)
    assert share(sky_of(white), 0, 0.3, 0, 0.2) < 0.1
    assert share(sky_of(dusk), 0, 0.3, 0, 1) > 0.95


def test_a_blue_thing_low_in_a_room_is_no_sky_unless_it_is_large() -> None:
    photo = flat((200, 180, 160), (320, 240)).copy()
    photo[200:215, 30:60] = (60, 110, 200)
    assert sky_of(photo).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 3), (40, 4000)])
def test_tiny_and_thin_photos(shape: tuple[int, int]) -> None:
    found = sky_of(np.full((*shape, 3), (90, 150, 230), np.uint8))
    assert max(found.shape) <= SIDE_PX and np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
