"""What needs no library: downloading the photos of Hotels-50K, and checking an engine before its first photo."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from base.progress import Progress
    from indexer.downloads import DownloadReport
    from restyle.engines.first_run import Check

Where = str | os.PathLike[str]  # as aliens/owner.py has it, which imports SQLAlchemy


def download_hotels50k(
    root: Where,
    *,
    split: str = "train",
    side_px: int = 640,
    limit: int | None = None,
    processes: int | None = None,
    threads: int = 32,
    retry_failed: bool = False,
    progress: "Progress | None" = None,
) -> "DownloadReport":
    """Download the photos that a Hotels-50K tree lists and lacks; `library.add(hotels50k=root)` adds them then.

    May be stopped at any time; the same call goes on where it stopped. Why a photo could not be had is kept in
    images/train/dead_links.tsv, and is its reason among a library's failures.

    Args:
        root: of the tree, which holds dataset/*.csv, or dataset.tar.gz as its authors publish it.
        split: train, or unoccluded, where test_set.csv names addresses.
        side_px: the longer side, to which every photo is scaled; nothing is cut off.
        limit: photos to try at most this time.
        processes: to download in; None: as many as there are cores.
        threads: of each process.
        retry_failed: try photos again that failed before.
        progress: told of looking and downloading.

    Raises:
        QueryError: there is no such split, or a value makes no sense.
        SourceError: there are no lists or no addresses, or no server answers.
        OutputError: the disk is full or cannot be written, or another process downloads there.
        AliensError: img2dataset is not installed, or fails.
    """
    from base.progress import shown
    from indexer.downloads import DownloadOptions, download_photos

    options = DownloadOptions(
        side_px=side_px, limit=limit, processes=processes, threads=threads, retry_failed=retry_failed
    )
    with shown(progress) as tell:
        return download_photos(Path(root), split, options, tell)


def check_engine(
    engine: str,
    *,
    preset: Literal["lcm", "turbo"] | None = None,
    controls: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    offload: bool = False,
    longest_px: int | None = None,
    palette: Where | None = None,
    fetch: bool = False,
    output: Where | None = None,
    on_examined: "Callable[[Check], None]" = lambda check: None,
) -> "Check":
    """Check whether `library.restyle` would work with an engine: what it needs, what there is, and one small photo.

    Nothing is fetched but what the hub says of its files, unless that is asked for. Prints as a report.

    Args:
        engine: regrade, grow, sd15, sdxl, klein, a model's name on the hub or its folder.
        preset: few steps, for CPUs: lcm or turbo.
        controls: control maps to begin with, such as softedge.
        device: auto, cpu, cuda or mps.
        precision: what the engine computes in: auto, float32, bfloat16 or float16.
        offload: less memory on the device, and slower.
        longest_px: the longer side that is to be painted.
        palette: fern, emerald, lagoon, moss or a .toml file; by default fern.
        fetch: fetch the weights that are missing, and then paint.
        output: a folder for the photo beside what became of it.
        on_examined: called with what was found, before anything is fetched or painted.

    Raises:
        EngineError: there is no such engine, preset, control or device, or packages are missing.
        OutputError: the folder cannot be written.
    """
    from restyle.engines import first_run
    from restyle.palettes import DEFAULT_PALETTE, read_palette

    asked = first_run.EngineChoice(
        engine=engine,
        device=device,
        precision=precision,
        preset=preset,
        offload=offload,
        longest_px=longest_px,
        controls=list(controls) or None,
        palette=read_palette(os.fspath(palette or DEFAULT_PALETTE)),
    )
    folder = None if output is None else Path(output)
    return first_run.check_and_try(asked, fetch=fetch, output=folder, on_examined=on_examined)
