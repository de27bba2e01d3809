import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from base.errors import LibraryError, SourceError
from base.progress import Step
from db.models import PhotoState
from embedding.store import VectorStore
from indexer.verify import Disagreement
from tests.by_folder import disagreements as verify
from tests.by_folder import repair, session_of
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes
from tests.indexer.conftest import (
    EMBEDDED,
    WatchedEncoder,
    check_invariants,
    photos_of,
    states_of,
    vectors_of,
    write_tar,
)

KEY = "fake-00000000"


@pytest.fixture
def shards(library: LibraryFactory, photos: Path) -> Path:
    """A library of ten photos in one shard and of three more in a second one; the folder of its shards."""
    library.add(photos)
    for number in range(10, 13):
        (photos / f"{number}.jpg").write_bytes(photo_bytes(number))
    library.add(photos)
    return library.folder.vectors(KEY)


def found_by(library: LibraryFactory) -> list[tuple[str, str, str]]:
    return [(found.part, found.what, found.remedy) for found in verify(library.folder)]


def execute(library: LibraryFactory, statement: str) -> None:
    with session_of(library.folder) as session:
        session.execute(text(statement))
        session.commit()


def change_vectors(shards: Path, change: Callable[[np.ndarray], Any]) -> None:
    vectors = np.load(shards / "000001.npy")
    change(vectors)
    np.save(shards / "000001.npy", vectors)


def double_one(vectors: np.ndarray) -> None:
    vectors[3] *= 2


def ruin_two(vectors: np.ndarray) -> None:
    vectors[3] = np.nan
    vectors[5] = 0


def swap_ids(shards: Path) -> None:
    ids = np.load(shards / "000001.ids.npy")
    ids[[2, 3]] = ids[[3, 2]]
    np.save(shards / "000001.ids.npy", ids)


def shorten(shards: Path) -> None:
    np.save(shards / "000001.ids.npy", np.load(shards / "000001.ids.npy")[:-1])
    np.save(shards / "000001.npy", np.load(shards / "000001.npy")[:-1])


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "vectors removed": (lambda shards: (shards / "000001.npy").unlink(), "cannot be read"),
    "ids removed": (lambda shards: (shards / "000001.ids.npy").unlink(), "cannot be read"),
    "vectors truncated": (lambda shards: truncate(shards / "000001.npy"), "cannot be read"),
    "ids truncated": (lambda shards: truncate(shards / "000001.ids.npy"), "cannot be read"),
    "vectors emptied": (lambda shards: os.truncate(shards / "000001.npy", 0), "cannot be read"),
    "vectors replaced": (lambda shards: (shards / "000001.npy").write_bytes(b"no array" * 100), "cannot be read"),
    "another dimension": (
        lambda shards: np.save(shards / "000001.npy", np.ones((10, 7), np.float16)),
        "holds float16 (10, 7) for 10 photos, not float16 (10, 48)",
    ),
    "another type": (
        lambda shards: np.save(shards / "000001.npy", np.ones((10, 48), np.float32)),
        "holds float32 (10, 48) for 10 photos",
    ),
    "a vector doubled": (lambda shards: change_vectors(shards, double_one), "1 of its vectors are not of unit length"),
    "two vectors ruined": (lambda shards: change_vectors(shards, ruin_two), "2 of its vectors are not of unit length"),
    "ids swapped": (swap_ids, "row 2 is not the vector of photo 3, as recorded"),
    "a row too few": (shorten, "holds 9 vectors, 10 are recorded"),
}


def test_sound_library_has_no_disagreement(library: LibraryFactory, shards: Path, photos: Path) -> None:
    (photos / "broken.jpg").write_text("no photo")
    (photos / "12.jpg").write_bytes(photo_bytes(99))
    (photos / "11.jpg").unlink()
    library.add(photos)
    assert verify(library.folder) == []


def test_empty_library_has_no_disagreement(library: LibraryFactory) -> None:
    assert verify(library.folder) == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_shard_is_named_and_repaired(library: LibraryFactory, shards: Path, photos: Path, damage: str) -> None:
    before = vectors_of(library.folder)
    damaging, what = DAMAGE[damage]
    damaging(shards)
    ((part, told, remedy),) = found_by(library)
    assert (part, remedy) == ("shard", "aliens verify --repair")
    assert told.startswith("shard 1: ")
    assert what in told

    assert repair(library.folder) == 10
    assert verify(library.folder) == []
    check_invariants(library.folder)
    assert sorted(set(states_of(library.folder).values())) == [EMBEDDED, ("pending", None)]
    with library.open() as opened_library:
        assert len(opened_library.search("a room", k=100)) == 3

    report = library.add(photos)
    assert (report.run.total, report.run.encoded) == (10, 10)
    assert vectors_of(library.folder) == before
    assert verify(library.folder) == []


def test_both_of_two_damaged_shards_are_named_and_repaired(library: LibraryFactory, shards: Path, photos: Path) -> None:
    for path in shards.iterdir():
        path.unlink()
    assert [what.partition(":")[0] for _, what, _ in found_by(library)] == ["shard 1", "shard 2"]
    assert repair(library.folder) == 13
    assert verify(library.folder) == []
    assert library.add(photos).run.encoded == 13


@pytest.mark.parametrize("name", ["000099.npy", "000099.ids.npy", "000003.npy.tmp"])
def test_stray_file_is_named_and_removed(library: LibraryFactory, shards: Path, name: str) -> None:
    (shards / name).write_bytes(b"left behind")
    assert found_by(library) == [
        ("shard", f"{shards / name} belongs to no shard (left by a process that was killed)", "aliens verify --repair")
    ]
    assert repair(library.folder) == 0
    assert not (shards / name).exists()
    assert verify(library.folder) == []


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def age_manifest(path: Path) -> None:
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"generation": manifest["generation"] - 1}))


INDEX_DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "manifest removed": (lambda index: (index / "manifest.json").unlink(), "there is none for 13 embedded photos"),
    "manifest damaged": (lambda index: (index / "manifest.json").write_text("{"), "there is none for 13 embedded"),
    "index removed": (lambda index: (index / "photos.faiss").unlink(), "No such file"),
    "a byte flipped": (lambda index: flip_byte(index / "photos.faiss"), "checksum is not the manifest's"),
    "index truncated": (lambda index: truncate(index / "photos.faiss"), "checksum is not the manifest's"),
    "out of date": (lambda index: age_manifest(index / "manifest.json"), "is out of date: 13 are embedded"),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_damaged_index_is_named_and_rebuilt(library: LibraryFactory, shards: Path, photos: Path, damage: str) -> None:
    index = library.folder.index(KEY)
    damaging, what = INDEX_DAMAGE[damage]
    damaging(index)
    ((part, told, remedy),) = found_by(library)
    assert (part, remedy) == ("index", "aliens verify --repair")
    assert what in told
    assert repair(library.folder) == 0
    assert verify(library.folder) == []
    assert not library.add(photos).index.rewritten


def test_index_that_lags_behind_the_database_is_named(library: LibraryFactory, shards: Path) -> None:
    execute(library, "UPDATE photo SET state = 'pending' WHERE id = 1")
    ((part, told, _),) = found_by(library)
    assert (part, told) == ("index", "holds 13 photos and is out of date: 12 are embedded")


def test_removed_photo_is_named_and_mended_by_adding_its_folder(
    library: LibraryFactory, shards: Path, photos: Path
) -> None:
    (photos / "03.jpg").unlink()
    assert found_by(library) == [("photo", f"{photos / '03.jpg'}: No such file or directory", f"aliens add {photos}")]
    library.add(photos)
    assert verify(library.folder) == []


def test_remedy_for_the_only_photo_of_a_folder_leads_on(library: LibraryFactory, tmp_path: Path) -> None:
    folder = tmp_path / "hotel"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(photo_bytes(1))
    library.add(folder)
    (folder / "1.jpg").unlink()
    ((_, _, remedy),) = found_by(library)
    assert remedy == f"aliens add {folder}"
    with pytest.raises(SourceError, match="--allow-empty"):
        library.add(folder)
    library.add(folder, allow_empty=True)
    assert verify(library.folder) == []


def test_remedy_for_a_folder_that_is_gone_leads_on(library: LibraryFactory, photos: Path) -> None:
    library.add(photos)
    shutil.rmtree(photos)
    folder = Path(found_by(library)[0][2].removeprefix("aliens add ").partition(" --")[0])
    library.add(folder, allow_empty=True)
    assert verify(library.folder) == []


def test_photo_of_another_size_is_named_and_mended_by_adding_its_folder(
    library: LibraryFactory, shards: Path, photos: Path
) -> None:
    before = (photos / "03.jpg").stat().st_size
    (photos / "03.jpg").write_bytes(photo_bytes(3, size=(300, 300)))
    after = (photos / "03.jpg").stat().st_size
    what = f"{photos / '03.jpg'} has {after} bytes now, {before} bytes when it was embedded"
    assert found_by(library) == [("photo", what, f"aliens add {photos}")]
    library.add(photos)
    assert verify(library.folder) == []


def test_removed_tar_is_named_for_each_of_its_photos(library: LibraryFactory, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "photos.tar", {"1.jpg": photo_bytes(1), "2.jpg": photo_bytes(2)})
    library.add(tar)
    assert verify(library.folder) == []
    tar.unlink()
    assert [what for _, what, _ in found_by(library)] == [f"{tar}: No such file or directory"] * 2


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_photo_marked_embedded_without_a_vector_is_named_and_mended(
    library: LibraryFactory, shards: Path, photos: Path, state: str
) -> None:
    (photos / "13.jpg").write_bytes(photo_bytes(13) if state == "pending" else b"")

    class Broken(FakeEncoder):
        def encode_images(self, pixels: np.ndarray) -> np.ndarray:
            raise RuntimeError

    working, library.encoder = library.encoder, Broken()
    if state == "pending":
        with pytest.raises(RuntimeError):
            library.add(photos)
    else:
        library.add(photos)
    library.encoder = working
    assert states_of(library.folder)["13.jpg"][0] == state
    execute(library, "UPDATE photo SET state = 'embedded', failure_kind = NULL WHERE id = 14")
    assert ("photo", "photo 14 is marked embedded but has no vector", "aliens verify --repair") in found_by(library)

    assert repair(library.folder) == 1
    assert [found for found in verify(library.folder) if found.part != "photo"] == []
    assert library.add(photos).run.total == 1
    assert verify(library.folder) == []
    check_invariants(library.folder)


def test_failure_without_a_reason_is_named_and_mended_by_trying_again(
    library: LibraryFactory, shards: Path, photos: Path
) -> None:
    execute(library, "UPDATE photo SET state = 'failed' WHERE id = 4")
    assert ("photo", "photo 4 failed without a reason", "aliens add --retry-failed") in found_by(library)
    library.add(photos, retry_failed=True)
    assert verify(library.folder) == []


def test_vector_recorded_in_another_row_is_named(library: LibraryFactory, shards: Path) -> None:
    execute(library, "UPDATE embedding SET row = 10 WHERE photo_id = 4")
    ((part, told, _),) = found_by(library)
    assert (part, told) == ("shard", "shard 1: row 10 is not the vector of photo 4, as recorded")
    assert repair(library.folder) == 10


def test_row_that_points_nowhere_is_named(library: LibraryFactory, shards: Path) -> None:
    with session_of(library.folder) as session:
        session.execute(text("PRAGMA foreign_keys = OFF"))
        session.execute(text("UPDATE photo SET hotel_id = 404 WHERE id = 4"))
        session.commit()
    ((part, told, remedy),) = found_by(library)
    assert (part, remedy) == ("database", "restore library.db from a backup")
    assert told == "row 4 of table photo points to a row of hotel that is not there"


def damage_database(library: LibraryFactory, name: str, damage: Callable[[bytearray], Any]) -> None:
    """Damage the page of the database file that holds a table or an index of a table."""
    with session_of(library.folder) as session:
        session.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        page_bytes = session.execute(text("PRAGMA page_size")).scalar_one()
        page = session.execute(text(f"SELECT rootpage FROM sqlite_master WHERE name = '{name}'")).scalar_one()
    with open(library.folder.database_file, "r+b") as file:
        file.seek((page - 1) * page_bytes)
        data = bytearray(file.read(page_bytes))
        damage(data)
        file.seek((page - 1) * page_bytes)
        file.write(data)


def test_damaged_index_of_the_database_is_named(library: LibraryFactory, shards: Path) -> None:
    def change_an_entry(page: bytearray) -> None:
        page[-10] ^= 1  # inside the hash of the photo that came first

    damage_database(library, "ix_photo_content_sha256", change_an_entry)
    found = verify(library.folder)
    assert {(each.part, each.remedy) for each in found} == {("database", "restore library.db from a backup")}
    assert any("ix_photo_content_sha256" in each.what for each in found)


@pytest.mark.parametrize("name", ["photo", "ix_photo_content_sha256"])
def test_overwritten_page_of_the_database_is_named(library: LibraryFactory, shards: Path, name: str) -> None:
    def overwrite(page: bytearray) -> None:
        page[:] = b"\xa5" * len(page)

    damage_database(library, name, overwrite)
    try:
        found = verify(library.folder)
    except LibraryError as error:
        assert "malformed" in str(error)
    else:
        assert "database" in {each.part for each in found}


def test_nothing_is_found_while_photos_are_added(library: LibraryFactory, photos: Path) -> None:
    found: list[list[Disagreement]] = []
    write = VectorStore.write

    def write_and_verify(*args: Any) -> int:
        size = write(*args)
        found.append(verify(library.folder))
        return size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VectorStore, "write", write_and_verify)
        library.add(photos)
    assert found == [[]]


def test_repair_is_refused_while_photos_are_added(library: LibraryFactory, photos: Path) -> None:
    refused: list[str] = []

    def mend(group: int) -> None:
        with pytest.raises(LibraryError) as caught:
            repair(library.folder)
        refused.append(str(caught.value))

    library.encoder = WatchedEncoder(mend)
    assert library.add(photos).run.encoded == 10
    assert len(refused) == 3
    assert "another process or thread is changing" in refused[0]


def test_repair_on_a_full_disk_says_so_and_can_be_repeated(
    library: LibraryFactory, shards: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (shards / "000001.npy").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("base.files.os.fsync", full)
        with pytest.raises(LibraryError, match="is full: free some space"):
            repair(library.folder)
    assert repair(library.folder) == 0
    assert verify(library.folder) == []
    assert library.add(photos).run.encoded == 10


def test_repair_of_a_sound_library_changes_nothing(library: LibraryFactory, shards: Path, photos: Path) -> None:
    before = vectors_of(library.folder)
    assert repair(library.folder) == 0
    assert vectors_of(library.folder) == before
    assert not library.add(photos).index.rewritten


def test_vanished_photo_of_a_lost_shard_is_encoded_again_when_it_is_back(
    library: LibraryFactory, shards: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "03.jpg").rename(tmp_path / "away.jpg")
    library.add(photos)
    (shards / "000001.npy").unlink()
    assert repair(library.folder) == 9
    assert states_of(library.folder)["03.jpg"] == ("failed", "missing")
    library.add(photos)
    (tmp_path / "away.jpg").rename(photos / "03.jpg")
    assert library.add(photos).run.encoded == 1
    assert photos_of(library.folder)[str(photos / "03.jpg")].state is PhotoState.EMBEDDED
    assert verify(library.folder) == []


def test_progress_is_told_every_thousand_photos(library: LibraryFactory, tmp_path: Path) -> None:
    execute(
        library,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
        "INSERT INTO photo (path, member, state) SELECT '/photos/' || i || '.jpg', '', 'pending' FROM n",
    )
    told: list[Step] = []
    assert verify(library.folder, told.append) == []
    assert told == [Step("verifying", 1000), Step("verifying", 2000)]
