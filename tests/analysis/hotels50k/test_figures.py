"""The protocol's figures, computed by hand for a tiny data set, and by other ways for random ones."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from analysis.hotels50k.benchmark_figures import BenchmarkFigure, benchmark_figures, log_losses, mean_loss, top_share
from analysis.hotels50k.found_labels import Outcomes, Retrieved, outcomes_of
from analysis.hotels50k.ground_truth import GroundTruth, KnownNumbers
from tests.tiny_hotels50k import RESULTS

LN_NOTHING = -math.log(1e-15)  # what a probability of 0 costs


@pytest.fixture
def outcomes(truth: GroundTruth) -> Outcomes:
    return outcomes_of(Retrieved(np.array(list(RESULTS)), np.array(list(RESULTS.values()))), truth)


def by_name(figures: list[BenchmarkFigure]) -> dict[tuple[str, str, str], BenchmarkFigure]:
    return {(figure.by, figure.convention, figure.measure): figure for figure in figures}


def test_hotels_are_found_at_the_rank_of_the_first_photo_of_theirs(outcomes: Outcomes) -> None:
    assert outcomes.hotels.tolist() == [1, 3, 4, 5]
    assert outcomes.hotel.ranks.tolist() == [3, 5, 2, 0]


def test_the_probability_of_a_hotel_is_its_share_of_the_results(outcomes: Outcomes) -> None:
    """counts / k, where the published converter divides by the number of different hotels."""
    assert outcomes.hotel.probabilities.tolist() == [2 / 5, 1 / 5, 2 / 5, 0]


def test_by_the_script_results_of_unknown_chains_take_their_places(outcomes: Outcomes) -> None:
    assert outcomes.chains.tolist() == [10, 20, -1, -1]
    assert outcomes.chain_known.tolist() == [True, True, False, False]
    assert outcomes.chain_among_all.ranks.tolist() == [2, 5, 0, 0]
    assert outcomes.chain_among_all.probabilities[:2].tolist() == [3 / 5, 1 / 5]


def test_by_the_paper_results_of_unknown_chains_are_passed_over(outcomes: Outcomes) -> None:
    assert outcomes.chain_among_known.ranks.tolist() == [1, 3, 0, 0]
    assert outcomes.chain_among_known.probabilities[:2].tolist() == [3 / 4, 1 / 3]


def test_the_figures_are_those_computed_by_hand(outcomes: Outcomes) -> None:
    found = by_name(benchmark_figures("low", outcomes, k=5))
    values = {name: figure.value for name, figure in found.items() if figure.value == figure.value}
    assert values == pytest.approx(
        {
            ("hotel", "", "top-1"): 0,
            ("chain", "paper", "top-1"): 1 / 2,
            ("chain", "paper", "top-3"): 1,
            ("chain", "paper", "top-5"): 1,
            ("chain", "script", "top-1"): 0,
            ("chain", "script", "top-3"): 1 / 2,
            ("chain", "script", "top-5"): 1,
            ("hotel", "", "log loss"): (-math.log(0.4) - math.log(0.2) - math.log(0.4) + LN_NOTHING) / 4,
            ("chain", "paper", "log loss"): (-math.log(3 / 4) - math.log(1 / 3)) / 2,
            ("chain", "script", "log loss"): (-math.log(3 / 5) - math.log(1 / 5)) / 2,
        }
    )
    assert {figure.photos for name, figure in found.items() if name[0] == "hotel"} == {4}
    assert {figure.photos for name, figure in found.items() if name[0] == "chain"} == {2}


def test_more_places_than_there_are_results_give_no_figure(outcomes: Outcomes) -> None:
    found = by_name(benchmark_figures("low", outcomes, k=5))
    for measure in ("top-10", "top-100"):
        figure = found["hotel", "", measure]
        assert all(math.isnan(number) for number in (figure.value, figure.low, figure.high))


def test_the_authors_figures_stand_beside_those_that_they_can_be_compared_with(outcomes: Outcomes) -> None:
    published = {
        (level, figure.convention, figure.measure): figure.published
        for level in ("unoccluded", "low")
        for figure in benchmark_figures(level, outcomes, k=5)
        if figure.published is not None
    }
    assert published == {
        ("unoccluded", "script", "top-1"): 0.404,
        ("unoccluded", "script", "top-3"): 0.541,
        ("unoccluded", "script", "top-5"): 0.604,
    }


@pytest.mark.parametrize("seed", range(5))
def test_random_results_score_as_one_counts_them_photo_by_photo(seed: int) -> None:
    random = np.random.default_rng(seed)
    chain_of = {hotel: int(random.integers(-1, 4)) for hotel in range(12)}
    train = {image_id: int(random.integers(0, 12)) for image_id in range(1_000, 1_300)}
    test = {image_id: int(random.integers(0, 12)) for image_id in range(40)}
    results = random.choice(list(train), (40, 100))
    truth = GroundTruth(*(KnownNumbers.of(pairs.items()) for pairs in (train, test, chain_of)))
    outcomes = outcomes_of(Retrieved(np.array(list(test)), results), truth)
    figures = by_name(benchmark_figures("low", outcomes, k=100))
    hotels = [[train[image_id] for image_id in row] for row in results.tolist()]
    for k in (1, 10, 100):
        share = np.mean([hotel in found[:k] for hotel, found in zip(test.values(), hotels, strict=True)])
        assert figures["hotel", "", f"top-{k}"].value == pytest.approx(share)
    asked = [(chain_of[hotel], found) for hotel, found in zip(test.values(), hotels, strict=True)]
    asked = [(chain, [chain_of[hotel] for hotel in found]) for chain, found in asked if chain != -1]
    for k in (1, 3, 5):
        script = np.mean([chain in found[:k] for chain, found in asked])
        paper = np.mean([chain in [other for other in found if other != -1][:k] for chain, found in asked])
        assert figures["chain", "script", f"top-{k}"].value == pytest.approx(script)
        assert figures["chain", "paper", f"top-{k}"].value == pytest.approx(paper)


def test_log_loss_is_that_of_scikit_learn_over_all_classes() -> None:
    shares = np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.0, 0.25, 0.75]])
    true = np.array([0, 1, 0])
    clipped = shares.clip(1e-15, 1 - 1e-15)
    ours = log_losses(shares[np.arange(3), true])
    assert ours.mean() == pytest.approx(log_loss(true, clipped, labels=[0, 1, 2]))
    assert ours[1:].tolist() == pytest.approx([0, 34.538776], abs=1e-6)


def test_intervals_of_shares_are_wilsons() -> None:
    """By the formula: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)."""
    n, p, z = 50, 0.3, 1.959964
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    ranks = np.array([1] * 10 + [3] * 5 + [7] * 5 + [0] * 30)
    share, low, high = top_share(ranks, 3)
    assert share == p
    assert (low, high) == pytest.approx([(middle + sign * spread) / (1 + z * z / n) for sign in (-1, 1)], abs=1e-6)


def test_without_test_photos_there_are_no_figures() -> None:
    nobody = np.empty(0, np.int64)
    assert all(math.isnan(number) for number in (*top_share(nobody, 1), *mean_loss(np.empty(0))))
    outcomes = outcomes_of(
        Retrieved(nobody, np.empty((0, 100), np.int64)), GroundTruth(*(KnownNumbers.of([]) for _ in range(3)))
    )
    assert {figure.photos for figure in benchmark_figures("low", outcomes, k=100)} == {0}


def test_the_mean_loss_lies_within_its_interval_and_is_the_same_each_time() -> None:
    lost = log_losses(np.random.default_rng(0).random(60))
    mean, low, high = mean_loss(lost)
    assert low < mean < high
    assert mean_loss(lost) == (mean, low, high)
    assert math.isnan(mean_loss(lost[:1])[1])


def test_unknown_numbers_have_no_value() -> None:
    known = KnownNumbers.of([(7, 70), (3, 30), (7, 71)])
    assert known.get(np.array([[3, 7], [5, 9]]), -1).tolist() == [[30, 70], [-1, -1]]
    assert KnownNumbers.of([]).get(np.array([3]), -1).tolist() == [-1]
    assert KnownNumbers.of([]).has(np.array([3])).tolist() == [False]
