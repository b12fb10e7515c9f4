"""Sites that are taken out of use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0016"
down_revision = "0015"

ID = sa.String(length=32)
STANDS = sa.text("lifted_at IS NULL")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "drains",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("site", sa.String(length=100), nullable=False),
        sa.Column("strategy", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("capacity_confirmed", sa.Boolean(), nullable=False),
        sa.Column("goes", sa.JSON(), nullable=False),
        sa.Column("stays", sa.JSON(), nullable=False),
        sa.Column("asked_by", ID, nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("confirmed_by", ID, nullable=True),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("lifted_by", ID, nullable=True),
        sa.Column("lifted_at", UtcDateTime(), nullable=True),
        sa.Column("lifted_why", sa.String(length=500), nullable=False),
        sa.Column("replaced_by", ID, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_drains"),
        sa.UniqueConstraint("id", name="uq_drains_id"),
    )
    op.create_index("ix_drains_standing", "drains", ["site"], sqlite_where=STANDS, postgresql_where=STANDS)


def downgrade() -> None:
    """Take it away."""
    op.drop_table("drains")
