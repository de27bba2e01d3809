"""Pictures that people look at: written whole, and contact sheets of photos with captions. Searches nothing."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw

from base.console import one_line
from base.errors import OutputError, PhotoError, QueryError
from base.files import PhotoFile, atomic_write
from embedding.decode import decode_to_fit
from embedding.lettering import about_missing, write_line

QUALITY = 90  # of JPEG and WebP


LONGEST_SIDE_PX = {"AVIF": 65_536, "GIF": 65_535, "JPEG": 65_500, "PDF": 65_500, "TGA": 65_535, "WEBP": 16_383}


def check_ending(path: Path, what: str = "picture") -> str:
    """Return the format that a path's ending names. Raises: QueryError: it names none that can be written."""
    file_format = Image.registered_extensions().get(path.suffix.lower())
    if file_format is None or file_format not in Image.SAVE:
        raise QueryError(f"a {what} cannot be written as {path.name!r}: end its name in .jpg, .png or .webp")
    return file_format


def write_picture(picture: Image.Image, path: Path, what: str = "picture") -> None:
    """Write a picture whole or not at all; its format follows the path's ending.

    Raises:
        QueryError: the ending names no format, or one that holds no picture so large.
        OutputError: the file cannot be written.
    """
    data = io.BytesIO()
    file_format = check_ending(path, what)
    longest_px = LONGEST_SIDE_PX.get(file_format)
    if longest_px is not None and max(picture.size) > longest_px:
        raise QueryError(
            f"the {what} {path} is {picture.width} x {picture.height} px, more than a {path.suffix} can be "
            f"({longest_px} px): end its name in .png, or make it smaller"
        )
    try:
        picture.save(data, file_format, quality=QUALITY)
        with atomic_write(path) as file:
            file.write(data.getvalue())
    except OSError as error:  # no room, or no right
        raise OutputError(f"the {what} {path} cannot be written: {error.strerror or error}") from error


COLUMNS = 5
MOST_IN_GALLERY = 60  # photos: more would make a notebook slow
CELL_PX = (300, 220)  # the picture's place
LINE_PX = 19  # of a caption
GAP_PX = 14
MOST_PIXELS = 200_000_000  # of a sheet: 600 MB of memory
TITLE_PX = 58
NOTE_PX = 22
HEADING_PX = 36
LARGE_PX, MIDDLE_PX, SMALL_PX = 22, 17, 14  # letters
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

    Raises:
        QueryError: the ending names no format, or the sheet is too large for it; no photo was opened.
        OutputError: the file cannot be written.
    """
    plan = SheetPlan(photos, title, note)
    highest_px = plan.highest_px(check_ending(path, "sheet"))
    if plan.height_px > highest_px:
        other = ", or end its name in .png" if plan.height_px <= plan.highest_px("PNG") else ""
        raise QueryError(
            f"the sheet {path} would be {plan.height_px} px high, but a {path.suffix} of that width at most "
            f"{highest_px} px: ask for at most {plan.photos_within(highest_px)} photos{other}"
        )
    write_picture(plan.draw(), path, "sheet")


class SheetPlan:
    """What stands where on a contact sheet, photos in rows of five; they are opened only when it is drawn."""

    def __init__(self, photos: Photos, title: str, note: str) -> None:
        sections = [photo if isinstance(photo, Section) else Section("", [photo]) for photo in photos]
        if all(not section.heading for section in sections):
            sections = [Section("", [cell for section in sections for cell in section.cells])]
        self._sections, self._title, self._note = sections, title, note
        cells = [cell for section in sections for cell in section.cells]
        self._columns = min(COLUMNS, max(1, *(len(section.cells) for section in sections)))
        most_lines = max((len(cell.lines) for cell in cells), default=0)
        self._cell_px = CELL_PX[0] + GAP_PX, CELL_PX[1] + 8 + most_lines * LINE_PX + GAP_PX
        self._rows = [-(-len(section.cells) // self._columns) for section in sections]
        self._missing = about_missing(
            [title, note, *(section.heading for section in sections), *(line for cell in cells for line in cell.lines)]
        )
        headings_px = sum(bool(section.heading) for section in sections) * HEADING_PX
        notes_px = (bool(note) + bool(self._missing)) * NOTE_PX
        self.width_px = max(self._columns * self._cell_px[0] + GAP_PX, 640)
        self.height_px = TITLE_PX + notes_px + headings_px + sum(self._rows) * self._cell_px[1] + GAP_PX

    def highest_px(self, file_format: str) -> int:
        """Return how high a sheet of this width can be in a format."""
        return min(LONGEST_SIDE_PX.get(file_format, MOST_PIXELS), MOST_PIXELS // self.width_px)

    def photos_within(self, height_px: int) -> int:
        """Return about how many photos fit on a sheet that is no higher."""
        rows_px = sum(self._rows) * self._cell_px[1] - (self.height_px - height_px)
        return max(rows_px // self._cell_px[1], 0) * self._columns

    def draw(self) -> Image.Image:
        """Return the sheet."""
        sheet = Image.new("RGB", (self.width_px, self.height_px), BACKGROUND)
        width_px, top = self.width_px - 2 * GAP_PX, TITLE_PX
        write_line(sheet, (GAP_PX, 16), self._title, LARGE_PX, INK, width_px)
        for note in filter(None, (self._note, self._missing)):
            write_line(sheet, (GAP_PX, top - 10), note, SMALL_PX, FAINT, width_px)
            top += NOTE_PX
        for section, rows in zip(self._sections, self._rows, strict=True):
            if section.heading:
                ImageDraw.Draw(sheet).line((GAP_PX, top, self.width_px - GAP_PX, top), FAINT)
                write_line(sheet, (GAP_PX, top + 7), section.heading, MIDDLE_PX, INK, width_px)
                top += HEADING_PX
            for position, cell in enumerate(section.cells):
                row, column = divmod(position, self._columns)
                draw_cell(sheet, (GAP_PX + column * self._cell_px[0], top + row * self._cell_px[1]), cell)
            top += rows * self._cell_px[1]
        return sheet


def draw_cell(sheet: Image.Image, corner: tuple[int, int], cell: Cell) -> None:
    """Draw a photo with its lines below it."""
    sheet.paste(thumbnail(cell.file), corner)
    for place, line in enumerate(cell.lines):
        below = corner[0], corner[1] + CELL_PX[1] + 5 + place * LINE_PX
        write_line(sheet, below, line, SMALL_PX, FAINT if place else INK, CELL_PX[0])


def thumbnail(file: PhotoFile) -> Image.Image:
    """Return the photo, fitted into its place; a grey field with the reason where it cannot be shown."""
    place = Image.new("RGB", CELL_PX, EMPTY)
    try:
        photo = decode_to_fit(file.read(), CELL_PX)
    except (OSError, PhotoError) as error:
        write_line(place, (10, CELL_PX[1] // 2 - 8), f"not shown: {error}", SMALL_PX, FAINT, CELL_PX[0] - 20)
        return place
    place.paste(photo, ((CELL_PX[0] - photo.width) // 2, (CELL_PX[1] - photo.height) // 2))
    return place


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
