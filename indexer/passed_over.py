"""What a source passes over: files of other kinds and folders that are left out, counted by kind, each with its remedy.

Which endings are read is said here as well, so that none is of both.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from base.console import one_line
from base.files import open_regular
from embedding.boxes import is_heif, is_jxl
from embedding.camera_raw import is_camera_raw

MOST_NAMES = 100  # of one kind that are counted one by one
SHOWN = 3  # of them in a sentence
LONGEST_ENDING = 12  # characters: what is longer is part of a name
LOOKS = 1_000  # files of one source that are looked into
MISSES = 100  # files of one ending that may turn out to be no pictures before the rest are no longer looked into
START_BYTES = 32  # that tell what a file is; of a camera's raw that is a TIFF, that it is a picture


ENDINGS_READ = (
    ".jfif .jpe .jpeg .jpg .mpo .j2c .j2k .jp2 .jpc .jpf .jpx "  # JPEG and JPEG 2000
    ".apng .bmp .gif .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp "
    ".avif .avifs .heic .heics .heif .heifs .hif .jxl "
    # Camera raw; without .raw and the others below, which other programs use as well.
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf "
    ".rw2 .rwl .sr2 .srf .srw .x3f"
)
PHOTO_ENDINGS = frozenset(ENDINGS_READ.split())


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that could not be used; `where` is a file, or a file and its line."""

    where: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of file or folder that is passed over.

    one, many: what it is called. remedy: what makes photos of it, "" where nothing does. endings: by which its files
    are known, in small letters, with spaces between them. is_file: whether it counts among the other files. says:
    whether endings or names are shown beside the number.
    """

    one: str
    many: str
    remedy: str = ""
    endings: str = ""
    is_file: bool = True
    says: bool = True


KINDS = {
    "raw": Kind(
        one="file that may be camera raw",
        many="files that may be camera raw",
        remedy="name one by one if they are",
        endings=".ari .bay .cap .mdc .raw",
    ),
    "other_picture": Kind(
        one="picture of another format",
        many="pictures of other formats",
        remedy="save as JPEG or PNG first",
        endings=".ai .dds .eps .exr .hdr .icns .ico .jxr .pcx .psb .psd .svg .svgz .wdp .xcf",
    ),
    "video": Kind(
        one="video",
        many="videos",
        endings=".3gp .avi .flv .insv .lrv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
        says=False,
    ),
    "archive": Kind(one="archive", many="archives", remedy="unpack first", endings=".7z .rar .zip"),
    "compressed_tar": Kind(
        one="compressed tar",
        many="compressed tars",
        remedy="name as a PATH of its own to add it, or pack again as .tar",
        endings=".tar.bz2 .tar.gz .tar.lz4 .tar.lzma .tar.xz .tar.z .tar.zst .tbz .tbz2 .tgz .tlz .txz .tzst",
    ),
    "picture": Kind(
        one="picture by its bytes, whose ending is not read",
        many="pictures by their bytes, whose endings are not read",
        remedy="rename, or name one by one",
    ),
    "unfinished": Kind(
        one="unfinished download",
        many="unfinished downloads",
        endings=".crdownload .download .part .partial",
        says=False,
    ),
    "sidecar": Kind(one="sidecar", many="sidecars", endings=".aae .cos .dop .pp3 .thm .xmp"),
    "system_file": Kind(one="system file", many="system files"),
    "link": Kind(one="link to what is found anyway", many="links to what is found anyway", says=False),
    "other": Kind(one="other file", many="other files"),
    "excluded": Kind(one="excluded file", many="excluded files", is_file=False),
    "hidden": Kind(one="hidden", many="hidden", is_file=False, says=False),
    "system_folder": Kind(one="system folder", many="system folders", is_file=False),
    "excluded_folder": Kind(one="excluded folder", many="excluded folders", is_file=False),
    "linked_folder": Kind(
        one="linked folder not followed",
        many="linked folders not followed",
        remedy="name as a PATH of its own to add it",
        is_file=False,
    ),
}
BY_ENDING = {ending: kind for kind, about in KINDS.items() for ending in about.endings.split()}
# Windows' and Picasa's, in small letters since both are written in several ways; macOS' Icon ends in a return.
SYSTEM_FILES = frozenset(("desktop.ini", "ehthumbs.db", "ehthumbs_vista.db", "icon\r", "picasa.ini", "thumbs.db"))

PICTURE_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF, and many a camera's raw
    b"MM\0*",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",
)
# WebP, BMP and the netpbm formats, whose first bytes vary.
PICTURE_START = re.compile(rb"RIFF....WEBP|BM.{4}\0\0\0\0|P[1-6]\s+(#|\d+\s)", re.DOTALL)


@dataclass(slots=True)
class PassedOver:
    """How many files and folders were passed over, by kind; of each kind, which endings or names they have."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, Counter[str]] = field(default_factory=dict)
    looks: int = 0  # into files of unknown endings
    _misses: Counter[str] = field(default_factory=Counter)

    @property
    def files(self) -> int:
        """How many other files there were."""
        return sum(count for kind, count in self.counts.items() if KINDS[kind].is_file)

    def note(self, kind: str, name: str = "", count: int = 1) -> None:
        """Count something; `name`: its ending, or a folder's name or place."""
        self.counts[kind] += count
        named = self.names.setdefault(kind, Counter())
        if name in named or len(named) < MOST_NAMES:
            named[name] += count

    def note_file(self, name: str, read_start: Callable[[], bytes]) -> None:
        """Count a file by its ending, or by its first bytes where no kind has the ending.

        Only so many are looked into: it costs an open file each, and most endings hold pictures always or never.
        """
        ending = ending_of(name)
        kind = kind_by_name(name, ending)
        if kind == "other" and self.looks < LOOKS and self._misses[ending] < MISSES:
            self.looks += 1
            kind = kind_by_bytes(read_start()) or kind
            self._misses[ending] += kind == "other"
        self.note(kind, name if kind == "system_file" else ending)

    def update(self, other: "PassedOver") -> None:
        """Count what another source passed over."""
        self.looks = max(self.looks, other.looks)
        self.counts.update(other.counts)
        for kind, named in other.names.items():
            for name, count in named.items():
                mine = self.names.setdefault(kind, Counter())
                if name in mine or len(mine) < MOST_NAMES:
                    mine[name] += count

    def as_json(self) -> dict[str, Any]:
        """Return {kind: its count, and the counts of its commonest endings or names}."""
        return {
            kind: {"count": self.counts[kind], "names": dict(self.names[kind].most_common())}
            for kind in KINDS
            if self.counts[kind]
        }

    def __str__(self) -> str:
        return ", ".join(self.lines())

    def lines(self) -> list[str]:
        """Return what may hold photos, with how to have them, and what else there was: a line each, or none."""
        met = [kind for kind in KINDS if self.counts[kind]]
        parts = ([kind for kind in met if bool(KINDS[kind].remedy) is wanted] for wanted in (True, False))
        return [", ".join(map(self._said, kinds)) for kinds in parts if kinds]

    def _said(self, kind: str) -> str:
        about, count, named = KINDS[kind], self.counts[kind], self.names[kind]
        said = [f"{name or 'no ending'} {number}" for name, number in named.most_common(SHOWN)]
        if kind == "linked_folder" or len(named) == 1:
            said = [name or "no ending" for name, _ in named.most_common(SHOWN)]
        said += ["..."] * (len(named) > SHOWN)
        details = ": ".join(filter(None, (", ".join(said) if about.says else "", about.remedy)))
        more = " or more" if kind == "picture" and self.looks >= LOOKS else ""
        return one_line(f"{count}{more} {about.one if count == 1 else about.many}" + (f" ({details})" * bool(details)))


@dataclass(slots=True)
class Leftovers:
    """What a source met besides photos; complete once its photos have been read."""

    problems: list[Problem] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)
    unread: list[str] = field(default_factory=list)  # folders and tars whose photos nobody can tell


def ending_of(name: str) -> str:
    """Return a file's ending in small letters, such as .jpg or .tar.gz, "" where it has none."""
    stem, ending = os.path.splitext(name.lower())
    if stem.endswith(".tar"):
        ending = f".tar{ending}"
    return ending if len(ending) <= LONGEST_ENDING else ""


def kind_by_name(name: str, ending: str) -> str:
    """Return the kind of a file that is not read, by its name and ending."""
    return "system_file" if name.lower() in SYSTEM_FILES else BY_ENDING.get(ending, "other")


def kind_by_bytes(start: bytes) -> str | None:
    """Return the kind of a file by its first bytes, None where they are those of no picture."""
    if start.startswith(PICTURE_STARTS) or PICTURE_START.match(start):
        return "picture"
    return "picture" if is_heif(start) or is_jxl(start) or is_camera_raw(start) else None


def start_of(path: str, offset: int = 0, size_bytes: int = START_BYTES) -> bytes:
    """Return a file's first bytes, or those of a part of it; none where it cannot be read."""
    try:
        with open_regular(path) as file:
            file.seek(offset)
            return file.read(min(size_bytes, START_BYTES)) or b""
    except OSError:
        return b""
