"""Places that photos come from, and what lists say of photos. No photo is rewritten: older places are in the scans."""

import os
from collections.abc import Container

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("photo", sa.Column("details", sa.JSON(), nullable=True))
    op.add_column("photo", sa.Column("etag", sa.String(length=200), nullable=True))
    op.create_table(
        "photo_source",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("mounts", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("place"),
    )
    remember_scans(op.get_bind())


def remember_scans(connection: sa.Connection) -> None:
    """Remember the places that were looked at: but for those that lie in a folder or a tree that was, too.

    Of photos that were named one by one the scans know only the first of each time: the others are those that lie in
    no place that was looked at.
    """
    rows = connection.execute(
        sa.text("SELECT root, kind, min(started_at), max(started_at) FROM scan GROUP BY root, kind ORDER BY root")
    )
    places = {row[0]: (row[1], row[2], row[3]) for row in rows}
    folders = {root for root, row in places.items() if row[0] in ("folder", "hotels50k")}
    kept = {root: row for root, row in places.items() if row[0] == "hotels50k-test" or not any_above(root, folders)}
    if any(kind == "file" for kind, _, _ in kept.values()):
        first, last = next((begun, ended) for kind, begun, ended in kept.values() if kind == "file")
        photos = connection.execute(sa.text("SELECT path FROM photo WHERE member = '' AND state <> 'restyled'"))
        alone = (row[0] for row in photos if row[0] not in kept and not any_above(row[0], kept))
        kept |= {path: ("file", first, last) for path in alone}
    statement = (
        "INSERT INTO photo_source (place, kind, options, mounts, added_at, scanned_at) "
        "VALUES (:place, :kind, '{}', '{}', :added_at, :scanned_at)"
    )
    columns = ("place", "kind", "added_at", "scanned_at")
    if kept:
        sources = [dict(zip(columns, (place, *row), strict=True)) for place, row in kept.items()]
        connection.execute(sa.text(statement), sources)


def any_above(place: str, folders: Container[str]) -> bool:
    """Tell whether a place lies in one of some folders."""
    while (parent := os.path.dirname(place)) != place:
        if parent in folders:
            return True
        place = parent
    return False
