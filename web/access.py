"""Who may ask, from where, and what a browser may do with the answer."""

import hashlib
import hmac
import ipaddress
import re
import socket

from asgi_cross_origin_protection import CrossOriginProtection
from asgi_cross_origin_protection.protection import SAFE_METHODS
from fastapi import FastAPI, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.pages.access_pages import sign_in_page
from web.problem_kinds import FORBIDDEN, HOST, TOO_LONG, UNAUTHORISED, ProblemKind
from web.problems import HonestAnswers, problem_answer, problem_of, wants_problem
from web.web_settings import WebSettings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self' data: blob:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "private, no-cache",  # of what says nothing of it: it shows a library, which changes
}
HOST_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::[0-9]{1,5})?")
STATIC_CACHE = "no-cache"  # kept, and asked for again by its ETag: a newer version has the same addresses
OPEN = ("/static/", "/sign-in", "/problems/")  # what needs no token
SESSION_S = 30 * 24 * 3600
FORM_BYTES = 100_000  # around a photo that is handed in
BODY_BYTES = 2_000_000  # of every other request: ids of photos by the ten thousand
ADDRESS_BYTES = 64_000  # of an address with its query: 10,000 characters, each as up to six


def is_token(given: str, token: str) -> bool:
    """Tell whether a text is the token, in a time that tells nothing of it."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


def session_key(token: str) -> str:
    """Return what signs the cookies of those who signed in: another token makes them worthless."""
    return hashlib.sha256(b"aliens serve: session: " + token.encode()).hexdigest()


def session_cookie(settings: WebSettings) -> str:
    """Return the cookie's name: browsers tell servers of one host by nothing else."""
    return f"aliens-session-{settings.port}"


class SafeHeaders:
    """Puts the headers on every answer that keep a browser from more than a page needs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", STATIC_CACHE)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)


class Guard:
    """Answers only those requests that nothing speaks against."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def refusal(self, scope: Scope) -> ProblemKind | None:
        """Return what speaks against a request; None where nothing does."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""
        if scope["type"] == "http" and (kind := self.refusal(scope)) is not None:
            await self.refuse(Request(scope), kind)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def refuse(self, request: Request, kind: ProblemKind) -> ASGIApp:
        """Return the answer to somebody who is refused."""
        return problem_answer(request, problem_of(kind, kind.remedy))


class HostGuard(Guard):
    """Refuses names that the server is not called by, odd spellings included, and addresses that are too long.

    Names that lead to this machine are how foreign pages reach servers on it (DNS rebinding); an IP address is no name,
    so that a server that listens at all of its machine's may be called by any.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], any_address: bool) -> None:
        super().__init__(app)
        self._names = names
        self._any_address = any_address

    def refusal(self, scope: Scope) -> ProblemKind | None:
        """Refuse an address that is too long, and one that does not name a single host that is ours."""
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS_BYTES:
            return TOO_LONG
        named = Headers(scope=scope).getlist("host")
        spelt = HOST_HEADER.fullmatch(named[0].lower()) if len(named) == 1 else None
        return None if spelt and (spelt[1] in self._names or (self._any_address and is_address(spelt[1]))) else HOST


class BodyGuard:
    """Refuses bodies that are too long: those that are read as a whole are shorter than photos that are handed in."""

    def __init__(self, app: ASGIApp, upload_bytes: int) -> None:
        self._of_uploads = RequestBodyLimitMiddleware(app, max_body_size=upload_bytes)
        self._of_others = RequestBodyLimitMiddleware(app, max_body_size=min(BODY_BYTES, upload_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, unless its body is too long."""
        limited = self._of_uploads if scope.get("path") == "/api/v1/uploads" else self._of_others
        await limited(scope, receive, send)


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, as it is written in a URL."""
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class ChangeGuard:
    """Refuses changes that pages of other sites ask for.

    Over plain HTTP from elsewhere browsers send no Sec-Fetch-Site: then Origin decides. Without both, who asks is no
    browser that we know of: it may not use a browser's cookie.
    """

    def __init__(self, app: ASGIApp, cookie: str) -> None:
        self._cookie = cookie
        self._by_cookie = CrossOriginProtection(app, deny_app=refuse_change, allow_unverifiable_requests=False)
        self._by_others = CrossOriginProtection(app, deny_app=refuse_change)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, unless another site asks for a change."""
        by_cookie = False
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            by_cookie = self._cookie in headers.get("cookie", "") and "authorization" not in headers
        await (self._by_cookie if by_cookie else self._by_others)(scope, receive, send)


async def refuse_change(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that a change came from elsewhere."""
    await problem_answer(Request(scope), problem_of(FORBIDDEN, FORBIDDEN.remedy))(scope, receive, send)


class TokenGuard(Guard):
    """Asks for the token, in a header or, once, on a page that keeps that in a signed cookie."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        super().__init__(app)
        self._token = token

    def refusal(self, scope: Scope) -> ProblemKind | None:
        """Refuse who has shown no token."""
        if scope["path"].startswith(OPEN):
            return None
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_token(given.strip(), self._token):
            return None
        return None if scope["session"].get("signed_in") else UNAUTHORISED

    def refuse(self, request: Request, kind: ProblemKind) -> ASGIApp:
        """Show people where to sign in."""
        if wants_problem(request) or request.headers.get("hx-request"):
            return problem_answer(request, problem_of(kind, kind.remedy, {"WWW-Authenticate": "Bearer"}))
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return sign_in_page(request, back if request.method in SAFE_METHODS else "/", status=401)


def add_guards(app: FastAPI, settings: WebSettings) -> None:
    """Have an app answer only those who may ask. The last that is added is the first that is asked."""
    cookie = session_cookie(settings)
    if settings.token is not None:
        app.add_middleware(TokenGuard, token=settings.token)
        app.add_middleware(
            SessionMiddleware,
            secret_key=session_key(settings.token),
            session_cookie=cookie,
            max_age=SESSION_S,
            same_site="strict",
        )
    app.add_middleware(BodyGuard, upload_bytes=settings.upload_bytes + FORM_BYTES)
    app.add_middleware(ChangeGuard, cookie=cookie)
    app.add_middleware(HostGuard, names=host_names(settings), any_address=settings.listens_everywhere)
    app.add_middleware(HonestAnswers)
    app.add_middleware(SafeHeaders)


def host_names(settings: WebSettings) -> frozenset[str]:
    """Return the names that the server may be called by, in lower case."""
    names = [bracketed(settings.host), *settings.hosts]
    if settings.is_loopback:
        names += ["localhost", "127.0.0.1", "[::1]"]
    if settings.listens_everywhere:
        names += ["localhost", socket.gethostname()]
    return frozenset(name.lower() for name in names)


def bracketed(host: str) -> str:
    """Return an address as it stands in a URL: of IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
