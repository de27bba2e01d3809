"""The quiz: people choose of which photo each restyled one was made; their games are kept."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from base.errors import QueryError
from web.opened import Served
from web.rendering import page

quiz_pages = APIRouter()
QUESTIONS = 12
MOST_QUESTIONS = 50
Seed = Annotated[int, Query(ge=0, lt=1 << 32)]


@quiz_pages.get("/quiz")
async def quiz_start(request: Request, served: Served) -> HTMLResponse:
    """Return what the quiz is, with the games that were played."""
    games = list(await served.compute(served.library.quiz_games))[::-1]
    results = len(await served.compute(served.library.restyled))
    return page(request, "quiz.html", games=games, results=results, seed=secrets.randbelow(1 << 31))


@quiz_pages.get("/quiz/play")
async def quiz_play(request: Request, served: Served, seed: Seed = 0) -> HTMLResponse:
    """Return the questions of a quiz."""
    quiz = await served.compute(served.library.quiz_to_play, seed, most=QUESTIONS)
    return page(request, "quiz_play.html", quiz=quiz)


@quiz_pages.post("/quiz/play")
async def quiz_answered(request: Request, served: Served) -> HTMLResponse:
    """Count and keep the answers of a quiz, and return how it went."""
    async with request.form(max_fields=4 * MOST_QUESTIONS + 10) as form:
        sheet = sheet_of_form({name: str(value) for name, value in form.multi_items()})
    counted = await served.compute(served.library.count_quiz_sheet, sheet)
    return page(request, "quiz_result.html", counted=counted, seed=secrets.randbelow(1 << 31))


def sheet_of_form(form: dict[str, str]) -> dict[str, Any]:
    """Return the sheet of answers that a form holds.

    Raises: QueryError: a question is without an answer, or a field is no number.
    """
    try:
        asked = [int(number) for number in form["results"].split(",")]
        if len(asked) > MOST_QUESTIONS:
            raise ValueError(f"{len(asked)} questions")
        answers = [
            {
                "result": result,
                "choices": [int(choice) for choice in form[f"choices-{result}"].split(",")],
                "chosen": int(form[f"chosen-{result}"]),
            }
            for result in asked
        ]
        quiz, seed = form["quiz"], int(form["seed"])
    except KeyError as error:
        raise QueryError(f"{error.args[0]} is missing: answer every question") from error
    except ValueError as error:
        raise QueryError(f"these are no answers of a quiz: {error}") from error
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "quiz": quiz,
        "seed": seed,
        "player": form.get("player", ""),
        "finished_at": finished,
        "answers": answers,
    }
