"""Stored answers: their ETag, ids of several change-sets. Prefixes: an index in the order of lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and the index; make room for the ids of several change-sets."""
    op.create_index("ix_prefixes_order", "prefixes", ["account_id", "created_at", "id"])
    op.drop_index("ix_prefixes_account_id", "prefixes")
    with op.batch_alter_table("answers") as answers:
        answers.add_column(sa.Column("etag", sa.String(length=64), nullable=True))
        answers.alter_column("change_set_id", existing_type=sa.String(length=32), type_=sa.String(length=400))


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
