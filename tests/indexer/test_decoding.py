import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

import indexer.reading
from base.files import PhotoFile
from db.models import Photo
from embedding.decode import MAX_PIXELS, DecodedPhoto
from indexer.reading import Content, Failure, Outcome, decode_ahead, never, read_photo
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes, raising

PREPROCESSING = FakeEncoder.preprocessing


def read(
    path: Path, *, is_known: Callable[[bytes], bool] = never, may_decode: threading.Event | None = None
) -> Outcome:
    if may_decode is None:
        may_decode = threading.Event()
        may_decode.set()
    return read_photo(PhotoFile(str(path)), PREPROCESSING, is_known, may_decode, MAX_PIXELS)


def test_photo_is_read_hashed_and_decoded(photos: Path) -> None:
    data = (photos / "00.jpg").read_bytes()
    outcome = read(photos / "00.jpg")
    assert isinstance(outcome, Content)
    assert (outcome.sha256, outcome.size_bytes) == (hashlib.sha256(data).digest(), len(data))
    assert outcome.decoded.pixels.shape == (32, 32, 3)
    assert (outcome.decoded.facts.width_px, outcome.decoded.facts.height_px) == (96, 64)


def test_known_bytes_are_not_decoded(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.reading.decode", None)
    data = (photos / "00.jpg").read_bytes()
    sha256 = hashlib.sha256(data).digest()
    outcome = read(photos / "00.jpg", is_known=lambda asked: asked == sha256)
    assert outcome == Content(sha256, len(data), None)


def test_photo_is_not_decoded_before_it_may_be(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_decode, seen = threading.Event(), []
    decode = indexer.reading.decode

    def watched(*args: Any) -> DecodedPhoto:
        seen.append(may_decode.is_set())
        return decode(*args)

    monkeypatch.setattr("indexer.reading.decode", watched)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(read, photos / "00.jpg", may_decode=may_decode)
        assert wait([future], timeout=0.2).not_done
        may_decode.set()
        assert isinstance(future.result(), Content)
    assert seen == [True]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (FileNotFoundError(2, "No such file"), Failure("missing", "the file vanished before it was read")),
        (PermissionError(13, "Permission denied"), Failure("unreadable", "Permission denied")),
        (OSError(5, "Input/output error"), Failure("unreadable", "Input/output error")),
        (OSError("the share is gone"), Failure("unreadable", "the share is gone")),
    ],
)
def test_photo_that_cannot_be_read_is_a_failure_with_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, failure: Failure
) -> None:
    monkeypatch.setattr(PhotoFile, "read", raising(error))
    (tmp_path / "a.jpg").write_bytes(photo_bytes(0))
    assert read(tmp_path / "a.jpg") == failure


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RecursionError("too deep"),
        SystemError("error return without exception set"),
        struct.error("unpack requires a buffer"),
        zlib.error("invalid block"),
        ZeroDivisionError(),
        AssertionError(),
    ],
)
def test_what_pillow_raises_fails_one_photo(photos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    for what in ("PIL.Image.open", "PIL.ImageFile.ImageFile.load"):
        with monkeypatch.context() as patch:
            patch.setattr(what, raising(error))
            outcome = read(photos / "00.jpg")
        assert isinstance(outcome, Failure)
        assert outcome.kind in ("damaged", "too large")
        assert type(error).__name__ in outcome.reason or "does not fit into memory" in outcome.reason


def test_a_file_larger_than_any_photo_stops_no_other(library: LibraryFactory, photos: Path) -> None:
    film = photos / "05a.jpg"
    film.touch()
    try:
        os.truncate(film, 200_000_000_000)
    except OSError as error:
        pytest.skip(f"no file of 200 GB here: {error.strerror}")
    for _ in range(2):
        report = library.add(photos)
        assert (report.run.done, report.scan.problems) == (report.run.encoded + report.run.failed, 0)
    [failure] = library.open().failures()
    assert (failure.where, failure.kind) == (str(film), "too large")
    assert failure.reason.startswith("200,000 MB are over the cap of 1,000 MB a photo: save it smaller")
    assert len(library.open().search(image=photos / "00.jpg", k=100)) == 10


def numbered(count: int, taken: list[int]) -> Iterator[Photo]:
    for number in range(count):
        taken.append(number)
        yield Photo(id=number, path=str(number), member="")


def test_outcomes_come_in_the_order_of_the_photos_however_long_each_takes() -> None:
    second_is_read = threading.Event()

    def read_second_first(file: PhotoFile) -> Outcome:
        if file.path == "0":
            assert second_is_read.wait(10)
        elif file.path == "1":
            second_is_read.set()
        return Failure("kind", file.path)

    outcomes = list(decode_ahead(numbered(50, []), read_second_first, threads=4, ahead=10))
    assert [(photo.id, outcome) for photo, outcome in outcomes] == [(n, Failure("kind", str(n))) for n in range(50)]


def test_no_more_photos_are_taken_ahead_than_asked_for() -> None:
    taken: list[int] = []
    outcomes = decode_ahead(numbered(100, taken), lambda file: Failure("kind", "why"), threads=2, ahead=8)
    for given, _ in enumerate(outcomes, start=1):
        assert len(taken) <= given + 8
    assert len(taken) == 100


def test_closing_early_reads_no_more_than_what_was_taken() -> None:
    taken: list[int] = []
    outcomes = decode_ahead(numbered(100, taken), lambda file: Failure("kind", "why"), threads=2, ahead=8)
    next(outcomes)
    outcomes.close()
    assert len(taken) == 9
    assert threading.active_count() == len([t for t in threading.enumerate() if not t.name.startswith("decode")])


def test_error_that_is_no_failure_of_a_photo_reaches_the_caller() -> None:
    with pytest.raises(RuntimeError, match="the database is gone"):
        list(decode_ahead(numbered(3, []), raising(RuntimeError("the database is gone")), threads=2, ahead=8))
