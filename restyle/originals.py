"""Results' originals: where they lie, and that they are what the results were made of. Reads no pictures."""

import hashlib

from sqlalchemy.orm import Session

from aliens.errors import PhotoError
from aliens.files import PhotoFile
from db.models import Photo
from restyle.results import Result


def original_of(session: Session, result: Result) -> PhotoFile:
    """Return where a result's original lies.

    Raises:
        OSError: the file is gone.
        PhotoError: the photo has left the library, or its file holds another photo by now.
    """
    lineage = result.lineage
    photo = session.get(Photo, lineage.source_photo_id)
    if photo is None:
        raise PhotoError("missing", f"its original, {lineage.source_path}, is not in the library any more")
    file = PhotoFile(photo.path, photo.member)
    if hashlib.sha256(file.read()).hexdigest() != lineage.source_sha256:
        raise PhotoError("changed", f"its original, {file}, was changed since: restyle it again with `aliens restyle`")
    return file


def why_lost(error: OSError | PhotoError) -> str:
    """Return in words why a result or its original cannot be shown."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
