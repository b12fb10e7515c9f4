"""Snapshots are found by their time, and one whose tree is not whole any more says so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add a column and an index."""
    op.add_column("snapshots", sa.Column("thinned", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_snapshots_at", "snapshots", ["at", "seq"])


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
