"""The newest entry of the registry that each account was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "registry_entries",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_registry_entries"),
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("registry_entries")
