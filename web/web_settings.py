"""What a server is told once: its address, who may use it, and how much at a time."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from base.errors import AliensError

LOOPBACK = "127.0.0.1"
PORT = 8765


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
    orders_bytes: int = 64_000_000  # of results kept in memory
    thumbnails_bytes: int = 2_000_000_000  # of thumbnails kept on disk

    def __post_init__(self) -> None:
        if not self.is_loopback and self.token is None and not self.insecure:
            raise AliensError(
                f"{self.host} can be reached from other machines: give --token, or --insecure to let anybody in"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether the server is reached from this machine alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
