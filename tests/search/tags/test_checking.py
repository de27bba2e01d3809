import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from base.errors import QueryError
from base.settings import LibraryFolder
from embedding.encoder import Encoder
from search.tags.calibration import Method, TagOptions
from search.tags.checking import CONFIDENT, MARGIN, TagChecker
from search.tags.tagging import TaggedPhotos, Tagging
from tests.by_folder import label_photo
from tests.conftest import LibraryFactory, photo_bytes
from tests.search.tags.conftest import OWN, decided, opened, tag


@contextmanager
def checking(library: LibraryFactory) -> Iterator[tuple[TagChecker, Tagging]]:
    with opened(library.folder) as (_, tagging):
        yield TagChecker(tagging, library.encoder), tagging


def vector_of(library: LibraryFactory, photo_id: int) -> np.ndarray:
    with opened(library.folder) as (_, tagging):
        return tagging.vector(photo_id)


def own_tags(photos: TaggedPhotos, names: list[str], least: float) -> list[list[str]]:
    sure = photos.decided & (photos.probabilities >= least)
    return [[name for name, has in zip(names, row, strict=True) if has] for row in sure]


@pytest.mark.parametrize(
    ("method", "threshold", "bar"), [("signal", 0.5, 0.5), ("calibrated", 0.3, 0.5), ("calibrated", 0.85, 0.85)]
)
def test_confident_tags_are_the_decided_ones_of_a_clear_probability_and_its_own_vector_loses_none(
    tagged_samples: LibraryFolder, starter: Encoder, method: Method, threshold: float, bar: float
) -> None:
    with opened(tagged_samples) as (_, tagging):
        tagging = tagging.decided_by(replace(tagging.calibration, method=method, threshold=threshold))
        checker = TagChecker(tagging, starter)
        (photos,) = tagging.photos()
        names = tagging.vocabulary.names
        clear, near = (own_tags(photos, names, bar + off) for off in (1e-3, -1e-3))
        found = [checker.confident(photo_id) for photo_id in photos.photo_ids.tolist()]
        for photo_id, tags, surely, maybe in zip(photos.photo_ids.tolist(), found, clear, near, strict=True):
            assert set(surely) <= set(tags) <= set(maybe)  # the scores on disk have half precision
            assert checker.lost(tagging.vector(photo_id), tags) == []
        assert 0 < sum(map(len, found)) <= photos.decided.sum()


def test_a_picture_of_something_else_has_lost_the_tags(tagged_samples: LibraryFolder, starter: Encoder) -> None:
    with opened(tagged_samples) as (_, tagging):
        checker = TagChecker(tagging, starter)
        sure = {photo_id: checker.confident(photo_id) for photo_id in range(1, 241)}
        with_pool, with_kitchen = ([i for i, tags in sure.items() if tag in tags] for tag in ("a pool", "a kitchen"))
        assert len(with_pool) > 5
        assert len(with_kitchen) > 5
        for pools, others, lost in ((with_pool, with_kitchen, "a pool"), (with_kitchen, with_pool, "a kitchen")):
            for photo_id in set(others) - set(pools):
                vector = tagging.vector(photo_id)
                assert checker.lost(vector, [lost]) == [lost]
                assert checker.lost(vector, [lost, *sure[photo_id], lost.removeprefix("a ")]) == [
                    lost,
                    lost.removeprefix("a "),
                ]


def test_what_people_say_of_a_photo_counts_as_far_as_the_model_sees_it(tagged: LibraryFactory) -> None:
    with checking(tagged) as (_, tagging):
        (photos,) = tagging.photos()
        names, probabilities = tagging.vocabulary.names, photos.probabilities
        between = np.argwhere((probabilities > CONFIDENT - MARGIN + 0.01) & (probabilities < CONFIDENT - 0.01))
        below = np.argwhere(probabilities < CONFIDENT - MARGIN - 0.01)
        clear = np.argwhere(probabilities > CONFIDENT + 0.01)
        ids = photos.photo_ids.tolist()
    said = {}
    for (row, place), present in ((between[0], True), (below[0], True), (clear[0], False)):
        said[present, ids[row]] = names[place]
        label_photo(tagged.folder, ids[row], names[place], present, None)
    with checking(tagged) as (checker, _):
        assert names[between[0][1]] in checker.confident(ids[between[0][0]])
        assert names[below[0][1]] not in checker.confident(ids[below[0][0]])
        assert names[clear[0][1]] not in checker.confident(ids[clear[0][0]])
        for photo_id in ids:
            assert checker.lost(vector_of(tagged, photo_id), checker.confident(photo_id)) == []


def test_by_softmax_the_decided_tags_of_a_clear_share_are_confident(stocked: LibraryFactory) -> None:
    tag(stocked, OWN, TagOptions(method="softmax"))
    with checking(stocked) as (checker, tagging):
        (found,) = tagging.photos()
        for photo_id, row, shares in zip(found.photo_ids.tolist(), found.decided, found.probabilities, strict=True):
            sure = [name for name, has, share in zip(OWN.names, row, shares, strict=True) if has and share >= 0.5]
            assert checker.confident(photo_id) == sure
            others = [name for name, share in zip(OWN.names, shares, strict=True) if share < CONFIDENT - MARGIN - 0.01]
            assert checker.lost(vector_of(stocked, photo_id), OWN.names) == [
                name for name in others if name not in decided_of(found, photo_id)
            ]


def decided_of(photos: TaggedPhotos, photo_id: int) -> list[str]:
    (row,) = photos.decided[photos.photo_ids == photo_id]
    return [name for name, has in zip(OWN.names, row, strict=True) if has]


def test_a_photo_that_came_after_the_last_tagging_is_judged_by_its_vector(tagged: LibraryFactory, photos: Path) -> None:
    before = decided(tagged.folder)
    shutil.copy(photos / "03.jpg", photos / "copy.jpg")
    (photos / "new.jpg").write_bytes(photo_bytes(77))
    tagged.add(photos)
    with checking(tagged) as (checker, _):
        assert checker.confident(11) == checker.confident(4)
        assert set(checker.confident(4)) <= before["03.jpg"]


def test_an_untagged_library_and_impossible_questions_are_refused(stocked: LibraryFactory) -> None:
    with pytest.raises(QueryError, match="is not tagged yet: run `aliens tag"), checking(stocked):
        pass
    tag(stocked)
    vector = vector_of(stocked, 1)
    with checking(stocked) as (checker, _):
        with pytest.raises(QueryError, match="no photo 99 with a vector"):
            checker.confident(99)
        with pytest.raises(QueryError, match="unicorn"):
            checker.lost(vector, ["a unicorn"])
        with pytest.raises(QueryError, match=r"of 48 dimensions, not \(47,\)"):
            checker.lost(vector[:-1], [])
