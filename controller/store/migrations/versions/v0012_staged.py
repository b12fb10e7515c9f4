"""How a roll-out goes: its lane, its waves, what is left until its deadline."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns; what was begun before went at once, in one wave."""
    with op.batch_alter_table("rollouts") as table:
        table.add_column(sa.Column("lane", sa.String(length=12), nullable=False, server_default="express"))
        table.add_column(sa.Column("gated", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("course", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("left_s", sa.Double(), nullable=True))


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("restore a copy of the database: herald store restore")
