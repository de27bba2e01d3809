"""Segments in the place of shards; a checksum of every restyled picture.

Where there are shards, `indexer.upgrade` has written the segments before, and hands over which shards are in which.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "vector_segment",
        sa.Column("id", row_id, nullable=False),
        sa.Column("model_id", row_id, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("alive", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("restyled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("ix_vector_segment_model_id", "vector_segment", ["model_id"])
    op.create_table(
        "dead_vector",
        sa.Column("segment_id", row_id, nullable=False),
        sa.Column("photo_id", row_id, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["segment_id"], ["vector_segment.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("segment_id", "photo_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "embedding_by_segment",
        sa.Column("photo_id", row_id, nullable=False),
        sa.Column("model_id", row_id, nullable=False),
        sa.Column("segment_id", row_id, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.ForeignKeyConstraint(["photo_id"], ["photo.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["segment_id"], ["vector_segment.id"]),
        sa.PrimaryKeyConstraint("photo_id", "model_id"),
        sqlite_with_rowid=False,
    )
    move(op.get_bind(), context.config.attributes.get("segments", []))
    op.drop_table("embedding")
    op.rename_table("embedding_by_segment", "embedding")
    op.create_index("ix_embedding_segment_id", "embedding", ["segment_id"])
    op.drop_table("vector_shard")
    op.drop_column("model", "generation")
    op.add_column("restyling", sa.Column("sha256", sa.String(length=64), nullable=True))


def move(connection: sa.Connection, segments: list[dict[str, object]]) -> None:
    """Record segments: columns of the table, and `shards`, the ids of the shards in each; count what is alive.

    Photos whose shard is in none are to be embedded anew.
    """
    for segment in segments:
        columns = {name: value for name, value in segment.items() if name != "shards"}
        connection.execute(
            sa.text(
                "INSERT INTO vector_segment (id, model_id, name, rows, alive, size_bytes, sha256, restyled)"
                " VALUES (:id, :model_id, :name, :rows, 0, :size_bytes, :sha256, :restyled)"
            ),
            columns,
        )
        statement = sa.text(
            "INSERT INTO embedding_by_segment (model_id, photo_id, segment_id) SELECT model_id, photo_id, :id"
            " FROM embedding WHERE shard_id IN :shards"
        ).bindparams(sa.bindparam("shards", expanding=True))
        shards = list(segment["shards"])  # type: ignore[call-overload] # a list of ids
        for start in range(0, len(shards), 500):
            connection.execute(statement, {"id": segment["id"], "shards": shards[start : start + 500]})
    if segments and connection.dialect.name == "postgresql":  # which numbers rows by a sequence of its own
        connection.execute(
            sa.text("SELECT setval(pg_get_serial_sequence('vector_segment', 'id'), max(id)) FROM vector_segment")
        )
    connection.execute(
        sa.text(
            "INSERT INTO dead_vector (segment_id, photo_id) SELECT segment_id, photo_id FROM embedding_by_segment"
            " WHERE photo_id IN (SELECT id FROM photo WHERE state NOT IN ('embedded', 'restyled'))"
        )
    )
    connection.execute(
        sa.text(
            "UPDATE vector_segment SET alive = rows - (SELECT count(*) FROM dead_vector d"
            " WHERE d.segment_id = vector_segment.id)"
        )
    )
    connection.execute(
        sa.text(
            "UPDATE photo SET state = 'pending' WHERE state = 'embedded' AND id NOT IN"
            " (SELECT photo_id FROM embedding_by_segment) AND id IN (SELECT photo_id FROM embedding)"
        )
    )
