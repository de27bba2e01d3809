import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import PhotoError
from indexer.hotels50k import Hotels50kSource
from indexer.occlusions import Mask, mask_of
from tests.conftest import photo_bytes
from tests.indexer.conftest import HotelsTree


def write_masked(folder: Path, box: tuple[int, int, int, int], mode: str, *, is_high: bool) -> Mask:
    """Write a photo of 96 x 64 with a grey box over it, and its mask, in which the box has the higher value or not."""
    with Image.open(io.BytesIO(photo_bytes(1))) as photo:
        photo.paste((90, 90, 90), box)
        photo.save(folder / "1.jpg", quality=90)
    inside = np.zeros((64, 96), bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    values = np.where(inside == is_high, 255, 0).astype(np.uint8)
    mask = Image.fromarray(values)
    if mode == "RGBA":  # all of one colour
        mask = Image.merge("RGBA", [Image.new("L", mask.size, 255)] * 3 + [mask])
    mask.convert(mode).save(folder / "1.png")
    return Mask(1, str(folder / "1.jpg"), str(folder / "1.png"))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P"])
@pytest.mark.parametrize("is_high", [True, False])
@pytest.mark.parametrize(("box", "share"), [((0, 0, 48, 32), 0.25), ((0, 0, 96, 48), 0.75)])
def test_what_is_covered_has_one_colour_whichever_value_stands_for_it(
    tmp_path: Path, mode: str, is_high: bool, box: tuple[int, int, int, int], share: float
) -> None:
    assert write_masked(tmp_path, box, mode, is_high=is_high).covered_share() == share


@pytest.mark.parametrize("value", [0, 255])
def test_mask_of_one_value_covers_nothing(tmp_path: Path, value: int) -> None:
    mask = write_masked(tmp_path, (0, 0, 1, 1), "L", is_high=True)
    Image.new("L", (96, 64), value).save(mask.path)
    assert mask.covered_share() == 0


def test_mask_of_another_size_than_its_photo_counts_its_own_pixels(tmp_path: Path) -> None:
    mask = write_masked(tmp_path, (0, 0, 48, 64), "L", is_high=True)
    with Image.open(mask.path) as image:
        image.resize((192, 128), Image.Resampling.NEAREST).save(mask.path)
    assert mask.covered_share() == 0.5


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    mask = write_masked(tmp_path, (0, 0, 48, 64), "L", is_high=True)
    Path(mask.path).write_bytes(b"<html>")
    with pytest.raises(PhotoError):
        mask.covered_share()


def test_masks_lie_beside_the_photos_of_the_test(whole_tree: HotelsTree) -> None:
    folder = whole_tree.root / "images/test/low_occlusions/7/100/traffickcam"
    (folder / "masks").mkdir()
    (folder / "masks/11.png").write_bytes(photo_bytes(1, file_format="PNG"))
    with_mask, without = map(mask_of, Hotels50kSource(whole_tree.root, "low").photos())
    assert with_mask == Mask(11, str(folder / "11.jpg"), str(folder / "masks/11.png"))
    assert without is None
