"""The commands of the library itself: make it, add photos, index, count, verify, and the demo."""

import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import shell_word
from base.errors import LibraryError, QueryError
from commands import options
from commands.candidate_commands import candidates
from commands.hit_tables import print_hits
from commands.model_commands import forget_one_model
from commands.options import (
    LIBRARY,
    completing,
    confirm,
    opened,
    print_notes,
    print_records,
    print_report,
    runnable,
    stopping,
)
from commands.quiz_command import quiz
from commands.restyle_commands import restyle
from commands.tag_commands import count_tags, draw_sheet, tag

if TYPE_CHECKING:
    from indexer.upkeep import IndexReport

DEMO_QUERIES = ("bathtub with a view", "swimming pool", "kitchen with a table")


def init(
    library: options.LibraryOption = LIBRARY,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="ALIENS_MODEL",
            autocompletion=completing(known=("starter", "ViT-B-32/openai")),
            help="What compares photos with words: ViT-B-32/openai (the default) or another of open_clip (`aliens "
            "models` lists them), starter (small, comes along), local-dir:FOLDER or hf-hub:ORG/NAME.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Another database than a file in the library's folder, by its SQLAlchemy URL."
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Make a new library, which keeps what is known of photos.

    Examples:
        aliens init
        aliens init --model starter
        aliens init --library hotels --model starter
    """
    import aliens

    aliens.create(
        library, model, database=database, device=device, precision=precision, backend=backend, tell=console.note
    ).close()
    console.say(runnable(f"{library} is ready: add photos with `aliens add FOLDER`", library))


def add(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Folders of photos, photos, .tar files, or quoted patterns such as 'photos/*/rooms' and "
            "'shards-{000..099}.tar'; also of https://, s3:// and gs://.",
        ),
    ] = None,
    photo_list: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="A list with a photo a row, by path or address: CSV, TSV, Excel, Parquet or JSON Lines. Its other "
            "columns come along.",
        ),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option("--path-column", metavar="NAME", help="With --list: the column that names the photos."),
    ] = None,
    hotels50k: Annotated[
        Path | None,
        typer.Option("--hotels50k", metavar="ROOT", help="A Hotels-50K tree: dataset/*.csv and images/train."),
    ] = None,
    split: Annotated[
        Literal["train", "unoccluded", "low", "medium", "high"],
        typer.Option(
            "--split",
            help="With --hotels50k: the training photos, or those of the test, by what covers them. Searches find "
            "photos of the test like all others, so a library to be evaluated does without.",
        ),
    ] = "train",
    hotel_from: Annotated[
        Literal["folder", "path", "none"] | None,
        typer.Option(
            "--hotel-from",
            help="What names the hotels: the first folder below PATH, or PATH itself. Remembered for PATH.",
        ),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="A table with a column path, folder or hotel, and any of hotel, chain, latitude, longitude and date: "
            "CSV, TSV, Excel or Parquet. Remembered for PATH, until `none`.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="PATTERN",
            help="Leave out what it matches, as in .gitignore; may be repeated. Remembered for PATH, until `none`. "
            "A file .aliensignore in a folder leaves out what its patterns match.",
        ),
    ] = None,
    library: options.LibraryOption = LIBRARY,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try photos again that failed before.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Believe a folder that holds no photos any more.")
    ] = False,
    max_megapixels: Annotated[float, typer.Option(metavar="N", help="Leave out larger photos, as too large.")] = 100,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option("--engine", help="What reads and embeds: this machine, or the machines of a Ray cluster."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="With --engine ray: the cluster; also ray://HOST:PORT. By default the one that runs on this machine, "
            "or one that is started for the time it takes.",
        ),
    ] = None,
    json: options.JsonOption = False,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Take in photos that are new or changed: searches find them then.

    Without a PATH it looks at all places again that were added before (`aliens sources`), each as was said of it.

    Hidden files, and folders that systems make for themselves, are left out.

    May be stopped at any time; the same command goes on where it stopped.

    Examples:
        aliens add photos 'more/*/rooms' --exclude raw/
        aliens add
        aliens add --list rooms.csv
    """
    if [bool(paths), photo_list is not None, hotels50k is not None].count(True) > 1:
        raise typer.BadParameter("give either PATHs, --list FILE or --hotels50k ROOT, one after the other")
    with opened(library, device, precision, backend, aloud=True) as photos:
        report = photos.add(
            *paths or (),
            photo_list=photo_list,
            path_column=path_column,
            hotels50k=hotels50k,
            split=split,
            hotel_from=hotel_from,
            metadata=metadata,
            exclude=exclude or (),
            retry_failed=retry_failed,
            allow_empty=allow_empty,
            max_megapixels=max_megapixels,
            engine=engine,
            address=address,
        )
    print_report(report, library, json=json)
    if report.interrupted:
        raise typer.Exit(130)
    if report.failed:
        raise typer.Exit(1)


def info(
    library: options.LibraryOption = LIBRARY, model: options.ModelOption = None, json: options.JsonOption = False
) -> None:
    """Show what the library holds, and how large it is.

    Examples:
        aliens info
        aliens info --json
    """
    with opened(library, model=model) as photos:
        inventory = photos.info()
    if json:
        print_records([inventory])
    else:
        console.print_rows(("", ""), inventory.as_rows())


def failures(
    library: options.LibraryOption = LIBRARY,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as truncated or missing.")] = None,
    json: options.JsonOption = False,
) -> None:
    """List what could not be used, and why.

    Photos, and rows and folders that could not be read.

    Examples:
        aliens failures
        aliens failures --kind truncated
    """
    with opened(library) as photos:
        found = photos.failures(kind)
    if json:
        print_records(found)
    elif found:
        rows = [(f.kind, console.FilePath(f.where, file_in(f.where)), f.reason) for f in found]
        console.print_rows(("kind", "where", "reason"), rows)
    else:
        console.note("no failures")


def file_in(where: str) -> str:
    """Return the file that a place is in: of a line in a table, or of a member of a tar."""
    ends = (found.start() for found in re.finditer("[!:]", where))
    return next((where[:end] for end in (len(where), *ends) if os.path.isfile(where[:end])), where)


def forget(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Photos, folders, .tar files or restyled photos, there or not."),
    ] = None,
    hotel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="All photos of a hotel, by its whole name or number; may be repeated."),
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="Photos that `aliens add` found missing.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=completing("models"),
            help="No photos, but a model that is not in use: its vectors, tags and index.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be forgotten.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Let photos leave the library; their files stay where they are.

    Their tags, labels and captions go with them. Adding their folder takes them up again.

    Restyled photos are named by their files, which are removed.

    Examples:
        aliens forget photos --dry-run
        aliens forget --gone --yes
    """
    if model is not None:
        if paths or hotel or gone:
            raise QueryError("--model forgets a model and no photos: leave out paths, --hotel and --gone")
        forget_one_model(model, library, dry_run=dry_run, yes=yes, json=json)
        return
    with opened(library) as photos:
        report = photos.forget(*paths or (), hotels=hotel or (), gone=gone, dry_run=True)
        if not dry_run and (report.photos or report.restyled or report.hotels):
            if not yes:
                confirm(console.one_line(f"forget {report}? The files of photos stay."), "nothing was forgotten")
            report = photos.forget(*paths or (), hotels=hotel or (), gone=gone)
    if json:
        print_records([report.as_json() | {"dry_run": dry_run}])
        return
    console.say(f"{'would forget' if dry_run else 'forgot'} {report}")
    print_notes(report.notes, library)


def verify(
    library: options.LibraryOption = LIBRARY,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended first.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare names, sizes and counts alone, without reading every byte.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Check that the library is whole; say what mends it.

    Exits with 1 where something is not.

    Examples:
        aliens verify
        aliens verify --quick
        aliens verify --repair
    """
    with opened(library) as photos:
        if repair and (pending := photos.repair()):
            anew = f"{console.counted(pending, 'photo')} to embed anew: run `aliens add FOLDER` on any folder"
            print_notes([anew], library)
        found = photos.verify(quick=quick)
    told = [{name: runnable(words, library) for name, words in asdict(each).items()} for each in found]
    if json:
        print_records(told)
    elif told:
        console.print_rows(("part", "what", "remedy"), [tuple(disagreement.values()) for disagreement in told])
    if found:
        console.note(f"{console.counted(len(found), 'disagreement')}")
        raise typer.Exit(1)
    console.note("all files are what was written, and agree with the database")


def index(
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            autocompletion=completing(known=("auto", "exact", "ivf", "hnsw")),
            help="auto (exact up to 250,000 photos, then ivf), exact, ivf, hnsw, or milvus:URI. Kept until changed.",
        ),
    ] = None,
    factory: Annotated[
        str | None, typer.Option(metavar="STRING", help="FAISS's factory string, such as IVF4096,SQ8.")
    ] = None,
    least_recall: Annotated[
        float | None,
        typer.Option(metavar="0..1", help="Share of the ten best photos that it must find (default: 0.99)."),
    ] = None,
    remote_only: Annotated[
        bool, typer.Option("--remote-only", help="Keep vectors in Milvus alone; another --kind brings them back.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build it anew even where it need not be.")] = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Make searches of large libraries quicker.

    Without an index every photo is compared. An index, whose finds are measured, names candidates: they are
    compared exactly.

    Examples:
        aliens index
        aliens index --kind auto
        aliens index --rebuild
    """
    kept = "stopped: the index is as it was; the same command begins again"
    with stopping(kept), opened(library, model=model) as photos:
        report = photos.update_index(
            kind, factory=factory, least_recall=least_recall, remote_only=remote_only, rebuild=rebuild
        )
    show_index(report, library, json)


def show_index(report: "IndexReport", library: Path, json: bool) -> None:
    """Print what stands. Raises: LibraryError: Milvus could not be brought up to date."""
    if report.problem and report.milvus is not None and report.milvus.remote:
        raise LibraryError(report.problem)
    if report.problem:
        raise LibraryError(f"the exact index is up to date and searches by itself, but {report.problem}")
    if json:
        print_records([report])
        return
    console.print_rows(("index", ""), report.rows())
    if report.why:
        console.note(f"built anew: {report.why}")
    elif not report.written:
        console.note(f"the index of {library} was up to date")


def demo(
    library: Annotated[Path, typer.Option("--library", "-l", metavar="DIR", help="The demo's own library.")] = Path(
        "aliens-demo"
    ),
) -> None:
    """Try it all on the sample hotels that come along.

    Adds, searches, tags and restyles them, with contact sheets and a page.

    Examples:
        aliens demo
        aliens demo --library try-it
    """
    import aliens
    from base.settings import LibraryFolder, asset
    from db.catalog import is_library

    if not is_library(LibraryFolder(library)):
        aliens.create(library, "starter", tell=console.note).close()
    with opened(library, aloud=True) as photos:
        report = photos.add(hotels50k=asset("aliens/samples"))
        print_report(report, library, json=False)
        for query in DEMO_QUERIES:
            sheet = library / f"{query.replace(' ', '-')}.jpg"
            show_command(library, "search", query, "--sheet", sheet)
            hits = photos.search(query)
            print_hits(hits)
            hits.write_sheet(sheet, query)
            console.note(("contact sheet: ", console.FilePath(str(sheet))))
    show_command(library, "tag")
    tag(library=library)
    show_command(library, "tag", "list")
    count_tags(library=library)
    show_command(library, "tag", "sheet", "a bathtub", "-o", library / "tag-bathtub.jpg")
    draw_sheet(["a bathtub"], library / "tag-bathtub.jpg", library=library)
    picks, sheet, page = library / "picks.toml", library / "candidates.jpg", library / "restyled.html"
    show_command(library, "candidates", "--manifest", picks, "--sheet", sheet, "--engine", "grow")
    candidates(manifest=picks, sheet=sheet, engine="grow", library=library)
    show_command(library, "restyle", "--manifest", picks, "--html", page)
    restyle(manifest=picks, html=page, library=library)
    show_command(library, "quiz")
    quiz(library=library)


def show_command(library: Path, *words: object) -> None:
    """Print the command that does what comes next, as it is typed."""
    console.note("", f"$ aliens {' '.join(map(shell_word, words))} --library {shell_word(library)}")
