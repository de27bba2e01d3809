"""`aliens restyle` makes alien photos that everybody recognises, `aliens restyle list` lists them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import FilePath
from base.errors import QueryError
from commands import options
from commands.options import ENGINES, LIBRARY, completing, ids_of, opened, print_records, runnable, stopping

if TYPE_CHECKING:
    from restyle.engines.first_run import Check
    from restyle.restyled import Result
    from restyle.studio import Done, Failed


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Also copy results there, named by photo, palette and engine."
    ),
]
COLUMNS = ("result", "photo", "engine", "rung", "strength", "HOG", "edge F1", "protan dE", "visible", "path")
NARROW = ("result", "rung", "HOG", "edges", "dE2000", "visible", "file")
PLAIN = ("result", "made", "outlines kept", "noticed", "file")

restyle_group = typer.Typer(invoke_without_command=True)


@restyle_group.command("list")
def restyled(
    results: Annotated[str | None, typer.Option(metavar="ID,ID", help="Only these (default: all).")] = None,
    photo: Annotated[str | None, typer.Option(metavar="PHOTO", help="Only results of this photo.")] = None,
    engine: Annotated[
        str | None, typer.Option(autocompletion=completing(known=ENGINES), help="Only results of this engine.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Write a page to look at.")] = None,
    output: OutputOption = None,
    add: Annotated[
        bool, typer.Option("--add", help="Let searches find them that ask for kind:restyled or kind:any.")
    ] = False,
    explain: options.FiguresOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
) -> None:
    """List restyled photos: how each was made, what stayed of it and what the visitors see.

    Examples:
        aliens restyle list
        aliens restyle list --explain
        aliens restyle list --html restyled.html
    """
    from embedding.html_pages import check_page

    check_page(html)
    with opened(library, device, aloud=add or html is not None) as photos:
        found = photos.restyled(ids_of("--results", results), photo=photo, engine=engine)
        if not found and not (results or photo or engine or html or output or add):
            console.note(runnable("no restyled photos yet: `aliens restyle PHOTO` makes some", library))
            return
        if not found:
            raise QueryError(f"no such results in {library}: `aliens restyle PHOTO` makes some")
        if json:
            print_records(found)
        else:
            print_table(found, explain)
        if html is not None:
            photos.write_restyled_page(found, html)
            console.note(("page: ", FilePath(str(html))))
        if output is not None:
            report = found.copy_to(output)
            print_copied(output, len(report.files))
            console.note(*report.notes)
        if add:
            print_added(photos.add_restyled(found))


def print_copied(output: Path, copied: int) -> None:
    """Say where copies of the results are."""
    console.note((f"{console.counted(copied, 'result')} in ", FilePath(str(output)), " too, beside the library's own"))


def print_added(added: int) -> None:
    """Say how many results are new to searches."""
    console.note(f"{console.counted(added, 'result')} added: searches with kind:restyled or kind:any find them")


def print_done(done: "Done | Failed", *, json: bool, explain: bool) -> None:
    """Print what became of one photo, as soon as it is known."""
    from restyle.studio import Failed

    if isinstance(done, Failed):
        console.note(f"photo {done.order.photo_id} is left out: {done.reason}")
        return
    if json:
        print_records([done])
    elif console.on_terminal():
        console.say(*sentences(done.result, "" if done.made_now else " (made before)", explain))
    else:
        console.print_rows(COLUMNS, [row_of(done.result)])


def print_table(results: "Sequence[Result]", explain: bool) -> None:
    """Print results: on a terminal what fits into 80 columns, since photo and engine are in the files' names."""
    from restyle.restyled import MADE

    rows = [row_of(result) for result in results]
    if not console.on_terminal():
        console.print_rows(COLUMNS, rows)
        return
    names = [FilePath(result.path.name, str(result.path)) for result in results]
    if explain:
        console.print_rows(NARROW, [(row[0], row[3], *row[5:9], name) for row, name in zip(rows, names, strict=True)])
        return
    told = [(result.id, result.lineage) for result in results]
    console.print_rows(
        PLAIN,
        [
            (number, MADE.get(how.rung, how.rung), how.kept, how.noticed, name)
            for (number, how), name in zip(told, names, strict=True)
        ],
    )


def sentences(result: "Result", mark: str, explain: bool) -> tuple[object, ...]:
    """Return a result in words, on lines that most terminals hold; first the mark, and figures where asked for."""
    lineage, scores = result.lineage, result.lineage.scores
    figures = (
        f"  {lineage.rung} at {lineage.settings['strength']:.2f} of {lineage.engine}: HOG {scores['hog']:.2f}, "
        f"edge F1 {scores['edge_f1']:.2f}",
        f"  a protanope sees {scores['protan_median_de']:.1f} dE2000, more than 5 on {scores['protan_share']:.0%}; "
        f"{scores['palette_distance']:.1f} from the palette",
        *((f"  {lineage.faces_kept}",) if lineage.faces_kept else ()),
    )
    return (
        f"photo {lineage.source_photo_id}{mark}: {lineage.made}",
        f"  outlines kept {lineage.kept}, visitors notice it on {lineage.noticed} of the picture",
        *(figures if explain else ()),
        (
            f"  {console.counted(len(lineage.attempts), 'attempt')} in {lineage.seconds:.1f} s, {result.size}: ",
            FilePath(FilePath(str(result.path)).near, str(result.path)),
        ),
    )


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
        FilePath(str(result.path)).near,
    )


# Options in the panels of the help: `how(...)` makes one of "How they are made".
PANELS = ("Which photos", "How they are made", "What is good enough", "What becomes of them", "Before the first photo")
which, how, good, where, before = (partial(typer.Option, rich_help_panel=panel) for panel in PANELS)
KEPT = "stopped: the results so far are kept; the same command goes on from here"


@restyle_group.callback()
def restyle(
    photo: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO",
            autocompletion=completing(known=("list",)),  # the command below, which stands in the same place
            help="Photos of the library, by number, as searches show them, or path.",
        ),
    ] = None,
    manifest: Annotated[Path | None, which(metavar="PICKS.toml", help="What `aliens candidates` picked.")] = None,
    query: Annotated[str | None, which("--query", "-q", metavar="TEXT", help="The best hits of a search.")] = None,
    n: Annotated[int, which("-n", "-k", metavar="N", min=1, help="How many hits, with --query.")] = 6,
    engine: Annotated[
        str | None,
        how(
            envvar="ALIENS_ENGINE",
            autocompletion=completing(known=ENGINES),
            help="sd15, sdxl, klein, a model's name on the hub or its folder: diffusion. No weights: regrade, colours "
            "alone; grow, drawn plants too. Default: the manifest's, or sd15.",
        ),
    ] = None,
    palette: Annotated[
        str | None,
        how(
            autocompletion=completing(folder="restyle/palettes"),
            help="fern, emerald, lagoon, moss or your own .toml file (default: the manifest's, or fern).",
        ),
    ] = None,
    preset: Annotated[Literal["lcm", "turbo"] | None, how(help="Few steps, for CPUs.")] = None,
    control: Annotated[
        list[str] | None,
        how(
            metavar="NAME[=WEIGHTS]",
            help="What holds the picture to its photo: softedge, edges, lines, depth, tile; may be repeated.",
        ),
    ] = None,
    prompt: Annotated[
        str | None, how(metavar="TEXT", help="What is to be painted; by default of the photo's tags and caption.")
    ] = None,
    negative_prompt: Annotated[
        str | None, how(metavar="TEXT", help="What must not be seen; by default the palette's.")
    ] = None,
    strength: Annotated[
        float | None,
        how(
            metavar="N",
            min=0,
            max=1,
            help="The strongest change that is tried, 0 to 1 (default: 0.75; regrade, grow 1).",
        ),
    ] = None,
    seed: Annotated[
        int,
        how(metavar="N", min=0, max=(1 << 32) - 1, help="The number that chance begins with: the same gives the same."),
    ] = 0,
    seeds: Annotated[
        int, how(metavar="N", min=0, help="How many other beginnings are tried where it is nearly too much.")
    ] = 3,
    longest_px: Annotated[
        int | None,
        how(metavar="N", min=64, help="The longer side (default: 768 sd15, 1024 others, regrade and grow 2048)."),
    ] = None,
    offload: Annotated[bool, how("--offload", help="Less memory on the device, and slower.")] = False,
    device: options.DeviceOption = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        how(envvar="ALIENS_PRECISION", help="How exactly the engine computes."),
    ] = "auto",
    floor: Annotated[
        float | None,
        good(
            metavar="N",
            min=0,
            max=1,
            help="How much of the outlines must stay, 0 to 1 (default: measured on the library's own photos).",
        ),
    ] = None,
    budget: Annotated[float | None, good(min=0, metavar="SECONDS", help="At most so long a photo.")] = None,
    file_format: Annotated[Literal["png", "jpg"], where("--format", help="Of the files.")] = "png",
    output: Annotated[
        Path | None,
        where("--output", "-o", metavar="FOLDER", help="Also copy results there, named by photo, palette and engine."),
    ] = None,
    add: Annotated[bool, where("--add", help="Let searches find them that ask for kind:restyled or kind:any.")] = False,
    html: Annotated[Path | None, where(metavar="PAGE.html", help="Also write a page to look at.")] = None,
    again: Annotated[bool, where("--again", help="Make anew what was made before.")] = False,
    check: Annotated[
        str | None,
        before(
            metavar="ENGINE",
            autocompletion=completing(known=ENGINES),
            help="Restyle nothing: say what an engine needs, what this machine has, and paint one small photo.",
        ),
    ] = None,
    fetch: Annotated[bool, before("--fetch", help="With --check: fetch the weights that are missing.")] = False,
    explain: options.FiguresOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Restyle photos so that they are alien, and recognised still.

    Of every photo the strongest result is kept that is recognised; how it was found is kept with it.

    May be stopped at any time; the same command goes on where it stopped.

    Examples:
        aliens restyle 7 42 --engine regrade
        aliens restyle --manifest picks.toml --html restyled.html
        aliens restyle --check sd15
    """
    from embedding.html_pages import check_page

    if check is not None:
        named = {"PHOTO": photo, "--manifest": manifest, "--query": query, "--html": html, "--add": add}
        if unfit := [name for name, value in named.items() if value]:
            raise QueryError(f"--check restyles nothing, so leave out {' and '.join(unfit)}")
        from aliens import check_engine

        asked = partial(
            check_engine,
            check,
            preset=preset,
            controls=control or (),
            device=device,
            precision=precision,
            offload=offload,
            longest_px=longest_px,
            palette=palette,
            fetch=fetch,
            output=output,
        )
        print_check(asked, fetch=fetch, json=json)
        return
    if fetch:
        raise QueryError("--fetch goes with --check ENGINE; to restyle, weights are fetched as they are needed")
    check_page(html)
    with stopping(KEPT), opened(library, device, aloud=True) as photos:
        made = photos.restyle(
            photo or (),
            picks=manifest,
            query=query,
            n=n,
            engine=engine,
            palette=palette,
            preset=preset,
            controls=control or (),
            prompt=prompt,
            negative_prompt=negative_prompt,
            strength=strength,
            seed=seed,
            seeds=seeds,
            longest_px=longest_px,
            offload=offload,
            precision=precision,
            floor=floor,
            budget_s=budget,
            file_format=file_format,
            again=again,
            output=output,
            on_done=lambda each: print_done(each, json=json, explain=explain),
        )
        if explain:
            console.note(made.floors)
        if made.made_before:
            console.note(f"{made.made_before} of them made before, by the same wish: --again makes them anew")
        if output is not None and made.results:
            print_copied(output, len(made.results))
        if html is not None and made.results:
            photos.write_restyled_page(made.results, html)
            console.note(("page: ", FilePath(str(html))))
        if add and made.results:
            print_added(photos.add_restyled(made.results))
    if made.failed:
        raise typer.Exit(1)


UNKEPT = "stopped: no picture was kept; what was fetched so far is, and the same command goes on from there"


def print_check(check_engine: Callable[..., "Check"], *, fetch: bool, json: bool) -> None:
    """Print what is found out about an engine; exit with 1 where it would not work."""

    def found(check: "Check") -> None:
        from restyle.engines.check_report import found_of

        if not json:
            console.say(*found_of(check))
            if fetch and not check.is_here and check.works:
                console.note("fetching what is missing")

    with stopping(UNKEPT):
        check = check_engine(on_examined=found)
    if json:
        print_records([check])
    else:
        print_verdict(check)
    if not check.works:
        raise typer.Exit(1)


def print_verdict(check: "Check") -> None:
    """Print whether an engine works; the picture's place is a link."""
    from restyle.engines.check_report import verdict_of

    path = check.look.path if check.look else ""
    for line in verdict_of(check):
        before, place, _ = line.partition(path) if path else (line, "", "")
        console.say((before, FilePath(FilePath(path).near, path)) if place else line)
