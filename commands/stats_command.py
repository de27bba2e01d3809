"""The command that tells a library in numbers."""

from pathlib import Path
from typing import Annotated

import typer

from base import console
from commands import options
from commands.options import LIBRARY, checked_results_page, opened, print_notes, print_records, stopping
from commands.tag_commands import VocabularyOption


def stats(
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="OUT.html",
            help="Also write a page to pass on, with plots.",
            callback=checked_results_page,
        ),
    ] = None,
    vocabulary: VocabularyOption = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="First read photos whose brightness is not known: of an earlier version, or of imported vectors.",
        ),
    ] = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Show the library in numbers, as a table or as a page with plots.

    Photos of hotels and chains, and how evenly they are shared out; sizes, colour, brightness, years, places, tags.

    No photo is opened, but by --measure, which may be stopped and goes on at the next call.

    Examples:
        aliens stats
        aliens stats --html report.html
        aliens stats --json
    """
    kept = "stopped: what was measured is kept; the same command goes on"
    with stopping(kept), opened(library, model=model) as photos:
        if measure:
            print_notes([str(photos.measure())], library)
        found = photos.stats(vocabulary)
    if html is not None:
        found.write_page(html)
        console.note(("page: ", console.FilePath(str(html))))
    if json:
        print_records([found])
    else:
        console.print_rows(("", ""), found.as_rows())
    print_notes(found.notes, library)
