"""Signing in, and what a kind of problem means: what needs no token."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from web.opened import Served
from web.problem_kinds import BY_SLUG, NOT_FOUND
from web.problems import problem_of
from web.rendering import page

access_pages = APIRouter()


def sign_in_page(request: Request, back: str, *, wrong: bool = False, status: int = 200) -> HTMLResponse:
    """Return the page that asks for the token; `back`: the address that was asked for."""
    shown = page(request, "sign_in.html", status, next=back, wrong=wrong)
    if status == 401:
        shown.headers["WWW-Authenticate"] = "Bearer"
    return shown


def own_address(back: str) -> str:
    """Return an address of ours; the search page's for one that leads elsewhere, however it is written."""
    return back if back[:1] == "/" and back[1:2] not in ("/", "\\") and back.isprintable() else "/"


@access_pages.get("/sign-in")
async def sign_in(request: Request) -> HTMLResponse:
    """Return the page that asks for the token."""
    return sign_in_page(request, "/")


@access_pages.post("/sign-in")
async def signed_in(
    request: Request,
    served: Served,
    token: Annotated[str, Form(max_length=1_000)],
    back: Annotated[str, Form(alias="next", max_length=64_000)] = "/",
) -> Response:
    """Take the token, keep that it was shown in a signed cookie, and go on to what was asked for."""
    from web.access import is_token

    wanted = served.settings.token
    if wanted is not None and not is_token(token.strip(), wanted):
        return sign_in_page(request, own_address(back), wrong=True, status=401)
    if wanted is not None:
        request.session["signed_in"] = True
    return RedirectResponse(own_address(back), 303)


@access_pages.get("/problems/{slug}")
async def problem_kind(request: Request, slug: str) -> HTMLResponse:
    """Say what a kind of problem means and what helps. Raises: Problem: there is no such kind."""
    if slug not in BY_SLUG:
        raise problem_of(NOT_FOUND, f"no kind of problem {slug[:40]!r}: there are {', '.join(BY_SLUG)}")
    return page(request, "problem_kind.html", kind=BY_SLUG[slug])
