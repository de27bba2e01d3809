"""`aliens candidates` and `aliens see`: photos worth restyling, and what a protanope sees."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from base import console
from base.arrays import Pixels
from base.errors import EncoderError, ModelMismatchError, PhotoError, QueryError
from base.files import PhotoFile
from base.settings import LibraryFolder
from commands.hit_tables import shortened, tail
from commands.models import library_session, load_for_texts, open_for_search
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption, SheetOption, stopping

if TYPE_CHECKING:
    from base.files import PhotoFile
    from db.models import Model
    from restyle.candidates.gates import Rejection, Texts
    from restyle.candidates.picking import Choice, Picked


LEAST = 8  # photos of a query's for each pick, even where they lie below its stop line


def candidates(
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="TEXT", help="Choose among the photos that a search finds."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME", help="Only photos with this tag; may be repeated.")
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many.")] = 6,
    strategy: Annotated[
        Literal["mixed", "detailed", "opposite-palette", "minimal"],
        typer.Option(help="Full of details, in colours opposed to the palette, nearly empty, or all three in turn."),
    ] = "mixed",
    palette: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The alien palette: a name, or a .toml file.")
    ] = "fern",
    pool: Annotated[int, typer.Option(metavar="N", min=1, help="Open and measure at most N photos.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, where the library holds more photos.")] = 0,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="List the photos that were rejected, with reasons, instead.")
    ] = False,
    sheet: SheetOption = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="picks.toml", help="Also write them as a file for `aliens restyle --manifest`."),
    ] = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Pick photos worth restyling, spread over hotels and over what they show, and say why.

    Photos that are small, blurred, badly exposed, panoramas, doubles, text or people are rejected, with a reason.
    """
    from embedding.sheet import check_ending
    from restyle.candidates.picking import choose
    from restyle.palettes import read_palette
    from search.pool import read_pool

    alien = read_palette(palette)
    if sheet is not None:
        check_ending(sheet, "sheet")
    with (
        stopping("stopped: nothing was written"),
        open_for_search(library, device) as opened,
        console.ProgressBars() as bars,
    ):
        photos = read_pool(opened, query, tag or (), most=pool, least=LEAST * n, seed=seed)
        choice = choose(
            photos.records,
            photos.vectors,
            alien,
            n=n,
            strategy=strategy,
            encoder=texts_of(library, opened.model, device),
            progress=lambda done, total: bars.update("measuring", done, total),
        )
    if rejected:
        print_rejected(choice.rejected, json)
    else:
        print_picks(choice.picks, json)
    for line in (photos.note, *remarks(choice, len(photos.records), n)):
        if line:
            console.note(line)
    asked = " ".join(filter(None, [query, *(f"tag:{name}" for name in tag or ())]))
    if sheet is not None:
        write_sheet_of(choice.picks, f"candidates: {strategy}{f', {asked}' if asked else ''}", sheet)
    if manifest is not None:
        origin = {"library": str(library.absolute()), "query": asked, "strategy": strategy, "palette": palette}
        write_manifest_of(choice.picks, manifest, origin)


def texts_of(library: Path, model: "Model", device: str) -> "Texts | None":
    """Return what encodes texts, or None, with a note, where the model cannot be had: photos are measured without."""
    try:
        encoder = load_for_texts(library, model, device)
        encoder.encode_texts(("a room",))
    except (EncoderError, ModelMismatchError) as error:
        console.note(f"text and people are not looked for, since the model cannot be had: {error}")
        return None
    return encoder


def remarks(choice: "Choice", opened: int, n: int) -> list[str]:
    """Return what is to be said of the choice as a whole."""
    counts = ", ".join(f"{count} {kind}" for kind, count in choice.rejections.items())
    lines = [
        f"{console.counted(opened, 'photo')} looked at, {len(choice.rejected)} rejected"
        + (f" ({counts}): --rejected lists them" if counts else "")
    ]
    if len(choice.picks) < n:
        lines.append(
            f"only {len(choice.picks)} of {n}: the others are not fit, or not of that kind; try a larger --pool"
        )
    return lines


def print_picks(picks: "Sequence[Picked]", json: bool) -> None:
    """Print picks: a table, tab-separated lines in a pipe, or JSON."""
    if json:
        for pick in picks:
            console.print_json(pick_record(pick))
        return
    columns = ("photo", "hotel", "kind", "why", "path")
    rows: list[tuple[object, ...]] = []
    for pick in picks:
        record = pick.looked.record
        where = str(PhotoFile(record.path, record.member))
        hotel: object = record.hotel_name or record.hotel_id
        if console.on_terminal():
            hotel, where = shortened(hotel, 20), tail(where, 28)
        rows.append((record.photo_id, hotel, pick.kind, pick.why, where))
    console.print_rows(columns, rows)


def pick_record(pick: "Picked") -> dict[str, Any]:
    """Return a pick's values by their names."""
    looked, record = pick.looked, pick.looked.record
    return {
        "photo_id": record.photo_id,
        "hotel_id": record.hotel_id,
        "hotel_name": record.hotel_name,
        "kind": pick.kind,
        "why": list(pick.reasons),
        "measures": {name: round(value, 4) for name, value in asdict(looked.measures).items()},
        "width_px": looked.width_px,
        "height_px": looked.height_px,
        "sha256": looked.sha256,
        "path": record.path,
        "member": record.member,
    }


def print_rejected(rejections: "Sequence[Rejection]", json: bool) -> None:
    """Print the photos that were rejected, and why."""
    if json:
        for rejection in rejections:
            console.print_json(asdict(rejection))
        return
    rows = [(r.photo_id, r.kind, r.reason, PhotoFile(r.path, r.member)) for r in rejections]
    console.print_rows(("photo", "rejected", "why", "path"), rows)


def write_sheet_of(picks: "Sequence[Picked]", title: str, path: Path) -> None:
    """Write a contact sheet, kind by kind, the reasons below each photo."""
    from embedding.sheet import Cell, Section, write_sheet

    sections = []
    for kind in dict.fromkeys(pick.kind for pick in picks):
        of_kind = [pick for pick in picks if pick.kind == kind]
        cells = [Cell(file_of_pick(pick), (heading_of(pick), *pick.reasons)) for pick in of_kind]
        sections.append(Section(kind, cells))
    write_sheet(sections, title, path)
    console.note(f"contact sheet: {path}")


def file_of_pick(pick: "Picked") -> PhotoFile:
    """Return where a pick's bytes lie."""
    return PhotoFile(pick.looked.record.path, pick.looked.record.member)


def heading_of(pick: "Picked") -> str:
    """Return the first line below a pick: its number and its hotel, or else its folder."""
    record = pick.looked.record
    hotel = record.hotel_name or (f"hotel {record.hotel_id}" if record.hotel_id else Path(record.path).parent.name)
    return f"photo {record.photo_id}  {hotel}"


def write_manifest_of(picks: "Sequence[Picked]", path: Path, origin: dict[str, str]) -> None:
    """Write a manifest of the picks."""
    from restyle.picks import Pick, PickList, write_picks

    if not picks:
        raise QueryError(f"{path} was not written: there is nothing to restyle")
    listed = tuple(
        Pick(
            photo_id=pick.looked.record.photo_id,
            path=pick.looked.record.path,
            member=pick.looked.record.member,
            kind=pick.kind,
            why=pick.why,
        )
        for pick in picks
    )
    write_picks(PickList(picks=listed, created=datetime.now(UTC).replace(microsecond=0), **origin), path)
    console.note(f"manifest: {path}; `aliens restyle --manifest {path}` takes it")


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
    from embedding.sheet import check_ending, write_picture
    from restyle.colour import resized
    from restyle.protanopia import colours_of, side_by_side, visibility

    check_ending(output)
    files = [file_named(name, library) for name in (photo, against) if name is not None]
    if output.exists() and any(output.samefile(file.path) for file in files):
        raise QueryError(f"{output} is the photo itself: name another file for the picture")
    pixels, *others = (pixels_to_see(file, longest_px) for file in files)
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


def file_named(name: str, library: Path) -> "PhotoFile":
    """Return where a photo lies, given as a file or as its number in a library. Raises: QueryError: it is gone."""
    from base.files import PhotoFile

    is_number = name.isdecimal() and not os.path.exists(name)
    file = library_file(library, name) if is_number else PhotoFile(name)
    if not os.path.isfile(file.path):
        raise QueryError(f"no file {file}: name a photo, or the number of a photo of the library")
    return file


def pixels_to_see(file: "PhotoFile", longest_px: int) -> "Pixels":
    """Return a photo's pixels. Raises: QueryError: it cannot be read, or is none."""
    from restyle.colour import read_pixels

    try:
        return read_pixels(file, longest_px)
    except OSError as error:
        raise QueryError(f"{file} cannot be read: {error.strerror or error}") from error
    except PhotoError as error:
        raise QueryError(f"{file} is no photo that can be shown: {error.reason}") from error


def library_file(library: Path, number: str) -> "PhotoFile":
    """Return where a photo of the library lies. Raises: QueryError: the library has none of this number."""
    from base.files import PhotoFile
    from commands.ordering import records_of

    with library_session(LibraryFolder(library)) as session:
        photo_id = int(number) if len(number) <= MOST_DIGITS else 0
        record = records_of(session, [photo_id]).get(photo_id)
    if record is None:
        raise QueryError(f"no photo {number[:40]} in {library}: take a number that a search shows, or name a file")
    return PhotoFile(record.path, record.member)
