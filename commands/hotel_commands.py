"""`aliens hotels`, `aliens gallery`, `aliens export hotels` and `aliens search --by hotel`: parse, call once, print."""

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from base import console
from base.console import FilePath
from base.errors import QueryError
from commands import options
from commands.export_commands import exports
from commands.hit_tables import HitFiles, typed_anew
from commands.options import LIBRARY, completing, copying, opened, print_filed, print_notes, print_records, stopping
from commands.tag_commands import VocabularyOption

if TYPE_CHECKING:
    from aliens.library import Library
    from search.hotels import HotelTable, TaggedHotel

PAGE_ROWS = 1000  # hotels of a table that are printed at a time
MOST_TAGS = 8  # in a list on a terminal; more are counted
TOGETHER = {
    "words",
    "image",
    "like",
    "k",
    "until_stop",
    "min_score",
    "after",
    "by",
    "exact",
    "explain",
    "json",
    "sheet",
}

HotelArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="Only hotels of this number, or with this in their names.")
]
TagOption = Annotated[
    list[str] | None,
    typer.Option(autocompletion=completing("tags"), help="Only hotels that have this tag; may be given several times."),
]
MissingOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TAG",
        autocompletion=completing("tags"),
        help="Only hotels of which no photo shows this; may be given several times.",
    ),
]
SortHotelsOption = Annotated[
    Literal["name", "chain", "photos", "tags", "missing"],
    typer.Option(help="The order; of photos, tags and what is missing the most first."),
]


def hotels(
    name: HotelArgument = None,
    tag: TagOption = None,
    missing: MissingOption = None,
    sort: SortHotelsOption = "name",
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Show what each hotel has by its photos' tags, and what it lacks.

    A tag is sure or likely; of a single hotel every tag is shown, with the photo that shows it best.

    Examples:
        aliens hotels
        aliens hotels "Lone Inn"
        aliens hotels --missing bathtub --json
    """
    with opened(library, device, model=model) as photos:
        table = photos.hotels(name, tags=tag or (), missing=missing or (), sort=sort, vocabulary=vocabulary)
    print_notes(table.notes, library)
    if json:
        print_records(table)
    elif name is not None and len(table) == 1:
        print_hotel(table[0])
    else:
        print_hotels(table)


def print_hotels(table: "HotelTable") -> None:
    """Print a row for each hotel."""
    columns = ("number", "hotel", "chain", "photos", "sure", "likely", "no photo shows")
    listing = iter(table)
    while page := list(islice(listing, PAGE_ROWS)):
        console.print_rows(columns, [hotel_row(hotel) for hotel in page])
    console.note(console.counted(len(table), "hotel"))


def hotel_row(hotel: "TaggedHotel") -> tuple[object, ...]:
    """Return a hotel's row; on a terminal long lists are shortened."""
    lists = (hotel.sure, hotel.likely, [f"({room})" for room in hotel.no_photo_of] + hotel.missing)
    number = hotel.number if console.on_terminal() else hotel.hotel_id
    return (number, hotel.hotel_name, hotel.chain_name, hotel.photos, *map(in_short, lists))


def in_short(names: list[str]) -> str | None:
    """Return names as one text, on a terminal the first of many; None for none."""
    if console.on_terminal() and len(names) > MOST_TAGS:
        names = [*names[:MOST_TAGS], f"and {len(names) - MOST_TAGS} more"]
    return ", ".join(names) or None


def print_hotel(hotel: "TaggedHotel") -> None:
    """Print every tag of a hotel, those that it has first."""
    chain = f", {hotel.chain_name}" if hotel.chain_name else ""
    number = "" if hotel.number is None else f" (number {hotel.number})"
    console.note(f"{hotel.title}{chain}: {console.counted(hotel.photos, 'photo')}{number}")
    order = {"sure": 0, "likely": 1, None: 2}
    rows = [
        (
            tag.tag,
            tag.grade or ("" if tag.tag in hotel.missing else "unknown"),
            tag.photos,
            f"{100 * tag.share:.0f} %",
            tag.best_photo,
            None if tag.best_path is None else FilePath(tag.best_path),
        )
        for tag in sorted(hotel.tags, key=lambda tag: (order[tag.grade], -tag.photos))
    ]
    console.print_rows(("tag", "grade", "photos", "share", "best photo", "path"), rows)
    rooms = ", ".join(f"{photos} {room}" for room, photos in hotel.rooms.items())
    console.note(f"photos by what they show: {rooms}")
    if hotel.no_photo_of:
        console.note(f"guests will look for: {', '.join(hotel.no_photo_of)}, which no photo shows")


def gallery(
    hotel: Annotated[str, typer.Argument(metavar="HOTEL", help="Its number, or its name or a part of it.")],
    n: Annotated[int, typer.Option("-n", "-k", metavar="N", help="How many photos.")] = 12,
    sheet: options.SheetOption = None,
    to: options.ToOption = None,
    link: options.LinkOption = False,
    open_them: options.OpenOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Suggest the photos that show a hotel best, in order.

    One of each room comes before a second, and why each was chosen is said. Copies are passed over, and photos that are
    small, blurred, badly exposed, text or people.

    Examples:
        aliens gallery "Lone Inn"
        aliens gallery 3 -n 8 --sheet gallery.jpg
    """
    files = HitFiles(sheet=sheet, to=to, link=link, open=open_them)
    with copying(to), opened(library, device, model=model) as photos:
        chosen = photos.gallery(hotel, n=n)
        if json:
            print_records(chosen)
        else:
            rows = [(p.rank, p.photo_id, p.room, p.why, FilePath(str(p.file), p.file.path)) for p in chosen]
            console.print_rows(("", "photo", "room", "why", "path"), rows)
        of = f"{len(chosen)} of {console.counted(chosen.photos, 'photo')}"
        console.note(f"{chosen.hotel_name}: {of}, {chosen.opened} of them looked at")
        print_notes(chosen.notes, library)
        if chosen.lacking:
            console.note(f"guests will look for: {', '.join(chosen.lacking)}, which no photo shows")
        if sheet is not None:
            chosen.write_sheet(sheet)
            console.note(("contact sheet: ", FilePath(str(sheet))))
        files.take(chosen)


@exports.command("hotels")
def export_hotels_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help=".csv, .tsv, .xlsx, .jsonl, .json, .parquet or .html.")
    ],
    file_format: Annotated[
        Literal["csv", "tsv", "xlsx", "jsonl", "json", "parquet", "html"] | None,
        typer.Option("--format", help="By default by OUT's ending."),
    ] = None,
    hotel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only hotels with this in their names; may be given several times."),
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", "-q", metavar="TEXT", help="Only the -n best hotels for this text.")
    ] = None,
    k: Annotated[
        int | None, typer.Option("-n", "-k", metavar="N", help="With --query: how many hotels. Default: 100.")
    ] = None,
    tag: TagOption = None,
    missing: MissingOption = None,
    sort: SortHotelsOption = "name",
    gallery: Annotated[
        int | None,
        typer.Option(metavar="N", help="Suggest N photos of each, which opens photos. By default 8 on a page."),
    ] = None,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Export hotels with their tags, a row each (yes, maybe, unknown or nothing), or a page with their pictures.

    The file appears under its name only when it is complete, with a manifest beside it.

    Examples:
        aliens export hotels -o hotels.xlsx
        aliens export hotels -o hotels.html --gallery 8
    """
    with (
        stopping(f"stopped: nothing is under {output} that was not there"),
        opened(library, device, model=model) as photos,
    ):
        manifest = photos.export_hotels(
            output,
            format=file_format,
            name=hotel,
            query=query,
            k=k,
            tags=tag or (),
            missing=missing or (),
            sort=sort,
            gallery=gallery,
            vocabulary=vocabulary,
        )
    print_filed(output, manifest, library, json=json, notes=manifest.notes)


def answer_by_hotel(
    photos: "Library",
    text: str | None,
    said: Mapping[str, Any],
    given: set[str],
    *,
    after: str | None,
    explain: bool,
    json: bool,
    sheet: Path | None,
) -> None:
    """Search, and print hotels. Raises: QueryError: an option makes no sense beside --by hotel."""
    for name in sorted(given - TOGETHER - {"library", "device"}):
        option = {"every": "all", "open_them": "open"}.get(name, name.replace("_", "-"))
        raise QueryError(f"--{option} is for photos: leave it or --by hotel out")
    from search.hints import hints

    for hint in hints(text or ""):
        console.note(hint)
    asked = {name: said[name] for name in ("k", "image", "like", "until_stop", "min_score")}
    found = photos.search_hotels(text, **asked, after=after)
    if json:
        print_records(found)
    else:
        columns = ("score", "number", "hotel", "chain", "shown", "best photo", "path")
        console.print_rows(columns, [hit_row(hit) for hit in found])
    if explain:
        print_notes(found.explanation.as_lines(), photos.path)
    elif found.explanation.notes:
        print_notes([found.explanation.notes], photos.path)
    if not found:
        loosen = "no hotel is left: loosen the filters or the score"
        console.note(loosen if after is None else "the list has ended: no hotel follows the page before")
    elif found.stop_line is not None:
        console.note(f"shown: how many of a hotel's photos lie above the stop line, {found.stop_line:.3f}")
    if found.cursor is not None and console.on_terminal():
        console.note(f"next page: {typed_anew(sys.argv[1:], ('--after', found.cursor))}")
    if sheet is not None:
        found.write_sheet(sheet, text or "")
        console.note(("contact sheet: ", FilePath(str(sheet))))


def hit_row(hit: Any) -> Sequence[object]:
    """Return the row of a hotel that was found."""
    shown = None if hit.shown is None else f"{hit.shown} of {hit.photos}"
    best = hit.best[0]
    return (
        f"{hit.score:.3f}",
        hit.number if console.on_terminal() else hit.hotel_id,
        hit.hotel_name,
        hit.chain_name,
        shown,
        best.photo_id,
        FilePath(str(best.file), best.path),
    )
