import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import QueryError
from embedding.html_pages import jpeg
from restyle.quiz.game import Exhibit, Pair, Quiz, make_quiz, quiz_page
from tests.page import picture_of, read_page
from tests.quizzes import data_of, right_places

NAMES = "</script><script>alert(1)</script>.jpg"


def exhibit(vector: np.ndarray, shade: int) -> Exhibit:
    picture = jpeg(np.full((8, 8 + shade % 7, 3), shade % 256, np.uint8))
    return Exhibit(name=NAMES, jpeg=picture, vector=vector.astype(np.float32), hog=vector.astype(np.float32))


def pairs_of(n: int, seed: int = 0) -> list[Pair]:
    vectors = np.random.default_rng(seed).normal(size=(n, 16))
    return [
        Pair(
            result_id=100 + number,
            source_id=10 + number,
            wish=f"{seed}-{number}",
            result=exhibit(vector, number),
            original=exhibit(vector, 128 + number),
        )
        for number, vector in enumerate(vectors)
    ]


@given(st.integers(2, 20), st.integers(0, 99), st.one_of(st.none(), st.integers(2, 9)))
@settings(max_examples=60)
def test_every_result_is_asked_about_once_with_its_original_among_the_choices(
    n: int, seed: int, choices: int | None
) -> None:
    pairs = pairs_of(n, seed)
    quiz = make_quiz(pairs, seed, choices)
    sources = {pair.result_id: pair.source_id for pair in pairs}
    assert sorted(question.result_id for question in quiz.questions) == sorted(sources)
    for question in quiz.questions:
        assert len(set(question.choice_ids)) == len(question.choice_ids) == min(n, choices or (n if n <= 8 else 6))
        assert sources[question.result_id] in question.choice_ids
    assert quiz == make_quiz(pairs, seed, choices)


def test_the_seed_decides_the_order_and_the_id() -> None:
    pairs = pairs_of(8)
    quizzes = [make_quiz(pairs, seed) for seed in range(5)]
    assert len({quiz.id for quiz in quizzes}) == 5
    assert len({tuple(question.result_id for question in quiz.questions) for quiz in quizzes}) == 5
    places = [question.choice_ids.index(question.result_id - 90) for quiz in quizzes for question in quiz.questions]
    assert set(places) == set(range(8))  # the right one lies anywhere


def test_a_result_made_anew_makes_another_quiz() -> None:
    quiz = make_quiz(pairs_of(4))
    other = [*quiz.questions[:3], type(quiz.questions[3])(result_id=1, wish="new", choice_ids=(1, 2))]
    assert Quiz(0, tuple(other)).id != quiz.id


def test_the_wrong_choices_are_the_originals_that_look_most_alike() -> None:
    angles = np.linspace(0, 1, 12)
    pairs = [
        Pair(result_id=number, source_id=number, wish="", result=made, original=made)
        for number, angle in enumerate(angles)
        for made in [exhibit(np.array([np.cos(angle), np.sin(angle)]), number)]
    ]
    choices = {question.result_id: set(question.choice_ids) for question in make_quiz(pairs, choices=3).questions}
    assert choices[0] == {0, 1, 2}
    assert choices[11] == {9, 10, 11}
    assert all({number - 1, number, number + 1} == choices[number] for number in range(1, 11))


@pytest.mark.parametrize("choices", [-1, 0, 1, 10])
def test_choices_that_cannot_be_shown_are_refused(choices: int) -> None:
    with pytest.raises(QueryError, match="--choices 2 to 9"):
        make_quiz(pairs_of(12), choices=choices)


@pytest.mark.parametrize("n", [0, 1])
def test_a_quiz_of_fewer_than_two_photos_is_refused(n: int) -> None:
    with pytest.raises(QueryError, match="aliens restyle"):
        make_quiz(pairs_of(n))


def test_the_page_stands_alone_and_shows_every_photo() -> None:
    pairs = pairs_of(11)
    quiz = make_quiz(pairs, 4)
    page = read_page(quiz_page(quiz, pairs))
    data = data_of(page)
    assert page.problems == []
    assert page.tags.count("script") == 2  # the data and the page's own
    assert all(address.startswith("data:") or not address for address in page.addresses)
    assert "://" not in page.source
    assert data["quiz"] == quiz.id
    assert len(data["questions"]) == len(data["originals"]) == 11
    for address in [question["picture"] for question in data["questions"]] + list(data["originals"].values()):
        assert picture_of(address).height == 8


def test_the_page_knows_the_right_answers_but_does_not_spell_them_out() -> None:
    pairs = pairs_of(9)
    quiz = make_quiz(pairs, 1)
    page = read_page(quiz_page(quiz, pairs))
    data = data_of(page)
    sources = {pair.result_id: pair.source_id for pair in pairs}
    for question, place in zip(data["questions"], right_places(data), strict=True):
        assert question["choices"][place] == sources[question["result"]]
        assert set(question) == {"result", "choices", "picture"}
    assert str(right_places(data)).replace(" ", "") not in page.source.replace(" ", "")
    assert NAMES not in page.source and "alert(1)" not in page.source  # a name would give the answer away


def test_a_title_is_escaped() -> None:
    pairs = pairs_of(2)
    page = read_page(quiz_page(make_quiz(pairs), pairs, title=NAMES))
    assert page.problems == []
    assert page.tags.count("script") == 2
