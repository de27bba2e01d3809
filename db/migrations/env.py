"""Alembic's entry: runs the migrations on the connection that db.revisions.migrate hands over."""

from alembic import context

from db.models import Base

connection = context.config.attributes["connection"]
# SQLite changes a column by copying its table, which Alembic calls a batch.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
