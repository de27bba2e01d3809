"""Pictures that people look at, written to files. Draws nothing."""

import io
from pathlib import Path

from PIL import Image

from aliens.errors import QueryError
from aliens.files import atomic_write

QUALITY = 90  # of JPEG and WebP


def check_ending(path: Path, what: str = "picture") -> str:
    """Return the format that a path's ending names. Raises: QueryError: it names none that can be written."""
    file_format = Image.registered_extensions().get(path.suffix.lower())
    if file_format is None or file_format not in Image.SAVE:
        raise QueryError(f"a {what} cannot be written as {path.name!r}: end its name in .jpg, .png or .webp")
    return file_format


def write_picture(picture: Image.Image, path: Path, what: str = "picture") -> None:
    """Write a picture whole or not at all; its format follows the path's ending.

    Raises: QueryError: the ending names no format, or the file cannot be written.
    """
    data = io.BytesIO()
    file_format = check_ending(path, what)
    try:
        picture.save(data, file_format, quality=QUALITY)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(data.getvalue())
    except OSError as error:  # no room, no right, or more pixels than the format can hold
        raise QueryError(f"the {what} {path} cannot be written: {error.strerror or error}") from error
