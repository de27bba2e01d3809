"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "chain",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "model",
        sa.Column("id", row_id, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "scan",
        sa.Column("id", row_id, nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "hotel",
        sa.Column("id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("chain_id", row_id, nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["chain_id"], ["chain.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hotel_chain_id", "hotel", ["chain_id"], unique=False)
    op.create_table(
        "vector_shard",
        sa.Column("id", row_id, nullable=False),
        sa.Column("model_id", row_id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_vector_shard_number", "vector_shard", ["model_id", "number"], unique=True)
    op.create_table(
        "photo",
        sa.Column("id", row_id, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("image_id", sa.BigInteger(), nullable=True),
        sa.Column("hotel_id", row_id, nullable=True),
        sa.Column("image_source", sa.String(length=64), nullable=True),
        sa.Column("uploaded_at", sa.DateTime(), nullable=True),
        sa.Column("width_px", sa.Integer(), nullable=True),
        sa.Column("height_px", sa.Integer(), nullable=True),
        sa.Column("format", sa.String(length=16), nullable=True),
        sa.Column("grey", sa.Boolean(), nullable=True),
        sa.Column("content_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column(
            "state",
            sa.Enum("pending", "embedded", "failed", name="photostate", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["hotel_id"], ["hotel.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_photo_content_sha256", "photo", ["content_sha256"], unique=False)
    op.create_index("ix_photo_hotel_id", "photo", ["hotel_id"], unique=False)
    op.create_index("ix_photo_image_id", "photo", ["image_id"], unique=False)
    op.create_index("ix_photo_place", "photo", ["path", "member"], unique=True)
    if op.get_bind().dialect.name == "postgresql":  # which has texts in the order of a language: what lies in a folder
        op.create_index("ix_photo_path_bytes", "photo", ["path"], postgresql_ops={"path": "text_pattern_ops"})
    op.create_index("ix_photo_state", "photo", ["state"], unique=False)
    op.create_table(
        "embedding",
        sa.Column("model_id", row_id, nullable=False),
        sa.Column("photo_id", row_id, nullable=False),
        sa.Column("shard_id", row_id, nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.ForeignKeyConstraint(["photo_id"], ["photo.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["shard_id"], ["vector_shard.id"]),
        sa.PrimaryKeyConstraint("model_id", "photo_id"),
    )
    op.create_index("ix_embedding_shard_id", "embedding", ["shard_id"], unique=False)
