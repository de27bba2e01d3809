"""Tars: which members they hold and where these lie, also of compressed ones and of those that lie elsewhere.

What was learnt of a tar that takes long to look through is kept, until it changes. Knows no photos.
"""

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from cachetools import LRUCache, cached

from base.files import atomic_write, open_regular
from base.forks import fork_lock
from base.records import parse_json
from base.remote import Unreachable, facts_at, opened_url, read_at, streamed
from base.settings import cache_folder
from base.unpacked import PACKED_ENDINGS, UNPACKED, Tell, packing_of
from base.urls import url_of

SIDE_ENDINGS = (".json", ".txt", ".cls")  # of members that say something of the photos beside them
MOST_SIDE_BYTES = 64_000  # of such a member
MOST_SIDES_BYTES = 64_000_000  # of one tar's that are remembered
KEPT_TARS, KEPT_BYTES = 5_000, 1_000_000_000  # of which it is kept what they hold
VERSION = 1  # of what is kept


@dataclass(frozen=True, slots=True)
class TarIndex:
    """What a tar holds.

    members: of its regular files, {name: (offset of its bytes, size in bytes)}. others: of its links, devices and the
    like, {name: what it is}. damaged: whether it goes on unreadably. sides: the bytes of small members beside photos,
    by name, as far as they had to be read anyway.
    """

    members: dict[str, tuple[int, int]]
    others: dict[str, str]
    damaged: bool
    sides: dict[str, str] = field(default_factory=dict)


def is_tar(name: str) -> bool:
    """Tell by its ending whether a file is an uncompressed tar file."""
    return name.lower().endswith(".tar")


def is_any_tar(name: str) -> bool:
    """Tell by its ending whether a file is a tar that can be read, compressed or not."""
    return is_tar(name) or packing_of(name) is not None


def without_tar_ending(name: str) -> str:
    """Return a tar's name without what says that it is one: rooms of rooms.tar.gz."""
    endings = sorted((".tar", *PACKED_ENDINGS), key=len, reverse=True)
    return next((name[: -len(ending)] for ending in endings if name.lower().endswith(ending)), name)


def tar_stamp(path: str) -> int | str:
    """Return what tells a tar's bytes from others: of a file its time of change. Raises: OSError: it cannot be read."""
    return os.stat(path).st_mtime_ns if url_of(path) is None else facts_at(path).stamp


@cached(LRUCache(8), key=lambda path, stamp, tell=None: (path, stamp), lock=fork_lock())
def tar_index(path: str, stamp: int | str, tell: Tell | None = None) -> TarIndex:
    """Return what a tar holds.

    Args:
        path: where it lies.
        stamp: see `tar_stamp`; it keeps a changed tar from being answered from what was kept.
        tell: hears how many bytes of a compressed one were unpacked.

    Raises: OSError, tarfile.TarError: it cannot be read, is no tar, or is compressed otherwise than its ending says.
    """
    if url_of(path) is None and packing_of(path) is None:
        with open_regular(path) as file:
            return index_of(path, file)
    known = KeptIndex(path, stamp)
    index = known.read()
    if index is None:
        with opened_tar(path, stamp, tell) as (file, cut):
            index = index_of(path, file, with_sides=True)
        index = TarIndex(index.members, index.others, index.damaged or cut, index.sides)
        known.write(index)
    return index


@contextmanager
def opened_tar(path: str, stamp: int | str, tell: Tell | None = None) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a tar as if it were not compressed, and yield with it whether its end is lacking.

    Raises: OSError, tarfile.TarError: it cannot be read, or unpacked.
    """
    url, packed = url_of(path), packing_of(path) is not None
    if not packed and url is None:
        with open_regular(path) as plain:
            yield plain, False
    elif not packed and url is not None and gives_parts(url):
        with opened_url(url) as remote:
            yield remote, False
    else:

        def opened() -> BinaryIO:
            return open_regular(path) if url is None else streamed(url)

        unpacked = UNPACKED.get((path, stamp), opened, tell)
        with unpacked.opened() as file:
            yield file, unpacked.cut


def member_bytes(path: str, stamp: int | str, offset: int, size_bytes: int) -> bytes:
    """Return a part of a tar's bytes, of the uncompressed ones. Raises: OSError, tarfile.TarError: as `opened_tar`."""
    url = url_of(path)
    if url is not None and packing_of(path) is None and gives_parts(url):
        return read_at(url, offset, size_bytes)
    with opened_tar(path, stamp) as (file, _):
        file.seek(offset)
        return file.read(size_bytes)


@lru_cache(maxsize=1024)
def gives_parts(url: str) -> bool:
    """Tell whether parts of what lies at an address can be read: some servers only give all of it."""
    try:
        return facts_at(url).size_bytes is not None and len(read_at(url, 1, 1)) == 1
    except (FileNotFoundError, PermissionError, Unreachable):
        raise
    except OSError:
        return False


def index_of(path: str, file: BinaryIO, *, with_sides: bool = False) -> TarIndex:
    """Read the headers of an uncompressed tar. `with_sides`: the small members beside photos as well.

    Raises: OSError, tarfile.TarError: it cannot be read, is no tar, or is compressed.
    """
    members: dict[str, tuple[int, int]] = {}
    others: dict[str, str] = {}
    sides: dict[str, str] = {}
    left_bytes = MOST_SIDES_BYTES if with_sides else 0
    try:
        with tarfile.open(path, "r:", file) as tar:
            for member in tar:
                if member.size < 0:  # tarfile would go back, and round and round
                    raise tarfile.ReadError(f"{member.name} is said to have {member.size} bytes")
                if member.isdir():
                    continue
                members.pop(member.name, None), others.pop(member.name, None)  # of one name the last counts
                sides.pop(member.name, None)
                if member.isreg() and not member.issparse():
                    members[member.name] = (member.offset_data, member.size)
                    if member.name.endswith(SIDE_ENDINGS) and member.size <= min(MOST_SIDE_BYTES, left_bytes):
                        file.seek(member.offset_data)
                        sides[member.name] = file.read(member.size).decode("utf-8", "replace")
                        left_bytes -= member.size
                elif member.islnk() and member.linkname in members:  # a hard link to an earlier member
                    members[member.name] = members[member.linkname]
                else:
                    others[member.name] = kind_of(member)
            end = tar.offset
    except (MemoryError, OverflowError, RecursionError, ValueError) as error:  # of sizes, of headers without end
        raise tarfile.ReadError(f"a header makes no sense: {str(error) or type(error).__name__}") from error
    file.seek(end)  # tarfile takes a damaged header for the end; the real one is empty blocks
    return TarIndex(members, others, damaged=any(file.read(tarfile.BLOCKSIZE)), sides=sides)


def kind_of(member: tarfile.TarInfo) -> str:
    """Return what a member of a tar is that holds no photo's bytes as they are."""
    if member.islnk() or member.issym():
        return f"a link to {member.linkname!r}, and links in a tar are not followed"
    return "a sparse file: pack it without --sparse" if member.isreg() else "a device or a pipe"


class KeptIndex:
    """What a tar holds, kept in a file until the tar changes; where no file can be kept, it is looked through again."""

    def __init__(self, path: str, stamp: int | str) -> None:
        size_bytes = os.stat(path).st_size if url_of(path) is None else None
        key = f"{VERSION}\0{path}\0{stamp}\0{size_bytes}"
        self._file = cache_folder() / "tars" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()}.json.gz"

    def read(self) -> TarIndex | None:
        """Return what was kept, None where nothing was, or where it is damaged."""
        try:
            said = parse_json(gzip.decompress(self._file.read_bytes()))
            members = {name: (int(offset), int(size)) for name, (offset, size) in said["members"].items()}
            return TarIndex(members, dict(said["others"]), bool(said["damaged"]), dict(said["sides"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, index: TarIndex) -> None:
        """Keep what a tar holds, and let go of what was kept longest where there is too much."""
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_write(self._file) as file:
                file.write(gzip.compress(json.dumps(asdict(index)).encode(), compresslevel=1))
            self._let_go()

    def _let_go(self) -> None:
        kept = sorted(
            (entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in os.scandir(self._file.parent)
        )
        total = sum(size for _, size, _ in kept)
        for place, (_, size, path) in enumerate(kept):
            if len(kept) - place <= KEPT_TARS and total <= KEPT_BYTES:
                return
            total -= size
            Path(path).unlink(missing_ok=True)
