"""What happens to disks: backups restored, full ones."""

import errno
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

import aliens
import base.files
import embedding.scores
from aliens.library import Library
from base.errors import DiskFullError, LibraryError
from tests.conftest import LibraryFactory, fill_folder
from tests.faults.checks import vector_of
from tests.indexer.conftest import empty_library, set_sizes

QUERY = "a sofa"


def backup(factory: LibraryFactory, to: Path) -> Path:
    """Copy library.db as a backup does, from the outside."""
    with closing(sqlite3.connect(factory.folder.database_file)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
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
            and library.searcher.vector(session, photo_id) @ vector_of(path) > 0.999
            for photo_id, path in paths.items()
        )


def parts_of(library: Library) -> set[str]:
    return {disagreement.part for disagreement in library.verify()}


@pytest.fixture(autouse=True)
def no_segments_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are merged by threes, so that few photos see merges."""
    set_sizes(monkeypatch, fan_out=3, smallest=8)


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


class DiskFull:
    """Lets some files be written, and then none."""

    def __init__(self, files: int) -> None:
        self.left = files
        self._rename = base.files.rename_written

    def __call__(self, *arguments: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._rename(*arguments)  # type: ignore[arg-type]


def do(factory: LibraryFactory, act: Callable[[Library], object]) -> None:
    with aliens.open(factory.folder.root, encoder=factory.encoder) as opened:
        act(opened)


def test_a_full_disk_at_any_file_that_is_written_loses_nothing(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [fill_folder(tmp_path / "photos" / f"{n}", range(4 * n, 4 * n + 4)) for n in range(4)]
    acts: list[Callable[[Library], object]] = [
        *(lambda opened, folder=folder: opened.add(folder) for folder in folders),
        lambda opened: opened.tag("case-study"),
        lambda opened: opened.update_index("hnsw", least_recall=0.1),
    ]
    refused = 0
    for number, act in enumerate(acts):  # each begins where those before it have ended undisturbed
        for files in count():
            factory, disk = empty_library(library, tmp_path / f"{number}-{files}"), DiskFull(files)
            with monkeypatch.context() as patch, suppress(DiskFullError):
                for module in (base.files, embedding.scores):
                    patch.setattr(module, "rename_written", disk)
                do(factory, act)
            if disk.left >= 0:
                break
            refused += 1
            with aliens.open(factory.folder.root, encoder=factory.encoder) as opened:
                assert parts_of(opened) <= {"stray file"}
                act(opened)
                assert opened.verify() == []
                assert len(opened.search(QUERY, k=100)) == min(4 * number + 4, 16)
                assert number < 4 or opened.tag().scored == 0
        library = factory
    assert refused > 8  # segments, a merge, scores, the table of photos, an index, and their manifests
