"""Downloading the photos that a list of Hotels-50K names: what is wanted, img2dataset at work, and a report.

What came lies where `aliens add` looks for it as soon as it is whole, so that a run may be stopped in any way.
"""

import errno
import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from base.console import counted, one_line
from base.errors import AliensError, OutputError, QueryError, SourceError
from base.progress import Progress, Step, silent
from indexer import img2dataset_process
from indexer.dataset_lists import unpack_lists
from indexer.harvest import Harvest
from indexer.hotels50k import IMAGE_FOLDERS, TRAIN, Hotels50kSource, ListedPhoto

DOWNLOADABLE = (TRAIN, "unoccluded")  # what covers the others was put there by the authors
SHARD_PHOTOS = 1_000  # what img2dataset tells of at once: of the failures a kill costs so many for each process
POLL_S = 0.3
STALLED_S = 900.0  # without a photo or a failure: a server that sends a byte now and then is waited for no longer
ADDRESSES, WRITTEN_AT_ONCE = "wanted.parquet", 50_000
LEAST_FREE_BYTES = 100_000_000
TAIL_LINES = 3  # of what img2dataset printed
MOST_REASONS = 8  # in a summary
UNADDRESSED = "its list names no web address"
WORK = ".downloading"  # in the folder of the split: what is not whole yet


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadOptions:
    """How photos are downloaded.

    side_px: the longer side, to which each is scaled, up or down. limit: photos to try at most. processes: None: as
    many as there are cores. threads: that download at once, in each process. retry_failed: try again what failed.
    """

    side_px: int = 640
    limit: int | None = None
    processes: int | None = None
    threads: int = 32
    retry_failed: bool = False

    def __post_init__(self) -> None:
        """Raises: QueryError: a value makes no sense."""
        for name, least in (("side_px", 16), ("limit", 1), ("processes", 1), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                option = {"side_px": "side"}.get(name, name)
                raise QueryError(f"--{option} is {value}: it has to be at least {least}")


@dataclass(kw_only=True, slots=True)
class DownloadReport:
    """What a download did, in photos.

    there: on disk before. known_dead: not tried, since they failed before. unanswered: of the failed, those
    whose servers gave no answer, and which the next run tries again. reasons: {why: how many} of those that failed now.
    left: to be tried by the next run. unsound: problems of the lists, the first of which is named. note:
    what else people should know.
    """

    folder: str
    split: str
    listed: int = 0
    there: int = 0
    known_dead: int = 0
    downloaded: int = 0
    failed: int = 0
    unanswered: int = 0
    left: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    unsound: int = 0
    first_unsound: str = ""
    interrupted: bool = False
    seconds: float = 0.0
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)

    def __str__(self) -> str:
        rate = f" ({self.downloaded / self.seconds:.1f} photos/s)" if self.downloaded and self.seconds else ""
        lines = [
            f"{counted(self.listed, 'photo')} listed, {self.there} were there",
            f"downloaded {counted(self.downloaded, 'photo')} in {self.seconds:.1f} s{rate}, {self.failed} failed",
        ]
        lines += [one_line(f"  {why}: {counted(n, 'photo')}") for why, n in list(self.reasons.items())[:MOST_REASONS]]
        more = list(self.reasons.values())[MOST_REASONS:]
        lines += [f"  {len(more)} other reasons: {counted(sum(more), 'photo')}"] * bool(more)
        return "\n".join(lines)

    @property
    def notes(self) -> list[str]:
        """What people should know besides, with the remedies."""
        said = [self.note] * bool(self.note)
        if self.unsound:
            said.append(
                f"{counted(self.unsound, 'problem')} in the lists, such as {self.first_unsound}: `aliens failures` "
                "names all of them once the photos are added"
            )
        if self.known_dead:
            were = "was" if self.known_dead == 1 else "were"
            said.append(
                f"{counted(self.known_dead, 'photo')} that failed before {were} not tried again: --retry-failed does so"
            )
        if self.unanswered:
            said.append(
                f"servers of {counted(self.unanswered, 'photo')} gave no answer, as where the network is down: the "
                "next run tries again"
            )
        if self.left:
            said.append(f"{counted(self.left, 'photo')} to go: the same command goes on from here")
        return said


def download_photos(
    root: Path,
    split: str = TRAIN,
    options: DownloadOptions = DownloadOptions(),
    progress: Progress = silent,
) -> DownloadReport:
    """Download the photos that a tree's list names and that it lacks, scaled, as JPEG.

    Args:
        root: of the tree, with its CSV files or the archive of them.
        split: train or unoccluded.
        options: how.
        progress: told of looking and of downloading.

    Raises:
        QueryError: there is no such split, or none that can be downloaded.
        SourceError: there are no lists, no addresses, or nothing can be reached.
        OutputError: the disk is full or cannot be written, or another process downloads there.
        AliensError: img2dataset is not installed, or fails.
    """
    check_wanted(split)
    try:
        unpack_lists(root)
        if find_spec("img2dataset") is None:
            raise AliensError("photos are downloaded by img2dataset, which is absent: `pip install -e '.[download]'`")
        images = Path(os.path.realpath(root), IMAGE_FOLDERS[split])
        images.mkdir(parents=True, exist_ok=True)
        source = Hotels50kSource(root, split)
        with alone(images):
            take_left(source, images)
            report = DownloadReport(folder=str(images), split=split)
            try:
                (images / WORK).mkdir()
                wanted = write_addresses(images / WORK, missing_photos(source, report, options, progress), source)
                report.unsound = len(source.leftovers.problems)
                for problem in source.leftovers.problems[:1]:
                    report.first_unsound = f"{problem.where}: {problem.reason}"
                if wanted:
                    fetch_wanted(wanted, options, Harvest(str(images), source.dead_links), report, progress)
            finally:
                shutil.rmtree(images / WORK, ignore_errors=True)
            return report
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(root) from error
        raise OutputError(f"{error.filename or root} cannot be written: {error.strerror or error}") from error


def check_wanted(split: str) -> None:
    """Refuse splits that cannot be downloaded. Raises: QueryError."""
    if split not in DOWNLOADABLE:
        known = split in IMAGE_FOLDERS
        raise QueryError(
            f"{split!r} cannot be downloaded photo by photo: the authors covered parts of its photos, and publish them "
            "as the archive test.tar.lz4, to be unpacked in the tree's folder images"
            if known
            else f"{split!r} is no split that can be downloaded: choose one of {', '.join(DOWNLOADABLE)}"
        )


@contextmanager
def alone(images: Path) -> Iterator[None]:
    """Let one process at a time download into a folder. Raises: OutputError: another one does."""
    descriptor = os.open(images, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"another process downloads photos into {images}: wait for it to end") from None
        yield
    finally:
        os.close(descriptor)


def take_left(source: Hotels50kSource, images: Path) -> None:
    """Take in what a run that was killed had fetched. Raises: OSError: a photo cannot be put in its place."""
    harvest = Harvest(str(images), source.dead_links)
    with suppress(SourceError):  # where it reached no server its photos are tried again
        harvest.take(images / WORK)
        harvest.end()
    shutil.rmtree(images / WORK, ignore_errors=True)


def missing_photos(
    source: Hotels50kSource, report: DownloadReport, options: DownloadOptions, progress: Progress
) -> Iterator[ListedPhoto]:
    """Yield the photos that are to be downloaded, with addresses as they are asked for, and count the others.

    Raises: SourceError: the list names no photo, or no address.
    """
    wanted, missing, unaddressed = 0, set[int](), list[tuple[int, str, str]]()
    for photo in source.listed_photos():
        report.listed += 1
        progress(Step("looking for photos", report.listed))
        found = source.found(photo)
        address = web_address(photo.address)
        if found.size_bytes:  # of none a power cut has left the name alone
            report.there += 1
            continue
        missing.add(photo.image_id)
        is_dead = photo.image_id in source.dead_links.reasons
        if address is None:
            unaddressed.append((photo.image_id, UNADDRESSED, photo.address))
            report.known_dead += is_dead
        elif is_dead and not options.retry_failed:
            report.known_dead += 1
        elif options.limit is None or wanted < options.limit:
            wanted += 1
            yield replace(photo, address=address)
        else:
            report.left += 1
    if not report.listed:
        raise SourceError(f"{source.list_name} of {source.tree} lists no photo")
    if len(unaddressed) == report.listed:
        raise SourceError(
            f"{source.list_name} of {source.tree} names no addresses: photos of the test are published as the archive "
            "test.tar.lz4, to be unpacked in the tree's folder images"
        )
    source.dead_links.keep(missing)
    new = [row for row in unaddressed if row[0] not in source.dead_links.reasons]
    source.dead_links.add(new)
    report.failed += len(new)
    report.reasons |= {UNADDRESSED: len(new)} if new else {}


def web_address(text: str) -> str | None:
    """Return an address as it can be asked for, with its letters escaped; None where it is none of the web."""
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host:
        return None
    try:
        place = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except UnicodeError:
        return None
    rest = "".join(
        mark * bool(part) + quote(part, safe="/%:=&?~#+!$,;'@()*[]", errors="replace")
        for mark, part in (("", parts.path), ("?", parts.query))
    )
    return f"{parts.scheme.lower()}://{place}{rest}"


def fetch_wanted(
    wanted: int,
    options: DownloadOptions,
    harvest: Harvest,
    report: DownloadReport,
    progress: Progress,
) -> None:
    """Have img2dataset fetch so many photos, put what comes in its place, and complete the report.

    Raises: SourceError: nothing can be reached; OutputError: the disk is full; AliensError: img2dataset fails.
    """
    start = time.monotonic()
    work = Path(harvest.images, WORK)
    code: int | None = None
    try:
        with img2dataset_at_work(work, wanted, options) as process:
            code = watch(process, work, wanted, harvest, report, progress)
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        harvest.take(work)
        harvest.end()
        report.downloaded, report.seconds = harvest.moved, round(time.monotonic() - start, 3)
        report.failed += harvest.failed
        report.unanswered = harvest.unanswered
        report.reasons |= dict((+harvest.reasons).most_common())
        report.left += wanted - harvest.moved - harvest.failed
    if code not in (None, 0, -signal.SIGKILL):
        raise AliensError(f"img2dataset ended with code {code}: {last_words(work)}; what had come is kept")


def write_addresses(work: Path, wanted: Iterator[ListedPhoto], source: Hotels50kSource) -> int:
    """Write what img2dataset is to fetch, addresses and places below the split's folder; return how many there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"url": pa.string(), "image_id": pa.int64(), "place": pa.string()})
    written = 0
    with pq.ParquetWriter(work / ADDRESSES, schema) as file:
        while photos := list(islice(wanted, WRITTEN_AT_ONCE)):
            columns = [
                [photo.address for photo in photos],
                [photo.image_id for photo in photos],
                [source.place_of(photo) for photo in photos],
            ]
            file.write_table(pa.table(columns, schema=schema))
            written += len(photos)
    return written


@contextmanager
def img2dataset_at_work(work: Path, photos: int, options: DownloadOptions) -> Iterator[subprocess.Popen[bytes]]:
    """Run img2dataset in a process of its own, which has ended when this has, with all that it started."""
    processes = min(options.processes or os.cpu_count() or 1, photos)
    arguments = {
        "url_list": str(work / ADDRESSES),
        "input_format": "parquet",
        "url_col": "url",
        "save_additional_columns": ["image_id", "place"],
        "output_folder": str(work / "shards"),
        "output_format": "files",
        "image_size": options.side_px,
        "resize_mode": "keep_ratio_largest",
        "encode_quality": 95,  # as OpenCV writes JPEG, by which the published script does
        "processes_count": processes,
        "thread_count": min(options.threads, photos),
        "number_sample_per_shard": max(min(SHARD_PHOTOS, math.ceil(photos / processes)), 2),
        "extract_exif": False,
        "compute_hash": None,
        "enable_wandb": False,
    }
    (work / "shards").mkdir()
    with open(work / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", img2dataset_process.__file__, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | img2dataset_process.ENVIRONMENT,
            start_new_session=True,  # so that Ctrl-C is not its own
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()  # type: ignore[union-attr] # it is a pipe


def watch(
    process: subprocess.Popen[bytes],
    work: Path,
    photos: int,
    harvest: Harvest,
    report: DownloadReport,
    progress: Progress,
) -> int | None:
    """Put in its place what comes, until img2dataset has ended, and return its exit code; None: it was stopped.

    Raises: SourceError: nothing can be reached; OutputError: the disk is full.
    """
    heard_at = time.monotonic()
    ended = False
    while not ended:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
            ended = True
        if harvest.take(work):
            heard_at = time.monotonic()
        failed = f"{harvest.failed} failed" if harvest.failed else ""
        progress(Step("downloading", harvest.moved + harvest.failed, photos, note=failed))
        if shutil.disk_usage(work).free < LEAST_FREE_BYTES:
            raise disk_full(work.parent)
        if time.monotonic() - heard_at > STALLED_S:
            report.note = f"stopped, since nothing came for {STALLED_S / 60:.0f} minutes"
            return None
    if process.returncode == -signal.SIGKILL:
        report.note = "img2dataset was killed before its end, as happens where memory runs short: try fewer --processes"
    return process.returncode


def disk_full(where: Path) -> OutputError:
    """Return the error of a full disk."""
    return OutputError(
        f"the disk that holds {where} is full: free some space and run the same command again; what had come is kept"
    )


def last_words(work: Path) -> str:
    """Return the end of what img2dataset printed."""
    with suppress(OSError):
        lines = (work / "log").read_text("utf-8", "replace").split("\n")
        return one_line(" / ".join([line.strip() for line in lines if line.strip()][-TAIL_LINES:]))[-500:]
    return "it said nothing"
