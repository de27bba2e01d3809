"""Photos that img2dataset has fetched, put in their places, and its failures, put on record. Starts no process.

Of each photo it writes NNN.jpg, then NNN.json, into the folder of a shard; when a shard is done, a table of all its
photos beside that folder, then NNNNN_stats.json.
"""

import os
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from base.errors import SourceError
from base.records import parse_json
from indexer.dead_links import DeadLinks

STATS = "_stats.json"
NO_ANSWER = "no answer: "
MOST_UNREACHED = 1_000  # photos in a row, of several servers, after which there is no network
FEW_UNREACHED = 20  # addresses that may all be dead though there is one


class Harvest:
    """What one run has brought: photos moved, failures with their reasons.

    A link is dead where its server says so, or is silent in all of the run while others beside it answer. Else the
    network may have been down: such a photo is tried again by the next run.
    """

    def __init__(self, images: str, dead_links: DeadLinks) -> None:
        self.images = images
        self.moved = 0
        self.failed = 0
        self.unanswered = 0  # of those that failed: not put on record
        self.reasons = Counter[str]()
        self._dead_links = dead_links
        self._silent: list[tuple[int, str, str]] = []  # since a server answered
        self._hosts: set[str] = set()  # that have answered
        self._done: set[str] = set()

    def take(self, work: Path) -> int:
        """Take in what is whole, and return how many photos came or failed.

        Raises:
            OSError: a photo cannot be put in its place.
            SourceError: no server answers.
        """
        before = self.moved + self.failed
        for entry in entries_in(work / "shards"):
            if entry.is_dir() and entry.name != "_tmp":
                self._take_photos(Path(entry.path))
        for entry in entries_in(work / "shards"):
            if entry.name.endswith(STATS) and entry.name not in self._done:
                self._done.add(entry.name)
                self._take_failures(work / "shards" / (entry.name.removesuffix(STATS) + ".parquet"))
        return self.moved + self.failed - before

    def end(self) -> None:
        """Say so where no server answered in the end. Raises: SourceError."""
        if len(self._silent) > FEW_UNREACHED:
            raise self._unreached()

    def _take_photos(self, shard: Path) -> None:
        for entry in entries_in(shard):
            if not entry.name.endswith(".json"):
                continue
            try:
                place = parse_json(Path(entry.path).read_bytes())["place"]
            except ValueError:  # it is being written
                continue
            target = os.path.join(self.images, place)
            photo = entry.path.removesuffix(".json") + ".jpg"
            if os.path.exists(photo):  # or a run was killed once it had put it there
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.replace(photo, target)
                self.moved += 1
            os.unlink(entry.path)

    def _take_failures(self, table: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = ["image_id", "url", "status", "error_message"]
        try:
            rows = pq.read_table(table, columns=columns).to_pylist()
        except (OSError, pa.ArrowException):  # those photos are tried again
            return
        failures = [
            (row["image_id"], reason_of(row["error_message"]), row["url"]) for row in rows if row["status"] != "success"
        ]
        silent = [failure for failure in failures if failure[1].startswith(NO_ANSWER)]
        answered = {row["url"] for row in rows} - {address for _, _, address in silent}
        self._hosts |= set(map(host_of, answered))
        lost = [failure for failure in silent if not answered or host_of(failure[2]) in self._hosts]
        self.failed += len(failures)
        self.unanswered += len(lost)
        self.reasons.update(reason for _, reason, _ in failures)
        self._dead_links.add(sorted({*failures} - {*lost}))
        self._silent = [] if answered else self._silent + silent
        if len(self._silent) >= MOST_UNREACHED and len({host_of(address) for _, _, address in self._silent}) > 1:
            raise self._unreached()

    def _unreached(self) -> SourceError:
        _, reason, address = self._silent[0]
        number = len(self._silent)
        self.failed -= number
        self.unanswered -= number
        self.reasons.subtract(reason for _, reason, _ in self._silent)
        self._silent.clear()
        return SourceError(
            f"none of {number} addresses answered, such as {address} ({reason}): see that there is a network, "
            "and run the same command again"
        )


def host_of(address: str) -> str:
    """Return the server that an address names."""
    return urlsplit(address).netloc


def entries_in(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds; nothing where there is none."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def reason_of(message: str | None) -> str:
    """Return why a photo did not come, in words that are equal where the reason is.

    Of img2dataset's messages: those of urllib, http.client and ssl as they are, without their brackets and numbers.
    """
    text = re.sub(r"^<urlopen error (.*)>$", r"\1", (message or "").strip(), flags=re.DOTALL)
    text, unreached = re.sub(r"\[Errno -?\d+\] ", "", text), text != (message or "").strip()
    if text.startswith("HTTP Error"):
        return text
    if "IncompleteRead" in text:
        return "the connection was cut"
    if "decod" in text.lower() or "OpenCV" in text:
        return "what came is no picture that can be read"
    if unreached or text in ("timed out", "The read operation timed out"):
        return NO_ANSWER + text
    return text or "unknown"
