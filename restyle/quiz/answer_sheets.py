"""The answers that a person gave: read from the file that the quiz's page hands out, checked, and counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from base.errors import QueryError
from base.records import converted, parse_json
from restyle.quiz.game import Quiz, QuizQuestion
from restyle.restyled import Result

LONGEST_NAME = 100
REMEDY = "take the file as the quiz's page hands it out"


class QuizAnswer(
    Struct, frozen=True, kw_only=True, rename={"result_id": "result", "choice_ids": "choices", "chosen_id": "chosen"}
):
    """What was chosen of the photos that were shown beside a result."""

    result_id: int
    choice_ids: tuple[int, ...]
    chosen_id: int


class Sheet(Struct, frozen=True, kw_only=True, rename={"quiz_id": "quiz"}):
    """A filled-in quiz, as the page hands it out."""

    quiz_id: str
    seed: int
    player: str
    finished_at: str
    answers: tuple[QuizAnswer, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A result that was taken for another original than its own."""

    result_id: int
    source_id: int
    taken_for_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class QuizOutcome:
    """How a player did. low, high: 95 % confidence interval of the accuracy (Wilson). chance: accuracy of guessing."""

    right: int
    n: int
    accuracy: float
    low: float
    high: float
    chance: float
    mistakes: tuple[Mistake, ...]


def read_answers(path: Path) -> Sheet:
    """Return a filled-in quiz.

    Raises: QueryError: the file cannot be read, is no sheet of answers, or was not played to the end.
    """
    try:
        record = parse_json(path.read_bytes())
    except OSError as error:
        raise QueryError(f"the answers {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise QueryError(f"{path} holds no JSON ({error}): {REMEDY}") from error
    return sheet_of(record, str(path))


def sheet_of(record: Any, where: str) -> Sheet:
    """Return the filled-in quiz of its JSON, which came from `where`. Raises: QueryError: as `read_answers`."""
    try:
        sheet = converted(record, Sheet)
    except ValueError as error:
        raise QueryError(f"{where} holds no answers of a quiz ({error}): {REMEDY}") from error
    if not sheet.answers:
        raise QueryError(f"{where} holds no answers: play the quiz first")
    return replace(sheet, player=name_of(sheet.player))


def name_of(text: str) -> str:
    """Return a player's name on one line, without characters that do something to a terminal."""
    name = "".join(filter(str.isprintable, " ".join(text.split())))
    return name[:LONGEST_NAME].strip() or "somebody"


def outcome(sheet: Sheet, results: Mapping[int, Result]) -> QuizOutcome:
    """Count what was recognised.

    Args:
        sheet: the answers.
        results: {id: result} of the library; those that the sheet names are looked at.

    Raises: QueryError: the quiz was made of other results than the library's, or the sheet was changed.

    Source: Wilson 1927 for the interval, by scipy.stats.binomtest.
    """
    from scipy.stats import binomtest

    absent = [answer.result_id for answer in sheet.answers if answer.result_id not in results]
    if absent:
        raise QueryError(
            f"the quiz {sheet.quiz_id} asks about result {absent[0]}, which this library has not: name the library "
            "that the quiz was made of with --library"
        )
    asked = tuple(
        QuizQuestion(
            result_id=answer.result_id, wish=results[answer.result_id].lineage.wish, choice_ids=answer.choice_ids
        )
        for answer in sheet.answers
    )
    sources = {answer.result_id: results[answer.result_id].lineage.source_photo_id for answer in sheet.answers}
    known = Quiz(sheet.seed, asked).id
    if known != sheet.quiz_id:
        raise QueryError(
            f"the answers say that they belong to the quiz {sheet.quiz_id}, but what they were asked is the quiz "
            f"{known} of this library: its results were made anew, it is another library, or the file was changed"
        )
    for answer in sheet.answers:
        if answer.chosen_id not in answer.choice_ids:
            raise QueryError(
                f"photo {answer.chosen_id} was not among the choices for result {answer.result_id}: {REMEDY}"
            )
    mistakes = tuple(
        Mistake(result_id=answer.result_id, source_id=sources[answer.result_id], taken_for_id=answer.chosen_id)
        for answer in sheet.answers
        if answer.chosen_id != sources[answer.result_id]
    )
    n = len(sheet.answers)
    interval = binomtest(n - len(mistakes), n).proportion_ci(0.95, method="wilson")
    return QuizOutcome(
        right=n - len(mistakes),
        n=n,
        accuracy=(n - len(mistakes)) / n,
        low=float(interval.low),
        high=float(interval.high),
        chance=sum(1 / len(answer.choice_ids) for answer in sheet.answers) / n,
        mistakes=mistakes,
    )


def as_stored(sheet: Sheet) -> list[dict[str, Any]]:
    """Return the answers as the library keeps them, each with the quiz that it belongs to."""
    about = {"quiz": sheet.quiz_id, "finished_at": sheet.finished_at}
    return [about | asdict(answer) | {"choice_ids": list(answer.choice_ids)} for answer in sheet.answers]
