"""Camera raw files are told by their bytes: many are TIFFs of which others would show a tiny preview. Decodes nothing.

Sources: TIFF 6.0, section 2; Adobe's Digital Negative 1.7.1, chapter 4; the makers' formats as LibRaw's `identify` and
ExifTool's tables of tags know them.
"""

import struct
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Literal

from PIL import Image

from embedding.boxes import CR3_BRAND, brands, is_cut_short
from embedding.exif import SILENT, Camera, camera_by

STARTS = (
    b"FUJIFILMCCD-RAW",  # Fujifilm's RAF
    b"FOVb",  # Sigma's X3F
    b"IIRO",  # Olympus' ORF
    b"IIRS",
    b"MMOR",
    b"IIU\0",  # Panasonic's RW2, and Leica's RWL
    b"\0MRM",  # Minolta's MRW
)
Order = Literal["<", ">"]
Directory = dict[int, tuple[int, ...]]
TIFF_STARTS: dict[bytes, Order] = {b"II*\0": "<", b"MM\0*": ">"}
MARKS = ((6, b"HEAPCCDR"), (8, b"CR\x02"), (8, b"IIII"))  # Canon's CRW and CR2, Phase One's IIQ: where, and what
REDUCED, COMPRESSION, PHOTOMETRIC, MAKE, SUB_IFDS, DNG_VERSION = 0xFE, 0x103, 0x106, 0x10F, 0x14A, 0xC612
SENSORS = (32803, 34892)  # of PhotometricInterpretation: a mosaic of colours, and linear raw
RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65000, 65535)  # Sony's, packed, Samsung's, Nikon's, Kodak's, Pentax'
PARTS = ((0x111, 0x117), (0x144, 0x145))  # tags of where the strips or tiles of pixels begin, and how long they are
MOST_TAGS, MOST_VALUES = 512, 4096
MOST_IN_CHAIN, MOST_SUB_IFDS = 8, 16
TYPES = {3: ("H", 2), 4: ("I", 4), 13: ("I", 4)}  # TIFF's of whole numbers, as struct knows them, and their bytes
RAF_START = STARTS[0]
RAF_PARTS = 84  # where Fujifilm's names its preview, its tags and its pixels: offset and length each


def is_camera_raw(data: bytes) -> bool:
    """Tell whether a file is a camera's raw one, by its bytes alone."""
    if data.startswith(STARTS) or CR3_BRAND in brands(data):
        return True
    if any(data.startswith(mark, at) for at, mark in MARKS):
        return True
    order = TIFF_STARTS.get(data[:4])
    return order is not None and is_raw_tiff(data, order)


def is_raw_tiff(data: bytes, order: Order) -> bool:
    """Tell whether a TIFF is a camera's raw file: by its first directory and those below it.

    One whose first picture is a reduced one, and which names the maker of a camera, is one as well.
    """
    first, *others = directories(data, order)
    if DNG_VERSION in first:
        return True
    for directory in (first, *others):
        if directory.get(PHOTOMETRIC, (0,))[0] in SENSORS or directory.get(COMPRESSION, (0,))[0] in RAW_COMPRESSIONS:
            return True
    return MAKE in first and first.get(REDUCED, (0,))[0] & 1 == 1


def raw_is_cut_short(data: bytes) -> bool:
    """Tell whether a raw file says that it has pixels where it has ended already; LibRaw shows them black."""
    if (order := TIFF_STARTS.get(data[:4])) is not None:
        named = [pair for directory in directories(data, order) for pair in pixel_parts(directory)]
    elif data.startswith(RAF_START):
        named = [struct.unpack(">II", data[at : at + 8].ljust(8, b"\0")) for at in range(RAF_PARTS, RAF_PARTS + 24, 8)]
    else:
        return is_cut_short(data)
    return any(start + size_bytes > len(data) for start, size_bytes in named)


def pixel_parts(directory: Directory) -> Iterator[tuple[int, int]]:
    """Yield where the pixels of a directory lie: start and length of each part, in bytes."""
    for starts, lengths in PARTS:
        yield from zip(directory.get(starts, ()), directory.get(lengths, ()), strict=False)


def directories(data: bytes, order: Order) -> list[Directory]:
    """Return a TIFF's directories, the first one first: those in a chain, and those below each, so many at most."""
    (place,) = struct.unpack(f"{order}I", data[4:8].ljust(4, b"\0"))
    found: list[Directory] = []
    while len(found) < MOST_IN_CHAIN and (place or not found):
        directory, place = directory_at(data, order, place)
        found.append(directory)
    below = chain.from_iterable(directory.get(SUB_IFDS, ()) for directory in found)
    return found + [directory_at(data, order, at)[0] for at in islice(below, MOST_SUB_IFDS)]


def directory_at(data: bytes, order: Order, place: int) -> tuple[Directory, int]:
    """Return the numbers of each tag of a TIFF's directory, and where the next one is; 0 where there is none."""
    directory: Directory = {}
    count = struct.unpack_from(f"{order}H", data, place)[0] if place + 2 <= len(data) else 0
    end = place + 2 + 12 * count
    for at in range(place + 2, min(end, place + 2 + 12 * MOST_TAGS, len(data) - 11), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, at)
        code, size_bytes = TYPES.get(kind, ("", 0))
        values = min(values, MOST_VALUES)
        start = at + 8
        if values * size_bytes > 4:
            (start,) = struct.unpack_from(f"{order}I", data, at + 8)
        sound = code and values and start + values * size_bytes <= len(data)
        directory[tag] = struct.unpack_from(f"{order}{values}{code}", data, start) if sound else (0,)
    return directory, struct.unpack_from(f"{order}I", data, end)[0] if count and end + 4 <= len(data) else 0


def camera_of_raw(data: bytes, preview: Camera, taken_at: datetime | None) -> Camera:
    """Return what the camera says of a raw photo: in the file itself, in its preview, or as LibRaw reads the date."""
    said = camera_by(lambda: exif_in(data)) if data[:4] in TIFF_STARTS else SILENT
    place = said if said.latitude is not None else preview
    return Camera(said.taken_at or preview.taken_at or taken_at, place.latitude, place.longitude)


def exif_in(tiff: bytes) -> Image.Exif:
    """Return the tags of a TIFF."""
    exif = Image.Exif()
    exif.load(tiff)
    return exif
