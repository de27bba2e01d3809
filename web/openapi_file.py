"""Writes docs/openapi.json, which describes the API: `make openapi` runs it."""

import tempfile
from pathlib import Path

import aliens
from base import console
from web.app import make_app
from web.document import as_text
from web.web_settings import WebSettings

FILE = Path(__file__).parents[1] / "docs" / "openapi.json"


def document() -> str:
    """Return the document of an app on an empty library: it is the same on any."""
    with tempfile.TemporaryDirectory() as folder, aliens.create(Path(folder) / "library", "starter") as library:
        return as_text(make_app(library, WebSettings()))


def write_document() -> None:
    """Write the file."""
    FILE.write_text(document(), encoding="utf-8")
    console.say(f"wrote {FILE.name}")


if __name__ == "__main__":
    write_document()
