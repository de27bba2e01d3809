"""Errors as answers: a problem (RFC 9457) below /api, a page elsewhere; never a traceback."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from base.errors import AliensError, LibraryError, QueryError, QuerySyntaxError
from web.opened import TooBusy
from web.rendering import page

STATUSES: dict[type[AliensError], int] = {
    TooBusy: 503,
    QuerySyntaxError: 422,
    QueryError: 422,
    LibraryError: 409,
    AliensError: 400,
}


def status_of(error: AliensError) -> int:
    """Return the HTTP status that says what an error means; some know it themselves."""
    if isinstance(status := getattr(error, "status", None), int):
        return status
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def problem_answer(request: Request, status: int, title: str, **members: object) -> Response:
    """Return a problem: as JSON for programs, as a page for people."""
    if request.url.path.startswith("/api/"):
        body = {"type": "about:blank", "title": title, "status": status, **members}
        return JSONResponse(body, status, media_type="application/problem+json")
    return page(request, "problem.html", status, title=title, code=status)


def add_problems(app: FastAPI) -> None:
    """Have an app answer errors so."""

    @app.exception_handler(AliensError)
    def ours(request: Request, error: AliensError) -> Response:
        more = {"position": error.place} if isinstance(error, QuerySyntaxError) else {}
        return problem_answer(request, status_of(error), str(error), kind=type(error).__name__, **more)

    @app.exception_handler(HTTPException)
    def of_http(request: Request, error: HTTPException) -> Response:
        return problem_answer(request, error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def others(request: Request, error: Exception) -> Response:
        return problem_answer(request, 500, "something went wrong here; the server's terminal says what")
