import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import update

from base.errors import LibraryError, QueryError
from db.models import Restyling
from db.restyling_rows import all_restylings
from restyle.restyled import Lineage, file_name
from restyle.result_pictures import write_result_picture
from tests.by_folder import catalog_of
from tests.by_folder import disagreements as verify
from tests.conftest import LibraryFactory, photo_bytes, raising
from tests.restyled import lineage_of, read_parameters, results_of

PIXELS = np.asarray(Image.open(io.BytesIO(photo_bytes(0, (47, 31), "PNG"))))

KEEP = """
import os, signal, sys
from pathlib import Path
import numpy as np
from base.settings import LibraryFolder
import restyle.restyled as module
from tests.restyled import lineage_of, results_of
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
module.keep_restyling = die
with results_of(LibraryFolder(Path(sys.argv[1]))) as (_, results):
    results.keep(np.full((5, 7, 3), 200, np.uint8), lineage_of(1))
"""


def files_of(library: LibraryFactory) -> list[str]:
    return sorted(path.name for path in library.folder.restyled.glob("*"))


@pytest.mark.parametrize("file_format", ["png", "jpg"])
def test_a_result_is_kept_with_its_lineage_in_the_database_and_in_its_file(
    filled: LibraryFactory, file_format: Any
) -> None:
    lineage = lineage_of(3, source_sha256=hashlib.sha256(photo_bytes(2)).hexdigest())
    with results_of(filled.folder) as (_, results):
        kept = results.keep(PIXELS, lineage, file_format)
    with results_of(filled.folder) as (_, results):
        assert results.find(lineage.wish) == kept
        assert (
            results.all() == results.all(3) == results.all(engine="regrade") == results.of_ids([9, kept.id]) == [kept]
        )
        assert results.all(4) == results.all(engine="sd15") == results.of_ids([]) == []
    assert (kept.photo_id, kept.lineage, kept.exists) == (None, lineage, True)
    assert kept.path == filled.folder.root / "restyled" / f"3-regrade-30000000.{file_format}"
    assert Lineage(**read_parameters(kept.path)) == lineage
    with Image.open(kept.path) as picture:
        off = np.abs(np.asarray(picture).astype(int) - PIXELS)
        exif = picture.getexif()
        assert picture.info.get("srgb", exif.get_ifd(0x8769).get(0xA001)) in (0, 1)  # PNG's intent, Exif's ColorSpace
        told = picture.info.get("Description") or exif[0x010E]
    assert off.mean() < (1 if file_format == "png" else 3)
    assert file_format == "jpg" or off.max() == 0
    assert told == "photo 3 restyled by CV-Aliens: regrade in the colours of fern, no diffusion model was used"


def test_what_was_asked_for_is_done_again_where_its_file_is_gone(filled: LibraryFactory) -> None:
    with results_of(filled.folder) as (_, results):
        first = results.keep(PIXELS, lineage_of(1))
        first.path.unlink()
        assert results.find(first.lineage.wish) is None
        assert [(result.id, result.exists) for result in results.all()] == [(first.id, False)]
        again = results.keep(PIXELS, lineage_of(1, rung="boundary"))
        assert (again.id, again.path, again.lineage.rung) == (first.id, first.path, "boundary")
        assert results.find(first.lineage.wish) == again


def half_overwritten(whole: bytes) -> bytes:
    return whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)


def with_a_flipped_bit(whole: bytes) -> bytes:
    """Return a picture that reads as before: in its metadata a letter is another one."""
    place = whole.index(b"by CV-Aliens")
    return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


@pytest.mark.parametrize("spoil", [half_overwritten, with_a_flipped_bit, lambda whole: whole[:-1], lambda whole: b""])
@pytest.mark.parametrize("file_format", ["png", "jpg"])
def test_a_result_that_is_not_what_was_written_is_told_and_counts_as_none_until_it_is_made_again(
    filled: LibraryFactory, spoil: Callable[[bytes], bytes], file_format: Any
) -> None:
    with results_of(filled.folder) as (_, results):
        first = results.keep(PIXELS, lineage_of(1), file_format)
        results.keep(PIXELS, lineage_of(2), file_format)
    whole = first.path.read_bytes()
    first.path.write_bytes(spoil(whole))
    (told,) = verify(filled.folder)
    assert (told.part, told.what) == (
        "result",
        f"result {first.id}: {first.path} is not what was written: its checksum is another one",
    )
    assert verify(filled.folder, quick=True) == []
    with results_of(filled.folder) as (_, results):
        assert results.find(first.lineage.wish) is None
        assert results.find(lineage_of(2).wish) is not None
        again = results.keep(PIXELS, lineage_of(1), file_format)
        assert (again.id, results.find(first.lineage.wish)) == (first.id, again)
    assert again.path.read_bytes() == whole
    assert verify(filled.folder) == []


def test_a_result_of_an_earlier_version_without_a_checksum_is_found_while_its_file_is_there(
    filled: LibraryFactory,
) -> None:
    with results_of(filled.folder) as (session, results):
        first = results.keep(PIXELS, lineage_of(1))
        session.execute(update(Restyling).values(sha256=None))
        session.commit()
    with results_of(filled.folder) as (_, results):
        assert results.find(first.lineage.wish) == first
    assert verify(filled.folder) == []
    first.path.unlink()
    with results_of(filled.folder) as (_, results):
        assert results.find(first.lineage.wish) is None


def test_the_same_wish_in_another_format_replaces_the_file(filled: LibraryFactory) -> None:
    with results_of(filled.folder) as (_, results):
        results.keep(PIXELS, lineage_of(1))
        results.keep(PIXELS, lineage_of(1), "jpg")
    assert files_of(filled) == ["1-regrade-10000000.jpg"]


def test_numbers_of_numpy_and_paths_are_kept_as_plain_values(filled: LibraryFactory) -> None:
    scores = {"hog": np.float32(0.5), "n": np.int64(3), "met": np.bool_(True), "ab": np.array([1.5, 2])}
    with results_of(filled.folder) as (_, results):
        kept = results.keep(PIXELS, lineage_of(1, scores=scores, settings={"model": Path("/models/тест")}))
    assert kept.lineage.scores == {"hog": 0.5, "n": 3, "met": True, "ab": [1.5, 2.0]}
    assert read_parameters(kept.path)["settings"] == {"model": "/models/тест"}


def test_what_is_no_json_is_refused_before_anything_is_written(filled: LibraryFactory) -> None:
    with results_of(filled.folder) as (session, results):
        with pytest.raises(TypeError, match="object cannot be kept"):
            results.keep(PIXELS, lineage_of(1, settings={"model": object()}))
        with pytest.raises(QueryError, match="png or jpg, not as 'webp'"):
            results.keep(PIXELS, lineage_of(1), "webp")  # type: ignore[arg-type]
        assert all_restylings(session) == []
    assert files_of(filled) == []


@given(st.text(max_size=300), st.sampled_from(["png", "jpg"]))
def test_any_engine_gives_a_name_for_a_file(engine: str, file_format: Any) -> None:
    name = file_name(lineage_of(42, engine=engine), file_format)
    assert name == file_name(lineage_of(42, engine=engine), file_format)
    assert name.startswith("42-")
    assert name.endswith(f"-a2000000.{file_format}")
    assert len(name.encode()) <= 255
    assert not set(name) & set('/\\:*?"<>| \n\0')


def test_the_file_of_an_engine_named_by_a_folder_says_which() -> None:
    assert file_name(lineage_of(7, engine="/моя/models/SD 1.5 моя"), "png") == "7-SD-1.5-моя-70000000.png"


def test_a_full_disk_is_told_and_leaves_neither_file_nor_row(
    filled: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with results_of(filled.folder) as (session, results):
        with monkeypatch.context() as patch:
            patch.setattr("base.files.os.fsync", raising(OSError(errno.ENOSPC, "No space left on device")))
            with pytest.raises(LibraryError, match="is full: free some space"):
                results.keep(PIXELS, lineage_of(1))
        assert files_of(filled) == []
        assert all_restylings(session) == []
        assert results.keep(PIXELS, lineage_of(1)).exists


def test_kill_9_between_file_and_row_leaves_a_file_that_the_same_wish_writes_over(filled: LibraryFactory) -> None:
    killed = subprocess.run([sys.executable, "-c", KEEP, filled.folder.root], cwd=os.getcwd())
    assert killed.returncode == -signal.SIGKILL
    assert files_of(filled) == ["1-regrade-10000000.png"]
    with results_of(filled.folder) as (_, results):
        assert results.all() == []
        assert results.find(lineage_of(1).wish) is None
        assert verify(filled.folder) == []
        kept = results.keep(PIXELS, lineage_of(1))
        assert results.all() == [kept] and results.find(kept.lineage.wish) == kept
    assert files_of(filled) == ["1-regrade-10000000.png"]
    assert verify(filled.folder) == []


def test_results_are_kept_while_photos_are_added(filled: LibraryFactory) -> None:
    with catalog_of(filled.folder) as catalog, catalog.lock(), results_of(filled.folder) as (_, results):
        assert results.keep(PIXELS, lineage_of(1)).exists


def test_lineage_longer_than_a_jpeg_can_say_leaves_out_its_attempts(tmp_path: Path) -> None:
    parameters = {"rung": "regrade", "attempts": [{"note": "x" * 1000} for _ in range(70)]}
    for file_format in ("png", "jpg"):
        write_result_picture(tmp_path / file_format, PIXELS, parameters, "a line", file_format)  # type: ignore[arg-type]
    assert read_parameters(tmp_path / "png") == parameters
    assert read_parameters(tmp_path / "jpg") == {"rung": "regrade"}
