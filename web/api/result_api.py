"""Restyled photos by program: what there is, and pictures before and after."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from base.errors import QueryError
from web.opened import Opened, Served

exhibiting = APIRouter(tags=["restyled"])
ResultNumber = Annotated[int, Path(ge=1, lt=1 << 63, description="the result's own number")]
LACKING: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such result."}}
TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


class QuizSheet(BaseModel):
    """What a person answered in a quiz: of each result which of the choices, photo ids, was chosen."""

    model_config = ConfigDict(extra="forbid")
    quiz: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]
    seed: int
    player: Annotated[str, Field(max_length=200)] = ""
    finished_at: Annotated[str, Field(max_length=64)] = ""
    answers: Annotated[list["QuizChoice"], Field(min_length=1, max_length=1_000)]


class QuizChoice(BaseModel):
    """One answer."""

    model_config = ConfigDict(extra="forbid")
    result: int
    choices: Annotated[list[int], Field(min_length=2, max_length=9)]
    chosen: int


async def result_numbered(served: Opened, result_id: int) -> Any:
    """Return a result. Raises: HTTPException: there is none of this number (404)."""
    try:
        return (await served.compute(served.library.restyled, [result_id]))[0]
    except QueryError as error:
        raise HTTPException(404, str(error)) from error


@exhibiting.get("/results")
async def list_results(
    served: Served,
    first: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    photo: Annotated[int | None, Query(ge=1, lt=1 << 63, description="only results of this photo")] = None,
) -> dict[str, Any]:
    """Return restyled photos, the newest first, each with how it was made and what it scored."""
    found = list(await served.compute(served.library.restyled, photo=photo))[::-1]
    shown = await served.compute(lambda: [result.as_json() for result in found[first : first + limit]])
    return {"total": len(found), "first": first, "results": [without_path(each) for each in shown]}


def without_path(record: dict[str, Any]) -> dict[str, Any]:
    """Return a result's record without where files lie on this machine."""
    return {name: value for name, value in record.items() if name not in ("path", "source_path")}


@exhibiting.get("/results/{result_id}", responses=LACKING)
async def one_result(served: Served, result_id: ResultNumber) -> dict[str, Any]:
    """Return one restyled photo."""
    result = await result_numbered(served, result_id)
    return without_path(await served.compute(result.as_json))


@exhibiting.get("/results/{result_id}/image", response_class=Response, responses=LACKING)
async def result_image(
    request: Request,
    served: Served,
    result_id: ResultNumber,
    of: Annotated[Literal["result", "original"], Query(description="the result, or its original")] = "result",
    seen: Annotated[bool, Query(description="as the visitors see it, who have no red")] = False,
    w: Annotated[int, Query(ge=16, le=2048, description="the longer side in pixels, at most")] = 960,
) -> Response:
    """Return a result or its original as a JPEG; both are of one size, so that they can be laid over each other."""
    result = await result_numbered(served, result_id)
    stamp = result.path.stat().st_mtime_ns if result.exists else 0
    headers = {"ETag": f'"{result_id}-{of}-{seen:d}-{w}-{stamp}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"] and stamp:
        return Response(status_code=304, headers=headers)
    try:
        compute = served.compute_heavy if seen else served.compute  # which goes over every pixel
        picture = await compute(served.library.result_picture, result_id, of, seen=seen, longest_px=w)
    except QueryError as error:
        raise HTTPException(404, str(error)) from error
    return Response(picture, media_type="image/jpeg", headers=headers)


@exhibiting.get("/results/{result_id}/file", response_class=FileResponse, responses=LACKING)
async def result_file(served: Served, result_id: ResultNumber) -> FileResponse:
    """Return a restyled photo's own file, to be kept: it says how it was made."""
    result = await result_numbered(served, result_id)
    if not result.exists:
        raise HTTPException(404, f"the file of result {result_id} is gone: restyle its photo again")
    kind = TYPES.get(result.path.suffix, "application/octet-stream")
    return FileResponse(result.path, media_type=kind, filename=result.readable_name)


@exhibiting.get("/quiz")
async def new_quiz(
    served: Served,
    seed: Annotated[int, Query(ge=0, lt=1 << 32, description="of the questions and their order")] = 0,
    questions: Annotated[int, Query(ge=2, le=50)] = 12,
) -> dict[str, Any]:
    """Return a quiz: which of the photos was each result made of?"""
    quiz = await served.compute(served.library.quiz_to_play, seed, most=questions)
    asked = [{"result": each.result_id, "choices": list(each.choice_ids)} for each in quiz.questions]
    return {"quiz": quiz.id, "seed": quiz.seed, "questions": asked}


@exhibiting.post("/quiz/answers", status_code=201)
async def hand_in_answers(served: Served, sheet: QuizSheet) -> dict[str, Any]:
    """Count and keep what a person answered; the same answers are kept once."""
    counted = await served.compute(served.library.count_quiz_sheet, sheet.model_dump())
    return counted.as_json()


@exhibiting.get("/quiz/games")
async def list_games(served: Served) -> list[dict[str, Any]]:
    """Return the games that people have played."""
    return (await served.compute(served.library.quiz_games)).to_dicts()
