import numpy as np
import pytest
from PIL import Image

from embedding.colour import lab_of, within
from embedding.quality import LONGEST_PX, MOST_TILT, tilt_degrees
from tests.restyle.pictures import flat, texture

MARGIN = 0.17  # cut off at each side, so that no corner of a turned picture shows


def posts() -> Image.Image:
    """A wall with doors and windows: upright edges, and some that run away from the camera."""
    picture = np.full((480, 640, 3), 200, np.uint8)
    for left in range(60, 600, 90):
        picture[80:430, left : left + 30] = (90, 60, 40)
    rows, columns = np.mgrid[:480, :640]
    picture[rows > 350 + columns // 8] = (60, 60, 70)
    return Image.fromarray(picture)


def turned(picture: Image.Image, degrees: float) -> float:
    """Return the tilt that is seen of a picture turned by so many degrees."""
    width, height = picture.size
    box = (width * MARGIN, height * MARGIN, width * (1 - MARGIN), height * (1 - MARGIN))
    cut = picture.rotate(degrees, Image.Resampling.BICUBIC).crop(tuple(map(int, box)))
    return tilt_degrees(lab_of(within(np.asarray(cut), LONGEST_PX))[..., 0])


@pytest.mark.parametrize("degrees", [0, 2, 4, 8, -3])
def test_a_picture_that_hangs_askew_is_measured_to_half_a_degree(degrees: float) -> None:
    assert abs(abs(turned(posts(), degrees)) - abs(degrees)) <= 0.5


def test_turning_to_the_left_and_to_the_right_are_told_apart() -> None:
    assert turned(posts(), 5) == -turned(posts(), -5) != 0


def test_pictures_without_upright_edges_hang_straight() -> None:
    for pixels in (flat((120, 130, 140), (320, 240)), flat((1, 2, 3), (1, 1)), flat((9, 9, 9), (2, 300))):
        assert tilt_degrees(lab_of(pixels)[..., 0]) == 0
    assert abs(tilt_degrees(lab_of(texture(1))[..., 0])) <= MOST_TILT


def test_sample_photos_are_ordered_by_how_far_they_are_turned(samples: object) -> None:
    from pathlib import Path

    seen = []
    for path in sorted(Path(str(samples)).rglob("*.jpg"))[::12]:
        with Image.open(path) as photo:
            seen.append([abs(turned(photo.convert("RGB"), degrees)) for degrees in (0, 2, 4, 8)])
    assert np.median(seen, axis=0).tolist() == pytest.approx([0, 2, 4, 8], abs=0.5)
    assert np.mean([row[3] > row[0] for row in seen]) >= 0.8
