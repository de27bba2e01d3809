"""What a server is told once: its address, who may use it, and how much at a time."""

import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from base.errors import QueryError

LOOPBACK = "127.0.0.1"
PORT = 8765
TOKEN_BYTES = 32
SHORTEST_TOKEN = 20  # characters
HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


def new_token() -> str:
    """Return a token that nobody guesses, as text for a header."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSettings:
    """Settings of `aliens serve`.

    token: what clients must show; None: nothing, which is for loopback, or for those who say `insecure`.
    hosts: names by which the server may be called, besides those of its address.
    roots: folders that may be added from the page, besides those that were added before.
    """

    host: str = LOOPBACK
    port: int = PORT
    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    hosts: tuple[str, ...] = ()
    roots: tuple[Path, ...] = ()
    upload_bytes: int = 20_000_000
    upload_px: int = 50_000_000
    waiting: int = 50  # computations in the queue, behind those that run
    side_by_side: int = 2  # computations at a time
    searches_per_s: int = 30  # of one client from elsewhere, at one address
    uploads_per_s: int = 2  # of one client from elsewhere; drafts of tags as well
    orders_bytes: int = 64_000_000  # of results kept in memory
    thumbnails_bytes: int = 2_000_000_000  # of thumbnails kept on disk

    def __post_init__(self) -> None:
        if not self.is_loopback and self.token is None and not self.insecure:
            raise QueryError(
                f"{self.host} can be reached from other machines: give --token new, or --insecure to let anybody in"
            )
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise QueryError(
                f"a token of {len(self.token)} characters can be guessed: take {SHORTEST_TOKEN} or more, or --token new"
            )
        for name in self.hosts:
            if not HOST_NAME.fullmatch(name):
                raise QueryError(f"{name[:80]!r} is no host's name: give one such as photos.example.com, no port")

    @property
    def is_limited(self) -> bool:
        """Whether clients may ask only so often: those of this machine alone are its owner's own."""
        return self.token is not None or not self.is_loopback

    @property
    def listens_everywhere(self) -> bool:
        """Whether the server listens at all addresses of its machine."""
        return self.host in ("0.0.0.0", "::", "")  # nosec B104 # asked, not bound

    @property
    def is_loopback(self) -> bool:
        """Whether the server is reached from this machine alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
