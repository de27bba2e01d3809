"""The `aliens` command: parse, call one function, print. Heavy imports stay inside the commands that need them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aliens import __version__
from base import console
from base.errors import AliensError, QueryError
from base.settings import LibraryFolder, asset, default_model
from commands.candidate_commands import candidates, see
from commands.caption_commands import caption, captions
from commands.export_commands import exports, imports
from commands.hit_tables import print_hits
from commands.index_command import index
from commands.models import load_encoder, open_for_search
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption, PrecisionOption
from commands.quiz_command import quiz
from commands.restyle_commands import restyle, restyled
from commands.search_commands import search, searches, similar
from commands.tag_commands import count_tags, draw_sheet, evaluations, tag, tags

if TYPE_CHECKING:
    from indexer.add import AddHooks, AddReport
    from indexer.pipeline import RunReport
    from indexer.sources import Source

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Search, tag and restyle your photos by describing them.",
)

DEMO_QUERIES = ("bathtub with a view", "swimming pool", "kitchen with a table")


def version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        typer.echo(f"aliens {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Search, tag and restyle your photos by describing them."""


@app.command()
def init(
    library: LibraryOption = LIBRARY,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="ALIENS_MODEL",
            help="ARCHITECTURE/WEIGHTS of open_clip (default: ViT-B-32/openai), starter, local-dir:FOLDER "
            "or hf-hub:ORG/NAME.",
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL of another database than SQLite in the library's folder.")
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Make a new, empty library for one model."""
    from indexer.add import create_library, refuse_existing

    refuse_existing(LibraryFolder(library))  # before a model is loaded, which takes seconds
    encoder = load_encoder(model or default_model(), device, precision)
    create_library(LibraryFolder(library), encoder, database)
    typer.echo(f"{library} is ready: add photos with `aliens add FOLDER --library {library}`")


@app.command()
def add(
    path: Annotated[Path | None, typer.Argument(help="A folder of photos, a photo, or an uncompressed .tar.")] = None,
    hotels50k: Annotated[
        Path | None, typer.Option("--hotels50k", help="A Hotels-50K tree: dataset/*.csv and images/train.")
    ] = None,
    library: LibraryOption = LIBRARY,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try photos again that failed before.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Believe a folder that holds no photos any more.")
    ] = False,
    max_megapixels: Annotated[float, typer.Option(help="Larger photos fail as 'too large'.")] = 100,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Find photos, embed those that are new or changed, and bring the index up to date.

    May be stopped at any time; the same command goes on where it stopped.
    """
    from indexer.add import add_photos
    from indexer.hotels50k import Hotels50kSource
    from indexer.sources import source_at

    if (path is None) == (hotels50k is None):
        raise typer.BadParameter("give either a PATH or --hotels50k ROOT")
    source: Source = (
        Hotels50kSource(hotels50k) if hotels50k else source_at(path or Path(), library, may_be_gone=allow_empty)
    )
    with progress_hooks() as hooks:
        report = add_photos(
            LibraryFolder(library),
            source,
            lambda model: load_encoder(model.name, device, precision, key=model.key),
            hooks=hooks,
            retry_failed=retry_failed,
            allow_empty=allow_empty,
            max_pixels=int(max_megapixels * 1e6),
        )
    print_add_report(report)
    if report.run.interrupted:
        raise typer.Exit(130)


@app.command()
def info(library: LibraryOption = LIBRARY, json: JsonOption = False) -> None:
    """Show what the library holds: photos by state, model, sizes."""
    from indexer.inventory import take_inventory

    inventory = take_inventory(LibraryFolder(library))
    if json:
        console.print_json(inventory.as_json())
    else:
        console.print_rows(("", ""), inventory.as_rows())


@app.command()
def failures(
    library: LibraryOption = LIBRARY,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as truncated or missing.")] = None,
    json: JsonOption = False,
) -> None:
    """List the photos that could not be embedded, and the rows and folders that could not be read."""
    from indexer.inventory import list_failures

    rows = []
    for failure in list_failures(LibraryFolder(library), kind):
        if json:
            console.print_json(asdict(failure))
        else:
            rows.append((failure.kind, failure.where, failure.reason))
    if rows:
        console.print_rows(("kind", "where", "reason"), rows)
    elif not json:
        console.note("no failures")


@app.command()
def verify(
    library: LibraryOption = LIBRARY,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended first.")] = False,
    json: JsonOption = False,
) -> None:
    """Check that files, database, vectors and index agree; exit 1 with a list where they do not."""
    from indexer import verify as verification

    folder = LibraryFolder(library)
    if repair and (pending := verification.repair(folder)):
        console.note(f"{console.counted(pending, 'photo')} to embed anew: run `aliens add` on any folder")
    with console.ProgressBars() as bars:
        found = verification.verify(folder, lambda photos: bars.update("verifying", photos))
    for disagreement in found:
        if json:
            console.print_json(asdict(disagreement))
    if not json and found:
        console.print_rows(("part", "what", "remedy"), [(d.part, d.what, d.remedy) for d in found])
    if found:
        console.note(f"{console.counted(len(found), 'disagreement')}")
        raise typer.Exit(1)
    console.note("files, database, vectors and index agree")


@app.command()
def demo(
    library: Annotated[Path, typer.Option("--library", "-l", help="The demo's own library.")] = Path("aliens-demo"),
) -> None:
    """Run the main job on the sample hotels with the embedded model: add, search, tag, restyle, sheets and a page."""
    from embedding.sheet import write_sheet
    from indexer.add import add_photos, create_library, is_library
    from indexer.hotels50k import Hotels50kSource

    folder = LibraryFolder(library)
    if not is_library(folder):
        create_library(folder, load_encoder("starter"))
    with progress_hooks() as hooks:
        source = Hotels50kSource(asset("aliens/samples"))
        report = add_photos(folder, source, lambda model: load_encoder(model.name, key=model.key), hooks=hooks)
    print_add_report(report)
    with open_for_search(library) as opened:
        for query in DEMO_QUERIES:
            sheet = library / f"{query.replace(' ', '-')}.jpg"
            console.note(f"\n$ aliens search {query!r} -k 5 --library {library}")
            hits = opened.search(query, k=10)
            print_hits(hits[:5])
            write_sheet(hits, query, sheet)
            console.note(f"contact sheet: {sheet}")
    console.note(f"\n$ aliens tag --library {library}")
    tag(library=library)
    console.note(f"\n$ aliens tags --library {library}")
    count_tags(library)
    draw_sheet("a bathtub", library / "tag-bathtub.jpg", library=library)
    picks, page = library / "picks.toml", library / "restyled.html"
    console.note(f"\n$ aliens candidates --manifest {picks} --library {library}")
    candidates(manifest=picks, sheet=library / "candidates.jpg", library=library)
    console.note(f"\n$ aliens restyle --manifest {picks} --engine regrade --html {page} --library {library}")
    restyle(manifest=picks, engine="regrade", html=page, library=library)
    console.note(f"\n$ aliens quiz --library {library}")
    quiz(library=library)


app.command()(search)
app.command()(similar)
app.add_typer(searches, name="searches")
app.command()(index)
app.command()(tag)
app.command()(caption)
app.command()(captions)
app.command()(candidates)
app.command()(restyle)
app.command()(restyled)
app.command()(quiz)
app.command()(see)
app.add_typer(tags, name="tags")
app.add_typer(evaluations, name="eval")
app.add_typer(exports, name="export")
app.add_typer(imports, name="import")


@contextmanager
def progress_hooks() -> Iterator["AddHooks"]:
    """Yield hooks that show the progress of adding photos on stderr."""
    from indexer.add import AddHooks
    from indexer.upkeep import IndexHooks

    def show_run(run: "RunReport") -> None:
        bars.update("embedding", run.done, run.total, f"{run.failed} failed" if run.failed else "")

    with console.ProgressBars() as bars:
        yield AddHooks(
            scanning=lambda found: bars.update("scanning", found),
            embedding=show_run,
            index=IndexHooks(
                starting=lambda: console.note("building the index ..."),
                progress=lambda what, done, total: bars.update(what, done, total),
            ),
        )


def print_add_report(report: "AddReport") -> None:
    """Say what adding photos did; the counts go to stdout, advice to stderr."""
    scan, run = report.scan, report.run
    typer.echo(
        f"found {console.counted(scan.found, 'photo')}: {scan.new} new, {scan.changed} changed, "
        f"{scan.unchanged} unchanged, {scan.missing + scan.vanished} missing; "
        f"{console.counted(scan.other_files, 'other file')} passed over"
    )
    if run.total:
        rate = f" ({run.encoded / run.seconds:.1f} photos/s)" if run.encoded else ""
        typer.echo(
            f"embedded {console.counted(run.encoded, 'photo')} in {run.seconds:.1f} s{rate}, "
            f"{run.reused} more had known bytes, {run.failed} failed"
        )
    if run.strays:
        console.note(f"removed {console.counted(run.strays, 'file')} that a killed run had left half done")
    if run.interrupted:
        left = console.counted(run.total - run.done, "photo")
        console.note(f"stopped: {left} to go; the same command goes on from here")
    exact, about = report.index.exact, report.index.approximation
    if report.index.rewritten:
        typer.echo(f"index: {exact.count} photos, {exact.kind}, {console.megabytes(exact.size_bytes)}")
    if report.index.approximated and about is not None:
        typer.echo(
            f"index: {about.entries} photos, {about.factory}, {console.megabytes(about.size_bytes)}, "
            f"recall@10 {about.recall:.4f}" + ("" if about.sound else ", which is too little: it is not used")
        )
    if report.index.why:
        console.note(f"the approximate index was built anew: {report.index.why}")
    if report.index.milvus is not None and not report.index.problem:
        typer.echo(f"index: {report.index.milvus.entries} photos in Milvus")
    if report.index.problem:
        console.note(report.index.problem)
    if run.failed or scan.missing or scan.problems:
        console.note("`aliens failures` lists what could not be used, with reasons")


def main() -> None:
    """Run the command; errors that the user can mend become one line and exit code 1, or 2 for a bad query."""
    try:
        app()
    except AliensError as error:
        console.note(f"aliens: {error}")
        sys.exit(2 if isinstance(error, QueryError) else 1)
    except KeyboardInterrupt:
        console.note("aliens: stopped")
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
