import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from base.errors import SourceError
from base.progress import Progress, Step, silent
from db.photo_rows import latest_scans
from indexer.own_words import OwnWords
from indexer.scan import CHUNK, ScanReport, scanning
from indexer.sources import FoundPhoto, Source
from tests.by_folder import add_photos, session_of, source_at
from tests.conftest import LibraryFactory, photo_bytes, raising
from tests.db.statements import writes
from tests.indexer.conftest import EMBEDDED, check_invariants, check_sound, photos_of, states_of, vectors_of

MANY = 10_000


class ListSource(Source):
    """A source that names so many photos, and then breaks or ends."""

    kind = "list"

    def __init__(self, root: Path, count: int, breaks: bool = False) -> None:
        super().__init__(root)
        self._count = count
        self._breaks = breaks

    def photos(self) -> Iterator[FoundPhoto]:
        for number in range(self._count):
            yield FoundPhoto(f"{self.root}/{number:05d}.jpg", size_bytes=1, mtime_ns=1)
        if self._breaks:
            raise SourceError("the rest cannot be read")


def touch(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def scan(session: Session, source: Source, progress: Progress = silent) -> ScanReport:
    """Scan a source, and embed nothing."""
    with scanning(session, [source], OwnWords(session), progress=progress) as (scanned,):
        return scanned.report


def found_by_search(library: LibraryFactory) -> set[str]:
    with library.open() as opened_library:
        return {Path(hit.path).name for hit in opened_library.search("a room", k=100)}


def test_first_scan_finds_every_photo_new_and_pending(library: LibraryFactory, photos: Path) -> None:
    with session_of(library.folder) as session:
        report = scan(session, source_at(photos, library.folder.root))
    assert (report.found, report.new, report.changed, report.unchanged, report.vanished) == (10, 10, 0, 0, 0)
    assert set(states_of(library.folder).values()) == {("pending", None)}
    check_invariants(library.folder)


def test_unchanged_folder_of_10_000_photos_costs_no_decoding_and_one_write(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    first = folder / "00000.jpg"
    first.write_bytes(photo_bytes(0, size=(32, 32)))
    for number in range(1, MANY):
        os.link(first, folder / f"{number:05d}.jpg")
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", MANY)
    monkeypatch.setattr("indexer.pipeline.MOST_ENTRIES", 4 * MANY)
    report = library.add(folder)
    assert (report.scan.new, report.run.encoded, report.run.reused) == (MANY, 1, MANY - 1)

    never = raising(AssertionError("an unchanged folder was read"))
    for name in ("indexer.reading.read_photo", "indexer.reading.decode", "base.files.PhotoFile.read"):
        monkeypatch.setattr(name, never)
    with writes() as statements:
        report = add_photos(library.folder, source_at(folder, library.folder.root), never)  # type: ignore[arg-type]
    assert (report.scan.found, report.scan.unchanged, report.run.total) == (MANY, MANY, 0)
    assert [statement.partition(" (")[0] for statement in statements] == ["INSERT INTO scan"]


def test_every_scan_is_recorded_with_its_counts(library: LibraryFactory, photos: Path) -> None:
    (photos / "notes.txt").touch()
    library.add(photos)
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    library.add(photos)
    with session_of(library.folder) as session:
        (latest,) = latest_scans(session)
    assert (latest.root, latest.kind, latest.problems) == (str(photos), "folder", [])
    assert latest.counts == {
        "found": 11,
        "new": 1,
        "changed": 0,
        "unchanged": 10,
        "missing": 0,
        "vanished": 0,
        "left_out": 0,
        "kept": 0,
        "unreached": 0,
        "unread": 0,
        "other_files": 1,
        "problems": 0,
        "passed_over": {"other": {"count": 1, "names": {".txt": 1}}},
        "left_out_at": [],
        "kept_at": [],
        "unread_at": [],
        "rehoused": 0,
    }


@pytest.mark.parametrize("keep", ["size", "time"])
def test_photo_of_another_size_or_time_is_embedded_anew(stocked: LibraryFactory, photos: Path, keep: str) -> None:
    before, path = vectors_of(stocked.folder), photos / "03.jpg"
    old, new = path.stat(), photo_bytes(99)
    path.write_bytes(new + b"\0" * (old.st_size - len(new)) if keep == "size" else new + b"\0" * 5000)
    assert (path.stat().st_size == old.st_size) == (keep == "size")
    os.utime(path, ns=(1, old.st_mtime_ns + (keep == "size")))
    report = stocked.add(photos)
    assert (report.scan.changed, report.scan.unchanged, report.run.encoded) == (1, 9, 1)
    after = vectors_of(stocked.folder)
    assert {name for name in after if after[name] != before[name]} == {str(path)}
    check_invariants(stocked.folder)


def test_touched_photo_with_the_same_bytes_reuses_its_vector(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    before = vectors_of(library.folder)
    touch(photos / "03.jpg")
    report = library.add(photos)
    assert (report.scan.changed, report.run.reused, report.run.encoded) == (1, 1, 0)
    assert library.encoder.encoded_photos == 10
    assert vectors_of(library.folder) == before
    assert library.add(photos).scan.unchanged == 10


def test_photo_that_became_unreadable_fails_and_recovers(stocked: LibraryFactory, photos: Path) -> None:
    path = photos / "03.jpg"
    data = path.read_bytes()
    path.write_bytes(data[:200])
    assert stocked.add(photos).run.failed == 1
    assert states_of(stocked.folder)["03.jpg"] == ("failed", "truncated")
    assert found_by_search(stocked) == {f"{n:02d}.jpg" for n in range(10)} - {"03.jpg"}
    check_sound(stocked.folder)
    path.write_bytes(data)
    report = stocked.add(photos)
    assert (report.run.reused, report.run.encoded) == (1, 0)
    assert states_of(stocked.folder)["03.jpg"] == EMBEDDED
    check_invariants(stocked.folder)


def test_vanished_photo_is_missing_not_found_and_costs_nothing_when_it_is_back(
    stocked: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    before = vectors_of(stocked.folder)
    (photos / "03.jpg").rename(tmp_path / "away.jpg")
    report = stocked.add(photos)
    assert (report.scan.vanished, report.scan.unchanged, report.run.total) == (1, 9, 0)
    gone = photos_of(stocked.folder)[str(photos / "03.jpg")]
    assert (gone.state, gone.failure_kind, gone.failure_reason) == ("failed", "missing", "the file is no longer there")
    assert found_by_search(stocked) == {f"{n:02d}.jpg" for n in range(10)} - {"03.jpg"}
    check_sound(stocked.folder)

    assert stocked.add(photos).scan.vanished == 0

    (tmp_path / "away.jpg").rename(photos / "03.jpg")
    report = stocked.add(photos)
    assert (report.scan.changed, report.run.reused, report.run.encoded) == (1, 1, 0)
    assert vectors_of(stocked.folder) == before
    assert "03.jpg" in found_by_search(stocked)
    check_invariants(stocked.folder)


def test_photos_outside_the_scanned_folder_do_not_vanish(stocked: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    sibling = tmp_path / "photos2"
    sibling.mkdir()
    (sibling / "00.jpg").write_bytes(photo_bytes(50))
    stocked.add(sibling)
    (sibling / "01.jpg").write_bytes(photo_bytes(51))
    (sibling / "00.jpg").unlink()
    assert stocked.add(photos).scan.vanished == 0
    assert stocked.add(sibling).scan.vanished == 1
    assert states_of(stocked.folder)["00.jpg"] == ("failed", "missing")
    assert states_of(stocked.folder)["09.jpg"] == EMBEDDED


def test_failed_photo_is_tried_again_only_when_asked_to(library: LibraryFactory, photos: Path) -> None:
    (photos / "large.jpg").write_bytes(photo_bytes(50, size=(200, 200)))
    (photos / "text.jpg").write_text("no photo")
    (photos / "link.jpg").symlink_to(photos / "gone.jpg")
    library.add(photos, max_megapixels=0.01)
    assert states_of(library.folder)["large.jpg"] == ("failed", "too large")

    report = library.add(photos)
    assert (report.scan.changed, report.run.total) == (0, 0)
    assert states_of(library.folder)["large.jpg"] == ("failed", "too large")

    report = library.add(photos, retry_failed=True)
    assert (report.scan.changed, report.run.encoded, report.run.failed) == (2, 1, 1)
    states = states_of(library.folder)
    assert states["large.jpg"] == EMBEDDED
    assert states["text.jpg"] == ("failed", "not an image")
    assert states["link.jpg"] == ("failed", "missing")
    check_invariants(library.folder)


def test_photos_are_committed_and_told_a_thousand_at_a_time(library: LibraryFactory, tmp_path: Path) -> None:
    told: list[Step] = []
    with session_of(library.folder) as session:
        scan(session, ListSource(tmp_path / "list", 2 * CHUNK + 5), progress=told.append)
    assert told == [Step("scanning", found) for found in (CHUNK, 2 * CHUNK, 2 * CHUNK + 5)]
    assert len(photos_of(library.folder)) == 2 * CHUNK + 5


def test_source_that_breaks_keeps_what_it_gave_and_loses_nothing(library: LibraryFactory, tmp_path: Path) -> None:
    with session_of(library.folder) as session, pytest.raises(SourceError, match="the rest cannot be read"):
        scan(session, ListSource(tmp_path / "list", CHUNK + 5, breaks=True))
    assert len(photos_of(library.folder)) == CHUNK
    with session_of(library.folder) as session:
        assert latest_scans(session) == []
        report = scan(session, ListSource(tmp_path / "list", CHUNK + 5))
    assert (report.new, report.unchanged) == (5, CHUNK)
