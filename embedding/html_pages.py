"""HTML pages that stand alone: one file, pictures inside it, nothing fetched. What is on them is for others to say.

Everything that is put into a template is escaped. What all pages share is in templates/base.html beside this file.
"""

import base64
import io
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from base import __version__
from base.arrays import Pixels
from base.console import one_line
from base.errors import OutputError, QueryError
from base.files import atomic_write

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHARED = Path(__file__).with_name("templates")
CODE = re.compile(r"`([^`]+)`")
QUALITY_HTML = 82  # of a JPEG in a page: about 70 kB a picture of 720 px, so that 60 photos stay near 25 MB


def check_page(path: Path | None) -> None:
    """Refuse a page's name. Asked before hours go into what it would show.

    Raises: OutputError: no page can be written there. QueryError: it does not end in .html.
    """
    if path is None:
        return
    there = next(place for place in path.absolute().parents if place.exists())  # the others are made
    if path.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise OutputError(f"the page {path} cannot be written: name a file in a folder that may be changed")
    if path.suffix.lower() not in (".html", ".htm"):
        raise QueryError(f"the page {str(path)!r} does not end in .html: give it a name that does")


def jpeg(pixels: Pixels, quality: int = QUALITY_HTML) -> bytes:
    """Return the pixels as a JPEG without any metadata."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality, optimize=True)
    return data.getvalue()


def data_uri(picture: Pixels | bytes) -> str:
    """Return pixels, or a JPEG's bytes, as a URI that holds them."""
    data = picture if isinstance(picture, bytes) else jpeg(picture)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def render(template: Path, **values: Any) -> str:
    """Return a page made of a template."""
    return templates(template.parent).get_template(template.name).render(version=__version__, **values)


def write_page(page: str, path: Path) -> None:
    """Write a page; what of a file's name is no text is shown as a question mark.

    Raises: OutputError: the file cannot be written.
    """
    try:
        with atomic_write(path) as file:
            file.write(page.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputError(f"the page {path} cannot be written: {error.strerror}") from error


def with_code(text: str) -> "Markup":
    """Return a sentence, escaped, with what stands in backticks as code, and a capital at its beginning."""
    from markupsafe import Markup, escape

    said = CODE.sub(r"<code>\1</code>", str(escape(one_line(text))))
    return Markup(said[:1].upper() + said[1:])  # nosec B704 # escaped above


@lru_cache(maxsize=4)
def templates(folder: Path) -> "Environment":
    """Return a folder's templates, with everything escaped, shown on one line, and no name left undefined."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: one_line(value) if type(value) is str else value,  # what is markup already stays
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = with_code
    return environment
