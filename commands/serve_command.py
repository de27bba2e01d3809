"""`aliens serve`: a library's pages, in a browser."""

import errno
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from base import console
from base.desktop import has_desktop
from base.errors import OutputError, QueryError
from commands import options
from commands.options import LIBRARY, opened, stopping


def checked_browser(asked: bool) -> bool:
    """Refuse to open a browser before the server runs. Raises: OutputError: there is no desktop."""
    if asked and not has_desktop():
        raise OutputError("--open needs a desktop with xdg-open, and there is none: open the address that is printed")
    return asked


ELSEWHERE = "Access from other machines"
HostOption = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at: 0.0.0.0 for all of this machine's.")
]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0: one that is free.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="ALIENS_TOKEN",
        help="Let in only those who know it; new: make one and print it.",
        rich_help_panel=ELSEWHERE,
    ),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure", help="Let in anybody who can reach the address: to change things, too.", rich_help_panel=ELSEWHERE
    ),
]
HostNameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-name",
        metavar="NAME",
        help="Another name that the server is called by. May be repeated.",
        rich_help_panel=ELSEWHERE,
    ),
]
RootOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        resolve_path=True,
        help="A folder that may be added from the page, besides those added before. May be repeated.",
    ),
]
BrowserOption = Annotated[bool, typer.Option("--open", help="Open the page in a browser.", callback=checked_browser)]
RIGHTS = (errno.EACCES, errno.EPERM)


def serve(
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8765,
    root: RootOption = None,
    show: BrowserOption = False,
    token: TokenOption = None,
    insecure: InsecureOption = False,
    host_name: HostNameOption = None,
) -> None:
    """Open the library in a browser: search, tag, pick and restyle on a page.

    Only this machine can reach it, unless --host names another address.

    Examples:
        aliens serve
        aliens serve --port 9000
        aliens serve --host 0.0.0.0 --token new
    """
    from web.web_settings import WebSettings, new_token

    settings = WebSettings(
        host=host,
        port=port,
        token=new_token() if token == "new" else token or None,  # nosec B105 # a word for the command
        insecure=insecure,
        hosts=tuple(host_name or ()),
        roots=tuple(root or ()),
    )
    with opened(library, model=model) as served, listening_at(host, port) as listening:
        from web.app import run_server

        settings = replace(settings, port=listening.getsockname()[1])
        address = address_of(settings.host, settings.port)
        console.say(f"serving {library} at {address} (Ctrl-C stops it)")
        if token == "new":  # nosec B105
            console.say(f"token: {settings.token}")
        if settings.insecure and not settings.is_loopback and settings.token is None:
            console.note("anybody who can reach this address may look at the library and change it")
        if show:
            typer.launch(address)
        with stopping("stopped serving"):
            run_server(served, settings, listening)


def listening_at(host: str, port: int) -> socket.socket:
    """Return a socket that is bound. Raises: QueryError: the address is none; OutputError: it cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise QueryError(f"{host!r} is no address of this machine: give --host 127.0.0.1, or leave it out") from error
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)  # asyncio has answers sent at once where it sees that this is TCP
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise OutputError(
                f"port {port} of {host} is taken: stop what listens there, or choose another, such as "
                f"--port {port + 1 if port < 65535 else 8765}, or any that is free by --port 0"
            ) from error
        if error.errno in RIGHTS:
            raise OutputError(f"port {port} of {host} may not be used by you: choose one above 1023") from error
        raise QueryError(f"{host} cannot be listened at ({error.strerror}): give --host 127.0.0.1") from error
    return listening


def address_of(host: str, port: int) -> str:
    """Return where to look, as a browser takes it."""
    named = f"[{host}]" if ":" in host else host
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, named)  # nosec B104 # shown, not bound
    return f"http://{shown}:{port}/"
