"""`aliens restyled` lists what was made, as a table, as JSON or as a page."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aliens import console
from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from commands.hits import shown_path
from commands.models import library_session, load_encoder
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption
from commands.search import ids_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.models import Model
    from restyle.pages import PageItem
    from restyle.results import Lineage, Result
    from restyle.run import Done, Failed

COLUMNS = ("result", "photo", "engine", "rung", "strength", "HOG", "edge F1", "protan dE", "visible", "path")
NARROW = ("result", "rung", "HOG", "edges", "dE2000", "visible", "file")


def restyled(
    results: Annotated[str | None, typer.Option(metavar="ID,ID", help="Only these (default: all).")] = None,
    photo: Annotated[int | None, typer.Option(metavar="PHOTO_ID", help="Only results of this photo.")] = None,
    engine: Annotated[str | None, typer.Option(help="Only results of this engine.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Write a page to look at.")] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Let searches find them that ask for kind:restyled or kind:any.")
    ] = False,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """List restyled photos, with how each was made and what it scored."""
    from db.vectors import current_model
    from restyle.results import Results

    check_page(html)
    folder = LibraryFolder(library)
    with library_session(folder) as session:
        kept = Results(folder, session)
        if results is not None:
            named = kept.named(ids_of("--results", results))
            found = [one for one in named if is_meant(one.lineage, photo, engine)]
        else:
            found = kept.all(photo, engine) if abs(photo or 0) < 1 << 63 else []  # as far as databases count
        if not found:
            raise QueryError(f"no such results in {library}: `aliens restyle PHOTO_ID` makes some")
        if json:
            for result in found:
                console.print_json(as_json(result))
        else:
            print_table(found)
        if html is not None:
            page_of(session, found, html)
        if add:
            add_results(session, folder, found, current_model(session), device)


def is_meant(lineage: "Lineage", photo: int | None, engine: str | None) -> bool:
    """Tell whether a result is of the photo and of the engine that were asked for."""
    return photo in (None, lineage.source_photo_id) and engine in (None, lineage.engine)


def add_results(
    session: "Session", folder: LibraryFolder, results: "Sequence[Result]", model: "Model", device: str
) -> None:
    """Let searches find results, and say how many are new to them."""
    from restyle.adding import add_to_library

    added = add_to_library(folder, session, results, load_encoder(model.name, device, key=model.key))
    console.note(f"{console.counted(added, 'result')} added: searches with kind:restyled or kind:any find them")


def print_done(done: "Done | Failed", *, json: bool) -> None:
    """Print what became of one photo, as soon as it is known."""
    from restyle.run import Failed

    if isinstance(done, Failed):
        console.note(f"photo {done.order.photo_id} is left out: {done.reason}")
        return
    if json:
        console.print_json(as_json(done.result) | {"made_now": done.made_now})
    elif console.on_terminal():
        typer.echo(sentence(done.result) + ("" if done.made_now else "  (made before)"))
    else:
        console.print_rows(COLUMNS, [row_of(done.result)])


def print_table(results: "Sequence[Result]") -> None:
    """Print results: on a terminal what fits into 80 columns, since photo and engine are in the files' names."""
    rows = [row_of(result) for result in results]
    if console.on_terminal():
        names = [result.path.name for result in results]
        console.print_rows(NARROW, [(row[0], row[3], *row[5:9], name) for row, name in zip(rows, names, strict=True)])
    else:
        console.print_rows(COLUMNS, rows)


def sentence(result: "Result") -> str:
    """Return a result in words, with what counts of its scores."""
    lineage, scores = result.lineage, result.lineage.scores
    said = [
        f"photo {lineage.source_photo_id}: {lineage.rung} at {lineage.settings['strength']:.2f} of {lineage.engine}",
        "" if lineage.diffusion else ", no diffusion model was used",
        f"; HOG {scores['hog']:.2f}, edge F1 {scores['edge_f1']:.2f}",
        f"; a protanope sees {scores['protan_median_de']:.1f} dE2000, more than 5 on {scores['protan_share']:.0%}",
        f"; {console.counted(len(lineage.attempts), 'attempt')} in {lineage.seconds:.1f} s",
    ]
    return "".join(said) + f"\n  {shown_path(str(result.path))}"


def row_of(result: "Result") -> tuple[object, ...]:
    """Return a result's cells."""
    lineage, scores = result.lineage, result.lineage.scores
    return (
        result.id,
        lineage.source_photo_id,
        lineage.engine,
        lineage.rung,
        f"{lineage.settings['strength']:.2f}",
        f"{scores['hog']:.2f}",
        f"{scores['edge_f1']:.2f}",
        f"{scores['protan_median_de']:.1f}",
        f"{scores['protan_share']:.0%}",
        shown_path(str(result.path)),
    )


def as_json(result: "Result") -> dict[str, Any]:
    """Return everything that is known of a result."""
    here = {"result_id": result.id, "photo_id": result.photo_id, "path": str(result.path), "made_at": result.made_at}
    return here | result.lineage.as_json()


def check_page(path: Path | None) -> None:
    """Raise QueryError: no page can be written there. Asked before hours go into what it would show."""
    if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
        raise QueryError(f"the page {path} cannot be written: name a file in a folder that is there and may be changed")


def page_of(session: "Session", results: "Sequence[Result]", path: Path) -> None:
    """Write the page of results; what cannot be shown any more is left out, with a word about it."""
    from restyle.pages import restyle_page, write_page

    write_page(restyle_page(items_of(session, results), "Restyled photos"), path)
    console.note(f"page: {path}")


def items_of(session: "Session", results: "Sequence[Result]") -> "Iterator[PageItem]":
    """Yield what the page shows of every result whose picture is there, and whose photo is what it was made of."""
    from aliens.errors import PhotoError
    from aliens.files import PhotoFile
    from restyle.originals import original_of, why_lost
    from restyle.pages import LONGEST_PX, PageItem
    from restyle.pixels import read_pixels

    for result in results:
        try:
            original = read_pixels(original_of(session, result), LONGEST_PX)
            changed = read_pixels(PhotoFile(str(result.path)), LONGEST_PX)
        except (OSError, PhotoError) as error:
            console.note(f"result {result.id} is not on the page: {why_lost(error)}")
            continue
        lineage = result.lineage
        yield PageItem(
            original=original,
            result=changed,
            heading=f"Photo {lineage.source_photo_id}: {Path(lineage.source_path).name}",
            facts=facts_of(result),
            note="" if lineage.diffusion else "regraded: no diffusion model was used",
            prompt=lineage.prompt,
            negative_prompt=lineage.negative_prompt,
        )


def facts_of(result: "Result") -> tuple[tuple[str, str], ...]:
    """Return a result's facts for people, with units."""
    lineage, scores, settings = result.lineage, result.lineage.scores, result.lineage.settings
    facts = [
        ("engine", f"{lineage.engine} ({lineage.fingerprint})"),
        ("palette", lineage.palette),
        ("rung", f"{lineage.rung}, strength {settings['strength']:.2f}"),
        ("seed", f"{settings['seed']}" if lineage.diffusion else ""),
        ("HOG correlation", f"{scores['hog']:.2f}"),
        ("edge F1", f"{scores['edge_f1']:.2f}"),
        ("shift", f"{scores['shift']:.1%} of the longer side"),
        ("nearest photo of the library", {True: "the photo itself", False: "another one", None: ""}[scores["nearest"]]),
        ("tags lost", "" if scores["tags_lost"] is None else ", ".join(scores["tags_lost"]) or "none"),
        (
            "seen by a protanope",
            f"median {scores['protan_median_de']:.1f} dE2000, over 5 dE2000 on {scores['protan_share']:.0%}",
        ),
        ("lost on a protanope", f"{scores['protan_wasted']:.0%} of the change"),
        ("distance to the palette", f"{scores['palette_distance']:.1f} in protan L*b*"),
        ("attempts", f"{len(lineage.attempts)}, {lineage.seconds:.1f} s"),
    ]
    return tuple((name, value) for name, value in facts if value)
