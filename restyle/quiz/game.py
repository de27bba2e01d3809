"""The quiz as people play it: questions, and the page that asks them. Keeps no answers."""

import base64
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aliens.errors import QueryError
from restyle.pages import data_uri, render
from restyle.quiz.matching import cosines
from restyle.quiz.pairs import Pair

ALL_UP_TO = 8  # originals: so many are all shown with every question
CHOICES = 6  # else
MOST_CHOICES = 9  # a key each


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Which of these photos is the result made of? wish: the digest of what the result was asked to be."""

    result_id: int
    wish: str
    choice_ids: tuple[int, ...]  # photo ids, in the order shown


@dataclass(frozen=True, slots=True)
class Quiz:
    """Questions in the order in which they are asked."""

    seed: int
    questions: tuple[Question, ...]

    @property
    def id(self) -> str:
        """What tells this quiz from any other: 16 hex digits of a digest of its results, choices and order."""
        asked = [[question.result_id, question.wish, *question.choice_ids] for question in self.questions]
        return hashlib.sha256(json.dumps([self.seed, asked]).encode()).hexdigest()[:16]


def make_quiz(pairs: Sequence[Pair], seed: int = 0, choices: int | None = None) -> Quiz:
    """Return a quiz on these pairs; the wrong choices are the originals most similar to the right one.

    Args:
        pairs: of different originals.
        seed: of the order of the questions and of the choices.
        choices: with each question, 2 to 9; by default all originals up to 8, else 6.

    Raises: QueryError: fewer than two pairs, or choices that cannot be.
    """
    n = len(pairs)
    if choices is not None and not 2 <= choices <= MOST_CHOICES:
        raise QueryError(f"{choices} choices cannot be shown with a question: give --choices 2 to {MOST_CHOICES}")
    if n < 2:
        raise QueryError(f"a quiz needs at least 2 restyled photos, and there is {n}: make more with `aliens restyle`")
    shown = min(n, choices or (n if n <= ALL_UP_TO else CHOICES))
    originals = np.stack([pair.original.vector for pair in pairs])
    likeness = cosines(originals, originals)
    np.fill_diagonal(likeness, np.inf)  # the right one is always among the choices
    order = random.Random(seed)
    questions = []
    for row, pair in enumerate(pairs):
        near = np.argsort(-likeness[row], kind="stable")[:shown]
        choice_ids = [pairs[column].source_id for column in near]
        order.shuffle(choice_ids)
        questions.append(Question(result_id=pair.result_id, wish=pair.wish, choice_ids=tuple(choice_ids)))
    order.shuffle(questions)
    return Quiz(seed, tuple(questions))


def quiz_page(quiz: Quiz, pairs: Sequence[Pair], title: str = "Which photo was it?") -> str:
    """Return the page that asks a quiz. It stands alone, and hands out the answers as JSON (restyle.quiz.answers)."""
    by_result = {pair.result_id: pair for pair in pairs}
    right = [question.choice_ids.index(by_result[question.result_id].source_id) for question in quiz.questions]
    return render(
        "quiz.html",
        title=title,
        questions=len(quiz.questions),
        data={
            "quiz": quiz.id,
            "seed": quiz.seed,
            "key": base64.b64encode(json.dumps(right).encode()).decode("ascii"),
            "questions": [
                {
                    "result": question.result_id,
                    "choices": question.choice_ids,
                    "picture": data_uri(by_result[question.result_id].result.jpeg),
                }
                for question in quiz.questions
            ],
            "originals": {pair.source_id: data_uri(pair.original.jpeg) for pair in pairs},
        },
    )
