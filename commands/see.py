"""`aliens see`: a photo as a protanope sees it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aliens import console
from aliens.errors import PhotoError, QueryError
from aliens.settings import LibraryFolder
from commands.models import library_session
from commands.options import LIBRARY, JsonOption, LibraryOption

if TYPE_CHECKING:
    from aliens.files import PhotoFile
    from restyle.pixels import Pixels

MOST_DIGITS = 19  # of a number that a database holds

LongestOption = Annotated[int, typer.Option("--longest-px", min=1, help="The longer side of a picture, at most.")]


def see(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A file, or the number of a photo of the library.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.jpg", help="The picture to write.")],
    against: Annotated[
        str | None,
        typer.Option(metavar="CHANGED", help="The same photo, changed: shows both, and measures what is seen of it."),
    ] = None,
    longest_px: LongestOption = 1024,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Show a photo beside what a protanope sees of it, who has no cones for red."""
    from embedding.picture import check_ending, write_picture
    from restyle.comparison import side_by_side
    from restyle.pixels import resized
    from restyle.style import colours_of, visibility

    check_ending(output)
    files = [file_of(name, library) for name in (photo, against) if name is not None]
    if output.exists() and any(output.samefile(file.path) for file in files):
        raise QueryError(f"{output} is the photo itself: name another file for the picture")
    pixels, *others = (pixels_of(file, longest_px) for file in files)
    changed = others[0] if others else None
    write_picture(side_by_side(pixels, changed), output)
    if changed is not None:
        fitted = resized(changed, (pixels.shape[1], pixels.shape[0]))
        found = visibility(colours_of(pixels), colours_of(fitted))
        if json:
            console.print_json({"median_de": found.median_de, "share": found.share, "wasted": found.wasted})
        else:
            typer.echo(
                f"a protanope sees a median change of {found.median_de:.1f} dE2000, more than 5 dE2000 on "
                f"{found.share:.0%} of the picture; {found.wasted:.0%} of the change is lost on a protanope"
            )
    console.note(f"picture: {output}")


def file_of(name: str, library: Path) -> "PhotoFile":
    """Return where a photo lies, given as a file or as its number in a library. Raises: QueryError: it is gone."""
    from aliens.files import PhotoFile

    is_number = name.isdecimal() and not os.path.exists(name)
    file = library_file(library, name) if is_number else PhotoFile(name)
    if not os.path.isfile(file.path):
        raise QueryError(f"no file {file}: name a photo, or the number of a photo of the library")
    return file


def pixels_of(file: "PhotoFile", longest_px: int) -> "Pixels":
    """Return a photo's pixels. Raises: QueryError: it cannot be read, or is none."""
    from restyle.pixels import read_pixels

    try:
        return read_pixels(file, longest_px)
    except OSError as error:
        raise QueryError(f"{file} cannot be read: {error.strerror or error}") from error
    except PhotoError as error:
        raise QueryError(f"{file} is no photo that can be shown: {error.reason}") from error


def library_file(library: Path, number: str) -> "PhotoFile":
    """Return where a photo of the library lies. Raises: QueryError: the library has none of this number."""
    from aliens.files import PhotoFile
    from commands.ordering import records_of

    with library_session(LibraryFolder(library)) as session:
        photo_id = int(number) if len(number) <= MOST_DIGITS else 0
        record = records_of(session, [photo_id]).get(photo_id)
    if record is None:
        raise QueryError(f"no photo {number[:40]} in {library}: take a number that a search shows, or name a file")
    return PhotoFile(record.path, record.member)
