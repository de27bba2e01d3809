from pathlib import Path

import numpy as np
import pytest

from base.errors import QueryError
from indexer.hotels50k import Hotels50kSource
from search.tags.calibration import SURE, TagOptions
from search.tags.summary import EACH, NO_CHAIN, count_by_chain, sheet_sections, summarise
from tests.by_folder import add_photos, label_photo
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.search.tags.conftest import OWN, decided, opened, tag


def test_a_summary_counts_the_decided_photos_of_every_tag(tagged: LibraryFactory, photos: Path) -> None:
    (photos / "new.jpg").write_bytes(photo_bytes(77))
    tagged.add(photos)
    tags = decided(tagged.folder)
    with opened(tagged.folder) as (_, tagging):
        summary = summarise(tagging)
    assert summary.notes[0] == "1 photo came after the last tagging and has no tags yet: run `aliens tag`"
    assert (summary.photos, summary.unscored, summary.method, summary.threshold) == (11, 1, "calibrated", 0.3)
    assert summary.vocabulary == tagging.vocabulary.key
    assert summary.untagged == sum(not has for has in tags.values())
    assert [one.tag for one in summary] == tagging.vocabulary.names
    for one in summary:
        assert one.photos == sum(one.tag in has for has in tags.values())
        assert one.share == one.photos / 11
        assert one.by_hand == 0
        assert 0 <= one.sure <= one.photos
        assert not one.muted
    assert sum(one.photos for one in summary) > 0


def test_labels_are_counted_where_they_say_yes_of_a_photo_that_can_be_found(
    tagged: LibraryFactory, photos: Path
) -> None:
    for photo_id in (1, 2, 5):
        label_photo(tagged.folder, photo_id, "a pool", True, None)
    label_photo(tagged.folder, 3, "a pool", False, None)
    (photos / "04.jpg").unlink()  # photo 5
    tagged.add(photos)
    with opened(tagged.folder) as (_, tagging):
        pool, *others = summarise(tagging)
    assert pool.by_hand == 2
    assert {one.by_hand for one in others} == {0}


def test_a_library_whose_photos_are_all_gone_has_an_empty_summary(tagged: LibraryFactory, photos: Path) -> None:
    for path in photos.iterdir():
        path.unlink()
    tagged.add(photos, allow_empty=True)
    with opened(tagged.folder) as (session, tagging):
        summary = summarise(tagging)
        assert count_by_chain(session, tagging) == []
        assert sheet_sections(session, tagging, "a pool") == []
    assert (summary.photos, summary.untagged, {one.share for one in summary}) == (0, 0, {0.0})


def test_photos_are_counted_by_chain_largest_first(library: LibraryFactory, samples: Path) -> None:
    add_photos(library.folder, Hotels50kSource(samples), lambda model: library.encoder)
    tag(library, OWN)
    with opened(library.folder) as (session, tagging):
        chains = count_by_chain(session, tagging)
        summary = summarise(tagging)
    assert [chain.photos for chain in chains] == sorted((chain.photos for chain in chains), reverse=True)
    assert sum(chain.photos for chain in chains) == summary.photos == 240
    for one in summary:
        assert sum(chain.tags[one.tag] for chain in chains) == one.photos
    by_id = {chain.chain_id: chain.chain for chain in chains}
    assert by_id[11] == "Azura Bay Resorts"
    assert by_id[None] == NO_CHAIN


def test_photos_of_a_folder_are_of_no_chain(tagged: LibraryFactory) -> None:
    with opened(tagged.folder) as (session, tagging):
        (chain,) = count_by_chain(session, tagging)
    assert (chain.chain_id, chain.chain, chain.photos) == (None, NO_CHAIN, 10)


def test_a_sheet_shows_the_surest_the_borderline_and_the_least_likely(library: LibraryFactory, photos: Path) -> None:
    fill_folder(photos, range(10, 40))
    library.add(photos)
    tag(library)
    with opened(library.folder) as (session, tagging):
        (whole,) = tagging.photos()
        place = tagging.vocabulary.position("a bathtub")
    probabilities = np.sort(whole.probabilities[:, place])[::-1]
    count, threshold = 12, float(probabilities[11])
    tag(library, options=TagOptions(threshold=threshold))
    with opened(library.folder) as (session, tagging):
        sections = sheet_sections(session, tagging, "bathtub")
    assert [section.heading for section in sections] == [
        f"surest of the {count} photos that have it, {int((probabilities[:count] >= SURE).sum())} of them surely",
        "least sure of them",
        f"likeliest of the {40 - count} others",
        "least likely",
    ]
    shown = [[float(cell.lines[0].split()[1]) for cell in section.cells] for section in sections]
    assert shown[0] == pytest.approx(probabilities[:EACH].tolist(), abs=6e-4)
    assert shown[1] == pytest.approx(probabilities[count - EACH : count][::-1].tolist(), abs=6e-4)
    assert shown[2] == pytest.approx(probabilities[count : count + EACH].tolist(), abs=6e-4)
    assert shown[3] == pytest.approx(probabilities[::-1][:EACH].tolist(), abs=6e-4)
    order = whole.photo_ids[np.argsort(-whole.probabilities[:, place], kind="stable")].tolist()
    photos_shown = [[int(cell.lines[1].split()[1]) for cell in section.cells] for section in sections]
    assert photos_shown == [
        order[:EACH],
        order[count - EACH : count][::-1],
        order[count : count + EACH],
        order[::-1][:EACH],
    ]
    surest = photos_shown[0][0]
    label_photo(library.folder, surest, "a bathtub", False, None)
    with opened(library.folder) as (session, tagging):
        first, _, others, _ = sheet_sections(session, tagging, "bathtub")
    assert first.heading.startswith(f"surest of the {count - 1} photos that have it, ")
    assert others.cells[0].lines[1].startswith(f"photo {surest} ")


def test_a_sheet_of_an_unknown_tag_is_refused(tagged: LibraryFactory) -> None:
    with opened(tagged.folder) as (session, tagging), pytest.raises(QueryError, match="no tag 'a spaceship'"):
        sheet_sections(session, tagging, "a spaceship")
