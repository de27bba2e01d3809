import numpy as np
import pytest
from PIL import Image, ImageFilter

from embedding.decode import Preprocessing, square
from embedding.resizing import FEWEST_PIXELS, pixels_where_they_lie, whole_resized

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
MOST = 1 << 20


def noise(width: int, height: int) -> Image.Image:
    """Return what shows every difference."""
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("resample", [BICUBIC, BILINEAR])
@pytest.mark.parametrize("size", [(480, 320), (1024, 728), (333, 1001)])
@pytest.mark.parametrize("to", [(224, 224), (315, 224), (701, 703)])
def test_every_level_is_pillows_but_for_rounding(
    size: tuple[int, int], to: tuple[int, int], resample: Image.Resampling
) -> None:
    photo = noise(*size)
    ours = whole_resized(photo, to, resample, MOST)
    assert (ours.mode, ours.size) == ("RGB", to)
    theirs = np.asarray(photo.resize((to[0], photo.height), resample).resize(to, resample), np.int16)
    assert np.abs(np.asarray(ours, np.int16) - theirs).max() <= 2


def test_pixels_are_seen_where_they_lie_and_outlive_their_image() -> None:
    photo = noise(640, 480)
    seen, levels = pixels_where_they_lie(photo), np.array(photo)
    photo.putpixel((3, 2), (1, 2, 3))
    assert seen[2, 3, :3].tolist() == [1, 2, 3]
    del photo
    noise(640, 480).resize((641, 481))  # would take the memory, were it free
    assert (seen[3:, :, :3].numpy() == levels[3:]).all()


def test_what_a_picture_says_of_its_colours_comes_along() -> None:
    photo = noise(640, 480)
    photo.info["icc_profile"] = b"of a camera"
    ours = whole_resized(photo, (224, 224), BICUBIC, MOST)
    assert ours is not None and ours.info == {"icc_profile": b"of a camera"}


def test_small_ones_panoramas_and_pictures_in_pieces_are_left_to_pillow() -> None:
    assert whole_resized(noise(300, FEWEST_PIXELS // 300), (224, 224), BICUBIC, MOST) is None
    assert whole_resized(noise(4000, 100), (8960, 224), BICUBIC, MOST) is None
    large = noise(2500, 2000)
    assert pixels_where_they_lie(large) is None
    assert whole_resized(large, (280, 224), BICUBIC, MOST) is None


@pytest.mark.parametrize("size", [(2500, 2000), (4000, 100), (480, 320), (481, 321)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_a_square_is_the_same_whoever_resizes(
    size: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Preprocessing(size_px=224, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode)
    photo = noise(*size).filter(ImageFilter.GaussianBlur(2))
    ours = square(photo, wanted).astype(np.int16)
    monkeypatch.setattr("embedding.decode.whole_resized", lambda *_: None)
    assert np.abs(ours - square(photo, wanted)).max() <= 2
