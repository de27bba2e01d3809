"""Each measure by hand, on rankings of a few photos."""

import numpy as np
import pytest

from analysis.judged.query_files import JudgedQuery
from analysis.judged.retrieval_measures import checked_cutoffs, score_rankings, search_measures
from base.errors import QueryError

TWO_OF_FOUR = JudgedQuery("a pool", {1: 2, 2: 1, 3: 0})  # photo 1 answers it well, 2 somewhat, 3 does not
ONE = JudgedQuery("a bed", {7: 1})


def scored(measures: str, *ranked: list[int], queries: tuple[JudgedQuery, ...] = (TWO_OF_FOUR,)) -> list[list[float]]:
    found = score_rankings(queries, [np.array(ids, np.int64) for ids in ranked], measures.split())
    return np.round(found.values, 6).tolist()


def test_precision_and_recall_count_photos_that_answer() -> None:
    # ranks 1 to 4: answers, not known, does not, answers
    assert scored("P@1 P@2 P@4 R@1 R@2 R@4", [1, 9, 3, 2]) == [[1.0], [0.5], [0.5], [0.5], [0.5], [1.0]]


def test_average_precision_is_the_mean_precision_at_the_photos_that_answer() -> None:
    assert scored("AP", [1, 9, 3, 2]) == [[(1 / 1 + 2 / 4) / 2]]
    assert scored("AP", [9, 1]) == [[(1 / 2) / 2]]  # photo 2 was not found: it counts as precision 0


def test_reciprocal_rank_is_that_of_the_first_photo_that_answers() -> None:
    assert scored("RR", [3, 9, 2, 1]) == [[round(1 / 3, 6)]]


def test_ndcg_divides_the_discounted_grades_by_the_best_order() -> None:
    best = 2 / np.log2(2) + 1 / np.log2(3)
    assert scored("nDCG@10", [1, 2]) == [[1.0]]
    assert scored("nDCG@10", [2, 9, 1]) == [[round((1 / np.log2(2) + 2 / np.log2(4)) / best, 6)]]
    assert scored("nDCG@1", [2, 1]) == [[0.5]]


def test_success_is_whether_any_answer_is_among_the_first() -> None:
    assert scored("Success@1 Success@5", [9, 2]) == [[0.0], [1.0]]


def test_photos_of_a_ranking_stay_in_its_order_whatever_their_numbers() -> None:
    for first, second in ((7, 10), (7, 3), (7, 70)):
        assert scored("RR", [first, second], queries=(ONE,)) == [[1.0]]
        assert scored("RR", [second, first], queries=(ONE,)) == [[0.5]]


def test_each_query_has_a_column_and_one_that_finds_nothing_has_zeros() -> None:
    found = scored("R@10 AP RR", [], [8, 7], queries=(TWO_OF_FOUR, ONE))
    assert found == [[0.0, 1.0], [0.0, 0.5], [0.0, 0.5]]
    means = score_rankings([TWO_OF_FOUR, ONE], [np.empty(0, np.int64), np.array([7])], ["R@10"]).means
    assert means.tolist() == [0.5]


def test_queries_are_measured_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = [JudgedQuery(f"thing {n}", {n: 1}) for n in range(5)]
    rankings = [np.array([9, 8, 7, n][n % 4 :]) for n in range(5)]
    whole = score_rankings(queries, rankings, ["RR"]).values.tolist()
    monkeypatch.setattr("analysis.judged.retrieval_measures.AT_ONCE", 2)
    assert score_rankings(queries, rankings, ["RR"]).values.tolist() == whole == [[1 / 4, 1 / 3, 1 / 2, 1, 1 / 4]]


def test_by_default_what_a_search_is_measured_by() -> None:
    assert search_measures() == ("AP", "RR", "nDCG@10", "P@1", "P@5", "P@10", "R@1", "R@5", "R@10")
    assert score_rankings([ONE], [np.array([7])]).names == search_measures()
    assert search_measures([20, 2, 2]) == ("AP", "RR", "nDCG@20", "P@2", "P@20", "R@2", "R@20")


@pytest.mark.parametrize("cutoffs", [[], [0], [-1, 5], [1001]])
def test_cutoffs_that_make_no_sense_are_refused(cutoffs: list[int]) -> None:
    with pytest.raises(QueryError, match=r"k is .*: give numbers from 1 to 1000"):
        checked_cutoffs(cutoffs)


def test_a_ranking_for_each_query_is_needed() -> None:
    with pytest.raises(ValueError, match="1 rankings of 2 queries"):
        score_rankings([ONE, ONE], [np.array([7])])
