"""Photos of every mode, in the colours that people see."""

import io
import struct
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from embedding import rgb
from embedding.decode import decode, decode_to_fit
from embedding.rgb import srgb_transform, to_rgb
from tests.conftest import photo_bytes
from tests.embedding.conftest import SQUARE_32, encoded, smooth
from tests.icc import WIDE, cmyk_profile, grey_profile, in_space, profile, rgb_profile
from tests.photo_files import tiff

PHOTO = smooth(96, 64)
GREY = PHOTO.convert("L")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(data: bytes, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    return np.asarray(decode_to_fit(data, size)).astype(int)


def difference(data: bytes, truth: Image.Image) -> float:
    """Return by how many levels of 255 a photo is read wrongly, for people and for the encoder, whichever is more."""
    square = np.asarray(decode(encoded(truth, "PNG"), SQUARE_32).pixels).astype(int)
    return max(
        float(np.abs(shown(data, truth.size) - np.asarray(truth.convert("RGB"))).mean()),
        float(np.abs(decode(data, SQUARE_32).pixels - square).mean()),
    )


# Colour profiles


@pytest.mark.parametrize("space", WIDE)
@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_colours_of_wide_profiles_become_srgb(space: str, file_format: str, options: dict) -> None:
    other = in_space(PHOTO, space)
    assert difference(encoded(other, "PNG"), PHOTO) > 8
    data = encoded(other, file_format, icc_profile=rgb_profile(space), **options)
    assert difference(data, PHOTO) < 2  # of which the rounding of what AVIF keeps is the most


@pytest.mark.parametrize("space", WIDE)
def test_a_jpeg_that_is_decoded_smaller_has_its_colours(space: str) -> None:
    large = smooth(1200, 800)
    data = encoded(in_space(large, space), "JPEG", quality=95, icc_profile=rgb_profile(space))
    assert np.abs(shown(data) - np.asarray(large.resize((96, 64), Image.Resampling.BOX))).mean() < 1.5


def palette(picture: Image.Image) -> Image.Image:
    return picture.quantize(256, dither=Image.Dither.NONE)


def see_through(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGBA")
    picture.putalpha(254)
    return picture


@pytest.mark.parametrize("made", [palette, see_through])
def test_palettes_and_transparent_pictures_have_their_profiles_colours(made: Callable) -> None:
    data = encoded(made(in_space(PHOTO, "prophoto")), "PNG", icc_profile=rgb_profile("prophoto"))
    assert difference(data, PHOTO) < 6  # of which a palette of 256 colours alone is 4.8


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "RGB of L"])
def test_grey_has_its_profiles_brightness(mode: str) -> None:
    linear = np.rint(255 * (np.asarray(GREY) / 255) ** 2.2).astype(np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(linear.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(linear).convert("L" if mode == "RGB of L" else mode)
    data = encoded(picture, "PNG", icc_profile=grey_profile(1.0))
    assert difference(encoded(picture, "PNG"), GREY) > 30
    assert difference(data, GREY) < 3


def test_grey_with_a_profile_of_colours_has_that_ones_brightness() -> None:
    grey = in_space(GREY.convert("RGB"), "prophoto").getchannel(1)
    assert difference(encoded(grey, "PNG"), GREY) > 5
    assert difference(encoded(grey, "JPEG", quality=100, icc_profile=rgb_profile("prophoto")), GREY) < 1.5


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_has_the_colours_of_its_inks(file_format: str) -> None:
    inks = Image.new("CMYK", (64, 64), (255, 0, 255, 0))  # green in the usual inks, L* 50 in those of this profile
    options = {"quality": 100} if file_format == "JPEG" else {}
    assert np.ptp(shown(encoded(inks, file_format, **options), (64, 64)), axis=2).min() > 100
    data = encoded(inks, file_format, icc_profile=cmyk_profile(), **options)
    assert np.abs(shown(data, (64, 64)) - 119).max() <= 3


@pytest.mark.parametrize(
    ("picture", "wrong"),
    [(PHOTO, grey_profile(1.0)), (PHOTO, cmyk_profile()), (PHOTO.convert("CMYK"), rgb_profile("prophoto"))],
)
def test_a_profile_of_other_colours_than_the_picture_has_is_passed_over(picture: Image.Image, wrong: bytes) -> None:
    plain, said = encoded(picture, "TIFF"), encoded(picture, "TIFF", icc_profile=wrong)
    assert np.array_equal(shown(said), shown(plain))


PROPHOTO = rgb_profile("prophoto")


@pytest.mark.parametrize(
    "broken",
    [
        b"no profile",
        PROPHOTO[:200],
        PROPHOTO[:128] + b"\xff" * 200,
        profile(b"RGB ", {}),
        profile(b"RGB ", {}, b"RGB ", b"link"),
        PROPHOTO.ljust(rgb.MOST_PROFILE_BYTES + 1, b"\0"),
    ],
    ids=["text", "cut", "scrambled", "empty", "link", "huge"],
)
@pytest.mark.parametrize("file_format", ["TIFF", "JPEG"])
def test_a_broken_profile_fails_no_photo(broken: bytes, file_format: str) -> None:
    plain, said = encoded(PHOTO, file_format), encoded(PHOTO, file_format, icc_profile=broken)
    assert np.array_equal(shown(said), shown(plain))


@settings(max_examples=100)
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_profiles_fail_no_photo(flips: list[tuple[float, int]]) -> None:
    broken = bytearray(PROPHOTO)
    for place, value in flips:
        broken[int(place * len(broken))] = value
    assert decode(encoded(PHOTO, "PNG", icc_profile=bytes(broken)), SQUARE_32).pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("same", [SRGB, rgb_profile("srgb")])
def test_what_says_that_it_is_srgb_is_left_as_it_is(same: bytes) -> None:
    assert srgb_transform(same, "RGB") is None
    assert np.array_equal(shown(encoded(PHOTO, "PNG", icc_profile=same)), np.asarray(PHOTO))


def test_a_profile_is_read_once_for_all_its_photos() -> None:
    srgb_transform.cache_clear()
    for number in range(5):
        decode(encoded(smooth(96, 64, seed=number), "JPEG", icc_profile=PROPHOTO), SQUARE_32)
    assert srgb_transform.cache_info().misses == 1
    for exponent in range(1, 2 * rgb.PROFILES_KEPT):
        shown(encoded(GREY, "PNG", icc_profile=grey_profile(exponent / 8)))
    assert srgb_transform.cache_info().currsize <= rgb.PROFILES_KEPT


def test_threads_share_a_profile() -> None:
    pictures = [encoded(smooth(200, 150, seed=number), "PNG", icc_profile=PROPHOTO) for number in range(16)]
    alone = [decode(data, SQUARE_32).pixels for data in pictures]
    srgb_transform.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, SQUARE_32).pixels, pictures * 4))
    assert all(np.array_equal(one, other) for one, other in zip(alone * 4, together, strict=True))


@pytest.mark.parametrize("said", [PROPHOTO, SRGB, b"broken"])
def test_what_is_made_of_a_photo_carries_no_profile(said: bytes) -> None:
    picture = decode_to_fit(encoded(PHOTO, "PNG", icc_profile=said), (50, 50))
    with Image.open(io.BytesIO(encoded(picture, "PNG"))) as written:
        assert "icc_profile" not in written.info


# Brightness


def said_nothing(data: bytes) -> bytes:
    """Return a little-endian TIFF without its photometric interpretation."""
    entry = struct.pack("<HHI", 262, 3, 1)
    assert data.count(entry) == 1
    return data.replace(entry, struct.pack("<HHI", 65_000, 3, 1))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_a_tiff_of_which_white_is_zero_is_no_negative(dtype: type, compression: str | None) -> None:
    values = np.asarray(GREY)
    if dtype is bool:
        stored, truth = values <= 128, np.where(values > 128, 255, 0)
    else:
        highest = np.iinfo(dtype).max
        stored, truth = highest - values.astype(dtype) * dtype(highest // 255), values
    data = tiff(stored, photometric="miniswhite", compression=compression)
    assert np.abs(shown(data)[:, :, 0] - truth).max() <= 1


def test_a_float_tiff_of_which_white_is_zero_is_no_negative() -> None:
    ramp = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (64, 1))
    row = shown(tiff(1 - ramp, photometric="miniswhite"))[0, :, 0]
    assert row[0] < 5
    assert row[-1] > 250
    assert (np.diff(row) >= 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_of_a_tiff_that_does_not_say_so_white_is_not_zero(dtype: type) -> None:
    stored = np.asarray(GREY).astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    data = said_nothing(tiff(stored, photometric="minisblack", byteorder="<"))
    assert np.abs(shown(data)[:, :, 0] - np.asarray(GREY)).max() <= 1


def test_12_bits_keep_their_brightness() -> None:
    values = (np.asarray(GREY).astype(np.uint32) * 4095 // 255).reshape(-1, 2)
    pairs = values[:, 0] << 12 | values[:, 1]
    packed = np.stack([pairs >> 16, pairs >> 8 & 255, pairs & 255], axis=1).astype(np.uint8).tobytes()
    data = bytearray(tiff(np.frombuffer(packed, np.uint8).reshape(64, 144), photometric="minisblack", byteorder="<"))
    for tag, before, now in ((256, 144, 96), (258, 8, 12)):
        place = data.index(struct.pack("<HHI", tag, 3 if tag == 258 else 4, 1)) + 8
        assert data[place] == before
        data[place] = now
    assert np.abs(shown(bytes(data))[:, :, 0] - np.asarray(GREY)).max() <= 1


@pytest.mark.parametrize("highest", [1023, 65_535])
def test_a_netpbm_of_16_bits_keeps_its_brightness(highest: int) -> None:
    deep = (np.asarray(GREY).astype(np.uint32) * highest // 255).astype(">u2")
    data = b"P5 96 64 %d\n" % highest + deep.tobytes()
    assert np.abs(shown(data)[:, :, 0] - np.asarray(GREY)).max() <= 1


def test_32_bits_without_a_sign_are_no_negative_numbers() -> None:
    ramp = np.tile(np.linspace(0, 2**32 - 1, 96).astype(np.uint32), (64, 1))
    assert (np.diff(shown(tiff(ramp, photometric="minisblack", byteorder="<"))[0, :, 0]) >= 0).all()


@pytest.mark.parametrize("rows_at_once", [1, 64])
def test_burnt_out_floats_are_white_and_what_is_no_number_black(
    monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(rgb, "STRIP_PIXELS", 96 * rows_at_once)
    ramp = np.tile(np.linspace(10, 20, 96, dtype=np.float32), (64, 1))
    burnt = ramp.copy()
    burnt[5, :], burnt[6, 50], burnt[7, 50] = np.inf, np.nan, -np.inf
    plain, read = (shown(tiff(values, photometric="minisblack"))[:, :, 0] for values in (ramp, burnt))
    assert (read[5] >= 254).all()
    assert (read[6, 50], read[7, 50]) == (0, 0)
    untouched = np.isfinite(burnt)
    assert np.array_equal(read[untouched], plain[untouched])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_float_picture_without_a_number_fails_nothing(value: float) -> None:
    assert np.ptp(shown(tiff(np.full((64, 96), value, np.float32), photometric="minisblack"))) == 0


def test_deep_pictures_are_brought_down_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(500, 500)).astype(np.float32)
    low, high = values.min(), values.max()
    image = Image.fromarray(values)
    monkeypatch.setattr(rgb, "STRIP_PIXELS", 5_000)
    tracemalloc.start()
    try:
        picture = to_rgb(image)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.abs(np.asarray(picture)[:, :, 0] - (values - low) / (high - low) * 255).max() <= 1
    assert peak_bytes < values.nbytes  # which is a half of one copy in float64


# Transparency


def bmp(alpha: int, masks: tuple[int, int, int, int], header_bytes: int = 108) -> bytes:
    """Return a BMP of 32 bits with masks."""
    pixels = np.concatenate([np.asarray(PHOTO)[::-1, :, ::-1], np.full((64, 96, 1), alpha, np.uint8)], axis=2).tobytes()
    head = struct.pack("<IiiHHIIiiII4I", header_bytes, 96, 64, 1, 32, 3, len(pixels), 0, 0, 0, 0, *masks)
    head = head.ljust(header_bytes, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


@pytest.mark.parametrize("header_bytes", [56, 108, 124])
@pytest.mark.parametrize("masks", [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0, 0, 0, 0)])
def test_a_bmp_with_an_empty_alpha_channel_is_solid(masks: tuple[int, int, int, int], header_bytes: int) -> None:
    assert np.array_equal(shown(bmp(0, masks, header_bytes)), np.asarray(PHOTO))


def test_a_bmp_with_an_alpha_channel_is_laid_on_white() -> None:
    half = shown(bmp(128, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    assert np.abs(half - (np.asarray(PHOTO) * (128 / 255) + 127)).max() <= 1


@pytest.mark.parametrize("options", [{}, {"compression": "tga_rle"}])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_tga_with_an_empty_alpha_channel_is_solid(mode: str, options: dict) -> None:
    picture = PHOTO.convert(mode)
    picture.putalpha(0)
    assert np.array_equal(shown(encoded(picture, "TGA", **options)), np.asarray(PHOTO.convert(mode).convert("RGB")))


def test_a_photo_that_is_solid_is_read_as_without_its_alpha_channel() -> None:
    assert np.array_equal(shown(encoded(PHOTO.convert("RGBA"), "PNG")), np.asarray(PHOTO))
    assert np.array_equal(
        shown(photo_bytes(1, file_format="PNG")), shown(photo_bytes(1, file_format="PNG", mode="RGBA"))
    )


@pytest.mark.parametrize("rows_at_once", [1, 64])
@pytest.mark.parametrize("options", [{}, {"icc_profile": grey_profile(2.2)}])
def test_the_clear_value_of_a_deep_grey_png_is_laid_on_white(
    monkeypatch: pytest.MonkeyPatch, rows_at_once: int, options: dict
) -> None:
    monkeypatch.setattr(rgb, "STRIP_PIXELS", 96 * rows_at_once)
    deep = np.full((64, 96), 30_000, np.uint16)
    deep[20:40], deep[40:] = 1_000, 1_001  # of which 8 bits are the same
    read = shown(encoded(Image.fromarray(deep), "PNG", transparency=1_000, **options))
    assert (read[20:40] == 255).all()
    solid = shown(encoded(Image.fromarray(deep), "PNG", **options))
    assert np.array_equal(np.delete(read, np.s_[20:40], 0), np.delete(solid, np.s_[20:40], 0))


def test_a_deep_grey_png_of_nothing_but_its_clear_value_is_solid() -> None:
    deep = Image.fromarray(np.full((64, 96), 25_700, np.uint16))
    assert (shown(encoded(deep, "PNG", transparency=25_700)) == 100).all()
