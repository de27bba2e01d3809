"""The judge of a library's restyled photos: its floors, model, index and tags, put together."""

from pathlib import Path
from typing import TYPE_CHECKING

from base import console
from base.errors import QueryError
from base.settings import LibraryFolder
from commands.models import load_for_texts

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from base.files import PhotoFile
    from db.models import Model
    from db.vector_rows import EmbeddedRows
    from embedding.encoder import LazyEncoder
    from restyle.floors import Floors
    from restyle.judge import Judge, Tags
    from restyle.palettes import Palette


def judge_of(
    session: "Session",
    library: Path,
    palette: "Palette",
    floor: float | None,
    device: str,
    bars: console.ProgressBars,
) -> "tuple[Judge, Model]":
    """Return the judge of a library's results, and its model, on a device; say on stderr what it goes by."""
    from db.vector_rows import EmbeddedRows, current_model
    from embedding.index.photo_index import current_index
    from embedding.store import VectorStore
    from restyle.judge import Judge

    folder = LibraryFolder(library)
    model = current_model(session)
    store = VectorStore(folder.vectors(model.key), model.dim)
    rows = EmbeddedRows(session, model)
    floors = floors_of(session, folder, rows, floor, bars)
    encoder = load_for_texts(library, model, device)
    index = current_index(folder.index(model.key), store, model.key, rows)
    return Judge(floors, palette, encoder=encoder, neighbours=index, tags=checker_of(session, folder, encoder)), model


def floors_of(
    session: "Session", folder: LibraryFolder, rows: "EmbeddedRows", floor: float | None, bars: console.ProgressBars
) -> "Floors":
    """Return the floors that were asked for, or the library's own, calibrated where they are not yet."""
    from base.files import PhotoFile
    from db.photo_rows import photo_records
    from restyle.floors import Floors, library_floors

    if floor is not None:
        return Floors.at(floor)

    def file_of(photo_id: int) -> "PhotoFile | None":
        record = photo_records(session, [photo_id]).get(photo_id)
        return PhotoFile(record.path, record.member) if record else None

    floors = library_floors(
        folder, rows.ids().tolist(), file_of, lambda done, total: bars.update("floors", done, total)
    )
    how = f"calibrated on {floors.pairs} pairs of its photos" if floors.pairs else "the default for few photos"
    console.note(f"floors: HOG correlation {floors.hog:.2f}, edge F1 {floors.edge_f1:.2f}, {how}")
    return floors


def checker_of(session: "Session", folder: LibraryFolder, encoder: "LazyEncoder") -> "Tags | None":
    """Return what tells which tags a result has lost; None where the library is not tagged, with a word about it."""
    from search.tags.tagging import TagChecker

    try:
        return TagChecker.open(session, folder, encoder)
    except QueryError:
        console.note("tags are not compared, since the library has none yet: `aliens tag`")
        return None
