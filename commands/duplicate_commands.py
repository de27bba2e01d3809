"""`aliens duplicates`: which photos are copies of others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.errors import QueryError
from commands import options
from commands.options import LIBRARY, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from analysis.duplicates.duplicates_found import Duplicates


def checked_table(path: Path | None) -> Path | None:
    """Refuse a table's name before the work is done. Raises: QueryError: its ending names no format."""
    if path is not None:
        from analysis.duplicates.duplicate_table import duplicate_format

        duplicate_format(path)
    return path


def duplicates(
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="FILTERS", help="Only among these photos, such as hotel:1540."),
    ] = None,
    same_bytes: Annotated[
        bool, typer.Option("--same-bytes", help="Only the same files: quick, no photo is opened.")
    ] = False,
    cosine: Annotated[
        float | None,
        typer.Option("--min-cosine", metavar="0.5..1", help="Look at pairs from this cosine on. Default: calibrated."),
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Measure anew how near copies are in this library.")
    ] = False,
    groups: Annotated[
        int, typer.Option("-n", "-k", metavar="N", min=1, help="How many groups a terminal and a sheet show.")
    ] = 20,
    spare: Annotated[
        bool, typer.Option("--spare", help="Print only the paths of copies that could go, one a line.")
    ] = False,
    sheet: options.SheetOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Also write a table, a row a photo: .csv, .tsv, .xlsx, .jsonl, .parquet.",
            callback=checked_table,
        ),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Find copies of photos: the same file, or one picture in another size, quality or crop.

    Groups, each with the photo to keep first and why. A copy shows what the kept photo shows, by the model and pixel by
    pixel: two photos of one room are no copies. Nothing is ever removed.

    Ctrl-C ends the step in hand; what was found by then is shown.

    Examples:
        aliens duplicates --sheet copies.jpg
        aliens duplicates -o copies.xlsx
        aliens duplicates --same-bytes --spare
    """
    if spare and json:
        raise QueryError("--spare prints paths and --json objects: leave one of both out")
    kept = "stopped: nothing was changed; photos that were opened need not be opened again"
    with stopping(kept), opened(library, device, aloud=True, model=model) as photos:
        found = photos.duplicates(query, same_bytes=same_bytes, cosine=cosine, recalibrate=recalibrate)
        if output is not None:
            found.write(output)
        if sheet is not None and len(found):
            found.write_sheet(sheet, groups)
    if json:
        print_records(found)
    elif spare:
        print_spare(found)
    else:
        print_groups(found, groups)
    print_notes([*found.notes, str(found)], library)
    for name, path in (("table", output), ("sheet", sheet if len(found) else None)):
        if path is not None:
            console.note((f"{name}: ", console.FilePath(str(path))))
    if found.summary.stopped:
        raise typer.Exit(130)


def print_groups(found: "Duplicates", groups: int) -> None:
    """Print groups as rows of a table; all of them in a pipe."""
    shown = found[:groups] if console.on_terminal() else found[:]
    rows = [
        (
            group.number,
            photo.photo_id,
            photo.said,
            photo.looks,
            console.FilePath(str(photo.file), photo.path, most_lines=2),
        )
        for group in shown
        for photo in group.photos
    ]
    if rows:
        console.print_rows(("group", "photo", "what", "looks", "path"), rows)
    if len(shown) < len(found):
        console.note(f"and {len(found) - len(shown):,} more groups: -n {len(found)} shows them, -o FILE has them all")


def print_spare(found: "Duplicates") -> None:
    """Print the paths of copies that could go, for other programs; what is no line of its own is left out and told."""
    plain = [copy for copy in found.copies if not copy.member and console.one_line(copy.path) == copy.path]
    console.say(*(copy.path for copy in plain))
    if left := len(found.copies) - len(plain):
        console.note(f"{console.counted(left, 'path')} left out: in a tar, or with characters that are no line of text")
