"""Photos of phones and cameras in a library: found by their endings; where an extra is absent that is told."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from aliens.library import Library
from embedding import plugin_decoders
from tests.conftest import LibraryFactory, photo_bytes
from tests.embedding.conftest import encoded, smooth
from tests.indexer.conftest import check_invariants, photos_of, write_tar
from tests.photo_files import dng, heic, jxl

pytestmark = pytest.mark.skipif(
    not (find_spec("rawpy") and find_spec("pillow_jxl")), reason="the extra `formats` is not installed"
)


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo in each format, a pair, sidecars, and two that are damaged."""
    folder = tmp_path_factory.mktemp("formats")
    photo = smooth(90, 60, 1)
    phone = heic(photo)
    files = {
        "IMG_1.HEIC": phone,
        "IMG_1.MOV": b"film",
        "IMG_2.heif": photo_bytes(9),  # which is a JPEG
        "IMG_3.hif": phone[:-1],
        "a.avif": encoded(photo, "AVIF"),
        "b.JXL": jxl(photo),
        "IMG_4.DNG": dng(smooth(120, 80, 2)),
        "IMG_4.JPG": photo_bytes(4),
        "IMG_4.xmp": b"<x/>",
        "c.nef": b"no raw",
        "d.tiff": encoded(photo, "TIFF"),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_tar(folder / "shard.tar", {"x.heic": heic(smooth(60, 40, 3)), "y.cr2": dng(smooth(60, 40, 4))})
    return folder


def states(library: Library) -> dict[str, str]:
    return {Path(failure.where).name: failure.kind for failure in library.failures()}


def test_all_are_found_and_those_without_their_extra_are_embedded_once_it_is_there(
    library: LibraryFactory, formats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = library.open()
    with monkeypatch.context() as bare:
        bare.setattr(plugin_decoders, "find_spec", lambda package: None)
        report = opened.add(formats)
    assert (report.scan.found, report.run.encoded, report.run.failed) == (11, 6, 5)
    assert report.scan.as_json()["passed_over"].keys() == {"video", "sidecar"}
    needed = {name for name, kind in states(opened).items() if kind == "needs an extra"}
    assert needed == {"b.JXL", "IMG_4.DNG", "shard.tar!y.cr2"}
    again = opened.add(formats, retry_failed=True)
    assert (again.scan.unchanged, again.run.encoded, again.run.failed) == (6, 3, 2)
    assert states(opened) == {"IMG_3.hif": "truncated", "c.nef": "not an image"}
    once_more = opened.add(formats)
    assert (once_more.scan.unchanged, once_more.run.total) == (11, 0)


def test_their_facts_and_pictures(library: LibraryFactory, formats: Path) -> None:
    from web.thumbnails import fitting, seen_picture

    library.add(formats)
    check_invariants(library.folder)
    told = {Path(where).name: photo for where, photo in photos_of(library.folder).items() if photo.format}
    assert {name: photo.format for name, photo in told.items()} == {
        "IMG_1.HEIC": "HEIF",
        "IMG_2.heif": "JPEG",
        "a.avif": "AVIF",
        "b.JXL": "JXL",
        "IMG_4.DNG": "RAW",
        "IMG_4.JPG": "JPEG",
        "d.tiff": "TIFF",
        "shard.tar!x.heic": "HEIF",
        "shard.tar!y.cr2": "RAW",
    }
    assert (told["IMG_4.DNG"].width_px, told["IMG_4.DNG"].height_px) == (120, 80)
    for name, size in {"IMG_1.HEIC": (45, 30), "b.JXL": (45, 30), "IMG_4.DNG": (45, 30), "a.avif": (45, 30)}.items():
        data = (formats / name).read_bytes()
        assert fitting(data, 45).size == size and seen_picture(data, 45).size == size
    wide = fitting((formats / "IMG_1.HEIC").read_bytes(), 960)
    assert np.abs(np.asarray(wide).astype(int) - np.asarray(smooth(90, 60, 1)).astype(int)).mean() < 6
