"""`aliens restyle` makes alien photos that everybody recognises; `aliens restyled` lists them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from base import console
from base.errors import QueryError
from base.settings import LibraryFolder
from commands.hit_tables import shown_path
from commands.judging import judge_of
from commands.models import library_session, load_encoder
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption, stopping
from commands.ordering import Asked, orders_of, picks_of
from commands.search_commands import ids_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.models import Model
    from restyle.alienise import Attempt
    from restyle.pages import PageItem
    from restyle.restyled import Lineage, Result
    from restyle.studio import Done, Failed, Order, Studio


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
    from db.vector_rows import current_model
    from restyle.restyled import RestyledPhotos

    check_page(html)
    folder = LibraryFolder(library)
    with library_session(folder) as session:
        kept = RestyledPhotos(folder, session)
        if results is not None:
            named = kept.named(ids_of("--results", results))
            found = [one for one in named if is_meant(one.lineage, photo, engine)]
        else:
            found = kept.all(photo, engine) if abs(photo or 0) < 1 << 63 else []  # as far as databases count
        if not found:
            raise QueryError(f"no such results in {library}: `aliens restyle PHOTO_ID` makes some")
        if json:
            for result in found:
                console.print_json(result_record(result))
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
    from restyle.restyled import add_to_library

    added = add_to_library(folder, session, results, load_encoder(model.name, device, key=model.key))
    console.note(f"{console.counted(added, 'result')} added: searches with kind:restyled or kind:any find them")


def print_done(done: "Done | Failed", *, json: bool) -> None:
    """Print what became of one photo, as soon as it is known."""
    from restyle.studio import Failed

    if isinstance(done, Failed):
        console.note(f"photo {done.order.photo_id} is left out: {done.reason}")
        return
    if json:
        console.print_json(result_record(done.result) | {"made_now": done.made_now})
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


def result_record(result: "Result") -> dict[str, Any]:
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
    from base.errors import PhotoError
    from base.files import PhotoFile
    from restyle.colour import read_pixels
    from restyle.pages import LONGEST_PX, PageItem
    from restyle.restyled import original_of, why_lost

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


WHICH, HOW, GOOD, WHERE = "Which photos", "How they are made", "What is good enough", "What becomes of them"
KEPT = "stopped: the results so far are kept; the same command goes on from here"


def restyle(
    photo_ids: Annotated[
        list[int] | None, typer.Argument(metavar="PHOTO_ID", help="Photos of the library, as searches show them.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="PICKS.toml", help="What `aliens candidates` picked.", rich_help_panel=WHICH),
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The best hits of a search.", rich_help_panel=WHICH)
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many hits, with --query.", rich_help_panel=WHICH)] = 6,
    engine: Annotated[
        str,
        typer.Option(
            envvar="ALIENS_ENGINE",
            help="sd15, sdxl, klein, a model's name on the hub or its folder: diffusion. regrade: no weights, colours "
            "alone.",
            rich_help_panel=HOW,
        ),
    ] = "sd15",
    palette: Annotated[
        str | None,
        typer.Option(
            help="fern, lagoon, moss or your own .toml file (default: the manifest's, or fern).", rich_help_panel=HOW
        ),
    ] = None,
    preset: Annotated[
        Literal["lcm", "turbo"] | None, typer.Option(help="Few steps, for CPUs.", rich_help_panel=HOW)
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHTS]",
            help="A control map to begin with: softedge, edges, lines, depth, tile; may be repeated.",
            rich_help_panel=HOW,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="What diffusion is told; by default of the photo's tags and caption.", rich_help_panel=HOW),
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(help="What must not be seen; by default the palette's.", rich_help_panel=HOW)
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The highest that is tried (default: 0.75; regrade 1).", rich_help_panel=HOW),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=(1 << 32) - 1, help="Of the first attempts.", rich_help_panel=HOW)
    ] = 0,
    seeds: Annotated[
        int, typer.Option(min=0, help="How many others are tried at the boundary.", rich_help_panel=HOW)
    ] = 3,
    longest_px: Annotated[
        int | None,
        typer.Option(
            min=64, help="The longer side (default: 768 sd15, 1024 others, regrade 2048).", rich_help_panel=HOW
        ),
    ] = None,
    offload: Annotated[
        bool, typer.Option("--offload", help="Less memory on the device, and slower.", rich_help_panel=HOW)
    ] = False,
    device: DeviceOption = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(envvar="ALIENS_PRECISION", help="What the engine computes in.", rich_help_panel=HOW),
    ] = "auto",
    floor: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Least HOG correlation and edge F1 (default: calibrated on the library).",
            rich_help_panel=GOOD,
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="At most so long a photo.", rich_help_panel=GOOD)
    ] = None,
    file_format: Annotated[
        Literal["png", "jpg"], typer.Option("--format", help="Of the files.", rich_help_panel=WHERE)
    ] = "png",
    add: Annotated[
        bool,
        typer.Option(
            "--add", help="Let searches find them that ask for kind:restyled or kind:any.", rich_help_panel=WHERE
        ),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Also write a page to look at.", rich_help_panel=WHERE)
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make anew what was made before.", rich_help_panel=WHERE)
    ] = False,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Restyle photos so that they are alien, and recognised still.

    Of every photo the strongest result is kept that passes the floors; how it was found is kept with it.

    May be stopped at any time; the same command goes on where it stopped.
    """
    from restyle.engines.loading import load_engine
    from restyle.palettes import DEFAULT_PALETTE, read_palette
    from restyle.picks import read_picks
    from restyle.restyled import RestyledPhotos
    from restyle.studio import Done, Failed, Studio

    check_page(html)
    painting = {"--preset": preset, "--control": control, "--prompt": prompt, "--negative-prompt": negative_prompt}
    if engine == "regrade" and (unused := [name for name, value in painting.items() if value]):
        console.note(f"regrade paints nothing, so {' and '.join(unused)} is left out")
    picked = read_picks(manifest) if manifest else None
    colours = read_palette(palette or (picked and picked.palette) or DEFAULT_PALETTE)
    picks = picks_of(library, photo_ids or [], picked, query, n)
    asked = Asked(
        prompt=prompt, negative_prompt=negative_prompt, strength=strength, seed=seed, seeds=seeds, budget_s=budget
    )
    folder = LibraryFolder(library)
    with stopping(KEPT), library_session(folder) as session, console.ProgressBars() as bars:
        orders = orders_of(session, library, picks, asked, colours, paints=engine != "regrade")
        loaded = load_engine(
            engine,
            device=device,
            precision=precision,
            preset=preset,
            offload=offload,
            longest_px=longest_px,
            controls=control,
            palette=colours,
        )
        console.note(str(loaded))
        judge, model = judge_of(session, library, colours, floor, device, bars)
        results = RestyledPhotos(folder, session)
        studio = Studio(engine=loaded, judge=judge, results=results, file_format=file_format, floor=floor, again=again)
        made = []
        for each in worked(studio, orders, bars):
            made.append(each)
            print_done(each, json=json)
        done = [each.result for each in made if not isinstance(each, Failed)]
        if before := len(done) - sum(isinstance(each, Done) and each.made_now for each in made):
            console.note(f"{before} of them made before, by the same wish: --again makes them anew")
        if html is not None and done:
            page_of(session, done, html)
        if add and done:  # last: another process may be changing the library
            add_results(session, folder, done, model, device)
    if len(done) < len(made):
        raise typer.Exit(1)


def worked(studio: "Studio", orders: "list[Order]", bars: console.ProgressBars) -> "Iterator[Done | Failed]":
    """Yield what becomes of every order, with progress on stderr."""

    def tell(order: "Order", attempt: "Attempt") -> None:
        how = "recognised" if attempt.recognisable else attempt.failures[0]
        at = f"photo {order.photo_id}, {attempt.rung} at {attempt.settings.strength:.2f}: {how}"
        bars.update("restyling", done, len(orders), extra=at)

    done = 0
    bars.update("restyling", done, len(orders))
    for each in studio.restyle(orders, tell):
        done += 1
        bars.update("restyling", done, len(orders), extra="")
        yield each
