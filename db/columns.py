"""Embedded photos column by column: what streams over a whole library read. A million rows take seconds here."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models import Chain, Embedding, Hotel, Model, Photo, PhotoState, VectorShard
from db.photos import fetched, pages

ROWS = 65_536  # handed on at a time
COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "photo_id": Photo.id,
    "shard": VectorShard.number,
    "row": Embedding.row,
    "path": Photo.path,
    "member": Photo.member,
    "image_id": Photo.image_id,
    "hotel_id": Photo.hotel_id,
    "image_source": Photo.image_source,
    "width_px": Photo.width_px,
    "height_px": Photo.height_px,
    "format": Photo.format,
}

Columns = dict[str, Sequence[Any]]


def embedded_columns(
    session: Session, model: Model, names: Sequence[str], ids: Sequence[int] | None = None
) -> Iterator[Columns]:
    """Yield {name: values} of the photos that can be found, some thousands at a time, in the order of their ids.

    `names` are keys of COLUMNS; `photo_id` is always among what comes back. With `ids` only these photos come, in
    this order; those that cannot be found are left out.
    """
    names = list(dict.fromkeys(["photo_id", *names]))
    statement: Select[Any] = (
        select(*(COLUMNS[name] for name in names))
        .join(Embedding, Embedding.photo_id == Photo.id)
        .join(VectorShard, VectorShard.id == Embedding.shard_id)
        .where(Embedding.model_id == model.id, Photo.state == PhotoState.EMBEDDED)
    )
    if ids is None:
        batches = fetched(session, statement.order_by(Photo.id))
    else:
        batches = (in_order(session, statement, page) for page in pages(list(ids)))
    gathered: list[list[Any]] = [[] for _ in names]
    for rows in batches:
        for values, fresh in zip(gathered, zip(*rows, strict=True), strict=False):  # no rows give no columns
            values.extend(fresh)
        if len(gathered[0]) >= ROWS:
            yield dict(zip(names, gathered, strict=True))
            gathered = [[] for _ in names]
    if gathered[0]:
        yield dict(zip(names, gathered, strict=True))


def in_order(session: Session, statement: Select[Any], ids: list[int]) -> list[Any]:
    """Return the rows of these photos, in the order of the ids."""
    by_id = {row[0]: row for row in session.execute(statement.where(Photo.id.in_(ids)))}
    return [by_id[photo_id] for photo_id in ids if photo_id in by_id]


def hotels_and_chains(session: Session) -> tuple[dict[int, tuple[str | None, int | None]], dict[int, str]]:
    """Return {hotel id: (name, chain id)} and {chain id: name}: small enough to hold, and far quicker than a join."""
    hotels = fetched(session, select(Hotel.id, Hotel.name, Hotel.chain_id))
    chains = session.execute(select(Chain.id, Chain.name)).all()
    return {row[0]: (row[1], row[2]) for rows in hotels for row in rows}, dict(chains)
