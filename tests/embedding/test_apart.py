"""Photos of risky kinds are decoded in processes of their own: what happens there stays there."""

import errno
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import AliensError, PhotoError
from embedding import apart, mending
from embedding.apart import DecoderProcesses, goes_apart
from embedding.decode import (
    decode,
    decode_here,
    decode_to_fit,
    fit_here,
    header_here,
    open_image,
    read_camera,
    read_header,
)
from embedding.exif import MOST_EXIF_BYTES, SILENT
from embedding.mending import JPEG_SCAN, MOST_NOTES, MOST_SCANS, has_endless_scans, readable_png
from tests.conftest import raising
from tests.embedding.conftest import SQUARE_32, chunk, encoded, smooth
from tests.photo_files import heic

ROOT = Path(__file__).parents[2]
SCENE = smooth(96, 64)
PROGRAM = ("-m", "embedding.photo_process")
APART: dict[str, Callable[[Image.Image], bytes]] = {
    "TIFF": lambda picture: encoded(picture, "TIFF", compression="tiff_lzw"),
    "HEIF": heic,
    "AVIF": lambda picture: encoded(picture, "AVIF", speed=10),
    "JPEG2000": lambda picture: encoded(picture, "JPEG2000"),
    "BMP": lambda picture: encoded(picture, "BMP"),
    "TGA": lambda picture: encoded(picture, "TGA"),
    "PPM": lambda picture: encoded(picture, "PPM"),
}
HOSTILE = """
import os, select, sys
from embedding import photo_process
from embedding.plugin_process import serve_requests
sound = photo_process.answer_to

def hostile(request, data):
    if request["want"] == {when!r} and data.startswith(b"BM"):
        {acts}
    return sound(request, data)

serve_requests(hostile)
"""


@pytest.mark.parametrize("name", APART)
def test_what_is_decoded_apart_is_what_would_be_decoded_here(name: str) -> None:
    data = APART[name](SCENE)
    assert goes_apart(data)
    there, here = decode(data, SQUARE_32), decode_here(data, SQUARE_32)
    assert (there.facts, there.camera) == (here.facts, here.camera)
    assert np.array_equal(there.pixels, here.pixels)
    assert decode_to_fit(data, (40, 40)).tobytes() == fit_here(data, (40, 40)).tobytes()
    header = read_header(data)
    assert replace(header, camera=None) == header_here(data, 10**6) and header.format == name
    assert header.camera == read_camera(data) == here.camera


def test_a_box_may_depend_on_the_size_that_is_found() -> None:
    asked: list[tuple[int, int]] = []

    def box(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return size[0] // 2, size[1] // 2

    assert decode_to_fit(APART["TIFF"](SCENE), box).size == (48, 32)
    assert asked == [(96, 64)]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_what_browsers_show_is_decoded_in_place(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PHOTO_PROCESSES", None)
    data = encoded(SCENE, file_format)
    assert decode(data, SQUARE_32).facts.width_px == 96 and decode_to_fit(data, (9, 9)).size == (9, 6)
    assert read_header(data).format == file_format and open_image(data, 10**6).size == (96, 64)


def test_what_goes_apart_is_never_opened_here() -> None:
    with pytest.raises(PhotoError, match="no JPEG, PNG, GIF or WebP"):
        open_image(APART["TIFF"](SCENE), 10**6)


SELDOM_SEEN = [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.7\n", b"<svg xmlns='http://www.w3.org'/>"]
SELDOM_SEEN += [
    b"8BPS\0\1",
    b"\xd7\xcd\xc6\x9a",
    b"gimp xcf ",
    b"\0\0\1\0\1\0",
    b"\x01\xda",
    b"/* XPM */",
    b"SIMPLE  =",
]


@pytest.mark.parametrize("start", SELDOM_SEEN)
def test_what_is_interpreted_or_seldom_seen_is_never_opened(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)  # Pillow would call Ghostscript
    with pytest.raises(PhotoError) as caught:
        decode_here(start + bytes(2_000), SQUARE_32)
    assert caught.value.kind == "not an image"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Have processes do something with every BMP when they are asked for something."""
    program = tmp_path / "hostile.py"
    with closing(DecoderProcesses(2, (str(program),))) as hostile:
        monkeypatch.setattr(apart, "PHOTO_PROCESSES", hostile)
        yield lambda acts, when: program.write_text(HOSTILE.format(when=when, acts=acts))


@pytest.mark.parametrize(
    ("when", "acts", "kind", "reason"),
    [
        ("header", "print('noise'); sys.stdout.flush(); os.abort()", "damaged", "crashed"),
        ("square", "import ctypes; ctypes.string_at(8)", "damaged", "crashed"),
        ("square", "bytearray(64 << 30)", "too large", "memory"),
        ("header", "raise RuntimeError('odd')", "damaged", "RuntimeError: odd"),
    ],
)
def test_what_a_photo_does_to_its_decoder_costs_that_photo_alone(
    processes: Callable[[str, str], None], when: str, acts: str, kind: str, reason: str
) -> None:
    processes(acts, when)
    with ThreadPoolExecutor(2) as pool:
        bad, good = (pool.submit(decode, APART[name](SCENE), SQUARE_32) for name in ("BMP", "TIFF"))
        assert good.result().facts.width_px == 96
        error = bad.exception()
        assert isinstance(error, PhotoError) and error.kind == kind and reason in error.reason


def test_a_decoder_that_hangs_is_ended(processes: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    processes("select.select([], [], [])", "square")
    decode(APART["TIFF"](SCENE), SQUARE_32)  # so that the process has started
    monkeypatch.setattr(apart, "LONGEST_S", 0.5)
    with pytest.raises(PhotoError, match="took over"):
        decode(APART["BMP"](SCENE), SQUARE_32)


def test_what_cannot_be_known_of_a_header_is_silent(processes: Callable[[str, str], None]) -> None:
    processes("os.abort()", "header")
    assert read_camera(APART["BMP"](SCENE)) == SILENT


# What is decoded in place


def endless(scans: int, progressive: bool = True) -> bytes:
    """Return a JPEG with scans of a few bytes behind its own, each of which has libjpeg go over all pixels again."""
    whole = encoded(smooth(64, 64).convert("L"), "JPEG", progressive=progressive)
    again = JPEG_SCAN + bytes([0, 8, 1, 1, 0, 0, 0, 0x10, 0])
    return whole[:-2] + again * scans + whole[-2:]


def test_a_jpeg_that_goes_over_its_pixels_without_end_is_refused() -> None:
    assert decode(endless(3), SQUARE_32).facts.width_px == 64
    with pytest.raises(PhotoError, match=f"more than {MOST_SCANS} times"):
        decode(endless(MOST_SCANS), SQUARE_32)
    with pytest.raises(PhotoError, match=f"more than {MOST_SCANS} times"):
        decode_to_fit(endless(MOST_SCANS), (8, 8))


def test_scans_are_counted_as_libjpeg_reads_them() -> None:
    assert not has_endless_scans(endless(MOST_SCANS, progressive=False))  # whose first has all pixels: it ends there
    whole = encoded(SCENE, "JPEG", progressive=True, restart_marker_blocks=1, exif=thumbnail_block())
    assert not has_endless_scans(whole) and not has_endless_scans(whole[:-2] + JPEG_SCAN)
    separate = encoded(SCENE, "JPEG", progressive=False)
    frame = separate.find(JPEG_SCAN)
    one_colour = JPEG_SCAN + bytes([0, 8, 1, 1, 0, 0, 63, 0])  # of three: then libjpeg keeps all and reads on
    assert has_endless_scans(separate[:frame] + one_colour * (MOST_SCANS + 1) + separate[frame:])
    for cut in (0, 1, 2, 3, frame + 1, frame + 3):
        assert not has_endless_scans(separate[:cut])


def thumbnail_block() -> bytes:
    """Return an EXIF block with many starts of scans in it, as thumbnails have one."""
    said = Image.Exif()
    said[0x010E] = "x" + JPEG_SCAN.decode("latin-1") * (MOST_SCANS + 1)
    return said.tobytes()


def test_a_flood_of_texts_in_a_png_is_dropped_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [0]

    def counted(*given: object) -> bool:
        asked[0] += 1
        return True

    monkeypatch.setattr(mending, "is_sound", counted)
    text = chunk(b"zTXt", b"words\0\0" + zlib.compress(bytes(1000)))
    whole = encoded(SCENE, "PNG")
    flooded = whole[:33] + text * (MOST_NOTES + 50) + whole[33:]
    kept = readable_png(flooded)
    assert asked[0] == MOST_NOTES and len(kept) == len(flooded) - 50 * len(text)
    assert decode(flooded, SQUARE_32).facts.width_px == 96


def test_an_exif_block_larger_than_any_is_passed_over() -> None:
    said = Image.Exif()
    said[0x0112] = 6
    said[0x010E] = "x" * MOST_EXIF_BYTES
    photo = decode(encoded(SCENE, "PNG", exif=said), SQUARE_32)
    assert (photo.facts.width_px, photo.camera) == (96, SILENT)


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have another size")
def test_a_photo_larger_than_a_pipe_goes_both_ways() -> None:
    picture = smooth(1200, 900)
    assert decode_to_fit(encoded(picture, "BMP"), (1200, 900)).tobytes() == picture.tobytes()


def test_a_photo_that_waits_for_memory_longer_than_processes_wait_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    class Budget:
        @contextmanager
        def holding(self, size_bytes: int) -> Iterator[None]:
            for process in processes._idle:  # as they do by themselves after a minute
                process.kill()
                ended.append(process.wait())
            yield

    wanted = {"want": "fit", "box": (9, 9)}
    with closing(DecoderProcesses(1, PROGRAM)) as processes:
        monkeypatch.setattr(apart, "PHOTO_PROCESSES", processes)
        about, pixels = apart.found_apart(APART["BMP"](SCENE), 10**6, lambda size: wanted, Budget(), 24)  # type: ignore[arg-type]
    assert (about["pixels"], len(pixels), len(ended)) == ([9, 6], 9 * 6 * 3, 1)


def test_small_caps_leave_room_for_photos_that_keep_them() -> None:
    large = Image.new("RGB", (1000, 700), "#806040")
    decoded = decode(APART["BMP"](large), SQUARE_32, max_pixels=1_000_000)
    assert (decoded.facts.width_px, decoded.facts.height_px) == (1000, 700)
    assert np.abs(decoded.pixels.astype(int) - [0x80, 0x60, 0x40]).max() <= 1


def test_processes_that_decode_import_no_pytorch(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from embedding.photo_process import answer_to\n"
        "from embedding.plugin_process import serve_requests\n"
        "serve_requests(lambda *asked: (answer_to(*asked)[0] | {'torch': 'torch' in sys.modules}, b''))\n"
    )
    data = APART["BMP"](Image.new("RGB", (1000, 700), "#806040"))
    wanted = {"want": "square", "preprocessing": asdict(SQUARE_32)}
    with closing(DecoderProcesses(1, (str(program),))) as processes:
        answer = processes.ask(apart.header_request(data, 10**6) | wanted, data)
    assert answer is not None and answer[0]["facts"]["width_px"] == 1000 and not answer[0]["torch"]


def test_a_process_that_cannot_be_started_is_no_fault_of_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", raising(OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(AliensError, match=r"no process can be started .* \(Too many open files\)") as caught:
        DecoderProcesses(1, PROGRAM).ask({}, b"")
    assert not isinstance(caught.value, PhotoError)


def test_pipes_that_may_not_grow_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.fcntl", raising(PermissionError(errno.EPERM, "Operation not permitted")))
    with closing(DecoderProcesses(1, PROGRAM)) as processes:
        answer = processes.ask(apart.header_request(APART["BMP"](SCENE), 10**6), APART["BMP"](SCENE))
    assert answer is not None and answer[0]["size"] == [96, 64]


def test_processes_look_for_packages_where_this_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from embedding.plugin_process import serve_requests\n"
        "serve_requests(lambda request, data: ({'path': sys.path}, b''))\n"
    )
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "first"), *sys.path])
    with closing(DecoderProcesses(1, (str(program),))) as processes:
        answer = processes.ask(apart.header_request(b"x", 1), b"x")
    places = dict.fromkeys(str(ROOT) if place == "" else os.path.abspath(place) for place in sys.path)
    assert answer is not None and answer[0]["path"][: len(places)] == [*places]
