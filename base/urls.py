"""Photos' places that are addresses: which are read, and what of them is never kept. Asks no network.

A place is an address or a path of this machine; both are texts, told apart by their beginning.
"""

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from base.console import one_line
from base.errors import SourceError

WEB = ("http", "https")
STORES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "memory": "memory"}  # as typed, and as kept
EXTRAS = {"s3": "s3", "gs": "gcs"}  # of this distribution, which bring what reads them
FILE = "file"
READ = "https://, http://, s3:// and gs://"
# Of a Path, which makes one slash of two, as well.
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//?)(?=.)", re.DOTALL)
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# What gives access to whoever knows it: signatures of Amazon, Google, Azure and CloudFront, and tokens.
SECRETS = re.compile(
    r"x-(amz|goog)-(signature|credential|security-token)|signature|sig|awsaccesskeyid|googleaccessid|key-pair-id"
    r"|(access_?|auth_?|refresh_?)?token|api_?key|auth|passw(or)?d|pwd|secret",
    re.IGNORECASE,
)
LONGEST = 8_000  # characters


def url_of(place: str | os.PathLike[str]) -> str | None:
    """Return the address that a place is, None where it is a path of this machine. Looks at nothing."""
    text = os.fspath(place)
    if not isinstance(text, str):
        return None
    match = ADDRESS.match(text)
    if match is None or (len(match[2]) == 1 and not (isinstance(place, os.PathLike) and is_scheme(match[1]))):
        return None
    return text if len(match[2]) == 2 else f"{match[1]}://{text[match.end() :]}"


def is_scheme(name: str) -> bool:
    """Tell whether addresses begin with this."""
    return name.lower() in (*WEB, *STORES, FILE)


def checked_place(place: str | os.PathLike[str]) -> str | Path:
    """Return a place that somebody named: an address as it is kept, or a path; file:// is a path as well.

    Raises: SourceError: the address cannot be read, or holds a password or a key, which would be kept.
    """
    url = url_of(place)
    if url is None:
        return Path(place)
    shown = plain_url(url)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise SourceError(f"{shown} is no address: {error}") from None
    if len(url) > LONGEST or UNPRINTABLE.search(url):
        raise SourceError(f"{shown} is no address: it is too long, or holds characters that no address has")
    scheme = STORES.get(parts.scheme, parts.scheme)
    if scheme == FILE:
        if host not in ("", "localhost"):
            raise SourceError(f"{shown} lies on another machine: mount its folder, and name that")
        return Path(unquote(parts.path))
    if scheme not in (*WEB, *STORES.values()):
        raise SourceError(f"{shown} cannot be read: of addresses those are that begin with {READ}")
    if not parts.netloc and scheme != "memory":
        raise SourceError(f"{shown} names no {'host' if scheme in WEB else 'bucket'}")
    refuse_secrets(url, shown)
    if scheme not in WEB:
        return f"{scheme}://{url.partition('://')[2]}"  # whose names may hold anything
    return urlunsplit((scheme, parts.netloc.lower(), parts.path or "/", parts.query, ""))


def refuse_secrets(url: str, shown: str) -> None:
    """Refuse an address that holds a password or a key. Raises: SourceError: it does; the message shows none."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        where = "~/.netrc" if parts.scheme.lower() in WEB else "the environment, as its own programs do"
        raise SourceError(f"{shown} holds a name or a password, which would be kept: leave it out, say it in {where}")
    if parts.scheme.lower() in WEB:
        for name, _ in parse_qsl(parts.query, keep_blank_values=True):
            if SECRETS.fullmatch(name):
                raise SourceError(
                    f"{shown} holds a key ({one_line(name)[:40]}), which would be kept: name it as s3://BUCKET/KEY or "
                    "gs://BUCKET/KEY, with the key in the environment, or download it first"
                )


def plain_url(url: str) -> str:
    """Return an address for a message: without whatever may be a password or a key."""
    head, _, rest = url.partition("://")
    rest = rest.partition("#")[0].partition("?")[0] if head.lower() in WEB else rest
    place, slash, path = rest.partition("/")
    return one_line(f"{head}://{place.rpartition('@')[2]}{slash}{path}")[:300]


def server_of(url: str) -> str:
    """Return an address's scheme and host, or bucket."""
    return "/".join(url.split("/", 3)[:3])


def joined(folder: str, name: str) -> str:
    """Return the address of what lies below another one."""
    return f"{folder.rstrip('/')}/{name}"
