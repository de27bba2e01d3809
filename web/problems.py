"""Errors as answers: a problem (RFC 9457) below /api, a line in a fragment, a page elsewhere; never a traceback."""

import errno
import traceback
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi_problem.error import Problem
from fastapi_problem.handler import ExceptionHandler, add_exception_handler, new_exception_handler
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from base import console
from base.errors import AliensError, OutputError, QuerySyntaxError
from web.problem_kinds import BY_ERROR, BY_STATUS, DISK_FULL, INTERNAL, ProblemKind
from web.rendering import environment, page
from web.translations import language_of

API = ("/api/", "/healthz", "/metrics")  # whose answers programs read
AGAIN_S = 1  # seconds after which somebody who was refused for now may ask again
FULL = (errno.ENOSPC, errno.EDQUOT)
TYPES = "/problems/{type}"


def problem_kind_of(error: AliensError) -> ProblemKind:
    """Return what kind of problem an error is; some errors know their status themselves."""
    if isinstance(error, OutputError) and getattr(error.__cause__, "errno", None) in FULL:
        return DISK_FULL
    if isinstance(status := getattr(error, "status", None), int) and status in BY_STATUS:
        return BY_STATUS[status]
    return next(BY_ERROR[name] for name in (kind.__name__ for kind in type(error).__mro__) if name in BY_ERROR)


def problem_of(kind: ProblemKind, detail: str, headers: dict[str, str] | None = None, **members: Any) -> Problem:
    """Return a problem of a kind, to be raised or answered; who is refused for now is told when to ask again."""
    headers = dict(headers or {})
    if kind.status in (429, 503):
        headers.setdefault("Retry-After", str(AGAIN_S))
    return Problem(kind.title, kind.slug, detail, kind.status, headers or None, **members)


def wants_problem(request: Request) -> bool:
    """Tell whether a program asks, which reads problems, or a person, who reads pages."""
    return request.url.path.startswith(API)


def problem_answer(request: Request, problem: Problem) -> Response:
    """Return a problem as who asked can read it."""
    headers = dict(problem.headers or {}) | {"Cache-Control": "no-store"}
    if wants_problem(request):
        body = problem.marshal(uri=TYPES)
        return JSONResponse(body, problem.status, headers, media_type="application/problem+json")
    if request.headers.get("hx-request"):
        language = language_of(request)
        text = environment(language).get_template("problem_line.html").render(detail=problem.detail)
        return HTMLResponse(text, problem.status, headers)
    shown = page(request, "problem.html", problem.status, problem=problem)
    shown.headers.update(headers)
    return shown


def of_ours(handler: ExceptionHandler, request: Request, error: AliensError) -> Problem:
    """Say an error of ours; where a query cannot be read, at which character."""
    more = {"position": error.place} if isinstance(error, QuerySyntaxError) else {}
    wait_s = getattr(error, "retry_after_s", None)
    headers = {"Retry-After": str(wait_s)} if wait_s is not None else None
    said = error.lines[0] if isinstance(error, QuerySyntaxError) else str(error)
    return problem_of(problem_kind_of(error), said, headers, **more)


def of_http(handler: ExceptionHandler, request: Request, error: HTTPException) -> Problem:
    """Say an error that the framework or an endpoint raises by its status."""
    kind = BY_STATUS.get(error.status_code) or BY_STATUS[400 if error.status_code < 500 else 500]
    detail = str(error.detail)
    if detail.lower() == kind.said.lower():  # the protocol's own words, which say nothing of what was asked
        detail = kind.remedy
    problem = problem_of(kind, detail, dict(error.headers or {}))
    problem.status = problem.status_code = error.status_code
    return problem


def of_validation(handler: ExceptionHandler, request: Request, error: RequestValidationError) -> Problem:
    """Say in words what of a request is not as it should be; what was sent is not repeated."""
    errors = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
    words = [f"{named_place(each['loc'])}: {uncapitalised(each['msg'])}" for each in errors]
    return problem_of(BY_STATUS[422], "; ".join(words), errors=errors)


def named_place(place: tuple[int | str, ...]) -> str:
    """Return which value is meant, of where it stands: in the query, the body, ..., by its name."""
    return ".".join(map(str, place[1:] or place))


def uncapitalised(text: str) -> str:
    """Return a sentence as it stands behind a colon."""
    return text[:1].lower() + text[1:]


def add_problems(app: FastAPI) -> None:
    """Have an app answer errors so, and its OpenAPI document say so."""
    handler = new_exception_handler(
        handlers={AliensError: of_ours},
        http_exception_handler=of_http,
        request_validation_handler=of_validation,
        documentation_uri_template=TYPES,
    )

    def answered(request: Request, error: Exception) -> Response:
        if isinstance(error, Problem):
            return problem_answer(request, error)
        for kind, say in handler.handlers.items():
            if isinstance(error, kind):
                return problem_answer(request, say(handler, request, error))
        return unexpected(request, error)

    add_exception_handler(app, handler)
    for kind in (AliensError, Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answered)
    app.exception_handlers.pop(Exception)  # `HonestAnswers` has these


def unexpected(request: Request, error: Exception) -> Response:
    """Say that something is wrong here, and print what for those who run the server."""
    console.note(f"aliens: {request.method} {request.url.path} failed: {type(error).__name__}: {error}")
    for line in "".join(traceback.format_exception(error)).splitlines():
        console.note(line)
    return problem_answer(request, problem_of(INTERNAL, INTERNAL.remedy))


class HonestAnswers:
    """Turns what middlewares answer in plain text, and errors that nobody expected, into problems and pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, begun, refused = Request(scope), False, False

        async def honest(message: Message) -> None:
            nonlocal begun, refused
            if message["type"] == "http.response.start":
                begun = True
                refused = message["status"] >= 400 and is_plain(message)
                if refused:
                    kind = BY_STATUS.get(message["status"], BY_STATUS[400])
                    problem = problem_of(kind, kind.remedy)
                    await problem_answer(request, problem)(scope, receive, send)
            if not refused:
                await send(message)

        try:
            await self.app(scope, receive, honest)
        except Exception as error:
            if begun:  # nothing else can be said any more: the connection is cut
                raise
            await unexpected(request, error)(scope, receive, send)


def is_plain(message: Message) -> bool:
    """Tell whether an answer that begins is plain text."""
    kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
    return bool(kinds) and kinds[0].startswith(b"text/plain")
