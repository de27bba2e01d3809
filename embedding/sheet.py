"""Pictures that people look at: written whole, and contact sheets of photos with captions. Searches nothing."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from base.console import one_line
from base.errors import OutputError, PhotoError, QueryError
from base.files import PhotoFile, atomic_write
from embedding.decode import decode_to_fit

QUALITY = 90  # of JPEG and WebP


def check_ending(path: Path, what: str = "picture") -> str:
    """Return the format that a path's ending names. Raises: QueryError: it names none that can be written."""
    file_format = Image.registered_extensions().get(path.suffix.lower())
    if file_format is None or file_format not in Image.SAVE:
        raise QueryError(f"a {what} cannot be written as {path.name!r}: end its name in .jpg, .png or .webp")
    return file_format


def write_picture(picture: Image.Image, path: Path, what: str = "picture") -> None:
    """Write a picture whole or not at all; its format follows the path's ending.

    Raises:
        QueryError: the ending names no format.
        OutputError: the file cannot be written.
    """
    data = io.BytesIO()
    file_format = check_ending(path, what)
    try:
        picture.save(data, file_format, quality=QUALITY)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(data.getvalue())
    except OSError as error:  # no room, no right, or more pixels than the format can hold
        raise OutputError(f"the {what} {path} cannot be written: {error.strerror or error}") from error


COLUMNS = 5
MOST_IN_GALLERY = 60  # photos: more would make a notebook slow
CELL_PX = (300, 220)  # the picture's place
LINE_PX = 19  # of a caption
GAP_PX = 14
TITLE_PX = 58
NOTE_PX = 22
HEADING_PX = 36
MOST_CHARACTERS = 1_000  # of a line: more stand on none
BACKGROUND, INK, FAINT, EMPTY = "#fbfaf7", "#22262b", "#6d747c", "#e4e2dc"


@dataclass(frozen=True, slots=True)
class Cell:
    """A photo with lines of its own below it, the first one in ink."""

    file: PhotoFile
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Photos under a heading of their own."""

    heading: str
    cells: Sequence[Cell]


Photos = Sequence[Cell] | Sequence[Section]


def write_sheet(photos: Photos, title: str, path: Path, *, note: str = "") -> None:
    """Write a contact sheet; the picture's format follows the file's ending. `note` stands small below the title.

    Raises: QueryError, OutputError: as write_picture.
    """
    write_picture(contact_sheet(photos, title, note), path, "sheet")


def contact_sheet(photos: Photos, title: str, note: str = "") -> Image.Image:
    """Return the photos in rows of five, with their lines below them."""
    sections = [photo if isinstance(photo, Section) else Section("", [photo]) for photo in photos]
    if all(not section.heading for section in sections):
        sections = [Section("", [cell for section in sections for cell in section.cells])]
    columns = min(COLUMNS, max(1, *(len(section.cells) for section in sections)))
    most_lines = max((len(cell.lines) for section in sections for cell in section.cells), default=0)
    cell_width, cell_height = CELL_PX[0] + GAP_PX, CELL_PX[1] + 8 + most_lines * LINE_PX + GAP_PX
    width = max(columns * cell_width + GAP_PX, 640)
    heights = [
        bool(section.heading) * HEADING_PX + -(-len(section.cells) // columns) * cell_height for section in sections
    ]
    sheet = Image.new("RGB", (width, TITLE_PX + bool(note) * NOTE_PX + sum(heights) + GAP_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    large, middle, small = (ImageFont.load_default(size) for size in (24, 18, 15))
    write_line(draw, (GAP_PX, 16), title, large, INK, width - 2 * GAP_PX)
    write_line(draw, (GAP_PX, TITLE_PX - 10), note, small, FAINT, width - 2 * GAP_PX)
    top = TITLE_PX + bool(note) * NOTE_PX
    for section, height in zip(sections, heights, strict=True):
        below = top
        if section.heading:
            draw.line((GAP_PX, top, width - GAP_PX, top), FAINT)
            write_line(draw, (GAP_PX, top + 7), section.heading, middle, INK, width - 2 * GAP_PX)
            below += HEADING_PX
        for position, cell in enumerate(section.cells):
            left, row = GAP_PX + position % columns * cell_width, below + position // columns * cell_height
            sheet.paste(thumbnail(cell.file), (left, row))
            for place, line in enumerate(cell.lines):
                corner = left, row + CELL_PX[1] + 5 + place * LINE_PX
                write_line(draw, corner, line, small, FAINT if place else INK, CELL_PX[0])
        top += height
    return sheet


def thumbnail(file: PhotoFile) -> Image.Image:
    """Return the photo, fitted into its place; a grey field with the reason where it cannot be shown."""
    place = Image.new("RGB", CELL_PX, EMPTY)
    try:
        photo = decode_to_fit(file.read(), CELL_PX)
    except (OSError, PhotoError) as error:
        draw = ImageDraw.Draw(place)
        write_line(
            draw, (10, CELL_PX[1] // 2 - 8), f"not shown: {error}", ImageFont.load_default(15), FAINT, CELL_PX[0] - 20
        )
        return place
    place.paste(photo, ((CELL_PX[0] - photo.width) // 2, (CELL_PX[1] - photo.height) // 2))
    return place


def write_line(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    colour: str,
    width_px: int,
) -> None:
    """Write one line, shortened with … where it is too wide."""
    draw.text(corner, fitted(draw, text, font, width_px), colour, font)


def fitted(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width_px: int
) -> str:
    """Return a text on one line, shortened with … where it is wider."""
    line = one_line(" ".join(text.split()))[:MOST_CHARACTERS]
    if draw.textlength(line, font) <= width_px:
        return line
    shortest, longest = 0, len(line)  # of what stands before the …: it fits, it does not
    while longest - shortest > 1:
        middle = (shortest + longest) // 2
        if draw.textlength(line[:middle] + "…", font) <= width_px:
            shortest = middle
        else:
            longest = middle
    return line[:shortest] + "…"


def gallery_html(cells: Sequence[Cell], heading: str = "", note: str = "") -> str:
    """Return photos with their lines as HTML that holds its pictures itself, for notebooks."""
    shown = []
    for cell in cells[:MOST_IN_GALLERY]:
        data = io.BytesIO()
        thumbnail(cell.file).save(data, "JPEG", quality=QUALITY)
        picture = base64.b64encode(data.getvalue()).decode()
        first, *others = (escape(one_line(line)) for line in cell.lines)
        lines = f"<b>{first}</b>" + "".join(f"<br>{line}" for line in others)
        shown.append(
            f'<figure style="margin:0;width:{CELL_PX[0] // 2}px;font-size:11px;overflow-wrap:anywhere">'
            f'<img src="data:image/jpeg;base64,{picture}" alt="{first}" style="width:100%;border-radius:3px">'
            f"<figcaption>{lines}</figcaption></figure>"
        )
    more = f"<p>... and {len(cells) - MOST_IN_GALLERY} more</p>" if len(cells) > MOST_IN_GALLERY else ""
    heading, note = escape(one_line(heading)), escape(one_line(note))
    head = (f"<p><b>{heading}</b></p>" if heading else "") + (f"<p>{note}</p>" if note else "")
    return f'{head}<div style="display:flex;flex-wrap:wrap;gap:10px">{"".join(shown)}</div>{more}'
