import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from base.progress import Step
from db.models import Photo
from restyle.quiz.game import newest, read_pairs
from restyle.structure import hog_of
from tests.conftest import LibraryFactory, photo_bytes
from tests.quizzes import restyle
from tests.restyled import results_of


def test_pairs_hold_both_pictures_and_comparable_vectors(restyled: LibraryFactory) -> None:
    done: list[Step] = []
    with results_of(restyled.folder) as (session, results):
        reading = read_pairs(session, results.all(), restyled.encoder, done.append)
    assert reading.left_out == []
    assert done == [Step("comparing", 8, 10), Step("comparing", 10, 10)]
    assert [pair.source_id for pair in reading.pairs] == list(range(1, 11))
    for pair in reading.pairs:
        assert pair.result.jpeg[:2] == pair.original.jpeg[:2] == b"\xff\xd8"
        assert pair.result.jpeg != pair.original.jpeg
        assert np.linalg.norm(pair.result.vector) == pytest.approx(1, abs=1e-5)
        assert pair.result.hog @ pair.original.hog > 0.9  # the same outlines
    one, other = reading.pairs[:2]
    assert one.original.hog @ other.original.hog < 0.6
    assert one.original.hog.shape == hog_of(np.zeros((9, 7, 3), np.uint8)).shape


def test_what_is_gone_or_changed_is_left_out_with_its_reason(restyled: LibraryFactory, photos: Path) -> None:
    (photos / "00.jpg").unlink()
    (photos / "01.jpg").write_bytes(photo_bytes(77))  # another photo under the same name
    with results_of(restyled.folder) as (session, results):
        kept = results.all()
        kept[2].path.unlink()
        kept[3].path.write_bytes(b"no picture")
        session.delete(session.get(Photo, 5))
        session.commit()
        reading = read_pairs(session, results.all(), restyled.encoder)
    assert [pair.source_id for pair in reading.pairs] == [6, 7, 8, 9, 10]
    reasons = dict(reason.split(": ", 1) for reason in reading.left_out)
    assert "00.jpg" in reasons["result 1"]
    assert "changed since" in reasons["result 2"] and "aliens restyle" in reasons["result 2"]
    assert kept[2].path.name in reasons["result 3"]
    assert "no image" in reasons["result 4"]
    assert "not in the library any more" in reasons["result 5"]


def test_of_several_results_of_a_photo_the_newest_counts(restyled: LibraryFactory) -> None:
    again = restyle(restyled.folder, [2, 4], palette="moss")
    with results_of(restyled.folder) as (_, results):
        kept = newest(results.all())
    assert sorted(result.lineage.source_photo_id for result in kept) == list(range(1, 11))
    assert [result.id for result in kept if result.lineage.source_photo_id in (2, 4)] == [one.id for one in again]


def test_a_photo_and_its_copy_are_one_question(library: LibraryFactory, photos: Path) -> None:
    shutil.copy(photos / "00.jpg", photos / "00-copy.jpg")
    library.add(photos)
    restyle(library.folder, range(1, 12))
    with results_of(library.folder) as (_, results):
        assert len(results.all()) == 11
        assert len(newest(results.all())) == 10


def swapped(restyled: LibraryFactory, photos: Path) -> int:
    """Let other bytes lie where the first photo lay, restyled under its number as well; return that result's id."""
    shutil.move(photos / "00.jpg", photos / "moved.jpg")
    (photos / "00.jpg").write_bytes(photo_bytes(77))
    restyled.add(photos)
    with results_of(restyled.folder) as (session, _):
        number = session.scalars(select(Photo.id).where(Photo.path.endswith("/00.jpg"))).one()
    (again,) = restyle(restyled.folder, [number], source_photo_id=1)
    return again.id


def test_results_of_other_bytes_under_the_same_number_are_not_one_original(
    restyled: LibraryFactory, photos: Path
) -> None:
    again = swapped(restyled, photos)
    with results_of(restyled.folder) as (_, results):
        assert [result.id for result in newest(results.all())] == [*range(1, 11), again]


def test_results_of_pictures_that_swapped_their_names_are_all_asked_about(
    restyled: LibraryFactory, photos: Path
) -> None:
    again = swapped(restyled, photos)
    with results_of(restyled.folder) as (session, results):
        reading = read_pairs(session, newest(results.all()), restyled.encoder)
        assert [pair.result_id for pair in reading.pairs] == [*range(1, 11), again]
        assert len({pair.source_id for pair in reading.pairs}) == 11
        assert reading.left_out == []
