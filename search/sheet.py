"""Contact sheets: photos as one picture, with captions: hits with their scores, or cells with any lines.

Searches nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from aliens.errors import PhotoError
from aliens.files import PhotoFile
from embedding.decode import decode_to_fit
from embedding.picture import write_picture
from search.results import Hit, Results

COLUMNS = 5
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
    """Hits or cells under a heading of their own."""

    heading: str
    hits: Sequence[Hit | Cell]
    first_rank: int = 1


Photos = Sequence[Hit] | Sequence[Cell] | Sequence[Section]


def by_stop_line(results: Results) -> list[Hit] | list[Section]:
    """Return hits for a sheet, those below the suggested stop line under a heading of their own."""
    hits = list(results)
    above = sum(bool(hit.above_line) for hit in hits)
    in_order = all(hit.above_line for hit in hits[:above])
    if results.stop_line is None or above == len(hits) or not in_order:
        return hits
    heading = f"below the suggested stop line, {results.stop_line:.3f}"
    return [Section("", hits[:above])] * bool(above) + [Section(heading, hits[above:], first_rank=above + 1)]


def write_sheet(hits: Photos, title: str, path: Path, *, note: str = "") -> None:
    """Write a contact sheet; the picture's format follows the file's ending. `note` stands small below the title.

    Raises: QueryError: the ending names no picture format, or the file cannot be written.
    """
    write_picture(contact_sheet(hits, title, note), path, "sheet")


def contact_sheet(hits: Photos, title: str, note: str = "") -> Image.Image:
    """Return the photos in rows of five, best first; below a hit rank and score, hotel or folder, file name."""
    sections = [hit if isinstance(hit, Section) else Section("", [hit]) for hit in hits]
    if all(not section.heading for section in sections):
        sections = [Section("", [hit for section in sections for hit in section.hits])]
    columns = min(COLUMNS, max(1, *(len(section.hits) for section in sections)))
    captions = [captions_of(section) for section in sections]
    most_lines = max((len(lines) for cells in captions for lines in cells), default=0)
    cell_width, cell_height = CELL_PX[0] + GAP_PX, CELL_PX[1] + 8 + most_lines * LINE_PX + GAP_PX
    width = max(columns * cell_width + GAP_PX, 640)
    heights = [
        bool(section.heading) * HEADING_PX + -(-len(section.hits) // columns) * cell_height for section in sections
    ]
    sheet = Image.new("RGB", (width, TITLE_PX + bool(note) * NOTE_PX + sum(heights) + GAP_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    large, middle, small = (ImageFont.load_default(size) for size in (24, 18, 15))
    write(draw, (GAP_PX, 16), title, large, INK, width - 2 * GAP_PX)
    write(draw, (GAP_PX, TITLE_PX - 10), note, small, FAINT, width - 2 * GAP_PX)
    top = TITLE_PX + bool(note) * NOTE_PX
    for section, height, cells in zip(sections, heights, captions, strict=True):
        below = top
        if section.heading:
            draw.line((GAP_PX, top, width - GAP_PX, top), FAINT)
            write(draw, (GAP_PX, top + 7), section.heading, middle, INK, width - 2 * GAP_PX)
            below += HEADING_PX
        for position, hit in enumerate(section.hits):
            left, row = GAP_PX + position % columns * cell_width, below + position // columns * cell_height
            sheet.paste(thumbnail(hit.file), (left, row))
            for place, line in enumerate(cells[position]):
                corner = left, row + CELL_PX[1] + 5 + place * LINE_PX
                write(draw, corner, line, small, FAINT if place else INK, CELL_PX[0])
        top += height
    return sheet


def captions_of(section: Section) -> list[tuple[str, ...]]:
    """Return the lines below each photo of a section."""
    return [
        cell.lines if isinstance(cell, Cell) else caption(section.first_rank + position, cell)
        for position, cell in enumerate(section.hits)
    ]


def caption(rank: int, hit: Hit) -> tuple[str, str]:
    """Return a hit's two lines: rank, score and hotel; id and file name."""
    name = Path(hit.member or hit.path).name
    place = hit.hotel_name or (f"hotel {hit.hotel_id}" if hit.hotel_id else Path(hit.path).parent.name)
    return f"{rank}.  {hit.score:.3f}  {place}", f"photo {hit.photo_id}  {name}"


def thumbnail(file: PhotoFile) -> Image.Image:
    """Return the photo, fitted into its place; a grey field with the reason where it cannot be shown."""
    place = Image.new("RGB", CELL_PX, EMPTY)
    try:
        photo = decode_to_fit(file.read(), CELL_PX)
    except (OSError, PhotoError) as error:
        draw = ImageDraw.Draw(place)
        write(
            draw, (10, CELL_PX[1] // 2 - 8), f"not shown: {error}", ImageFont.load_default(15), FAINT, CELL_PX[0] - 20
        )
        return place
    place.paste(photo, ((CELL_PX[0] - photo.width) // 2, (CELL_PX[1] - photo.height) // 2))
    return place


def write(
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
    line = " ".join(text.encode(errors="replace").decode().split())[:MOST_CHARACTERS]
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
