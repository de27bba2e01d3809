"""`aliens serve`: a library's pages, in a browser."""

from typing import Annotated

import typer

from base import console
from commands.options import LIBRARY, LibraryOption, opened, stopping


def serve(
    library: LibraryOption = LIBRARY,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen at.")] = 8765,
) -> None:
    """Open the library in a browser: search, tag, pick and restyle on a page.

    Examples:
        aliens serve
        aliens serve --port 9000
    """
    from web.app import run_server
    from web.web_settings import WebSettings

    settings = WebSettings(host=host, port=port)
    with opened(library) as served, stopping("serving"):
        console.say(f"serving {library} at http://{host}:{port}/ (Ctrl-C stops it)")
        run_server(served, settings)
