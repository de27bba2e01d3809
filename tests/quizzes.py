"""Results for tests of the quiz: photos made darker, with the true digests of their bytes; and answers to a quiz."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from base.files import PhotoFile
from base.settings import LibraryFolder
from db.models import Photo
from embedding.colour import read_pixels
from restyle.restyled import Result
from tests.page import Page
from tests.restyled import darker, lineage_of, results_of


def restyle(folder: LibraryFolder, photo_ids: Sequence[int], **changes: object) -> list[Result]:
    """Keep a darker picture of each photo as its result."""
    with results_of(folder) as (session, results):
        kept = []
        for photo_id in photo_ids:
            photo = session.get(Photo, photo_id)
            assert photo is not None
            file = PhotoFile(photo.path, photo.member)
            said = {"source_path": photo.path, "source_sha256": hashlib.sha256(file.read()).hexdigest()}
            wish = hashlib.sha256(f"{said} {changes}".encode()).hexdigest()
            kept.append(results.keep(darker(read_pixels(file)), lineage_of(photo_id, wish=wish, **said, **changes)))
        return kept


def data_of(page: Page) -> dict[str, Any]:
    """Return what the script of a quiz's page works with."""
    data: dict[str, Any] = json.loads(page.scripts["data"])
    return data


def answered(data: dict[str, Any], wrong: int = 0, player: str = "Ann") -> dict[str, Any]:
    """Return the sheet that the page would hand out to somebody who errs in the first so many questions."""
    answers = []
    for number, (question, place) in enumerate(zip(data["questions"], right_places(data), strict=True)):
        chosen = (place + (number < wrong)) % len(question["choices"])
        answers.append(
            {"result": question["result"], "choices": question["choices"], "chosen": question["choices"][chosen]}
        )
    about = {"quiz": data["quiz"], "seed": data["seed"], "player": player, "finished_at": "2026-11-25T12:00:00.000Z"}
    return about | {"answers": answers}


def right_places(data: dict[str, Any]) -> list[int]:
    """Return the place of the right choice of every question, as the page's script decodes it."""
    places: list[int] = json.loads(base64.b64decode(data["key"]))
    return places
