import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from embedding.brightness import brightness_of, cie_lightness
from embedding.decode import Preprocessing, decode
from tests.conftest import photo_bytes


def grey_of(level: int) -> np.ndarray:
    return np.full((5, 7, 3), level, np.uint8)


def test_black_is_0_white_100_and_mid_grey_as_the_eye_has_it() -> None:
    assert (brightness_of(grey_of(0)), brightness_of(grey_of(255))) == (0, 100)
    assert brightness_of(grey_of(119)) == pytest.approx(50, abs=0.1)  # sRGB 119 is CIE's L* 50
    assert brightness_of(np.full((1, 1, 3), 255, np.uint8)) == 100


def test_it_is_the_mean_lightness_of_scikit_image() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(photo_bytes(1))).convert("RGB"))
    assert brightness_of(pixels) == pytest.approx(rgb2lab(pixels)[..., 0].mean(), abs=0.3)
    assert brightness_of(pixels[::-1]) == pytest.approx(brightness_of(pixels), abs=0.5)


def test_lightness_is_a_straight_line_near_black() -> None:
    assert cie_lightness(np.array([0, 216 / 24389, 1], np.float32)) == pytest.approx([0, 8, 100], abs=1e-4)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_is_as_bright_however_a_model_pads_it(resize_mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.new("RGB", (120, 41), (119,) * 3).save(data, "PNG", exif=exif)
    wanted = Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3, resize_mode=resize_mode)
    assert decode(data.getvalue(), wanted).facts.brightness == pytest.approx(50, abs=0.1)
