"""`aliens restyle` makes alien photos that everybody recognises; `aliens restyled` lists them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aliens import console
from aliens.settings import LibraryFolder
from commands.judging import judge_of
from commands.models import library_session
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption, stopping
from commands.ordering import Asked, orders_of, picks_of
from commands.restyled import add_results, check_page, page_of, print_done

if TYPE_CHECKING:
    from restyle.alienise import Attempt
    from restyle.run import Done, Failed, Order, Studio

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
    from restyle.manifest import read_manifest
    from restyle.palettes import DEFAULT_PALETTE, read_palette
    from restyle.results import Results
    from restyle.run import Done, Failed, Studio

    check_page(html)
    painting = {"--preset": preset, "--control": control, "--prompt": prompt, "--negative-prompt": negative_prompt}
    if engine == "regrade" and (unused := [name for name, value in painting.items() if value]):
        console.note(f"regrade paints nothing, so {' and '.join(unused)} is left out")
    picked = read_manifest(manifest) if manifest else None
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
        results = Results(folder, session)
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
