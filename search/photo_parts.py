"""Columns of photos in the order of their numbers: of the table on disk where there is one, beside it of the database.

The table is several times as quick for all of a million photos. Shows nothing, writes nothing.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy.orm import Session

from base.arrays import Ids
from db.models import Model
from db.photo_rows import embedded_columns
from embedding.photo_table import Columns, PhotoTable, arrays, put_together
from embedding.segments import Vectors


def photo_parts(
    session: Session,
    model: Model,
    vectors: Vectors,
    table: PhotoTable | None,
    names: Sequence[str],
    ids: Sequence[int] | None = None,
) -> Iterator[Columns]:
    """Yield the named columns, some thousands of photos at a time.

    Args:
        session: of the library's database.
        model: whose photos are meant: those that have its vectors, and can be found.
        vectors: these photos.
        table: of an earlier moment, where there is one.
        names: of columns, see db.photo_rows.COLUMNS; `photo_id` is always among what comes back.
        ids: only these photos, in this order; None for all.
    """
    names = list(dict.fromkeys(["photo_id", *names]))

    def read(ids: Ids) -> Iterator[Columns]:
        return map(arrays, embedded_columns(session, model, names, ids.tolist()))

    if ids is not None or table is None:
        return map(arrays, embedded_columns(session, model, names, ids))
    covered, later = vectors.only(table.about.covers), vectors.without(table.about.covers).ids
    return put_together(table.columns(names), covered, later, read)
