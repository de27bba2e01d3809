"""What labels taught, in a library: kept beside the scores, carried along, told, forgotten."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from search.tags.calibration import TagOptions
from search.tags.checking import TagChecker
from search.tags.truth import Truth, all_said, label_truth
from search.tags.vocabulary import Vocabulary
from tests.by_folder import disagreements, label_photo, merge_due, repair
from tests.conftest import LibraryFactory, photo_bytes
from tests.search.tags.conftest import OWN, column, opened, tag

YES, NO = (1, 2, 3), (4, 5, 6, 7)


def learn(library: LibraryFactory, **options: object) -> int:
    """Say which photos have pools and which have not, tag by that, and return how many tags were taught."""
    for photo_id in (*YES, *NO):
        label_photo(library.folder, photo_id, "a pool", photo_id in YES, None)
    return tag(library, OWN, TagOptions(**options), read_truth=label_truth).fitted  # type: ignore[arg-type]


def probabilities(library: LibraryFactory) -> np.ndarray:
    with opened(library.folder) as (_, tagging):
        return np.concatenate([photos.probabilities for photos in tagging.photos()])


def learnt(library: LibraryFactory) -> list[Path]:
    """Return the folders of what labels taught."""
    return sorted(library.folder.root.glob("tags/*/*.learnt-*"))


@pytest.fixture
def own(tagged: LibraryFactory) -> LibraryFactory:
    """A library of ten photos, tagged with three tags by the default method."""
    tag(tagged, OWN, TagOptions())
    return tagged


def test_a_few_labels_move_the_tag_that_they_are_of_and_no_other(own: LibraryFactory) -> None:
    before = probabilities(own)
    assert learn(own) == 1
    after = probabilities(own)
    assert (after[:, 1:] == before[:, 1:]).all()
    pool = after[:, 0]
    assert pool[[n - 1 for n in YES]].min() > pool[[n - 1 for n in NO]].max()
    with opened(own.folder) as (_, tagging):
        assert tagging.calibration.active_links[0].labels == 7
        assert tagging.calibration.probed == (0,)
        assert tagging.notes == []


def test_what_was_learnt_is_computed_where_it_does_not_lie_on_disk(own: LibraryFactory) -> None:
    learn(own)
    (folder,) = learnt(own)
    stored = probabilities(own)
    shutil.rmtree(folder)
    assert probabilities(own) == pytest.approx(stored, abs=2e-3)  # float16 cosines of another order of adding
    tag(own, OWN, TagOptions())
    assert learnt(own) == [folder]
    assert (probabilities(own) == stored).all()


def test_a_tagging_that_is_only_tried_says_what_the_library_would_and_keeps_nothing(own: LibraryFactory) -> None:
    for photo_id in (*YES, *NO):
        label_photo(own.folder, photo_id, "a pool", photo_id in YES, None)
    with opened(own.folder) as (session, tagging):
        tried = tagging.taught_by(all_said(session, tagging.vocabulary))
        tried_chances = np.concatenate([photos.probabilities for photos in tried.photos()])
        assert tagging.calibration.active_links == {}
    assert learnt(own) == []
    learn(own)
    assert probabilities(own) == pytest.approx(tried_chances, abs=2e-3)


def test_new_photos_are_decided_by_what_was_learnt_before(own: LibraryFactory, photos: Path) -> None:
    learn(own)
    before = probabilities(own)
    (photos / "more").mkdir()
    shutil.copy(photos / "00.jpg", photos / "more" / "copy.png")  # the same bytes as a photo that has a pool
    (photos / "more" / "new.jpg").write_bytes(photo_bytes(77))
    own.add(photos)
    with opened(own.folder) as (_, tagging):
        assert tagging.unscored == 2
    assert tag(own, OWN, TagOptions()).fitted == 1
    after = probabilities(own)
    assert (after[:10] == before).all()
    assert not np.isnan(after).any()
    assert disagreements(own.folder) == []


def test_merged_segments_keep_what_was_learnt(scattered: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    tag(scattered, OWN, TagOptions())
    for photo_id in (3, 4, 5):
        label_photo(scattered.folder, photo_id, "a pool", photo_id == 3, None)
    assert tag(scattered, OWN, TagOptions(), read_truth=label_truth).fitted == 1
    before, files = probabilities(scattered), len(list(learnt(scattered)[0].iterdir()))
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    assert merge_due(scattered.folder)
    assert len(list(learnt(scattered)[0].iterdir())) < files
    assert (probabilities(scattered) == before).all()
    with opened(scattered.folder) as (_, tagging):
        tagging.write_learnt(lambda step: pytest.fail("nothing was missing"))
    assert disagreements(scattered.folder) == []


def test_labels_that_changed_since_are_told_and_learnt_anew(own: LibraryFactory) -> None:
    learn(own)
    (before,) = learnt(own)
    label_photo(own.folder, 8, "a pool", True, None)
    with opened(own.folder) as (_, tagging):
        assert tagging.notes == [
            "labels have changed since the tags learnt from them: run `aliens tag --calibrate labels`"
        ]
    learn(own)
    (after,) = learnt(own)
    assert after != before
    label_photo(own.folder, 8, "a pool", None, None)
    learn(own)
    assert learnt(own) == [before]  # the same labels teach the same
    with opened(own.folder) as (_, tagging):
        assert tagging.notes == []


def test_what_a_file_taught_is_not_compared_with_labels(own: LibraryFactory) -> None:
    def truth(session: Session, vocabulary: Vocabulary) -> Truth:
        return Truth([1, 2, 3], np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32))

    assert tag(own, OWN, TagOptions(), read_truth=truth).fitted == 3
    label_photo(own.folder, 8, "a pool", True, None)
    with opened(own.folder) as (_, tagging):
        assert tagging.notes == []
        assert tagging.calibration.labels_key.startswith("file-")


def test_what_labels_taught_goes_with_them(own: LibraryFactory) -> None:
    before = probabilities(own)[:, 0]
    learn(own)
    for photo_id in (*YES, *NO):
        label_photo(own.folder, photo_id, "a pool", None, None)
        label_photo(own.folder, photo_id, "a tv", True, None)
    report = tag(own, OWN, TagOptions(), read_truth=label_truth)
    assert report.fitted == 1
    assert "all labels of these say yes, so how many photos have them was not learnt: a tv" in report.notes
    assert (probabilities(own)[:, 0] == before).all()


def test_what_a_file_taught_stays_where_labels_say_nothing(own: LibraryFactory) -> None:
    def truth(session: Session, vocabulary: Vocabulary) -> Truth:
        return Truth([1, 2], np.array([[np.nan, np.nan, 1], [np.nan, np.nan, 0]], np.float32))

    tag(own, OWN, TagOptions(), read_truth=truth)
    before = probabilities(own)[:, 2]
    for _ in range(3):  # as every ten answers of `aliens label`
        assert learn(own) == 2
        assert probabilities(own)[:, 2] == pytest.approx(before, abs=2e-3)


def test_what_was_learnt_is_forgotten_with_its_files(own: LibraryFactory) -> None:
    plain = probabilities(own)
    learn(own)
    assert tag(own, OWN, TagOptions(forget_labels=True)).fitted == 0
    assert learnt(own) == []
    assert (probabilities(own) == plain).all()


@pytest.mark.parametrize("fit", ["platt", "isotonic"])
def test_older_ways_to_learn_can_still_be_asked_for(own: LibraryFactory, fit: str) -> None:
    assert learn(own, fit=fit) == 0  # seven labels are too few for them
    assert learnt(own) == []


def test_labels_of_photos_that_left_teach_nothing(own: LibraryFactory, photos: Path) -> None:
    learn(own)
    (photos / "00.jpg").unlink()
    own.add(photos)
    assert tag(own, OWN, TagOptions(), read_truth=label_truth).fitted == 1
    with opened(own.folder) as (_, tagging):
        assert tagging.calibration.active_links[0].labels == 6


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [cut, Path.unlink])
def test_damaged_cosines_are_told_and_computed_again(own: LibraryFactory, spoil: Callable[[Path], None]) -> None:
    learn(own)
    stored = probabilities(own)
    (file,) = learnt(own)[0].iterdir()
    spoil(file)
    assert probabilities(own) == pytest.approx(stored, abs=2e-3)
    told = disagreements(own.folder)
    assert [d.part for d in told] == (["tags"] if spoil is cut else [])
    repair(own.folder)
    tag(own, OWN, TagOptions())
    assert disagreements(own.folder) == []
    assert (probabilities(own) == stored).all()


def test_restyling_asks_by_what_was_learnt(own: LibraryFactory) -> None:
    learn(own)
    with opened(own.folder) as (_, tagging):
        checker = TagChecker(tagging, own.encoder)
        chances = np.array([checker._seen(tagging.vector(photo_id))[0] for photo_id in range(1, 11)])
        (photos,) = tagging.photos()
        assert chances == pytest.approx(photos.probabilities, abs=5e-3)


def test_one_tag_is_ordered_as_all_are(own: LibraryFactory) -> None:
    learn(own)
    with opened(own.folder) as (_, tagging):
        ids, scores = tagging.column([1, 0])
        some = tagging.calibration.only([1, 0]).probabilities(scores)
        (photos,) = tagging.photos()
        assert ids.tolist() == column(photos, "photo_id")
        assert some == pytest.approx(photos.probabilities[:, [1, 0]], abs=1e-6)


def test_a_copy_of_a_labelled_photo_is_no_new_label(own: LibraryFactory, photos: Path) -> None:
    learn(own)
    shutil.copy(photos / "00.jpg", photos / "copy.jpg")
    own.add(photos)
    with opened(own.folder) as (_, tagging):
        assert tagging.stale == ""


def test_labels_alone_are_learnt_anew_with_the_library_as_it_is(own: LibraryFactory, photos: Path) -> None:
    learn(own)
    for number in range(30):
        (photos / f"more{number}.jpg").write_bytes(photo_bytes(300 + number))
    own.add(photos)
    tag(own, OWN, TagOptions())
    with opened(own.folder) as (_, tagging):
        assert tagging.calibration.photos == 10  # everything is decided as before
    learn(own)
    with opened(own.folder) as (_, tagging):
        assert tagging.calibration.photos == 40
        assert tagging.stale == ""
