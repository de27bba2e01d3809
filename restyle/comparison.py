"""Pictures side by side: a photo and what a protanope sees of it, and the same of a changed photo. Measures nothing."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restyle.pixels import Pixels, resized
from restyle.protanopia import seen

GAP_SHARE, TEXT_SHARE = 0.02, 0.045  # of a picture's longer side
SMALLEST_TEXT_PX = 12
LEAST_PX = 240  # a picture is as wide as that, so that its caption fits, and a tiny one enlarged to it
WIDE = 2.0  # aspect ratio from which on pictures stand below one another
BACKGROUND, INK = "#fbfaf7", "#22262b"


def side_by_side(photo: Pixels, changed: Pixels | None = None) -> Image.Image:
    """Return a photo beside what a protanope sees of it; below, the same of a changed photo, at the photo's size."""
    rows = [[("as most people see it", photo), ("as a protanope sees it", seen(photo))]]
    if changed is not None:
        changed = resized(changed, (photo.shape[1], photo.shape[0]))
        rows.append([("changed", changed), ("changed, as a protanope sees it", seen(changed))])
    return sheet(rows)


def sheet(rows: list[list[tuple[str, Pixels]]]) -> Image.Image:
    """Return pictures of one size in rows, each below its caption; panoramas each in a row of its own."""
    height, width = rows[0][0][1].shape[:2]
    if width > WIDE * height:
        rows = [[picture] for row in rows for picture in row]
    scale = max(1, -(-LEAST_PX // max(height, width)))
    height, width = height * scale, width * scale
    gap = round(max(height, width) * GAP_SHARE)
    column_px = max(width, LEAST_PX)
    text_px = max(SMALLEST_TEXT_PX, min(round(max(height, width) * TEXT_SHARE), column_px // 18, height // 8))
    line = round(text_px * 1.6)
    size = (len(rows[0]) * (column_px + gap) + gap, len(rows) * (height + line + gap) + gap)
    page = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(text_px)
    for row, pictures in enumerate(rows):
        for column, (caption, pixels) in enumerate(pictures):
            left, top = gap + column * (column_px + gap), gap + row * (height + line + gap)
            draw.text((left, top), caption, INK, font)
            enlarged = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
            page.paste(Image.fromarray(enlarged), (left, top + line))
    return page
