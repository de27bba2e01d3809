"""Places that photos come from, and what lists say of photos. No row is rewritten: older sources are in the scans."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


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


def downgrade() -> None:
    op.drop_table("photo_source")
    op.drop_column("photo", "etag")
    op.drop_column("photo", "details")
