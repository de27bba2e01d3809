import errno
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import indexer.pipeline
from base.files import PhotoFile
from base.progress import Step
from db.vector_rows import current_model, segment_with
from indexer.pipeline import RunReport
from tests.by_folder import disagreements as verify
from tests.by_folder import list_failures, session_of
from tests.conftest import FakeEncoder, LibraryFactory, fill_folder, photo_bytes, raising
from tests.indexer.conftest import (
    EMBEDDED,
    GroupEncoder,
    WatchedEncoder,
    at_step,
    check_invariants,
    check_sound,
    photos_of,
    segments_in,
    set_sizes,
    states_of,
    vectors_of,
    write_tar,
)

pytestmark = pytest.mark.usefixtures("ctrl_c")

NAMES = "{:02d}.jpg"


@pytest.fixture
def small_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every group of 4 photos recorded by itself."""
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_at(last_group: int) -> WatchedEncoder:
    """Return an encoder that presses Ctrl-C before it encodes a group."""
    return WatchedEncoder(lambda group: interrupt() if group == last_group else None)


def test_every_photo_gets_its_vector_and_its_facts(library: LibraryFactory, photos: Path) -> None:
    (photos / "wide.png").write_bytes(photo_bytes(50, size=(300, 100), file_format="PNG"))
    (photos / "grey.jpg").write_bytes(photo_bytes(51, mode="L"))
    report = library.add(photos).run
    assert (report.total, report.encoded, report.reused, report.failed, report.done) == (12, 12, 0, 0, 12)
    assert not report.interrupted
    for where, vector in vectors_of(library.folder).items():
        assert np.isclose(np.linalg.norm(np.frombuffer(vector, np.float16).astype(np.float32)), 1, atol=1e-3), where
    wide, grey = (photos_of(library.folder)[str(photos / name)] for name in ("wide.png", "grey.jpg"))
    assert (wide.width_px, wide.height_px, wide.format, wide.grey) == (300, 100, "PNG", False)
    assert (grey.width_px, grey.height_px, grey.format, grey.grey) == (96, 64, "JPEG", True)
    assert wide.size_bytes == (photos / "wide.png").stat().st_size
    check_invariants(library.folder)


def test_new_photos_are_encoded_in_groups_and_the_rest_at_the_end(library: LibraryFactory, photos: Path) -> None:
    sizes: list[int] = []

    class Sized(FakeEncoder):
        def encode_images(self, pixels: np.ndarray) -> np.ndarray:
            sizes.append(len(pixels))
            return super().encode_images(pixels)

    library.encoder = Sized()
    library.add(photos)
    assert sizes == [4, 4, 2]


def test_run_tells_how_long_it_took(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.5])
    monkeypatch.setattr("indexer.pipeline.time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert library.add(photos).run.seconds == 2.5


def test_progress_tells_of_every_group_and_of_the_end(library: LibraryFactory, photos: Path) -> None:
    told: list[Step] = []
    library.add(photos, progress=told.append)
    assert [step for step in told if step.what == "embedding"] == [Step("embedding", done, 10) for done in (4, 8, 10)]


def test_what_a_callback_raises_ends_the_run_and_what_was_encoded_stays(library: LibraryFactory, photos: Path) -> None:
    def fail(step: Step) -> None:
        if step.what == "embedding":
            raise LookupError(f"after {step.done}")

    with pytest.raises(LookupError, match="after 4"):
        library.add(photos, progress=fail)
    assert list(states_of(library.folder).values()).count(EMBEDDED) == 4
    assert library.add(photos).run.encoded == 6


def test_reports_of_runs_add_up() -> None:
    first = RunReport(total=9, encoded=1, reused=2, moved=3, failed=4, seconds=0.5, strays=5)
    later = RunReport(total=90, encoded=10, reused=20, moved=30, failed=40, seconds=1.0, interrupted=True, strays=50)
    whole = RunReport(total=99, encoded=11, reused=22, moved=33, failed=44, seconds=1.5, interrupted=True, strays=55)
    first.update(later)
    assert (first, first.done) == (whole, 77)
    first.update(RunReport())
    assert first == whole


def test_same_bytes_are_encoded_once_within_a_batch(library: LibraryFactory, photos: Path) -> None:
    fill_folder(photos, range(10), "copy-{}.jpg")
    report = library.add(photos).run
    assert (report.encoded, report.reused, report.total) == (10, 10, 20)
    vectors, known = vectors_of(library.folder), photos_of(library.folder)
    for number in range(10):
        first, copy = str(photos / f"{number:02d}.jpg"), str(photos / f"copy-{number}.jpg")
        assert vectors[first] == vectors[copy]
        assert known[first].content_sha256 == known[copy].content_sha256
        assert (known[copy].width_px, known[copy].height_px, known[copy].format) == (96, 64, "JPEG")
    check_invariants(library.folder)


@pytest.mark.usefixtures("small_commits")
def test_same_bytes_are_encoded_once_across_batches(library: LibraryFactory, photos: Path) -> None:
    fill_folder(photos, range(10), "copy-{}.jpg")
    report = library.add(photos).run
    assert (report.encoded, report.reused, library.encoder.encoded_photos) == (10, 10, 10)
    assert len(segments_in(library.folder)) > 2
    vectors = vectors_of(library.folder)
    for number in range(10):
        assert vectors[str(photos / f"{number:02d}.jpg")] == vectors[str(photos / f"copy-{number}.jpg")]
    check_invariants(library.folder)


@pytest.mark.usefixtures("small_commits")
def test_bytes_that_were_recorded_long_before_in_a_run_stay_encoded(library: LibraryFactory, tmp_path: Path) -> None:
    many = fill_folder(tmp_path / "many", range(84), NAMES)  # more than are read ahead and remembered
    (many / "84.jpg").write_bytes(photo_bytes(0))
    report = library.add(many).run
    assert (report.encoded, report.reused, library.encoder.encoded_photos) == (84, 1, 84)


def test_same_bytes_are_encoded_once_across_runs(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    library.add(photos)
    more = tmp_path / "more"
    more.mkdir()
    for name, seed in (("old.jpg", 3), ("new.jpg", 30), ("new-copy.jpg", 30)):
        (more / name).write_bytes(photo_bytes(seed))
    report = library.add(more).run
    assert (report.encoded, report.reused, library.encoder.encoded_photos) == (1, 2, 11)
    vectors = vectors_of(library.folder)
    assert vectors[str(more / "old.jpg")] == vectors[str(photos / "03.jpg")]
    assert vectors[str(more / "new.jpg")] == vectors[str(more / "new-copy.jpg")]
    assert states_of(library.folder)["old.jpg"] == EMBEDDED
    old = photos_of(library.folder)[str(more / "old.jpg")]
    assert (old.width_px, old.height_px, old.format, old.grey) == (96, 64, "JPEG", False)


def test_photos_whose_bytes_changed_places_are_told_apart(stocked: LibraryFactory, photos: Path) -> None:
    before = vectors_of(stocked.folder)
    one, two = photos / "01.jpg", photos / "02.jpg"
    data = one.read_bytes(), two.read_bytes()
    one.write_bytes(data[1])
    two.write_bytes(data[0])
    for path in (one, two):
        os.utime(path, (1, 1))
    report = stocked.add(photos).run
    assert report.failed == 0
    after = vectors_of(stocked.folder)
    assert (after[str(one)], after[str(two)]) == (before[str(two)], before[str(one)])
    check_invariants(stocked.folder)


@pytest.mark.usefixtures("small_commits")
def test_known_bytes_that_are_overwritten_in_the_same_run_are_read_again(stocked: LibraryFactory, photos: Path) -> None:
    for number in range(4):
        (photos / f"{number:02d}.jpg").write_bytes(photo_bytes(50 + number))
        os.utime(photos / f"{number:02d}.jpg", (1, 1))
    write_tar(photos / "more.tar", {"old.jpg": photo_bytes(3)})  # read while its bytes are those of 03.jpg still
    report = stocked.add(photos).run
    assert (report.encoded, report.reused, report.failed) == (5, 0, 0)
    assert states_of(stocked.folder)["more.tar!old.jpg"] == EMBEDDED
    check_sound(stocked.folder)


def test_unusable_photos_fail_with_kind_and_reason_and_stop_nothing(library: LibraryFactory, photos: Path) -> None:
    (photos / "00a.jpg").write_bytes(photo_bytes(50)[:300])
    (photos / "03a.jpg").write_bytes(b"")
    (photos / "05a.jpg").write_text("a photo, says its name")
    (photos / "07a.jpg").mkdir()
    (photos / "07a.jpg" / "link.jpg").symlink_to(photos)
    report = library.add(photos).run
    assert (report.total, report.encoded, report.failed) == (13, 10, 3)
    states = {name: state for name, state in states_of(library.folder).items() if state != EMBEDDED}
    assert states == {
        "00a.jpg": ("failed", "truncated"),
        "03a.jpg": ("failed", "empty"),
        "05a.jpg": ("failed", "not an image"),
        "link.jpg": ("failed", "unreadable"),
    }
    assert all(failure.reason for failure in list_failures(library.folder))
    check_sound(library.folder)


def test_photo_that_vanishes_during_the_run_is_missing(library: LibraryFactory, photos: Path) -> None:
    report = library.add(photos, progress=at_step("scanning", (photos / "03.jpg").unlink))
    assert (report.run.encoded, report.run.failed) == (9, 1)
    assert states_of(library.folder)["03.jpg"] == ("failed", "missing")
    check_invariants(library.folder)
    assert library.add(photos).scan.vanished == 0
    fill_folder(photos, range(3, 4), NAMES)
    assert library.add(photos).run.encoded == 1


def test_photo_that_may_not_be_read_fails_until_it_may(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PhotoFile.read

    def refuse(file: PhotoFile) -> bytes:
        if file.path.endswith("03.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), file.path)
        return read(file)

    with monkeypatch.context() as patch:
        patch.setattr(PhotoFile, "read", refuse)
        assert library.add(photos).run.failed == 1
    ((failure),) = list_failures(library.folder)
    assert (failure.kind, failure.reason) == ("unreadable", "Permission denied")
    check_invariants(library.folder)
    assert library.add(photos).run.encoded == 1
    assert states_of(library.folder)["03.jpg"] == EMBEDDED


def test_photo_that_changes_after_the_scan_is_embedded_as_it_is_now(library: LibraryFactory, photos: Path) -> None:
    def change() -> None:
        (photos / "03.jpg").write_bytes(photo_bytes(99, size=(50, 50)))
        os.utime(photos / "03.jpg", (1, 1))

    library.add(photos, progress=at_step("scanning", change))
    photo = photos_of(library.folder)[str(photos / "03.jpg")]
    assert (photo.width_px, photo.size_bytes) == (50, (photos / "03.jpg").stat().st_size)
    report = library.add(photos)
    assert (report.scan.changed, report.run.encoded, report.run.reused) == (1, 0, 1)
    assert library.add(photos).scan.unchanged == 10


def test_photos_pending_elsewhere_are_embedded_too(
    library: LibraryFactory, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="out of memory"):
        patch.setattr(library.encoder, "encode_images", raising(RuntimeError("out of memory")))
        library.add(photos)
    assert set(states_of(library.folder).values()) == {("pending", None)}
    (tmp_path / "one.jpg").write_bytes(photo_bytes(50))
    assert library.add(tmp_path / "one.jpg").run.encoded == 11


@pytest.mark.usefixtures("small_commits")
def test_many_failures_are_recorded_while_no_photo_is(library: LibraryFactory, tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"{number:02d}.jpg").write_text("no photo")
    told: list[Step] = []
    report = library.add(tmp_path, progress=told.append)
    noted = [(step.done, step.note) for step in told if step.what == "embedding"]
    assert (report.run.failed, noted) == (11, [(4, "4 failed"), (8, "8 failed"), (11, "11 failed")])
    assert set(states_of(library.folder).values()) == {("failed", "not an image")}
    assert segments_in(library.folder) == []


@pytest.mark.parametrize("group", [1, 2, 3])
def test_interrupted_run_keeps_what_it_encoded_and_the_next_gives_the_same_bits(
    library: LibraryFactory, other_library: LibraryFactory, photos: Path, group: int
) -> None:
    fill_folder(photos, range(10, 21), NAMES)
    other_library.encoder = GroupEncoder()
    other_library.add(photos)

    library.encoder = interrupt_at(group)
    report = library.add(photos)
    assert report.run.interrupted
    assert (report.run.encoded, report.run.total) == (4 * group, 21)
    assert list(states_of(library.folder).values()).count(EMBEDDED) == 4 * group
    assert report.index.photos == 4 * group
    check_sound(library.folder)

    library.encoder = GroupEncoder()
    report = library.add(photos)
    assert not report.run.interrupted
    assert (report.scan.unchanged, report.run.encoded) == (21, 21 - 4 * group)
    assert vectors_of(library.folder) == vectors_of(other_library.folder)
    assert verify(library.folder) == []


def test_interrupt_in_the_middle_of_a_group_leaves_it_to_the_next_run(
    library: LibraryFactory, other_library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "05.jpg").write_bytes(photo_bytes(4))  # which the group in hand has already
    other_library.encoder = GroupEncoder()
    other_library.add(photos)
    facts, calls = indexer.pipeline.facts, iter(range(100))

    def interrupt_at_the_sixth(*args: Any) -> Any:
        if next(calls) == 5:
            interrupt()
        return facts(*args)

    library.encoder = GroupEncoder()
    with monkeypatch.context() as patch:
        patch.setattr("indexer.pipeline.facts", interrupt_at_the_sixth)
        report = library.add(photos).run
    assert (report.interrupted, report.encoded, report.reused) == (True, 4, 0)
    library.add(photos)
    assert vectors_of(library.folder) == vectors_of(other_library.folder)


def test_interrupted_run_among_copies_and_failures_gives_the_same_bits(
    library: LibraryFactory, other_library: LibraryFactory, photos: Path
) -> None:
    for number, seed in enumerate([3, 50, 3, 51, 50, 52, 9, 53, 54, 55, 51, 56]):
        (photos / f"{number:02d}a.jpg").write_bytes(photo_bytes(seed))
        (photos / f"{number:02d}b.jpg").write_bytes(b"")
    other_library.encoder = GroupEncoder()
    other_library.add(photos)
    recorded = 0
    for group in (1, 1, 1):
        library.encoder = interrupt_at(group)
        report = library.add(photos).run
        assert report.interrupted
        before, recorded = recorded, list(states_of(library.folder).values()).count(EMBEDDED)
        assert (report.encoded, report.encoded + report.reused) == (4, recorded - before)
    library.encoder = GroupEncoder()
    assert not library.add(photos).run.interrupted
    assert vectors_of(library.folder) == vectors_of(other_library.folder)
    assert states_of(library.folder) == states_of(other_library.folder)
    assert verify(library.folder) == []


def test_interrupted_run_among_many_copies_gives_the_same_bits(
    library: LibraryFactory, other_library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 8)
    monkeypatch.setattr("indexer.pipeline.MOST_ENTRIES", 16)
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, seed in enumerate([0, 1, 2, 3, 4, *[0] * 11, 5, 6, 7, 8]):
        (folder / f"{number:02d}.jpg").write_bytes(photo_bytes(seed))
    other_library.encoder = GroupEncoder()
    other_library.add(folder)
    library.encoder = interrupt_at(1)
    assert library.add(folder).run.interrupted
    library.encoder = GroupEncoder()
    library.add(folder)
    assert vectors_of(library.folder) == vectors_of(other_library.folder)


def test_interrupt_is_heard_though_only_failures_follow_a_group_that_is_not_full(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    for number in range(200):
        (photos / f"{10 + number}.jpg").write_bytes(b"")
    pressed: list[int] = []

    def press_once(step: Step) -> None:
        if step.note == "4 failed" and not pressed:
            pressed.append(step.done)
            interrupt()

    report = library.add(photos, progress=press_once)
    assert pressed
    assert report.run.interrupted
    assert report.run.done < 100
    check_invariants(library.folder)


def test_run_that_had_ended_before_it_was_interrupted_is_not_called_so(library: LibraryFactory, photos: Path) -> None:
    fill_folder(photos, range(10, 12), NAMES)
    library.encoder = interrupt_at(3)
    report = library.add(photos).run
    assert report.done == report.total == 12
    assert not report.interrupted


def test_second_interrupt_stops_at_once_and_loses_only_the_batch_in_hand(
    library: LibraryFactory, other_library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    other_library.encoder = GroupEncoder()
    other_library.add(photos)

    def press_twice(group: int) -> None:
        if group == 2:
            interrupt()
            interrupt()
            threading.Event().wait(10)

    library.encoder = WatchedEncoder(press_twice)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        library.add(photos)
    assert signal.getsignal(signal.SIGINT) is before
    assert list(states_of(library.folder).values()).count(EMBEDDED) == 4
    check_invariants(library.folder)
    library.encoder = GroupEncoder()
    assert library.add(photos).run.encoded == 6
    assert vectors_of(library.folder) == vectors_of(other_library.folder)


def test_run_in_another_thread_cannot_be_interrupted_and_ends(library: LibraryFactory, photos: Path) -> None:
    reports = []
    thread = threading.Thread(target=lambda: reports.append(library.add(photos)))
    thread.start()
    thread.join()
    assert [report.run.encoded for report in reports] == [10]


def test_photo_embedded_anew_leaves_its_old_row_unused(stocked: LibraryFactory, photos: Path) -> None:
    (photos / "03.jpg").write_bytes(photo_bytes(99))
    os.utime(photos / "03.jpg", (1, 1))
    stocked.add(photos)
    first, second = segments_in(stocked.folder)
    assert [(file.rows, file.alive) for file in (first, second)] == [(10, 9), (1, 1)]
    with session_of(stocked.folder) as session:
        model = current_model(session)
        places = [segment_with(session, model, photo_id) for photo_id in range(1, 11)]
    assert [place and place.name for place in places] == [second.name if n == 3 else first.name for n in range(10)]
    assert verify(stocked.folder) == []


def test_files_that_a_killed_run_left_are_removed_though_no_photo_is_new(stocked: LibraryFactory, photos: Path) -> None:
    folder = stocked.folder.vectors(stocked.encoder.key)
    for pending in (False, True):
        if pending:
            fill_folder(photos, range(10, 12), NAMES)
        for name in ("0123456789abcdef.faiss", ".0123456789abcdef.faiss.fedcba9876543210.tmp"):
            (folder / name).write_bytes(b"left behind")
        report = stocked.add(photos)
        assert report.run.strays == 2
        assert "removed 2 files that a killed run had left half done" in report.notes
        assert {path.stem for path in folder.iterdir()} == {file.name for file in segments_in(stocked.folder)}
    assert stocked.add(photos).run.strays == 0


@pytest.mark.usefixtures("small_commits")
def test_long_run_merges_its_segments(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, fan_out=2, smallest=8)
    fill_folder(photos, range(10, 24), NAMES)
    written: list[int] = []

    class Counting(FakeEncoder):
        def encode_images(self, pixels: np.ndarray) -> np.ndarray:
            written.append(len(segments_in(library.folder)))
            return super().encode_images(pixels)

    library.encoder = Counting()
    library.add(photos)
    assert max(written) <= 2 < len(written)
    assert [(file.rows, file.alive) for file in segments_in(library.folder)] == [(16, 16), (8, 8)]
    check_sound(library.folder)
