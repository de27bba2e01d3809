"""Photos as phones and cameras write them: HEIC, AVIF, JPEG XL, raw, several pictures in a file."""

import io
import os
import struct
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from base.errors import PhotoError
from embedding import apart, plugin_decoders
from embedding import decode as decoding
from embedding.apart import DecoderProcesses
from embedding.boxes import boxes, is_jxl, jxl_size
from embedding.camera_raw import is_camera_raw, raw_is_cut_short
from embedding.decode import decode, decode_to_fit, read_camera, upright_size
from embedding.exif import ORIENTATION
from tests.embedding.conftest import SQUARE_32, encoded, flipped, refusal, smooth
from tests.embedding.test_orientation import STORED_AS
from tests.icc import in_space
from tests.photo_files import dng, heic, jxl

SCENE = smooth(96, 64)
TAKEN = datetime(2023, 5, 17, 18, 3, 59)
FINE = {"quality": 95}
SEVERAL = {"GIF": {}, "TIFF": {}, "WEBP": {"lossless": True}, "PNG": {}, "AVIF": FINE, "MPO": FINE}


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(decode_to_fit(data, (96, 96))).astype(int)


def distance(data: bytes, picture: Image.Image = SCENE) -> float:
    """Return how far a file's pixels are from a picture's, the mean of 255."""
    return float(np.abs(pixels_of(data) - np.asarray(picture.convert("RGB")).astype(int)).mean())


def exif(orientation: int = 1, *, taken: bool = True) -> Image.Exif:
    said = Image.Exif()
    said[ORIENTATION] = orientation
    if taken:
        said[0x0132] = "2023:05:17 18:03:59"
    return said


def turned_heic(stored: Image.Image, orientation: int) -> bytes:
    """Return a HEIC that says by a box and by EXIF how it is turned, as phones write it."""
    import pillow_heif

    data = io.BytesIO()
    stored.encoderinfo = {"exif": exif(orientation).tobytes(), "quality": 90}  # type: ignore[attr-defined]
    pillow_heif.as_plugin._save_heif(stored, data, "")
    assert (b"irot" in data.getvalue()) == (orientation != 1)
    return data.getvalue()


FILES: dict[str, Callable[[Image.Image], bytes]] = {
    "HEIF": lambda picture: heic(picture, quality=95),
    "AVIF": lambda picture: encoded(picture, "AVIF", quality=95),
    "JXL": jxl,
}


@pytest.mark.parametrize("name", FILES)
def test_colours_grey_alpha_and_facts(name: str) -> None:
    write = FILES[name]
    assert distance(write(SCENE)) < 4
    facts = decode(write(SCENE), SQUARE_32).facts
    assert (facts.width_px, facts.height_px, facts.format, facts.grey) == (96, 64, name, False)
    grey = write(SCENE.convert("L"))
    assert distance(grey, SCENE.convert("L")) < 4 and decode(grey, SQUARE_32).facts.grey
    clear = SCENE.copy()
    clear.putalpha(Image.linear_gradient("L").resize(SCENE.size))
    on_white = Image.alpha_composite(Image.new("RGBA", SCENE.size, "white"), clear)
    assert distance(write(clear), on_white) < 4


@pytest.mark.parametrize("name", FILES)
def test_what_is_damaged_cut_short_or_too_large(name: str) -> None:
    data = FILES[name](SCENE)
    for length in (20, len(data) // 2, len(data) - 1):
        assert refusal(data[:length]).kind in ("truncated", "damaged", "not an image"), length
    error = refusal(data, max_pixels=96 * 64 - 1)
    assert error.kind == "too large" and "96 x 64 px" in error.reason and "--max-megapixels" in error.reason
    assert refusal(data[:12] + b"\xff" * 500).kind in ("damaged", "truncated")


def test_a_tiled_heic_that_lacks_tiles_is_truncated() -> None:
    """Which libheif leaves black, as it does in the photos of phones, and tells nobody."""
    import pillow_heif

    photo = smooth(300, 200)
    pillow_heif.options.GRID_TILE_SIZE = 64
    try:
        tiled = heic(photo)
    finally:
        pillow_heif.options.GRID_TILE_SIZE = 0
    assert b"grid" in tiled and upright_size(tiled) == (300, 200)
    decode(tiled, SQUARE_32)
    for lost in (1, len(tiled) // 3):
        assert refusal(tiled[:-lost]).kind == "truncated"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["HEIF", "AVIF", "JXL", "RAW"])
def test_each_is_turned_once(name: str, orientation: int) -> None:
    """HEIF and AVIF say by boxes how they are turned, and by EXIF as well; JPEG XL's pixels come upright."""
    upright = smooth(720, 480) if name == "RAW" else smooth(120, 80)
    width, height = upright.size
    stored = Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](np.asarray(upright))))
    stored.info["exif"] = exif(orientation).tobytes()
    if name == "HEIF":
        data = turned_heic(stored, orientation)
    elif name == "AVIF":
        data = encoded(stored, "AVIF", exif=exif(orientation), quality=95)
    elif name == "JXL":
        stored, data = upright, jxl(upright, exif=exif(orientation).tobytes())
    else:
        data = dng(stored, encoded(stored, "JPEG", quality=95), orientation=orientation)
    seen = decode(data, SQUARE_32)
    assert (seen.facts.width_px, seen.facts.height_px, seen.camera.taken_at) == (width, height, TAKEN)
    assert upright_size(data) == (width, height) and read_camera(data).taken_at == TAKEN
    assert np.abs(pixels_of(data) - np.asarray(upright.resize((96, 64))).astype(int)).mean() < 6


def test_colours_named_by_numbers() -> None:
    """Display P3 is 12 of H.273's primaries, and no profile goes with it."""
    as_p3 = in_space(SCENE, "display-p3")
    numbers = {"color_primaries": 12, "transfer_characteristics": 13, "matrix_coefficients": 1, "full_range_flag": 1}
    wide = heic(as_p3, quality=-1, chroma=444, save_nclx_profile=True, **numbers)
    assert b"nclx" in wide and distance(wide) < 3 < distance(heic(as_p3, quality=-1, chroma=444))
    plain = encoded(as_p3, "AVIF", quality=100, subsampling="4:4:4")
    at = plain.index(b"nclx")
    assert distance(plain[: at + 4] + struct.pack(">HH", 12, 13) + plain[at + 8 :]) < 3 < distance(plain)


@pytest.mark.parametrize("name", SEVERAL)
def test_of_several_pictures_in_a_file_the_first_is_the_photo(name: str) -> None:
    others = [smooth(96, 64, seed).convert("RGB") for seed in (1, 2)]
    if name == "TIFF":  # whose pages may be of any size
        others[0] = smooth(500, 700, 1)
    data = encoded(SCENE, name, save_all=True, append_images=others, **SEVERAL[name])
    assert distance(data) < 12  # GIF has few colours
    assert upright_size(data) == (96, 64)


def test_a_phones_jpeg_with_more_behind_it_is_decoded_smaller_as_any_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    large = smooth(1600, 1200)
    drafted: list[tuple[int, int]] = []
    to_rgb = decoding.to_rgb
    monkeypatch.setattr(decoding, "to_rgb", lambda image: drafted.append(image.size) or to_rgb(image))
    several = encoded(large, "MPO", save_all=True, append_images=[smooth(200, 100)])
    seen, alone = decode(several, SQUARE_32), decode(encoded(large, "JPEG"), SQUARE_32)
    assert (seen.facts.width_px, seen.facts.format) == (1600, "MPO")
    assert drafted == [(200, 150)] * 2 and np.array_equal(seen.pixels, alone.pixels)
    assert refusal(encoded(large, "MPO", save_all=True, append_images=[])[:-200]).kind == "truncated"


# Camera raw


def test_a_raws_preview_is_the_photo_and_its_size_is_the_sensors() -> None:
    pytest.importorskip("rawpy", reason="camera raw needs the extra `formats`")
    preview = encoded(smooth(720, 480, 1), "JPEG", quality=95)
    seen = decode(dng(smooth(300, 200), preview), SQUARE_32)
    assert (seen.facts.width_px, seen.facts.height_px, seen.facts.format) == (300, 200, "RAW")
    assert np.abs(seen.pixels.astype(int) - decode(preview, SQUARE_32).pixels).max() == 0
    upright = encoded(smooth(480, 720, 1), "JPEG", exif=exif(taken=False))
    assert decode(dng(smooth(300, 200), upright, orientation=6), SQUARE_32).facts.height_px == 300
    assert decode_to_fit(dng(smooth(300, 200), upright, orientation=6), (90, 90)).size == (60, 90)


@pytest.mark.parametrize("preview", [b"", encoded(smooth(160, 120), "JPEG")])
def test_a_raw_without_a_preview_of_use_is_developed(preview: bytes) -> None:
    pytest.importorskip("rawpy", reason="camera raw needs the extra `formats`")
    scene = smooth(240, 160)
    data = dng(scene, preview, orientation=6)
    facts = decode(data, SQUARE_32).facts
    assert (facts.width_px, facts.height_px, facts.format, facts.grey) == (160, 240, "RAW", False)
    seen = np.asarray(decode_to_fit(data, (400, 400))).astype(int)
    assert seen.shape == (120, 80, 3)
    turned = np.asarray(scene.rotate(-90, expand=True).resize((80, 120))).astype(int)
    assert np.corrcoef(seen.ravel(), turned.ravel())[0, 1] > 0.95


def test_a_raw_that_is_cut_short_damaged_or_too_large() -> None:
    pytest.importorskip("rawpy", reason="camera raw needs the extra `formats`")
    data = dng(smooth(240, 160))
    assert refusal(data[:200]).kind in ("truncated", "damaged", "not an image")
    for length in (len(data) // 2, len(data) - 1):
        assert refusal(data[:length]).kind in ("truncated", "damaged"), length
    error = refusal(data, max_pixels=1000)
    assert error.kind == "too large" and "240 x 160 px" in error.reason
    for start in (b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx \0\0\0\1", b"IIRO\x08\0\0\0", b"FOVb\2\0\2\0"):
        error = refusal(start + bytes(100))
        assert error.kind in ("damaged", "truncated", "unsupported") and "raw" in error.reason


def test_tiffs_of_scanners_are_no_raw_files() -> None:
    for tags in ({0x10F: "Scanner"}, {0xFE: 1}, {}):
        plain = encoded(SCENE, "TIFF", tiffinfo=tags)
        assert not is_camera_raw(plain) and decode(plain, SQUARE_32).facts.format == "TIFF"
    assert is_camera_raw(encoded(SCENE, "TIFF", tiffinfo={0x10F: "Camera", 0xFE: 1}))


# Plug-ins


@pytest.mark.parametrize(("package", "name"), [("rawpy", "camera raw"), ("pillow_jxl", "JPEG XL")])
def test_what_is_not_installed_is_said_with_the_remedy(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dng(SCENE) if package == "rawpy" else jxl(SCENE)
    monkeypatch.setattr(plugin_decoders, "find_spec", lambda wanted: None)
    error = refusal(data)
    assert error.kind == "needs an extra"
    assert name in error.reason and "[formats]" in error.reason and "--retry-failed" in error.reason
    assert read_camera(data).taken_at is None


def test_a_plug_in_that_dies_hangs_or_takes_all_memory_ends_no_other_photo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("rawpy", reason="camera raw needs the extra `formats`")
    hostile, place = tmp_path / "hostile.py", "    import rawpy\n"
    acts = "    os.abort() if len(data) < 3000 else bytearray(64 << 30) if len(data) < 10_000 else None\n"
    acts += "    select.select([], [], []) if len(data) < 20_000 else None\n"
    hostile.write_text(Path(plugin_decoders.plugin_process.__file__).read_text().replace(place, acts + place, 1))
    good, hangs, crashes, bloats = (dng(smooth(*size)) for size in ((240, 160), (90, 60), (24, 16), (60, 40)))
    with closing(DecoderProcesses(1, (str(hostile),))) as processes:
        monkeypatch.setattr(plugin_decoders, "PROCESSES", processes)
        for _ in range(2):
            assert decode(good, SQUARE_32).facts.width_px == 240
            error = refusal(crashes)
            assert error.kind == "damaged" and "crashed" in error.reason
            error = refusal(bloats)
            assert error.kind == "too large" and "memory" in error.reason
        processes._idle[0].kill()  # as if it had ended by itself
        assert decode(good, SQUARE_32).facts.width_px == 240
        monkeypatch.setattr(apart, "LONGEST_S", 0.1)
        assert "took over" in refusal(hangs).reason


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_processes_of_its_own() -> None:
    data = jxl(SCENE)
    decode(data, SQUARE_32)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if not plugin_decoders.PROCESSES._idle and distance(data) < 4 else 2
            plugin_decoders.PROCESSES.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert distance(data) < 4


# What is hostile

WRITTEN = [heic(SCENE), encoded(SCENE, "AVIF"), dng(smooth(32, 24))]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_told_and_nothing_else_is_raised(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(WRITTEN))
    damaged = whole
    for place in data.draw(st.lists(st.integers(0, min(len(whole), 1500) - 1), min_size=1, max_size=6)):
        damaged = flipped(damaged, place, data.draw(st.integers(1, 255)))
    is_camera_raw(damaged), raw_is_cut_short(damaged), list(boxes(damaged))
    if is_camera_raw(damaged):
        return  # LibRaw has its own process
    try:
        decode(damaged, SQUARE_32, max_pixels=10**6)
    except PhotoError as error:
        assert error.reason


@given(st.binary(max_size=200))
def test_headers_of_anything_are_read_without_harm(data: bytes) -> None:
    for start in (b"", b"II*\0", b"MM\0*", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"FUJIFILMCCD-RAW"):
        is_camera_raw(start + data), raw_is_cut_short(start + data), list(boxes(start + data))
        if is_jxl(start + data):
            try:
                width, height = jxl_size(start + data)
                assert width > 0 and height > 0
            except ValueError as error:
                assert "header" in str(error)


def test_the_size_of_a_jpeg_xl_is_read_from_its_header() -> None:
    for size in ((1, 1), (8, 8), (16, 8), (256, 256), (520, 333), (1600, 900), (3, 2000)):
        for options in ({}, {"use_container": True}):
            assert jxl_size(jxl(Image.new("RGB", size), **options)) == size
