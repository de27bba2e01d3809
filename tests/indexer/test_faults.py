"""What happens to disks: backups restored, folders of another day, full ones; readers beside writers."""

import errno
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import aliens
import base.files
import embedding.scores
from aliens.library import Library
from base.errors import LibraryError
from db.vector_rows import segments_of
from indexer import merging
from tests.conftest import LibraryFactory, fill_folder, photo_bytes

QUERY = "a sofa"


def backup(factory: LibraryFactory, to: Path) -> Path:
    """Copy library.db as a backup does, from the outside."""
    with sqlite3.connect(factory.folder.database_file) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()
    return to


def restore(factory: LibraryFactory, copy: Path) -> None:
    """Put a backup in the place of library.db, without what SQLite keeps beside it."""
    for path in factory.folder.root.glob("library.db*"):
        path.unlink()
    shutil.copy(copy, factory.folder.database_file)


def all_find_themselves(library: Library) -> bool:
    """Tell whether each photo is the best hit for its own picture, and for its own vector."""
    paths = {hit.photo_id: hit.path for hit in library.search(QUERY, k=1_000)}
    with library.catalog.session() as session:
        return bool(paths) and all(
            library.search(image=path, k=1)[0].photo_id == photo_id
            and library.searcher.vector(session, photo_id) @ library.encoder.encode_images(square(library, path))[0]
            > 0.999
            for photo_id, path in paths.items()
        )


def square(library: Library, path: str) -> np.ndarray:
    from embedding.decode import decode

    return decode(Path(path).read_bytes(), library.encoder.preprocessing).pixels[np.newaxis]


def parts_of(library: Library) -> set[str]:
    return {disagreement.part for disagreement in library.verify()}


@pytest.fixture(autouse=True)
def no_segments_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are merged by threes, so that few photos see merges."""
    monkeypatch.setattr(merging, "FAN_OUT", 3)
    monkeypatch.setattr(merging, "SMALLEST_ROWS", 8)


@pytest.mark.sqlite("a backup is its file, put back")
def test_photos_added_to_a_restored_backup_find_themselves(library: LibraryFactory, tmp_path: Path) -> None:
    library.add(fill_folder(tmp_path / "first", range(10)))
    copy = backup(library, tmp_path / "backup.db")
    library.add(fill_folder(tmp_path / "lost", range(10, 15)))
    restore(library, copy)
    library.add(fill_folder(tmp_path / "second", range(20, 25)))
    opened = library.open()
    assert len(opened.search(QUERY, k=100)) == 15
    assert all_find_themselves(opened)
    assert opened.verify() == []


@pytest.mark.sqlite("a backup is its file, put back")
def test_a_backup_of_before_a_merge_names_the_segments_that_are_gone_and_their_photos_are_embedded_anew(
    library: LibraryFactory, tmp_path: Path
) -> None:
    for number in range(2):
        library.add(fill_folder(tmp_path / f"first-{number}", range(2 * number, 2 * number + 2)))
    copy = backup(library, tmp_path / "backup.db")
    library.add(fill_folder(tmp_path / "third", range(10, 12)))  # three segments become one
    restore(library, copy)
    opened = library.open()
    with pytest.raises(LibraryError, match="is absent: run `aliens verify`"):
        opened.search(QUERY)
    assert "segment" in parts_of(opened)
    assert opened.repair() == 4
    opened.add(tmp_path / "third")
    assert len(opened.search(QUERY, k=100)) == 6
    assert all_find_themselves(opened)
    assert opened.verify() == []


@pytest.mark.sqlite("a backup is its file, put back")
def test_a_commit_taken_back_is_made_again(library: LibraryFactory, tmp_path: Path) -> None:
    library.add(fill_folder(tmp_path / "first", range(4)))
    copy = backup(library, tmp_path / "backup.db")
    library.add(fill_folder(tmp_path / "second", range(4, 8)))
    restore(library, copy)
    opened = library.open()
    assert parts_of(opened) == {"stray file"}
    opened.add(tmp_path / "second")
    assert len(opened.search(QUERY, k=100)) == 8
    assert all_find_themselves(opened)
    assert opened.verify() == []


@pytest.mark.parametrize("what", ["vectors", "tags", "index"])
def test_a_folder_of_another_day_is_never_taken_for_what_it_is_not(
    library: LibraryFactory, tmp_path: Path, what: str
) -> None:
    library.add(fill_folder(tmp_path / "first", range(50)))
    with aliens.open(library.folder.root, encoder=library.encoder) as opened:
        opened.tag("case-study")
        opened.update_index("hnsw", least_recall=0.1)
    shutil.copytree(library.folder.root / what, tmp_path / "older")
    (tmp_path / "first" / "3.jpg").write_bytes(photo_bytes(303))
    library.add(tmp_path / "first")
    library.add(fill_folder(tmp_path / "second", range(60, 64)))
    with aliens.open(library.folder.root, encoder=library.encoder) as opened:
        opened.tag("case-study")
        opened.update_index("hnsw", least_recall=0.1)
    shutil.rmtree(library.folder.root / what)
    shutil.copytree(tmp_path / "older", library.folder.root / what)
    opened = library.open()
    if what == "vectors":
        with pytest.raises(LibraryError, match="is absent"):
            opened.search(QUERY)
        opened.repair()
        opened.add(tmp_path / "first")
        assert opened.tag().photos == 54
    assert len(opened.search(QUERY, k=100)) == 54
    assert all_find_themselves(opened)
    if what == "tags":
        assert opened.tag().scored == 5  # the photos of that day since, and the one that was replaced
    assert parts_of(opened) - {"stray file"} == set()
    opened.repair()
    assert opened.verify() == []


class DiskFull:
    """Lets some files be written, and then none."""

    def __init__(self, files: int) -> None:
        self.left = files
        self.hit = False
        self._rename = base.files.rename_written

    def __call__(self, *arguments: object) -> None:
        self.left -= 1
        if self.left < 0:
            self.hit = True
            raise OSError(errno.ENOSPC, "No space left on device")
        self._rename(*arguments)  # type: ignore[arg-type]


def writes(factory: LibraryFactory, photos: Path) -> Iterator[None]:
    """Everything that writes to a library, one after the other."""
    for folder in sorted(photos.iterdir()):
        factory.add(folder)
        yield
    with aliens.open(factory.folder.root, encoder=factory.encoder) as opened:
        opened.tag("case-study")
        yield
        opened.update_index("hnsw", least_recall=0.1)
        yield


def test_a_full_disk_at_any_file_that_is_written_loses_nothing(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        fill_folder(photos / str(number), range(4 * number, 4 * number + 4))
    template = tmp_path / "template"
    shutil.copytree(library.folder.root, template)
    files, full = 0, True
    while full:
        root = tmp_path / f"full-after-{files}"
        factory = LibraryFactory(root, template)
        disk = DiskFull(files)
        with monkeypatch.context() as patch:
            for module in (base.files, embedding.scores):
                patch.setattr(module, "rename_written", disk)
            try:
                for _ in writes(factory, photos):
                    pass
            except LibraryError as error:
                assert "is full" in str(error)
        full = disk.hit
        with aliens.open(root, encoder=factory.encoder) as opened:
            assert parts_of(opened) <= {"stray file"}
        for _ in writes(factory, photos):
            pass
        with aliens.open(root, encoder=factory.encoder) as opened:
            assert len(opened.search(QUERY, k=100)) == 16
            assert opened.tag().scored == 0
            assert opened.verify() == []
        factory.close()
        files += 1
    assert files > 8  # segments, a merge, scores, the table of photos, an index, and their manifests


def test_who_reads_while_segments_are_merged_away_goes_on_reading(library: LibraryFactory, tmp_path: Path) -> None:
    library.add(fill_folder(tmp_path / "first", range(3)))
    reader = library.open()
    errors: list[BaseException] = []
    done = threading.Event()
    seen: list[list[int]] = [[], []]

    def read(mine: list[int]) -> None:
        try:
            while not done.is_set():
                hits = reader.search(QUERY, k=100)
                mine.append(len(hits))
                assert {hit.photo_id for hit in hits} >= {1, 2, 3}
                assert reader.similar(2, k=2)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    merged = set()
    for number in range(12):
        library.add(fill_folder(tmp_path / f"more-{number}", range(10 + number, 11 + number)))
        with reader.catalog.session() as session:
            merged |= {file.name for file in segments_of(session, reader.model)}
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(mine == sorted(mine) for mine in seen)
    assert len(reader.search(QUERY, k=100)) == 15
    with reader.catalog.session() as session:
        assert len(segments_of(session, reader.model)) < len(merged)


def test_an_index_that_was_opened_before_a_merge_answers_as_before(library: LibraryFactory, tmp_path: Path) -> None:
    for number in range(2):
        library.add(fill_folder(tmp_path / f"first-{number}", range(2 * number, 2 * number + 2)))
    opened = library.open()
    with opened.catalog.session() as session:
        before = opened.index(session)
        query = library.encoder.encode_prompts(QUERY, ())[np.newaxis]
        expected = before.search(query, 4)
        library.add(fill_folder(tmp_path / "third", range(10, 12)))
        assert not any(opened.store.path(name).exists() for name in before.base.names)
        for mine, theirs in zip(before.search(query, 4), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_second_writer_is_refused_and_disturbs_nothing(library: LibraryFactory, tmp_path: Path) -> None:
    photos = fill_folder(tmp_path / "first", range(3))
    opened = library.open()
    with opened.catalog.writing(), pytest.raises(LibraryError, match="another process or thread is changing"):
        library.add(photos)
    library.add(photos)
    assert len(opened.search(QUERY, k=10)) == 3
    assert opened.verify() == []
