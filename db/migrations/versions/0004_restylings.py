"""Restyled photos with their lineage, shards of their vectors, games of the quiz."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("vector_shard", sa.Column("restyled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "restyling",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_photo_id", row_id, nullable=True),
        sa.Column("result_photo_id", row_id, nullable=True),
        sa.Column("wish", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("palette", sa.Text(), nullable=False),
        sa.Column("rung", sa.String(length=64), nullable=False),
        sa.Column("lineage", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["result_photo_id"], ["photo.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["source_photo_id"], ["photo.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("source_photo_id", "result_photo_id", "wish"):
        op.create_index(f"ix_restyling_{column}", "restyling", [column])
    op.create_table(
        "quiz_game",
        sa.Column("id", row_id, nullable=False),
        sa.Column("played_at", sa.DateTime(), nullable=False),
        sa.Column("player", sa.Text(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("right", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
