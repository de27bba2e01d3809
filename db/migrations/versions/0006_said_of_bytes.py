"""Labels belong to the bytes of photos, and restyled photos know the bytes that they were made of."""

import sqlalchemy as sa
from alembic import op

from base.records import parse_json
from db.sqlite_files import damaged_value

revision = "0006"
down_revision = "0005"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "label_of_bytes",
        sa.Column("content_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("content_sha256", "tag"),
        sqlite_with_rowid=False,
    )
    op.execute(  # of copies that people said different things of, the newest word counts
        "INSERT INTO label_of_bytes (content_sha256, tag, present, made_at)"
        " SELECT content_sha256, tag, present, made_at FROM ("
        "SELECT p.content_sha256, l.tag, l.present, l.made_at, row_number() OVER"
        " (PARTITION BY p.content_sha256, l.tag ORDER BY l.made_at DESC, l.photo_id DESC) AS place"
        " FROM tag_label l JOIN photo p ON p.id = l.photo_id WHERE p.content_sha256 IS NOT NULL"
        ") AS said WHERE place = 1"
    )
    op.drop_table("tag_label")
    op.rename_table("label_of_bytes", "tag_label")
    op.create_index("ix_tag_label_tag", "tag_label", ["tag"])
    op.add_column("restyling", sa.Column("source_sha256", sa.LargeBinary(length=32), nullable=True))
    op.create_index("ix_restyling_source_sha256", "restyling", ["source_sha256"])
    connection = op.get_bind()
    for result_id, lineage in connection.execute(sa.text("SELECT id, lineage FROM restyling")).all():
        try:
            said = parse_json(lineage) if isinstance(lineage, str) else lineage
            sha256 = bytes.fromhex(said["source_sha256"])
        except (ValueError, LookupError, TypeError) as error:
            raise damaged_value(connection.engine, f"lineage of row {result_id} of restyling: {error!r}") from error
        connection.execute(
            sa.text("UPDATE restyling SET source_sha256 = :sha256 WHERE id = :id"), {"sha256": sha256, "id": result_id}
        )
