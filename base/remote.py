"""Bytes that lie elsewhere: asked about, listed and read by their addresses, through fsspec. Knows no photos.

Each question is asked again after a pause where the network failed, and has a time limit. That a place cannot be
reached is told from that nothing is there: only the second means that a photo is gone.
"""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, BinaryIO, TypeVar

from cachetools import TTLCache

from base.errors import SourceError
from base.forks import fork_lock
from base.urls import EXTRAS, WEB, plain_url, server_of

T = TypeVar("T")
PAUSES_S = (0.5, 2.0)  # before a question is asked again
CONNECT_S, SILENCE_S, WHOLE_S = 15, 30, 600  # until a server is reached, between two parts of what it says, for all
DOWN_AFTER, DOWN_S = 4, 30  # questions that reached nobody, after which a host is let be, and for how long
FACTS_KEPT, FACTS_S = 50_000, 300  # what was answered lately is not asked again
BLOCK_BYTES = 1 << 20  # read at once of a tar whose headers are looked through
PART_BYTES = 1 << 24  # asked for at once
THREADS = 16  # that ask at once
GONE = (404, 410)
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # answers that may be others soon


class Unreachable(OSError):
    """A place that cannot be reached now: what lies there may be there still."""


def unreachable(why: str) -> Unreachable:
    """Return the error of a place that cannot be reached now."""
    return Unreachable(errno.EHOSTUNREACH, why)


def unreadable(why: str) -> OSError:
    """Return the error of a place that is reached, and cannot be read."""
    return OSError(errno.EIO, why)


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """What is said of an address; what is not said is None. `etag`: only where no time of change is told."""

    size_bytes: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None
    is_folder: bool = False

    @property
    def stamp(self) -> str:
        """What tells its bytes from those that it had before, as far as that can be known."""
        return f"{self.size_bytes}-{self.mtime_ns}-{self.etag}"


def facts_at(url: str, *, fresh: bool = False) -> RemoteFacts:
    """Return what is said of an address; `fresh`: as of now, not as of some minutes ago.

    Raises:
        FileNotFoundError: nothing is there.
        Unreachable: nobody answers.
        OSError: it may not be read, or what reads it is not installed.
    """
    known = None if fresh else FACTS.get(url)
    if known is None:
        known = facts_told(asked(url, lambda fs: fs.info(fs._strip_protocol(url))))
        FACTS.put(url, known)
    return known


def read_at(url: str, offset: int = 0, size_bytes: int | None = None, most_bytes: int = sys.maxsize) -> bytes:
    """Return bytes of what lies at an address: so many from a place on, or all, but at most so many.

    Raises: OSError: as `facts_at`, or it holds fewer.
    """
    facts = facts_at(url)
    whole = facts.size_bytes

    def read(fs: Any) -> bytes:
        with fs.open(fs._strip_protocol(url), "rb", cache_type="none", size=whole) as file:
            if offset:
                file.seek(offset)
            wanted = most_bytes if size_bytes is None else size_bytes
            data = read_to_the_end(file, wanted if whole is None else min(wanted, max(whole - offset, 0)))
        if whole is not None and len(data) < (there := min(wanted, max(whole - offset, 0))):
            FACTS.drop(url)
            raise unreachable(f"the connection was cut after {len(data)} of {there} bytes")
        return data

    return asked(url, read)


def read_to_the_end(file: BinaryIO, most_bytes: int) -> bytes:
    """Return so many bytes, or all there are: a stream gives what has come so far."""
    parts: list[bytes] = []
    left = most_bytes
    while left and (part := file.read(min(left, PART_BYTES))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


@contextmanager
def opened_url(url: str) -> Iterator[BinaryIO]:
    """Open what lies at an address to be looked through by parts. Raises: OSError: as `facts_at`."""
    size_bytes = facts_at(url).size_bytes
    if size_bytes is None:
        raise unreadable("the server does not say how large it is, so no part of it can be read: download it first")
    options = {"cache_type": "readahead", "block_size": BLOCK_BYTES, "size": size_bytes}
    with asked(url, lambda fs: fs.open(fs._strip_protocol(url), "rb", **options)) as file:
        yield PartsOf(url, file)  # type: ignore[misc]  # all of a file that is used


def streamed(url: str) -> BinaryIO:
    """Open what lies at an address, to be read once from its beginning. Raises: OSError: as `facts_at`."""
    options = {"block_size": 0} if url.partition("://")[0] in WEB else {}  # of a web server all in one answer
    file: BinaryIO = asked(url, lambda fs: fs.open(fs._strip_protocol(url), "rb", **options))
    return file


class PartsOf:
    """A remote file whose reading is asked for again where the network fails; what it raises is an OSError."""

    def __init__(self, url: str, file: BinaryIO) -> None:
        self._url, self._file = url, file

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raises: OSError: as `facts_at`."""
        place = self._file.tell()

        def again(_: Any) -> bytes:
            self._file.seek(place)
            return self._file.read(size)

        return asked(self._url, again)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; `whence` as of every file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()


def listing(url: str) -> list[tuple[str, RemoteFacts]]:
    """Return (address, what is said of it) of what lies directly in a folder, sorted by address.

    Of a web server that is what its page links to, below itself. Raises: OSError: as `facts_at`.
    """
    found = asked(url, lambda fs: fs.ls(fs._strip_protocol(url), detail=True, refresh=True))
    scheme, below = url.partition("://")[0], url.rstrip("/") + "/"
    rows: dict[str, RemoteFacts] = {}
    for info in found:
        name = str(info["name"])
        place = name if "://" in name else f"{scheme}://{name.lstrip('/')}"
        if place.startswith(below) and place.rstrip("/") != url.rstrip("/") and is_below_page(place, below):
            rows[place.rstrip("/")] = facts_told(info)
    return sorted(rows.items())


def is_below_page(place: str, below: str) -> bool:
    """Tell whether a link of a page leads to something directly in its folder, and not to it sorted otherwise."""
    rest = place[len(below) :].rstrip("/")
    web = place.startswith(tuple(f"{scheme}://" for scheme in WEB))
    return "/" not in rest and rest not in ("", ".", "..") and not (web and ("?" in rest or "#" in rest))


def matching(pattern: str) -> list[str]:
    """Return the addresses that a pattern with * means, sorted. Raises: OSError: as `facts_at`."""
    scheme = pattern.partition("://")[0]
    found = asked(pattern, lambda fs: fs.glob(fs._strip_protocol(pattern)))
    return sorted(name if "://" in name else f"{scheme}://{name.lstrip('/')}" for name in map(str, found))


class RecentFacts:
    """What was answered of addresses lately; threads may share it."""

    def __init__(self) -> None:
        self._kept: TTLCache[str, RemoteFacts] = TTLCache(FACTS_KEPT, FACTS_S)
        self._lock = fork_lock()

    def get(self, url: str) -> RemoteFacts | None:
        """Return what was answered, None where that is too long ago."""
        with self._lock:
            return self._kept.get(url)

    def put(self, url: str, facts: RemoteFacts) -> None:
        """Keep an answer."""
        with self._lock:
            self._kept[url] = facts

    def drop(self, url: str) -> None:
        """Forget an answer."""
        with self._lock:
            self._kept.pop(url, None)


FACTS = RecentFacts()


class Hosts:
    """Which hosts gave no answer, so that thousands of photos do not wait for each of them in vain."""

    def __init__(self) -> None:
        self._misses: dict[str, tuple[int, float]] = {}

    def refuse_if_down(self, host: str) -> None:
        """Raise Unreachable where a host was not reached several times, the last time a moment ago."""
        misses, last = self._misses.get(host, (0, 0.0))
        if misses >= DOWN_AFTER and time.monotonic() - last < DOWN_S:
            raise unreachable(f"{host} was not reached {misses} times, a moment ago")

    def note(self, host: str, reached: bool) -> None:
        """Note whether a host was reached."""
        if reached:
            self._misses.pop(host, None)
        else:
            self._misses[host] = self._misses.get(host, (0, 0.0))[0] + 1, time.monotonic()


HOSTS = Hosts()


def asked(url: str, question: Callable[[Any], T]) -> T:
    """Return what a file system answers, asking again where the network fails. Raises: OSError: as `facts_at`."""
    scheme, host = url.partition("://")[0], server_of(url)
    HOSTS.refuse_if_down(host)
    for pause_s in (*PAUSES_S, None):
        try:
            answer = question(file_system(scheme, os.getpid()))
        except network_errors() as error:
            told = translated(error)
            if not isinstance(told, Unreachable):
                HOSTS.note(host, reached=True)
                raise told from error
            if pause_s is None:
                HOSTS.note(host, reached=False)
                raise told from error
            time.sleep(pause_s)
        else:
            HOSTS.note(host, reached=True)
            return answer
    raise AssertionError("unreachable")


@lru_cache
def file_system(scheme: str, pid: int) -> Any:
    """Return what reads addresses of a scheme, one for all threads of a process. Raises: OSError: it is not here."""
    import fsspec

    try:
        options = web_options() if scheme in WEB else {"use_listings_cache": False}
        return fsspec.filesystem(scheme, skip_instance_cache=True, **options)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        remedy = f"pip install -e '.[{extra}]'" if extra else "pip install aiohttp"
        raise SourceError(f"{scheme}:// cannot be read: {error}; `{remedy}` brings what does") from error


def web_options() -> dict[str, Any]:
    """Return how web servers are asked: with time limits, by the proxies and the ~/.netrc of whoever asks."""
    import aiohttp

    traces = aiohttp.TraceConfig()
    traces.on_request_redirect.append(refuse_inward)
    limits = aiohttp.ClientTimeout(total=WHOLE_S, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    # Bytes are asked for as they are: what a server packs for the way has another length, and no parts.
    client = {"timeout": limits, "trust_env": True, "trace_configs": [traces]}
    client["headers"] = {"Accept-Encoding": "identity", "User-Agent": "cv-aliens"}
    return {"client_kwargs": client, "use_listings_cache": False}


async def refuse_inward(session: Any, context: Any, told: Any) -> None:
    """Refuse to be sent from a server of the internet to one of this machine or network. Raises: OSError."""
    location = told.response.headers.get("Location") or told.response.headers.get("URI") or ""
    target = told.url.join(type(told.url)(location)).host
    if target and not await is_inward(told.url.host) and await is_inward(target):
        raise PermissionError("it redirects to an address of this network, which is not followed")


async def is_inward(host: str | None) -> bool:
    """Tell whether a host's name leads to this machine or network; one that is not found leads nowhere."""
    import asyncio
    import ipaddress

    try:
        found = await asyncio.get_running_loop().getaddrinfo(host or "", None)
    except OSError:
        return False
    return any(not ipaddress.ip_address(str(row[4][0]).partition("%")[0]).is_global for row in found)


NETWORK_ERRORS = (  # of what reads addresses; each is looked for only where its package was imported anyway
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


def network_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors of what reads addresses, of those packages that are imported."""
    theirs = (getattr(sys.modules[module], name) for module, name in NETWORK_ERRORS if module in sys.modules)
    return (OSError, ValueError, *theirs)


def translated(error: Exception) -> OSError:
    """Return what an error of a file system means: FileNotFoundError, Unreachable, or another OSError.

    No message of theirs is repeated as it is: it may hold whole addresses.
    """
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and cause is not error:
        return translated(cause)  # fsspec takes whatever went wrong for that nothing is there
    status = status_of(error)
    if isinstance(error, FileNotFoundError) or status in GONE:
        return FileNotFoundError(errno.ENOENT, "nothing is there")
    if isinstance(error, PermissionError) or status in (401, 403):
        why = said_plainly(error) if status is None else f"the server refuses it (HTTP {status})"
        return PermissionError(errno.EACCES, why)
    if status is not None:
        return (unreachable if status in AGAIN else unreadable)(f"the server answers HTTP {status}")
    if isinstance(error, Unreachable):
        return error
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return unreachable(f"no answer within {SILENCE_S} s")
    name = type(error).__name__
    if name in ("NonHttpUrlRedirectClientError", "InvalidUrlRedirectClientError", "TooManyRedirects", "InvalidURL"):
        return unreadable("it redirects to no web address, or round and round")
    if "Credential" in name or "Auth" in name:
        why = "there is no key for it: give one as its own programs take it, in the environment"
        return PermissionError(errno.EACCES, why)
    if name == "ValueError":
        return unreadable("the server gives no parts of it: download it first")
    is_ours = type(error).__module__ == "builtins" and cause is None and not isinstance(error, ConnectionError)
    if isinstance(error, OSError) and is_ours:
        return OSError(error.errno, error.strerror) if error.errno else error
    return unreachable(f"the connection failed ({name})")


def status_of(error: Exception) -> int | None:
    """Return the number with which a server refused, None where no server did."""
    response = getattr(error, "response", None)
    kept = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    said = kept if kept is not None else getattr(error, "status" if hasattr(error, "status") else "code", None)
    return said if isinstance(said, int) and 300 <= said < 600 else None


def said_plainly(error: Exception) -> str:
    """Return why something is forbidden, in our words where the reason is ours."""
    return str(error) if "not followed" in str(error) else "it may not be read with the key at hand"


def facts_told(info: dict[str, Any]) -> RemoteFacts:
    """Return what a file system says of an address, of whichever of their names."""
    size = info.get("size")
    moments = (info.get(name) for name in ("Last-Modified", "LastModified", "mtime", "updated", "created"))
    mtime_ns = next((ns for moment in moments if (ns := nanoseconds_of(moment)) is not None), None)
    etag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    return RemoteFacts(
        size_bytes=size if isinstance(size, int) and size >= 0 else None,
        mtime_ns=mtime_ns,
        etag=None if mtime_ns is not None or not etag else str(etag)[:200],
        is_folder=info.get("type") == "directory",
    )


def nanoseconds_of(moment: object) -> int | None:
    """Return a time as a file system or a server tells it, in nanoseconds since 1970; None where it makes no sense."""
    try:
        if isinstance(moment, str):
            moment = parsedate_to_datetime(moment) if "," in moment else datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        ns = round(float(moment) * 1e6) * 1_000 if isinstance(moment, int | float) else None
    except (ValueError, TypeError, OverflowError):
        return None
    return ns if ns is not None and abs(ns) < 1 << 63 else None


def shown_problem(url: str, error: OSError) -> str:
    """Return why an address cannot be used, with the address, for a message."""
    return f"{plain_url(url)}: {error.strerror or error}"
