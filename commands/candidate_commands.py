"""`aliens candidates` and `aliens see`: photos worth restyling, and what a protanope sees."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import FilePath, shell_word
from base.files import PhotoFile
from commands import options
from commands.hit_tables import PATH_LINES, shortened
from commands.options import ENGINES, LIBRARY, completing, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from restyle.candidates.gates import Rejection
    from restyle.candidates.picking import Picked
    from restyle.protanopia import Visibility


def candidates(
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="TEXT", help="Choose among the photos that a search finds."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="NAME",
            autocompletion=completing("tags"),
            help="Only photos with this tag; may be repeated.",
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "-k", metavar="N", min=1, help="How many.")] = 6,
    strategy: Annotated[
        Literal["mixed", "detailed", "opposite-palette", "minimal"],
        typer.Option(help="Full of details, in colours opposed to the palette, nearly empty, or all three in turn."),
    ] = "mixed",
    palette: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            autocompletion=completing(folder="restyle/palettes"),
            help="The alien palette: a name, or a .toml file.",
        ),
    ] = "fern",
    pool: Annotated[int, typer.Option(metavar="N", min=1, help="Open and measure at most N photos.")] = 400,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="The number that chance begins with: it chooses what is looked at where there are more.",
        ),
    ] = 0,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="List the photos that were rejected, with reasons, instead.")
    ] = False,
    sheet: options.SheetOption = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="picks.toml", help="Also write them as a file, for `aliens restyle --manifest FILE`."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            envvar="ALIENS_ENGINE",
            autocompletion=completing(known=ENGINES),
            help="What the manifest has them restyled by (default: sd15 where its weights are on this machine, else "
            "regrade).",
        ),
    ] = None,
    explain: options.FiguresOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Pick photos worth restyling, and say why.

    They are spread over hotels and over what they show.

    Photos that are small, blurred, badly exposed, panoramas, doubles, text or people are rejected, with a reason.

    Examples:
        aliens candidates
        aliens candidates --query bathroom --sheet sheet.jpg
        aliens candidates --manifest picks.toml
    """
    with stopping("stopped: nothing was written"), opened(library, device, model=model) as photos:
        found = photos.candidates(
            query, tags=tag or (), n=n, strategy=strategy, palette=palette, pool=pool, seed=seed, engine=engine
        )
    if rejected:
        print_rejected(found.rejected, json)
    else:
        print_picks(found, json, explain)
    print_notes(found.notes, library)
    if sheet is not None:
        found.write_sheet(sheet)
        console.note(("contact sheet: ", FilePath(str(sheet))))
    if manifest is not None:
        found.write_picks(manifest)
        taking = f"`aliens restyle --manifest {shell_word(manifest)}` takes it"
        print_notes([("manifest: ", FilePath(str(manifest)), f", engine {found.engine}; {taking}")], library)


def print_picks(picks: "Sequence[Picked]", json: bool, explain: bool) -> None:
    """Print picks: a table, tab-separated lines in a pipe, or JSON."""
    if json:
        print_records(picks)
        return
    columns = ("photo", "hotel", "kind", "why", "path")
    rows: list[tuple[object, ...]] = []
    for pick in picks:
        record = pick.looked.record
        hotel: object = record.hotel_name or record.hotel_id
        if console.on_terminal():
            hotel = shortened(hotel, 20)
        path = FilePath(str(PhotoFile(record.path, record.member)), record.path)
        why = f"{pick.why} ({pick.figures})" if explain else pick.why
        rows.append((record.photo_id, hotel, pick.kind, why, path))
    console.print_rows(columns, rows)


def print_rejected(rejections: "Sequence[Rejection]", json: bool) -> None:
    """Print the photos that were rejected, and why."""
    if json:
        print_records(rejections)
        return
    rows = [
        (r.photo_id, r.kind, r.reason, FilePath(str(PhotoFile(r.path, r.member)), r.path, PATH_LINES))
        for r in rejections
    ]
    console.print_rows(("photo", "rejected", "why", "path"), rows)


LongestOption = Annotated[
    int, typer.Option("--longest-px", metavar="N", min=1, help="The longer side of a picture, at most.")
]


def see(
    photo: Annotated[
        str, typer.Argument(metavar="PHOTO", help="A photo of the library, by number or path, or a file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.jpg", help="The picture to write.")],
    against: Annotated[
        str | None,
        typer.Option(metavar="CHANGED", help="The same photo, changed: shows both, and measures what is seen of it."),
    ] = None,
    longest_px: LongestOption = 1024,
    explain: options.FiguresOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Show a photo as the visitors see it, whose eyes have no red.

    Examples:
        aliens see photos/room.jpg -o seen.jpg
        aliens see 7 --against changed.png -o seen.jpg
    """
    from embedding.sheet import check_ending

    check_ending(output)
    found = seen_of(photo, against, output, longest_px, library)
    if found is not None:
        if json:
            print_records([{"median_de": found.median_de, "share": found.share, "wasted": found.wasted}])
        else:
            console.say(
                f"visitors notice the change on {100 * found.share:.0f} % of the picture; "
                f"{100 * found.wasted:.0f} % of it is lost on their eyes"
            )
            if explain:
                console.say(
                    f"a protanope sees a median change of {found.median_de:.1f} dE2000, more than 5 dE2000 on "
                    f"{found.share:.0%} of the picture"
                )
    console.note(("picture: ", FilePath(str(output))))


def seen_of(photo: str, against: str | None, output: Path, longest_px: int, library: Path) -> "Visibility | None":
    """Write the picture; the library is opened only where it may know a photo that is no file."""
    from db.photo_names import number_or_path

    named = [number_or_path(name) for name in (photo, against) if name is not None]
    asked = any(isinstance(name, int) for name in named)
    if not asked and (all(map(os.path.exists, named)) or not library.exists()):
        from restyle.protanopia import write_comparison

        return write_comparison(PhotoFile(photo), PhotoFile(against) if against else None, output, longest_px)
    with opened(library) as photos:
        return photos.see(photo, output, against=against, longest_px=longest_px)
