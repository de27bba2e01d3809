"""How bright photos are. Only a column is added, whose rows need not be written: who embeds a photo measures it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("photo", sa.Column("brightness", sa.Double(), nullable=True))
