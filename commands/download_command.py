"""`aliens download hotels50k`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.options import LIBRARY, JsonOption, print_done

downloads = typer.Typer(no_args_is_help=True)


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
    json: JsonOption = False,
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
    print_done(report, LIBRARY, json=json)
    if report.interrupted:
        raise typer.Exit(130)
