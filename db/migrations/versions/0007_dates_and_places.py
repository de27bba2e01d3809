"""Dates and places that cameras and tables say of photos, hotels of one's own, and how folders name them.

Only columns are added, whose rows need not be written: the bytes of photos that were embedded before were not asked.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

COLUMNS: tuple[tuple[str, Any], ...] = (
    ("hotel_from", sa.String(length=8)),
    ("dated_at", sa.DateTime()),
    ("date_from", sa.String(length=8)),
    ("latitude", sa.Double()),
    ("longitude", sa.Double()),
    ("place_from", sa.String(length=8)),
    ("exif_read", sa.Boolean()),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("photo", sa.Column(name, kind, nullable=True))
    has_place = sa.text("latitude IS NOT NULL")
    op.create_index("ix_photo_latitude", "photo", ["latitude"], sqlite_where=has_place, postgresql_where=has_place)
    op.create_table(
        "hotel_choice",
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("hotel_from", sa.String(length=8), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("root"),
    )
