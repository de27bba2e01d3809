"""Why photos of a list could not be downloaded: a file beside them, which people may read and remove.

Knows nothing of how photos are downloaded.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from base.files import atomic_write

DEAD_LINKS = "dead_links.tsv"
HEAD = "image_id\treason\timage_url\n"
BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")  # what would end a line or a cell, or is no text


class DeadLinks:
    """The record of one split: a line for each photo, with tabs and no quotes; the last word on a photo counts.

    A line that a killed process left half written, or that people broke, is passed over: its photo is tried again.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @cached_property
    def reasons(self) -> dict[int, str]:
        """{number of a photo: why its address gave none}; empty where nothing was recorded, or it cannot be read."""
        return {int(image_id): sys.intern(reason) for image_id, reason, _ in self._rows()}

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        try:
            with open(self.path, encoding="utf-8-sig", errors="replace") as file:
                for line in file:
                    image_id, _, rest = line.rstrip("\n").partition("\t")
                    reason, tab, address = rest.partition("\t")
                    if tab and reason and re.fullmatch("-?[0-9]{1,18}", image_id):
                        yield image_id, reason, address
        except OSError:
            return

    def add(self, rows: Iterable[tuple[int, str, str]]) -> None:
        """Add (number, reason, address) of photos, on disk before it returns. Raises: OSError: it cannot be written."""
        lines = [(image_id, as_cell(reason), as_cell(address)) for image_id, reason, address in rows]
        if not lines:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        with open(descriptor, "r+b", buffering=0) as file:
            size_bytes = os.fstat(descriptor).st_size
            is_cut = size_bytes and os.pread(descriptor, 1, size_bytes - 1) != b"\n"
            start = "\n" if is_cut else "" if size_bytes else HEAD
            file.write((start + "".join("{}\t{}\t{}\n".format(*line) for line in lines)).encode())
            os.fsync(descriptor)
        self.reasons.update({image_id: sys.intern(reason) for image_id, reason, _ in lines})

    def keep(self, image_ids: set[int]) -> None:
        """Drop all but these photos, such as those that lie on disk by now. Raises: OSError: it cannot be written."""
        kept, dropped = {}, False
        for image_id, reason, address in self._rows():
            dropped |= int(image_id) not in image_ids or image_id in kept
            kept[image_id] = f"{image_id}\t{reason}\t{address}\n"
        if dropped:
            with atomic_write(Path(self.path)) as file:
                file.write((HEAD + "".join(line for name, line in kept.items() if int(name) in image_ids)).encode())
            self.__dict__.pop("reasons", None)


def as_cell(text: str) -> str:
    """Return a text without what would end its line or its cell."""
    return BREAKS.sub(" ", text).strip() or "unknown"
