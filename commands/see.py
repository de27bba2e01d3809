"""`aliens see`: a photo as a protanope sees it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aliens import console
from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from commands.options import LIBRARY, JsonOption, LibraryOption

if TYPE_CHECKING:
    from aliens.files import PhotoFile

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
    from aliens.files import PhotoFile
    from embedding.picture import check_ending, write_picture
    from restyle.comparison import side_by_side
    from restyle.pixels import read_pixels, resized
    from restyle.style import colours_of, visibility

    def read(name: str) -> "PhotoFile":
        return PhotoFile(name) if Path(name).exists() or not name.isdecimal() else library_file(library, int(name))

    check_ending(output)
    pixels = read_pixels(existing(read(photo)), longest_px)
    changed = None if against is None else read_pixels(existing(read(against)), longest_px)
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


def existing(file: "PhotoFile") -> "PhotoFile":
    """Return a photo's file. Raises: QueryError: it is gone."""
    if not Path(file.path).is_file():
        raise QueryError(f"no file {file}: name a photo, or the number of a photo of the library")
    return file


def library_file(library: Path, photo_id: int) -> "PhotoFile":
    """Return where a photo of the library lies."""
    from db.photos import photo_records
    from db.session import disposing, new_session, open_library

    with disposing(open_library(LibraryFolder(library))) as engine, new_session(engine) as session:
        record = photo_records(session, [photo_id]).get(photo_id)
    if record is None:
        raise QueryError(f"no photo {photo_id} in {library}: take a number that a search shows, or name a file")
    from aliens.files import PhotoFile

    return PhotoFile(record.path, record.member)
