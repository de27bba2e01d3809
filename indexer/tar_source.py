"""Tar files as sources of photos: plain ones, compressed ones, and those at addresses. Decodes nothing."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from base.errors import SourceError
from base.files import storable
from base.remote import facts_at, shown_problem
from base.tars import TarIndex, is_tar, member_bytes, tar_index, tar_stamp
from base.urls import url_of
from indexer.beside import Beside
from indexer.passed_over import START_BYTES, Problem, ending_of
from indexer.sources import BAD_NAME, FoundPhoto, Source, has_photo_ending

TOLD_BYTES = 100_000_000  # unpacked of a tar between two notes


class TarSource(Source):
    """Every photo in a tar file, such as a WebDataset shard, in the order of the file.

    A compressed one is unpacked into a temporary file, once, and one that lies at an address is read by parts. What
    members of the same name say of a photo comes along.
    """

    kind = "tar"

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos.

        Raises: SourceError: the file is no tar, is compressed otherwise than it says, or has a name that cannot be
            stored.
        """
        if self.path != self.root:
            raise SourceError(f"{self.named} cannot be used: {BAD_NAME}")
        url = url_of(self.path)
        try:
            facts = None if url is None else facts_at(url, fresh=True)
            stamp = tar_stamp(self.path)
            mtime_ns, etag = (int(stamp), None) if facts is None else (facts.mtime_ns, facts.etag)
            index = tar_index(self.path, stamp, self._tell)
            yield from self._photos_of(index, stamp, mtime_ns, etag)
        except (OSError, tarfile.TarError) as error:
            raise SourceError(self._unread(error)) from error

    def _unread(self, error: Exception) -> str:
        if isinstance(error, OSError) and (url := url_of(self.path)) is not None:
            return f"{shown_problem(url, error)}: no tar file can be read there"
        why = getattr(error, "strerror", None) or error
        return f"{self.named} cannot be read as {'an uncompressed' if is_tar(self.path) else 'a'} tar file ({why})"

    def _tell(self, unpacked_bytes: int) -> None:
        if unpacked_bytes % TOLD_BYTES < (1 << 20):
            self.tell(f"unpacking {os.path.basename(self.path)}: {unpacked_bytes / 1e9:.1f} GB")

    def _photos_of(
        self, index: TarIndex, stamp: int | str, mtime_ns: int | None, etag: str | None
    ) -> Iterator[FoundPhoto]:
        if index.damaged:
            self.leftovers.problems.append(Problem(self.root, "is damaged: what lies behind the damage is not read"))
            self.leftovers.unread.append(self.root)
        beside = Beside(self.path, stamp, index)
        left_out: set[str] = set()  # folders that were counted
        for member, (offset, size_bytes) in index.members.items():
            if self._is_left_out(member, left_out):
                continue
            if not has_photo_ending(member):
                if member not in beside.used:
                    read_start = partial(self._start_of, stamp, offset, min(size_bytes, START_BYTES))
                    self.leftovers.passed_over.note_file(os.path.basename(member), read_start)
            elif storable(member) != member:
                yield FoundPhoto(self.root, storable(member), failure_kind="name", failure_reason=BAD_NAME)
            else:
                details = beside.details_of(member)
                yield FoundPhoto(self.root, member, size_bytes, mtime_ns, etag=etag, details=details)
        for member, kind in index.others.items():
            if has_photo_ending(member) and not self._is_left_out(member, left_out):
                yield FoundPhoto(self.root, storable(member), failure_kind="unreadable", failure_reason=kind)

    def _start_of(self, stamp: int | str, offset: int, size_bytes: int) -> bytes:
        if url_of(self.path) is not None:
            return b""  # no request for what is passed over
        with suppress(OSError, tarfile.TarError):
            return member_bytes(self.path, stamp, offset, size_bytes)
        return b""

    def _is_left_out(self, member: str, counted: set[str]) -> bool:
        """Tell whether a member is not looked at, and count it, or its folder once."""
        found = self.left_out(self.path, member)
        if found is None:
            return False
        kind, place = found
        is_folder = kind.endswith("_folder")
        if place not in counted:
            self.leftovers.passed_over.note(kind, os.path.basename(place) if is_folder else ending_of(place))
        counted.update([place] * is_folder)
        return True
