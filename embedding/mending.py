"""Files with sound pixels that Pillow would refuse or read wrongly are set right. Pixels that are lost stay lost."""

import hashlib
import io
import random
import re
import struct
import zlib
from typing import Any, cast

from PIL import Image, TiffImagePlugin
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngStream

from base.errors import PhotoError

PNG_START = b"\x89PNG\r\n\x1a\n"
PICTURE_CHUNKS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # are no critical ones by their names, yet decide what is seen
JPEG_END, JPEG_SCAN = b"\xff\xd9", b"\xff\xda"  # which stand nowhere among pixels: ITU-T T.81, B.1.1.5
JPEG_RESTART, JPEG_MARKER = re.compile(rb"\xff([\xd0-\xd7])"), re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # any other
FIRST_RESTART = 0xD0
JPEG_ANY = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length: TEM, restarts, the start of the image
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))  # the second bit: progressive
MOST_SCANS = 200  # writers have some ten
MOST_NOTES = 1_000  # chunks of a PNG beside its pixels that are looked into: each may unpack a megabyte
ANY_BITS = random.Random(0).randbytes(1 << 12).replace(b"\xff", b"\0")  # more than ten blocks of pixels can take
APART = 2  # TIFF 6.0, PlanarConfiguration: the planes of red, green and blue lie one behind the other
DEFLATE = 8  # TIFF Technical Note 2, Compression
# Of such planes Pillow takes the second for another one.
MIXED_UP = dict.fromkeys(("LA", "La", "PA"), "transparency") | {"LAB": "a* and b*"}
NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}  # what libtiff gives for what Pillow expects


def readable_png(data: bytes) -> bytes:
    """Return a PNG without the metadata that keep Pillow from its pixels: damaged ones, and texts that grow huge."""
    file = io.BytesIO(data)
    stream, kept, start, notes = PngStream(file), [], 0, 0
    file.seek(len(PNG_START))
    while True:
        try:
            kind, place, size_bytes = stream.read()
        except (struct.error, SyntaxError):  # the end of the file, or no chunk
            break
        if kind == b"IEND":
            break
        end = place + size_bytes + 4  # with its checksum
        if kind[:1].islower() and kind not in PICTURE_CHUNKS:
            notes += 1
            if notes > MOST_NOTES or not is_sound(stream, kind, place, data[place:end]):
                kept.append(data[start : place - 8])
                start = end
        file.seek(end)
    return b"".join([*kept, data[start:]]) if kept else data


def is_sound(stream: PngStream, kind: bytes, place: int, chunk: bytes) -> bool:
    """Tell whether Pillow will take a chunk, given with its checksum: by that, and by what Pillow's own reader says."""
    if zlib.crc32(kind + chunk[:-4]) != int.from_bytes(chunk[-4:]):
        return False
    try:
        stream.call(kind, place, len(chunk) - 4)
    except AttributeError:  # it knows no such chunk, and passes it over
        return True
    except Exception:  # as many built-in exceptions as there are ways to be damaged
        return False
    return True


def mend(image: ImageFile, data: bytes) -> None:
    """Set an image right that is opened and not yet decoded; `data` is its file's.

    Raises: PhotoError: Pillow would read its pixels wrongly, and cannot be helped.
    """
    if image.format in ("JPEG", "MPO") and (whole := ended_jpeg(data)) is not data:
        image.fp = io.BytesIO(whole)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        mend_tiff(image)


def has_endless_scans(data: bytes) -> bool:
    """Tell whether a JPEG goes over its pixels more often than any writer has it: each scan of some bytes costs a pass.

    Of one that has all its pixels in the first scan, as most have, libjpeg reads no other. Source: ITU-T T.81, B.1 and
    B.2; "Two issues with the JPEG standard", libjpeg-turbo, 2013.
    """
    place, scans, components, is_progressive = 2, 0, 0, False
    while (found := JPEG_ANY.search(data, place)) is not None:
        kind, place = found[1][0], found.end()
        if kind in ALONE:
            continue
        if kind == JPEG_END[1]:
            return False
        if kind in FRAMES:
            is_progressive, components = bool(kind & 2), data[place + 7] if place + 7 < len(data) else 0
        is_scan = kind == JPEG_SCAN[1]
        scans += is_scan
        if scans > MOST_SCANS:
            return True
        if is_scan and not is_progressive and data[place + 2 : place + 3] == bytes([components]):
            return False
        place += int.from_bytes(data[place : place + 2])
        if is_scan and (after := JPEG_MARKER.search(data, place)) is not None:
            place = after.start()
    return False


def lacks_end(data: bytes) -> bool:
    """Tell whether a JPEG breaks off among its last pixels: behind them stands no marker, which would be its end."""
    if data.endswith(JPEG_END):
        return False
    pixels = last_pixels(data)
    if pixels >= len(data) or data[pixels - 1] & 0x0F:  # a progressive one's later scans would make this one precise
        return False
    return data.rfind(JPEG_END, pixels) < 0 and JPEG_MARKER.search(data, pixels) is None


def last_pixels(data: bytes) -> int:
    """Return where in a JPEG the pixels of its last scan begin."""
    scan = data.rfind(JPEG_SCAN)
    return scan + 2 + int.from_bytes(data[scan + 2 : scan + 4])


def ended_jpeg(data: bytes) -> bytes:
    """Return a JPEG that lacks its end marker and nothing else with one; any other as it is.

    libjpeg makes up for lost pixels from whatever follows. Where all pixels are there, what follows changes nothing.
    """
    if not lacks_end(data):
        return data
    start = data.removesuffix(JPEG_END[:1])
    restarts = JPEG_RESTART.findall(start, last_pixels(start))
    restart = FIRST_RESTART + (restarts[-1][0] - FIRST_RESTART + 1) % 8 if restarts else FIRST_RESTART
    others = ANY_BITS + bytes([0xFF, restart]) + ANY_BITS  # lost pixels may begin at once, or where it says so
    try:
        whole = start + JPEG_END
        return whole if pixels_digest(whole) == pixels_digest(start + others + JPEG_END) else data
    except (OSError, SyntaxError):
        return data


def pixels_digest(data: bytes) -> bytes:
    """Return a hash of a JPEG's pixels. Raises: OSError, SyntaxError: it is damaged."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return hashlib.sha256(image.tobytes()).digest()


def mend_tiff(image: TiffImagePlugin.TiffImageFile) -> None:
    """Have the samples of a TIFF read as they lie: by their whole width, and in the right order of bytes.

    Raises: PhotoError: it has planes that Pillow mixes up.
    """
    if image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == APART:
        if image.mode in MIXED_UP:
            reason = f"a TIFF with {MIXED_UP[image.mode]} in planes of their own: save it as PNG"
            raise PhotoError("unsupported", reason)
        # Of what is compressed libtiff puts the planes together; Pillow, of the rest, takes all for such of 8 bits.
        # libtiff asks the file how it is compressed, and not Pillow.
        image.tag_v2[TiffImagePlugin.COMPRESSION] = DEFLATE
        image._setup()
    if image.use_load_libtiff:
        tile, args = image.tile[0], cast(tuple[Any, ...], image.tile[0].args)
        image.tile = [tile._replace(args=(NATIVE.get(args[0], args[0]), *args[1:]))]
