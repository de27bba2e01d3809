"""Vocabularies, taggings, human labels, captions and the index of their words."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# SQLite's full-text index over caption_text; other databases search the text itself (db/captions.py).
CAPTION_WORDS = (
    "CREATE VIRTUAL TABLE caption_words USING fts5"
    "(text, content='caption_text', content_rowid='id', tokenize='porter unicode61')",
    "CREATE TRIGGER caption_words_insert AFTER INSERT ON caption_text BEGIN "
    "INSERT INTO caption_words(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER caption_words_delete AFTER DELETE ON caption_text BEGIN "
    "INSERT INTO caption_words(caption_words, rowid, text) VALUES ('delete', old.id, old.text); END",
)


def upgrade() -> None:
    op.create_table(
        "vocabulary",
        sa.Column("id", row_id, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "tagging",
        sa.Column("id", row_id, nullable=False),
        sa.Column("model_id", row_id, nullable=False),
        sa.Column("vocabulary_id", row_id, nullable=False),
        sa.Column("decision", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.ForeignKeyConstraint(["vocabulary_id"], ["vocabulary.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tagging_model_vocabulary", "tagging", ["model_id", "vocabulary_id"], unique=True)
    op.create_table(
        "tag_label",
        sa.Column("photo_id", row_id, nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["photo_id"], ["photo.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("photo_id", "tag"),
    )
    op.create_index("ix_tag_label_tag", "tag_label", ["tag"])
    op.create_table(
        "caption_set",
        sa.Column("id", row_id, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "caption_text",
        sa.Column("id", row_id, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "caption",
        sa.Column("set_id", row_id, nullable=False),
        sa.Column("photo_id", row_id, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("text_id", row_id, nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["photo_id"], ["photo.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["set_id"], ["caption_set.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["text_id"], ["caption_text.id"]),
        sa.PrimaryKeyConstraint("set_id", "photo_id", "rank"),
    )
    op.create_index("ix_caption_photo_id", "caption", ["photo_id"])
    op.create_index("ix_caption_text_id", "caption", ["text_id"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in CAPTION_WORDS:
            op.execute(statement)
