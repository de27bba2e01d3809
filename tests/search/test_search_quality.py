"""What negation, weights and the stop line are worth on the sample hotels, as benchmarks/search_quality.py measures."""

import pytest

from aliens.library import Library
from benchmarks import search_quality
from benchmarks.search_quality import Photos
from search.query import NEGATED

SHOWN = "{:<30} " + "{:>8.3f}" * 4


@pytest.fixture(scope="module")
def photos(sample_library: Library) -> Photos:
    return search_quality.sample_photos(sample_library)


def test_what_no_photo_shows_is_told_apart_from_what_photos_show(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    ((rule, shares),) = search_quality.standing_out(photos, None)
    with capsys.disabled():
        print("\n\ntold that nothing stands out: no photo shows it, one thing asked for, two, one without another")
        print(SHOWN.format(rule, *shares))
    assert shares[0] > 0.75
    assert max(shares[1:]) <= 0.05


def test_negation_keeps_away_from_the_negated_and_keeps_what_was_asked_for(photos: Photos) -> None:
    table = {name: counts for name, *counts in search_quality.negation(photos)}
    (negated, asked, _), (fewer, kept, _) = table["without negation"], table[f"q - {NEGATED} n"]
    assert fewer < 0.85 * negated
    assert kept > 0.85 * asked
    assert table["q - 1.0 n"][1] < 0.5 * asked  # which is why a minus does not weigh as much as a plus


def test_a_heavier_term_brings_more_of_its_photos_and_takes_some_of_the_others(photos: Photos) -> None:
    second, first, both = zip(*(counts for _, *counts in search_quality.weights(photos)), strict=True)
    assert list(second) == sorted(second)
    assert first[0] - 4 < first[-1] < first[0] - 2
    assert max(both) > both[0] + 1


def test_the_stop_line_finds_more_than_the_best_single_threshold(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    table = dict(search_quality.lines(search_quality.questions(photos), None))
    with capsys.disabled():
        print("\n\nmean F1 above the line: one thing asked for, two, 5 % of the photos show it, 2 %")
        for name, means in table.items():
            print(SHOWN.format(name, *means))
    line, single = table["suggested stop line"], table["best single threshold"]
    assert all(mine > flat for mine, flat in zip(line[:3], single[:3], strict=True))
    assert line[3] > single[3] - 0.01  # where the photos asked for are rarest it is no better
    assert line[0] > 0.57
    assert line[1] > 0.43
