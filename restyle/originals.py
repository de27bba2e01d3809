"""Results' originals: where they lie, and that they are what the results were made of. Reads no pictures."""

import hashlib
from contextlib import suppress

from sqlalchemy.orm import Session

from aliens.errors import PhotoError
from aliens.files import PhotoFile
from db.models import Photo
from db.photos import places_with_bytes
from restyle.results import Result


def original_of(session: Session, result: Result) -> PhotoFile:
    """Return where a result's original lies: at its own place, or where the library knows the same bytes.

    Raises:
        OSError: the file is gone.
        PhotoError: the photo has left the library, or its file holds another photo by now.
    """
    lineage = result.lineage
    photo = session.get(Photo, lineage.source_photo_id)
    if photo is None:
        lost: OSError | PhotoError = PhotoError(
            "missing", f"its original, {lineage.source_path}, is not in the library any more"
        )
    else:
        file = PhotoFile(photo.path, photo.member)
        try:
            if holds(file, lineage.source_sha256):
                return file
            lost = PhotoError(
                "changed", f"its original, {file}, was changed since: restyle it again with `aliens restyle`"
            )
        except OSError as error:
            lost = error
    for path, member in places_with_bytes(session, bytes.fromhex(lineage.source_sha256)):
        with suppress(OSError):
            if holds(elsewhere := PhotoFile(path, member), lineage.source_sha256):
                return elsewhere
    raise lost


def holds(file: PhotoFile, sha256: str) -> bool:
    """Tell whether a file's bytes have this hash, in hexadecimal. Raises: OSError: the file is gone."""
    return hashlib.sha256(file.read()).hexdigest() == sha256


def why_lost(error: OSError | PhotoError) -> str:
    """Return in words why a result or its original cannot be shown."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
