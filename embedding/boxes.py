"""Photos in boxes: HEIF, AVIF, JPEG XL and Canon's CR3 are told apart, and what was cut short. Decodes no pixels.

Sources: ISO/IEC 14496-12, 4.2 (boxes) and 4.3 (brands); ISO/IEC 23008-12, 10.2 (HEIF); ISO/IEC 18181-1, annex D, and
18181-2, 9 (JPEG XL).
"""

from collections.abc import Iterator
from typing import NamedTuple

FILE_TYPE = b"ftyp"
AVIF_BRANDS = frozenset((b"avif", b"avis"))
HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
OTHER_HEIF_BRANDS = frozenset((b"mif1", b"mif2", b"msf1", b"miaf"))  # which do not say how the pixels are coded
CR3_BRAND = b"crx "
JXL_STREAM, JXL_BOXES = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
LONGEST_TYPE_BOX = 256  # bytes: some 60 brands
PICTURE_BOXES = frozenset((b"meta", b"mdat", b"idat", b"moov", b"jxlc", b"jxlp"))  # with pixels, or where they are
JXL_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
JXL_SIDE_BITS = (9, 13, 18, 30)
CUT_SHORT = "the file is truncated: its last bytes are missing"
TURNED_FROM = 5  # of orientations, which are those of EXIF: from here on width and height are swapped


class Box(NamedTuple):
    """A box: where its content starts and ends; the end may lie behind the file's."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes) -> Iterator[Box]:
    """Yield the outermost boxes, until there is no more, or what follows is none."""
    place = 0
    while place + 8 <= len(data):
        size_bytes, kind, head = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8], 8
        if size_bytes == 1:
            size_bytes, head = int.from_bytes(data[place + 8 : place + 16]), 16
        elif size_bytes == 0:  # it goes on to the end
            size_bytes = len(data) - place
        if size_bytes < head or not kind.isascii():
            return
        yield Box(kind, place + head, place + size_bytes)
        place += size_bytes


def is_cut_short(data: bytes) -> bool:
    """Tell whether a file of boxes ends before its pixels do.

    Decoders of HEIF tell nobody: they leave the tiles black that are not there.
    """
    return any(box.kind in PICTURE_BOXES and box.end > len(data) for box in boxes(data))


def brands(data: bytes) -> frozenset[bytes]:
    """Return the brands that a file of boxes claims by its first one; none where it claims none."""
    if data[4:8] != FILE_TYPE:
        return frozenset()
    end = min(int.from_bytes(data[:4]), LONGEST_TYPE_BOX)
    return frozenset((data[8:12], *(data[at : at + 4] for at in range(16, end, 4))))


def is_heif(data: bytes) -> bool:
    """Tell whether a file claims to be a HEIF or AVIF, whatever its pixels are coded by."""
    return not brands(data).isdisjoint(AVIF_BRANDS | HEIF_BRANDS | OTHER_HEIF_BRANDS)


def is_avif(data: bytes) -> bool:
    """Tell whether a file claims to be an AVIF, and not first of all a HEIC."""
    return data[8:12] not in HEIF_BRANDS and not brands(data).isdisjoint(AVIF_BRANDS)


def is_jxl(data: bytes) -> bool:
    """Tell whether a file is a JPEG XL."""
    return data.startswith((JXL_STREAM, JXL_BOXES))


def jxl_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG XL in pixels, upright, as its header says.

    Raises: ValueError: there is no such header.
    """
    stream = jxl_stream(data)
    if not stream.startswith(JXL_STREAM):
        raise ValueError("it has no header")
    bits = Bits(stream[len(JXL_STREAM) :])
    by_eight = bits.take(1)
    height = jxl_side(bits, by_eight)
    ratio = bits.take(3)
    width = height * JXL_RATIOS[ratio][0] // JXL_RATIOS[ratio][1] if ratio else jxl_side(bits, by_eight)
    all_default = bits.take(1)
    turned = not all_default and bits.take(1) and bits.take(3) + 1 >= TURNED_FROM
    return (height, width) if turned else (width, height)


def jxl_side(bits: "Bits", by_eight: int) -> int:
    """Return the next side of a JPEG XL in pixels; `by_eight`: it is told in eights."""
    return 8 * (1 + bits.take(5)) if by_eight else 1 + bits.take(JXL_SIDE_BITS[bits.take(2)])


def jxl_stream(data: bytes) -> bytes:
    """Return how the stream of pixels begins, be it in boxes or not."""
    if not data.startswith(JXL_BOXES):
        return data[:32]
    for box in boxes(data):
        if box.kind in (b"jxlc", b"jxlp"):
            start = box.start + 4 * (box.kind == b"jxlp")  # behind the number of the part
            return data[start : min(start + 32, box.end)]
    return b""


class Bits:
    """Bits of a few bytes, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next bits as a number. Raises: ValueError: there are no more."""
        if count > self._left:
            raise ValueError("its header is cut short")
        taken = self._bits & ((1 << count) - 1)
        self._bits >>= count
        self._left -= count
        return taken
