"""Letters in pictures: lines of text in whatever script, each run of characters in a font that has them.

The font that comes along with matplotlib has Latin, Greek, Cyrillic, Hebrew, Arabic and more; for the others the
system's fonts are looked through. What none has is shown as □. Which way letters run and how they join is raqm's work,
where Pillow has it.
"""

import os
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from unicodedata import category, name, normalize

from PIL import Image, ImageDraw, ImageFont

from base.console import one_line

MAIN_FONT = "mpl-data/fonts/ttf/DejaVuSans.ttf"  # in matplotlib, which is found without being imported
FOLDERS = (
    "~/.fonts",
    "~/.local/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/fonts",
    "~/Library/Fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
MOST_FONTS = 3_000  # looked through
NOT_PLAIN = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "narrow", "serif", "mono")
LAST_RESORT = "lastresort"  # a font of macOS that has a sign for every script, and no letter of any
MISSING, UNPRINTABLE = "□", "�"
NOT_A_CHARACTER = "\uffff"
INVISIBLE = {*"\xad\u061c\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f"}  # say how the letters beside them look
SKIN_TONES = {*"🏻🏼🏽🏾🏿"}
BITMAPS_PX = (109, 160, 136, 128, 96, 64)  # the sizes of fonts that hold pictures: Noto Color Emoji, Apple Color Emoji
PROBE_PX = 20  # a glyph is drawn so large to be compared
MOST_CHARACTERS = 1_000  # of a line: more stand on none

Font = ImageFont.FreeTypeFont
Run = tuple[str, str]  # a font's path, "" for Pillow's own, and what is written in it


def write_line(
    picture: Image.Image, corner: tuple[int, int], text: str, size_px: int, colour: str, width_px: int
) -> None:
    """Write one line into a picture, shortened with … where it is wider than `width_px`."""
    draw, left = ImageDraw.Draw(picture), float(corner[0])
    main = font_at(main_font(), size_px)
    base = corner[1] + (main.getmetrics()[0] if main else size_px)
    for path, run in runs(fitted(text, size_px, width_px)):
        if (font := font_at(path, size_px)) is None:
            continue
        if font.size == size_px:
            draw.text((left, base), run, colour, font, anchor="ls", direction=line_direction(font), embedded_color=True)
        else:
            paste_bitmaps(picture, (round(left), base), run, font, size_px)
        left += run_length(font, run, size_px)


def paste_bitmaps(picture: Image.Image, start: tuple[int, int], run: str, font: Font, size_px: int) -> None:
    """Write a run in a font that holds pictures of another size."""
    width, scale = max(1, round(font.getlength(run, direction=line_direction(font)))), size_px / font.size
    large = Image.new("RGBA", (width, round(font.size * 1.5)))
    ascent = font.getmetrics()[0]
    draw = ImageDraw.Draw(large)
    draw.text((0, ascent), run, "black", font, anchor="ls", direction=line_direction(font), embedded_color=True)
    small = large.resize((max(1, round(width * scale)), max(1, round(large.height * scale))), Image.Resampling.BOX)
    picture.paste(small, (start[0], start[1] - round(ascent * scale)), small)


def line_length(text: str, size_px: int) -> float:
    """Return how wide a line is, in pixels."""
    found = ((font_at(path, size_px), run) for path, run in runs(text))
    return sum(run_length(font, run, size_px) for font, run in found if font is not None)


def run_length(font: Font, run: str, size_px: int) -> float:
    """Return how wide a run is in a font that may have another size, in pixels."""
    return float(font.getlength(run, direction=line_direction(font))) * size_px / font.size


def line_direction(font: Font) -> str | None:
    """Return which way a line runs as a whole, whose letters run as they do; None where the font cannot be told."""
    return "ltr" if font.layout_engine == ImageFont.Layout.RAQM else None


def fitted(text: str, size_px: int, width_px: int) -> str:
    """Return a text on one line, shortened with … where it is wider."""
    line = one_line(" ".join(text.split()))[:MOST_CHARACTERS]
    if line_length(line, size_px) <= width_px:
        return line
    shortest, longest = 0, len(line)  # of what stands before the …: it fits, it does not
    while longest - shortest > 1:
        middle = (shortest + longest) // 2
        if line_length(line[:middle] + "…", size_px) <= width_px:
            shortest = middle
        else:
            longest = middle
    return line[:shortest] + "…"


def runs(text: str) -> list[Run]:
    """Return a text cut where its font changes; what no font has is □, what cannot be printed �."""
    found: list[Run] = []
    for character in normalize("NFC", text):
        if is_joined(character):
            path = found[-1][0] if found else main_font()
            if character in INVISIBLE or has_glyph(path, character):  # else its letter is missing as well
                found.append((path, character))
            continue
        if not character.isprintable() and not character.isspace():
            character = UNPRINTABLE
        has_it = font_of(character)
        found.append((main_font(), MISSING) if has_it is None else (has_it, character))
    return [(path, "".join(run for _, run in pair)) for path, pair in groupby(found, key=lambda run: run[0])]


def is_joined(character: str) -> bool:
    """Tell whether a character is a part of the one before it, such as an accent or a skin's tone."""
    return character in INVISIBLE or character in SKIN_TONES or category(character).startswith("M")


def missing_scripts(texts: Iterable[str]) -> list[str]:
    """Return the scripts of which some texts have characters, and no font has them: such as CJK, Thai, emoji."""
    written = {run for text in texts for run in normalize("NFC", text[:MOST_CHARACTERS]) if not run.isascii()}
    return sorted({script(c) for c in written if c.isprintable() and not is_joined(c) and font_of(c) is None})


def about_missing(texts: Iterable[str]) -> str:
    """Return what is to be said of characters that are shown as □; empty where there are none."""
    scripts = missing_scripts(texts)
    has = f"no font on this system has {' or '.join(scripts)}: install one, such as Noto Sans"
    return f"{MISSING}: {has}" if scripts else ""


def outlined(text: str) -> tuple[str, list[str]]:
    """Return a text for who writes with outlines alone, as plots do, and the paths of the system's fonts that it takes.

    What only a font of pictures has is □, as is what none has.
    """
    outlines = [(path, run, (font := font_at(path, PROBE_PX)) and font.size == PROBE_PX) for path, run in runs(text)]
    shown = "".join(run if is_outline else MISSING for _, run, is_outline in outlines)
    return shown, [path for path, _, is_outline in outlines if is_outline and path != main_font()]


@lru_cache(maxsize=65_536)
def font_of(character: str) -> str | None:
    """Return the path of a font that has a character: the main one, or else the first of the system's; or None."""
    if character.isspace():
        return main_font()
    return next((path for path in (main_font(), *system_fonts()) if has_glyph(path, character)), None)


@lru_cache(maxsize=65_536)
def has_glyph(path: str, character: str) -> bool:
    """Tell whether a font draws a character otherwise than what it has not."""
    return drawn(path, character) != drawn(path, NOT_A_CHARACTER)


def drawn(path: str, character: str) -> tuple[tuple[int, int], bytes] | None:
    """Return the size and the pixels of a character in a font; None where it cannot be drawn."""
    font = font_at(path, PROBE_PX, ImageFont.Layout.BASIC)  # raqm would put a letter below an accent
    if font is None:
        return None
    try:
        mask = font.getmask(character)
    except OSError:  # a damaged font
        return None
    return mask.size, bytes(mask)


@lru_cache(maxsize=MOST_FONTS)
def font_at(path: str, size_px: int, layout: ImageFont.Layout | None = None) -> Font | None:
    """Return a font in a size, or the nearest that it has; None where it cannot be read."""
    if not path:
        font = ImageFont.load_default(size_px)
        return font if isinstance(font, Font) else None
    for size in (size_px, *BITMAPS_PX):
        try:
            return ImageFont.truetype(path, size, layout_engine=layout)
        except OSError:  # no font, or one of pictures that have another size
            continue
    return None


@cache
def main_font() -> str:
    """Return the path of the font that most letters are written in."""
    spec = find_spec("matplotlib")
    places = [Path(folder) / MAIN_FONT for folder in (spec and spec.submodule_search_locations) or ()]
    return next((str(path) for path in places if path.is_file()), "")


@cache
def system_fonts() -> tuple[str, ...]:
    """Return the paths of the system's fonts, those for running text first."""
    found = (
        path
        for folder in FOLDERS
        for path in Path(folder).expanduser().rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc") and LAST_RESORT not in path.name.lower()
    )
    return tuple(sorted(map(str, islice(found, MOST_FONTS)), key=lambda path: (is_special(path), path)))


def is_special(path: str) -> bool:
    """Tell whether a font's name says that it is bold, slanted, or the like."""
    return any(word in os.path.basename(path).lower() for word in NOT_PLAIN)


def script(character: str) -> str:
    """Return what people call the kind of a character, such as Thai, CJK or emoji."""
    return (
        "emoji"
        if category(character) == "So"
        else name(character, "unknown").partition(" ")[0].capitalize().replace("Cjk", "CJK")
    )
