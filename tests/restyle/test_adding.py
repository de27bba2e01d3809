import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text as sql

from base.errors import LibraryError
from base.files import SegmentFile
from base.settings import LibraryFolder
from db.models import Photo
from db.vector_rows import segments_of
from embedding.decode import decode
from restyle import restyled as adding
from tests.by_folder import catalog_of, found_vectors, merge_due, photo_segments, repair, take_inventory
from tests.by_folder import disagreements as verify
from tests.conftest import FakeEncoder, LibraryFactory, raising
from tests.restyled import add_results, keep_results, lineage_of, results_of


@pytest.fixture
def filled(filled: LibraryFactory) -> LibraryFactory:
    """A library of ten photos, three of a hotel."""
    with results_of(filled.folder) as (session, _):
        session.execute(sql("INSERT INTO hotel VALUES (100, 'Azura', NULL, 48.85, 2.35)"))
        session.execute(sql("UPDATE photo SET hotel_id = 100 WHERE id <= 3"))
        session.commit()
    return filled


def add(library: LibraryFactory, folder: LibraryFolder | None = None) -> int:
    """Add all results."""
    return add_results(folder or library.folder, library.encoder)


def segments_of_results(folder: LibraryFolder) -> list[SegmentFile]:
    """Return the segments of results, the oldest first."""
    with catalog_of(folder) as catalog, catalog.session() as session:
        return segments_of(session, catalog.model, restyled=True)


def test_a_result_gets_a_row_with_its_photos_hotel_and_its_own_vector(filled: LibraryFactory) -> None:
    kept = keep_results(filled.folder, [2, 7], filled.encoder)
    vectors = found_vectors(filled.folder, restyled=True)
    assert list(vectors) == [result.photo_id for result in kept] == [11, 12]
    with results_of(filled.folder) as (session, _):
        for result, hotel_id in zip(kept, (100, None), strict=True):
            photo = session.get(Photo, result.photo_id)
            assert photo is not None
            assert (photo.path, photo.member, photo.hotel_id) == (str(result.path), "", hotel_id)
            assert (photo.state, photo.width_px, photo.height_px, photo.format) == ("restyled", 96, 64, "PNG")
            assert (photo.size_bytes, photo.grey) == (result.path.stat().st_size, False)
            decoded = decode(result.path.read_bytes(), FakeEncoder.preprocessing)
            vector = FakeEncoder().encode_images(decoded.pixels[np.newaxis])[0]
            assert vectors[photo.id] == pytest.approx(vector, abs=1e-3)


def test_adding_changes_nothing_that_is_known_of_photos(filled: LibraryFactory) -> None:
    before, segments_before = take_inventory(filled.folder), photo_segments(filled.folder)
    keep_results(filled.folder, [1, 2, 3], filled.encoder)
    after = take_inventory(filled.folder)
    assert verify(filled.folder) == []
    assert (after.photos, after.failures, after.index) == (before.photos, before.failures, before.index)
    assert (after.restyled, after.restyled_added, before.restyled) == (3, 3, 0)
    assert after.restyled_bytes == sum(path.stat().st_size for path in filled.folder.restyled.iterdir())
    assert ("restyled", f"3 results, 3 of them added, {after.restyled_bytes / 1e6:.1f} MB") in after.as_rows()
    assert photo_segments(filled.folder) == segments_before


def test_what_was_added_is_not_added_again(filled: LibraryFactory) -> None:
    keep_results(filled.folder, [1, 2], filled.encoder)
    encoded = filled.encoder.encoded_photos
    assert add(filled) == 0
    keep_results(filled.folder, [3])
    assert add(filled) == 1
    assert filled.encoder.encoded_photos == encoded + 1
    assert sorted(found_vectors(filled.folder, restyled=True)) == [11, 12, 13]


def test_many_results_are_recorded_in_several_segments(filled: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "SEGMENT_RESULTS", 4)
    keep_results(filled.folder, range(1, 10), filled.encoder)
    assert sorted(found_vectors(filled.folder, restyled=True)) == list(range(11, 20))
    assert [file.rows for file in photo_segments(filled.folder)] == [10]
    assert [file.rows for file in segments_of_results(filled.folder)] == [4, 4, 1]
    assert verify(filled.folder) == []


def test_segments_of_results_are_merged_and_never_with_those_of_photos(
    filled: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "SEGMENT_RESULTS", 4)
    keep_results(filled.folder, range(1, 10), filled.encoder)
    before, photos_before = found_vectors(filled.folder, restyled=True), photo_segments(filled.folder)
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    assert merge_due(filled.folder) == 1
    assert [file.rows for file in segments_of_results(filled.folder)] == [9]
    assert photo_segments(filled.folder) == photos_before
    after = found_vectors(filled.folder, restyled=True)
    assert list(after) == list(before) and all(np.array_equal(after[each], before[each]) for each in before)
    assert verify(filled.folder) == []
    assert add(filled) == 0


def test_a_result_made_anew_loses_its_vector_until_it_is_added_again(filled: LibraryFactory) -> None:
    (first,) = keep_results(filled.folder, [1], filled.encoder)
    (before,) = found_vectors(filled.folder, restyled=True).values()
    with results_of(filled.folder) as (_, results):
        again = results.keep(np.tile(np.arange(96, dtype=np.uint8), (64, 1))[..., None].repeat(3, 2), lineage_of(1))
    assert (again.id, again.photo_id) == (first.id, first.photo_id)
    assert found_vectors(filled.folder, restyled=True) == {}
    assert [(file.rows, file.alive) for file in segments_of_results(filled.folder)] == [(1, 0)]
    assert take_inventory(filled.folder).restyled_added == 0
    assert verify(filled.folder) == []
    assert add(filled) == 1
    assert [(file.rows, file.alive) for file in segments_of_results(filled.folder)] == [(1, 0), (1, 1)]
    ((photo_id, after),) = found_vectors(filled.folder, restyled=True).items()
    assert photo_id == first.photo_id
    assert float(before @ after) < 0.9
    assert verify(filled.folder) == []


def test_results_whose_files_have_vanished_or_are_no_pictures_are_passed_over(filled: LibraryFactory) -> None:
    gone, damaged, sound = keep_results(filled.folder, [1, 2, 3])
    gone.path.unlink()
    damaged.path.write_bytes(b"no picture")
    assert add(filled) == 1
    with results_of(filled.folder) as (_, results):
        assert [result.photo_id for result in results.of_ids([gone.id, damaged.id, sound.id])] == [None, None, 11]


def test_while_another_process_changes_the_library_nothing_is_added_and_the_next_call_does_it(
    filled: LibraryFactory,
) -> None:
    keep_results(filled.folder, [1])
    with catalog_of(filled.folder) as catalog, catalog.lock(), pytest.raises(LibraryError, match="another process"):
        add(filled)
    assert found_vectors(filled.folder, restyled=True) == {}
    assert add(filled) == 1


def test_a_failure_between_segment_and_rows_leaves_results_that_the_next_call_adds(
    filled: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_results(filled.folder, [1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(adding, "record_segment", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            add(filled)
    assert [found.part for found in verify(filled.folder)] == ["stray file"]  # as every killed run leaves it
    assert take_inventory(filled.folder).restyled_added == 0
    assert add(filled) == 2
    assert sorted(found_vectors(filled.folder, restyled=True)) == [11, 12]
    assert verify(filled.folder) == []


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_lost_segment_of_results_makes_no_photo_pending(
    filled: LibraryFactory, spoil: Callable[[Path], object]
) -> None:
    keep_results(filled.folder, [1, 2], filled.encoder)
    (segment,) = segments_of_results(filled.folder)
    spoil(filled.folder.vectors(filled.encoder.key) / f"{segment.name}.faiss")
    assert [found.part for found in verify(filled.folder)] == ["segment"]
    assert repair(filled.folder) == 0
    assert verify(filled.folder) == []
    assert take_inventory(filled.folder).photos == {"pending": 0, "embedded": 10, "failed": 0}
    assert add(filled) == 2
    assert verify(filled.folder) == []


def test_in_a_library_that_was_moved_results_are_added_at_their_new_place(filled: LibraryFactory) -> None:
    (before,) = keep_results(filled.folder, [1], filled.encoder)
    moved = LibraryFolder(filled.folder.root.with_name("moved"))
    shutil.move(filled.folder.root, moved.root)
    (told,) = verify(moved)
    assert (told.part, told.remedy) == ("result", "`aliens restyle list --add`")
    assert add(filled, moved) == 1
    assert verify(moved) == []
    with results_of(moved) as (session, results):
        (result,) = results.all()
        photo = session.get(Photo, result.photo_id)
        assert photo is not None
        assert photo.path == str(moved.restyled / result.path.name)
        assert result.photo_id == before.photo_id
    assert list(found_vectors(moved, restyled=True)) == [before.photo_id]  # and not once more at the old place


def test_a_library_reached_by_a_link_is_no_other_place(filled: LibraryFactory) -> None:
    keep_results(filled.folder, [1], filled.encoder)
    link = LibraryFolder(filled.folder.root.with_name("link"))
    link.root.symlink_to(filled.folder.root)
    assert verify(link) == []
    assert add(filled, link) == 0
