import io
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from base.errors import PhotoError
from base.memory import MemoryBudget
from embedding.decode import PIXEL_BYTES, decode, decode_to_fit
from embedding.rgb import to_rgb
from tests.conftest import photo_bytes
from tests.embedding.conftest import SQUARE_32, encoded, png, refusal, smooth

# What cannot be decoded


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
def test_half_a_file_is_truncated(file_format: str) -> None:
    data = photo_bytes(1, file_format=file_format)
    error = refusal(data[: len(data) // 2])
    assert error.kind == ("damaged" if file_format == "WEBP" else "truncated")
    assert ("truncated" in error.reason) == (file_format != "WEBP")


@pytest.mark.parametrize("data", [photo_bytes(1)[:-20], png(100, 100, b"\0" * 100)], ids=["last blocks", "rows"])
def test_what_lacks_some_pixels_is_truncated(data: bytes) -> None:
    assert refusal(data).kind == "truncated"


def test_a_png_with_a_wrong_checksum_is_damaged_and_says_what_is_wrong() -> None:
    data = bytearray(photo_bytes(1, file_format="PNG"))
    data[data.index(b"IDAT") + 10] ^= 0xFF
    error = refusal(bytes(data))
    assert error.kind in ("damaged", "truncated")
    assert error.reason.startswith("OSError: ")


def test_no_bytes_are_empty() -> None:
    error = refusal(b"")
    assert (error.kind, str(error)) == ("empty", error.reason)
    assert "0 bytes" in error.reason


@pytest.mark.parametrize("data", [b"Dear guest, welcome!\n", b"\0" * 1000, b"\xff\xd8\xff", b"%PDF-1.4\n"])
def test_what_is_no_image_is_named_by_its_first_bytes(data: bytes) -> None:
    error = refusal(data)
    assert error.kind == "not an image"
    assert repr(data[:8]) in error.reason


def test_a_decompression_bomb_is_too_large_and_the_remedy_is_named() -> None:
    bomb = png(30_000, 30_000, b"\0" * 1000)
    assert len(bomb) < 200
    error = refusal(bomb)
    assert error.kind == "too large"
    assert "30000 x 30000 px" in error.reason
    assert "--max-megapixels" in error.reason


def test_the_cap_is_inclusive() -> None:
    data = photo_bytes(1, size=(96, 64))
    assert decode(data, SQUARE_32, max_pixels=96 * 64).pixels.shape == (32, 32, 3)
    assert refusal(data, max_pixels=96 * 64 - 1).kind == "too large"


def test_a_photo_over_what_pillow_alone_would_warn_of_is_decoded_without_a_warning() -> None:
    wide = encoded(Image.new("1", (12_000, 8_000), 1), "PNG")  # 96 megapixels; Pillow warns from 89 on
    assert decode(wide, SQUARE_32).facts.width_px == 12_000


# Modes


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    red = encoded(Image.new("RGB", (64, 64), (200, 30, 40)).convert("CMYK"), "JPEG")
    with Image.open(io.BytesIO(red)) as image:
        assert image.mode == "CMYK"
    assert np.abs(decode(red, SQUARE_32).pixels.reshape(-1, 3).mean(axis=0) - (200, 30, 40)).max() < 8


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_16_bit_grey_keeps_its_brightness(file_format: str, byte_order: str) -> None:
    grey = smooth(96, 64).convert("L")
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) * 257).astype(byte_order))
    expected = decode(encoded(grey, "PNG"), SQUARE_32)
    actual = decode(encoded(deep, file_format), SQUARE_32)
    assert np.abs(actual.pixels.astype(int) - expected.pixels).max() <= 1
    assert actual.facts.grey


def test_16_bit_rgb_keeps_its_colours() -> None:
    pixel = struct.pack(">HHH", 200 * 257, 30 * 257, 40 * 257)
    data = png(40, 40, (b"\0" + pixel * 40) * 40, bit_depth=16)
    assert np.abs(decode(data, SQUARE_32).pixels.astype(int) - (200, 30, 40)).max() <= 1


def test_a_palette_keeps_its_colours() -> None:
    photo = smooth(64, 64)
    expected = np.asarray(photo.resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    pixels = decode(encoded(photo.quantize(256), "PNG"), SQUARE_32).pixels
    assert np.abs(pixels - expected).mean() < 6


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_transparent_palette_colour_becomes_white(file_format: str) -> None:
    picture = Image.new("P", (64, 64), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])  # 0 is red, 1 is blue
    picture.paste(0, (0, 0, 32, 64))
    pixels = decode(encoded(picture, file_format, transparency=0), SQUARE_32).pixels
    assert (pixels[:, :14] == 255).all()
    assert (pixels[:, 18:] == (0, 0, 255)).all()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_become_white(file_format: str) -> None:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    picture.paste((0, 128, 0, 255), (32, 0, 64, 64))
    pixels = decode(encoded(picture, file_format), SQUARE_32).pixels.astype(int)
    assert (pixels[:, :14] == 255).all()
    assert np.abs(pixels[:, 18:] - (0, 128, 0)).max() <= 4


def test_half_transparent_black_becomes_grey() -> None:
    picture = Image.new("LA", (64, 64), (0, 128))
    assert np.abs(decode(encoded(picture, "PNG"), SQUARE_32).pixels.astype(int) - 127).max() <= 1


@pytest.mark.parametrize(
    ("file_format", "options", "shown"),
    [
        ("JPEG", {"progressive": True}, "JPEG"),
        ("MPO", {"save_all": True, "append_images": [smooth(96, 64, seed=2)]}, "MPO"),
        ("AVIF", {"quality": 95}, "AVIF"),
        ("JPEG2000", {}, "JPEG2000"),
    ],
)
def test_other_formats_give_the_same_picture(file_format: str, options: dict, shown: str) -> None:
    photo = smooth(96, 64)
    expected = decode(encoded(photo, "PNG"), SQUARE_32).pixels.astype(int)
    actual = decode(encoded(photo, file_format, **options), SQUARE_32)
    assert actual.facts.format == shown
    assert np.abs(actual.pixels - expected).mean() < 3


def test_grey_photos_are_told_from_colour() -> None:
    photo = smooth(96, 64)
    grey = photo.convert("L")
    assert decode(encoded(grey, "JPEG"), SQUARE_32).facts.grey is True
    assert decode(encoded(grey.convert("RGB"), "JPEG", quality=50), SQUARE_32).facts.grey is True
    assert decode(encoded(photo, "JPEG"), SQUARE_32).facts.grey is False


# Shapes


def test_one_pixel_fills_the_square() -> None:
    photo = decode(encoded(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG"), SQUARE_32)
    assert (photo.pixels == (255, 0, 0)).all()
    assert (photo.facts.width_px, photo.facts.height_px) == (1, 1)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(4000, 10), (10, 4000), (5000, 1), (1, 5000)])
def test_of_a_panorama_the_middle_is_taken(size: tuple[int, int], file_format: str) -> None:
    width, height = size
    panorama = Image.new("RGB", size, "black")
    first_half = (0, 0, width // 2, height) if width > height else (0, 0, width, height // 2)
    panorama.paste((255, 255, 255), first_half)
    photo = decode(encoded(panorama, file_format, **({"quality": 95} if file_format == "JPEG" else {})), SQUARE_32)
    pixels = photo.pixels if width > height else photo.pixels.swapaxes(0, 1)
    assert photo.pixels.shape == (32, 32, 3)
    assert (photo.facts.width_px, photo.facts.height_px) == size
    if min(size) > 1:  # one pixel would be spread over the whole square
        assert pixels[:, :8].mean() > 225
        assert pixels[:, -8:].mean() < 30


def test_a_jpeg_that_is_decoded_smaller_keeps_its_geometry() -> None:
    wave = 63 * np.sin(np.linspace(0, 8 * np.pi, 1025))  # 1025 px are 128 1/8 blocks, decoded as 129 px
    grey = np.rint(np.add.outer(wave, wave) + 128).astype(np.uint8)
    photo = Image.fromarray(grey).convert("RGB")
    small = decode(encoded(photo, "JPEG", quality=95), SQUARE_32).pixels.astype(int)
    assert np.abs(small - decode(encoded(photo, "PNG"), SQUARE_32).pixels).max() <= 4


# For people


@pytest.mark.parametrize("size", [(400, 100), (100, 400), (1000, 1000), (2000, 1500), (4000, 3)])
@pytest.mark.parametrize("box", [(64, 64), (200, 50), (50, 200)])
def test_decode_to_fit_keeps_the_shape_and_the_box(size: tuple[int, int], box: tuple[int, int]) -> None:
    image = decode_to_fit(photo_bytes(1, size=size), box)
    assert image.mode == "RGB"
    assert image.width <= box[0]
    assert image.height <= box[1]
    scale = min(box[0] / size[0], box[1] / size[1])
    assert abs(image.width - max(1, size[0] * scale)) <= 1
    assert abs(image.height - max(1, size[1] * scale)) <= 1


def test_decode_to_fit_does_not_enlarge() -> None:
    assert decode_to_fit(photo_bytes(1, size=(20, 10)), (100, 100)).size == (20, 10)


def test_decode_to_fit_can_be_used_after_it_returned() -> None:
    image = decode_to_fit(encoded(Image.new("RGB", (500, 500), "red"), "PNG"), (10, 10))
    assert image.getpixel((5, 5)) == (255, 0, 0)


# Memory


class Watched(MemoryBudget):
    """A budget that keeps what was asked of it."""

    def __init__(self) -> None:
        super().__init__(1 << 40)
        self.asked: list[int] = []
        self.held = 0

    @contextmanager
    def holding(self, size_bytes: int) -> Iterator[None]:
        self.asked.append(size_bytes)
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched()
    monkeypatch.setattr("embedding.decode.PIXELS_AT_ONCE", watched)
    return watched


@pytest.mark.parametrize("reader", [lambda data: decode(data, SQUARE_32), lambda data: decode_to_fit(data, (32, 32))])
def test_a_photos_memory_is_held_while_it_is_decoded(budget: Watched, reader: Callable) -> None:
    with pytest.raises(PhotoError):
        reader(photo_bytes(1)[:-40])
    for file_format in ("PNG", "JPEG", "TIFF"):
        reader(photo_bytes(1, size=(900, 600), file_format=file_format))
    assert budget.held == 0
    cut, png, jpeg, tiff = budget.asked
    assert cut == 96 * 64 * PIXEL_BYTES  # whether its end alone is missing can be told of the whole photo only
    assert png == tiff == 900 * 600 * PIXEL_BYTES
    assert jpeg < png / 2  # decoded smaller


def test_the_largest_photos_are_decoded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [photo_bytes(number, size=(400, 300), file_format="PNG") for number in range(8)]
    alone = [decode(data, SQUARE_32).pixels for data in photos]
    at_once: list[int] = []
    running = [0]

    def watched(image: Image.Image) -> Image.Image:
        running[0] += 1
        at_once.append(running[0])
        try:
            return to_rgb(image)
        finally:
            running[0] -= 1

    monkeypatch.setattr("embedding.decode.PIXELS_AT_ONCE", MemoryBudget(1))
    monkeypatch.setattr("embedding.decode.to_rgb", watched)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: decode(data, SQUARE_32).pixels, photos))
    assert at_once == [1] * 8
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


# The law


@settings(max_examples=300)
@given(
    file_format=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_bytes_are_decoded_or_refused(file_format: str, flips: list[tuple[float, int]], kept: float) -> None:
    data = bytearray(photo_bytes(1, file_format=file_format))
    for place, value in flips:
        data[int(place * len(data))] = value
    data = data[: round(kept * len(data))]
    try:
        photo = decode(bytes(data), SQUARE_32, max_pixels=1_000_000)
    except PhotoError as error:
        assert error.kind in ("empty", "not an image", "truncated", "damaged", "too large")
        assert error.reason
    else:
        assert photo.pixels.shape == (32, 32, 3)
        assert photo.pixels.dtype == np.uint8
