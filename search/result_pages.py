"""The photos of a search as one HTML file to pass on: the query, hits with their scores, the stop line, pictures."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.console import counted, megabytes
from base.errors import PhotoError
from base.files import PhotoFile

if TYPE_CHECKING:
    from search.results import Hit

TEMPLATE = Path(__file__).with_name("templates") / "results.html"
PICTURE_PX, PICTURE_QUALITY = 480, 72  # of a picture's longer side; some 25 kB
MOST_BYTES = 30_000_000  # of pictures in a page: over a thousand, which mail takes in two and a browser opens at once


def result_page(hits: "Iterable[Hit]", title: str, about: str = "", notes: Iterable[str] = ()) -> str:
    """Return the page of hits in their order. `about`: the stop line in words.

    Pictures lie in the page itself until they are MOST_BYTES; those beyond are links to the photos' files, which only
    open where these lie.
    """
    from embedding.html_pages import render

    shown, size_bytes, linked = list[dict[str, Any]](), 0, 0
    for rank, hit in enumerate(hits, start=1):
        picture: dict[str, Any] = {"picture": "", "problem": ""}
        if size_bytes < MOST_BYTES:
            picture = inlined_picture(hit.file, PICTURE_PX, PICTURE_QUALITY)
            size_bytes += len(picture["picture"])
        elif not hit.member:
            picture["link"], linked = Path(hit.path).as_uri(), linked + 1
        shown.append({"rank": hit.place.rank if hit.place else rank, "hit": hit, "name": hit_name(hit), **picture})
    kept = [*notes]
    if linked:
        kept.append(f"pictures of {megabytes(size_bytes)} are in this page; {counted(linked, 'photo')} more are links")
    return render(TEMPLATE, title=title or "Photos", shown=shown, about=about, notes=kept, line=line_place(shown))


def inlined_picture(file: PhotoFile, longer_px: int, quality: int) -> dict[str, Any]:
    """Return a photo's small picture as a URI that holds it, with its size; or why it cannot be shown."""
    from embedding.colour import read_pixels
    from embedding.html_pages import data_uri, jpeg

    try:
        pixels = read_pixels(file, longer_px)
    except (OSError, PhotoError) as error:
        return {"picture": "", "problem": f"not shown: {error}"}
    height, width = pixels.shape[:2]
    return {
        "picture": data_uri(jpeg(pixels, quality)),
        "width_px": width,
        "height_px": height,
        "ratio": min(max(width / height, 0.4), 3.0),
        "problem": "",
    }


def hit_name(hit: "Hit") -> str:
    """Return what people call a photo: its hotel and its file, without the folders of this machine."""
    file = Path(hit.member or hit.path).name
    return f"{hit.hotel_name}, {file}" if hit.hotel_name else file


def line_place(shown: list[dict[str, Any]]) -> int:
    """Return before which of the hits the stop line is drawn, counted from 0; as many as there are for nowhere."""
    above = [bool(each["hit"].above_line) for each in shown]
    count = sum(above)
    return count if any(above) and all(above[:count]) else len(shown)


def write_result_page(
    hits: "Iterable[Hit]", path: Path, title: str, about: str = "", notes: Iterable[str] = ()
) -> None:
    """Write the page of hits. Raises: OutputError, QueryError: no page can be written there."""
    from embedding.html_pages import check_page, write_page

    check_page(path)
    write_page(result_page(hits, title, about, notes), path)
