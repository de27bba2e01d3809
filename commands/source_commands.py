"""`aliens sources ...`: the places that photos were added from; and `aliens download`, which fills one."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from base import console
from base.console import FilePath, counted, shell_word
from commands import options
from commands.options import LIBRARY, opened, print_notes, print_records, print_report, stopping

if TYPE_CHECKING:
    from indexer.remembered import RememberedSource

sources = typer.Typer(invoke_without_command=True)
downloads = typer.Typer(no_args_is_help=True)
KINDS = {"hotels50k": "Hotels-50K", "hotels50k-test": "Hotels-50K's test"}  # as people call them


@sources.callback()
def list_of_sources(json: options.JsonOption = False, library: options.LibraryOption = LIBRARY) -> None:
    """List the places that photos were added from.

    Each with its photos, what was said of it, when it was looked at, and whether it is there.

    `aliens add` without a path looks at all of them again.

    Examples:
        aliens sources
        aliens sources --json
    """
    with opened(library) as photos:
        found = photos.sources()
    if json:
        print_records(found)
    elif found:
        head = ("place", "kind", "photos", "looked at (UTC)", "said of it", "now")
        console.print_rows(head, [*rows_of_sources(found)])
    else:
        console.note("no folder was added yet: `aliens add FOLDER` does")


def rows_of_sources(found: "Sequence[RememberedSource]") -> list[tuple[object, ...]]:
    """Return a row for each place; photos that were named one by one are told by their folders."""
    rows: dict[str, list[RememberedSource]] = {}
    for source in found:
        place = os.path.dirname(source.place) if source.kind == "file" else source.place
        rows.setdefault(f"{source.kind == 'file'}{place}", []).append(source)
    return [row_of_source(group) for group in rows.values()]


def row_of_source(group: "Sequence[RememberedSource]") -> tuple[object, ...]:
    """Return the row of a place, or of photos in one folder that were named one by one."""
    first, looked = group[0], max((s.looked_at for s in group if s.looked_at is not None), default=None)
    lost = [source for source in group if source.problem is not None]
    now = "there" if not lost else lost[0].problem if len(group) == 1 else f"{len(lost)} are not there"
    single = first.kind != "file" or len(group) == 1
    return (
        FilePath(first.place if single else os.path.dirname(first.place)),
        KINDS.get(first.kind, first.kind) if single else counted(len(group), "file"),
        sum(source.photos for source in group),
        "never to its end" if looked is None else looked.strftime("%Y-%m-%d %H:%M"),
        as_options(first.options) or None,
        now,
    )


def as_options(options: dict[str, Any]) -> str:
    """Return what was said of a place as it is typed."""
    words = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words.append(f"--{name.replace('_', '-')} {shell_word(each)}")
    return " ".join(words)


@sources.command("move")
def move_source(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A folder, .tar file or photo, where it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where it is now.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Photos known at both places, with the same bytes, become one.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even where fewer than half of the photos are at NEW.")
    ] = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Say where photos are now that were moved: a folder, a part of one, a tar or a photo.

    Nothing is read or embedded anew: photos keep numbers, tags, labels, captions and hotels. It is checked first
    that NEW holds what OLD held.

    Examples:
        aliens sources move photos more/photos
    """
    with stopping("stopped: nothing was moved"), opened(library) as photos:
        report = photos.move_source(old, new, merge=merge, force=force)
    if json:
        print_records([report])
        return
    console.say(report)
    print_notes(report.notes, library)


@sources.command("forget")
def forget_place(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="As `aliens sources` lists it, there or not.")],
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Look at a place no more when `aliens add` looks at all; its photos stay.

    `aliens forget PLACE` lets its photos go as well.

    Examples:
        aliens sources forget photos
    """
    with opened(library) as photos:
        left = photos.forget_source(place)
    if json:
        print_records([{"place": place, "photos": left}])
        return
    console.say(f"{place} is looked at no more; {counted(left, 'photo')} of it stay{'s' * (left == 1)}")
    if left:
        print_notes([f"`aliens forget {shell_word(place)}` lets them go"], library)


@downloads.callback()
def download_group() -> None:
    """Download a data set of hotels, for `aliens add`.

    Examples:
        aliens download hotels50k hotels --limit 1000
    """


@downloads.command("hotels50k")
def download_dataset(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="The folder of the data set. Put dataset.tar.gz into it first: input/dataset.tar.gz of "
            "https://github.com/GWUvision/Hotels-50K, or what it holds as dataset/*.csv.",
        ),
    ],
    split: Annotated[
        Literal["train", "unoccluded"],
        typer.Option("--split", help="The training photos, or those of the test, where test_set.csv has addresses."),
    ] = "train",
    side: Annotated[
        int, typer.Option("--side", metavar="PX", help="The longer side of each photo, in pixels; nothing is cut off.")
    ] = 640,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Try N photos at most this time.")] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", help="Processes. Default: as many as there are cores.")
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", help="Photos that each process downloads at once.")
    ] = 32,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try photos again that failed before.")] = False,
    json: options.JsonOption = False,
) -> None:
    """Download the photos of Hotels-50K that its list names and DIR lacks, scaled, as JPEG.

    May be stopped at any time; the same command goes on where it stopped. Many addresses of 2019 and 2020 are dead:
    why is kept in images/train/dead_links.tsv, and told by `aliens failures` once the photos are added.

    Examples:
        aliens download hotels50k hotels --limit 1000
        aliens download hotels50k hotels --threads 64
        aliens add --hotels50k hotels
    """
    from aliens.without_library import download_hotels50k

    report = download_hotels50k(
        root,
        split=split,
        side_px=side,
        limit=limit,
        processes=processes,
        threads=threads,
        retry_failed=retry_failed,
    )
    print_report(report, LIBRARY, json=json)
    if report.interrupted:
        raise typer.Exit(130)
