import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.decode import decode, decode_to_fit
from embedding.exif import ORIENTATION
from tests.embedding.conftest import SQUARE_32, encoded, smooth

GARBAGE_EXIF = b"Exif\0\0garbage that is no TIFF header"
CUT_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0"  # announces 65,535 tags and holds none

# The picture's side that the file's first row and its first column show, Exif 2.32, table 4.
STORED_AS = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.swapaxes(0, 1),  # left, top
    6: lambda upright: upright.swapaxes(0, 1)[::-1],  # right, top
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],  # left, bottom
}
LITTLE_LOSS = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}}


def oriented(upright: Image.Image, orientation: int, file_format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED_AS[orientation](np.asarray(upright)))
    return encoded(Image.fromarray(stored), file_format, exif=exif, **LITTLE_LOSS[file_format])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_every_orientation_is_turned_upright(file_format: str, orientation: int) -> None:
    upright = smooth(96, 64)
    expected = decode(encoded(upright, file_format, **LITTLE_LOSS[file_format]), SQUARE_32)
    data = oriented(upright, orientation, file_format)
    actual = decode(data, SQUARE_32)
    difference = np.abs(actual.pixels.astype(int) - expected.pixels)
    assert difference.max() <= 8
    assert difference.mean() <= 1
    assert (actual.facts.width_px, actual.facts.height_px) == (96, 64)
    assert decode_to_fit(data, (48, 100)).size == (48, 32)


def test_a_large_turned_photo_keeps_its_facts() -> None:
    facts = decode(oriented(smooth(600, 1000), 6), SQUARE_32).facts
    assert (facts.width_px, facts.height_px) == (600, 1000)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    facts = decode(encoded(smooth(96, 64), "JPEG", exif=exif), SQUARE_32).facts
    assert (facts.width_px, facts.height_px) == (96, 64)


@pytest.mark.parametrize("exif", [b"Exif\0\0", GARBAGE_EXIF])
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"dpi": (72, 72)}), ("PNG", {}), ("WEBP", {})])
def test_a_broken_exif_block_does_not_fail_a_photo(kind: str, options: dict, exif: bytes) -> None:
    assert decode(encoded(smooth(96, 64), kind, exif=exif, **options), SQUARE_32).facts.width_px == 96


def test_a_cut_exif_block_prints_nothing(tmp_path: Path) -> None:
    photo = tmp_path / "cut.jpg"
    photo.write_bytes(encoded(smooth(96, 64), "JPEG", exif=CUT_EXIF))
    program = (
        "import sys; from embedding.decode import *; "
        "print(decode(open(sys.argv[1], 'rb').read(), "
        "Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)).facts.width_px)"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", program, photo], cwd=root, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("96\n", "")
