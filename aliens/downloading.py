"""Downloading the photos of Hotels-50K, which needs no library."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from base.progress import Progress
    from indexer.downloads import DownloadReport


def download_hotels50k(
    root: str | PathLike[str],
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
