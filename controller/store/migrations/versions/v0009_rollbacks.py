"""Rollbacks, what they do with each account, and the pins that they leave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "rollbacks",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("snapshot_id", sa.String(length=64), nullable=False),
        sa.Column("based_on", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_rollbacks"),
        sa.UniqueConstraint("id", name="uq_rollbacks_id"),
    )
    op.create_table(
        "rollback_accounts",
        sa.Column("rollback_seq", SEQ, nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("from_hash", sa.String(length=64), nullable=True),
        sa.Column("to_hash", sa.String(length=64), nullable=False),
        sa.Column("additive_id", sa.String(length=32), nullable=True),
        sa.Column("subtractive_id", sa.String(length=32), nullable=True),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rollback_seq"], ["rollbacks.seq"], name="fk_rollback_accounts_rollback_seq_rollbacks"
        ),
        sa.ForeignKeyConstraint(["to_hash"], ["chunks.hash"], name="fk_rollback_accounts_to_hash_chunks"),
        sa.PrimaryKeyConstraint("rollback_seq", "account_id", name="pk_rollback_accounts"),
    )
    op.create_index("ix_rollback_accounts_account", "rollback_accounts", ["account_id", "rollback_seq"])
    op.create_table(
        "pins",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("rollback_seq", SEQ, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["rollback_seq"], ["rollbacks.seq"], name="fk_pins_rollback_seq_rollbacks"),
        sa.PrimaryKeyConstraint("account_id", name="pk_pins"),
    )
    op.create_table(
        "pin_decisions",
        sa.Column("rollback_seq", SEQ, nullable=False),
        sa.Column("change_set_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("decision", sa.String(length=4), nullable=True),
        sa.Column("decided_by", sa.String(length=100), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("decision IN ('keep', 'drop')", name="ck_pin_decisions_decision"),
        sa.ForeignKeyConstraint(
            ["rollback_seq"], ["rollbacks.seq"], name="fk_pin_decisions_rollback_seq_rollbacks"
        ),
        sa.PrimaryKeyConstraint("rollback_seq", "change_set_id", name="pk_pin_decisions"),
    )
    op.create_index("ix_pin_decisions_account", "pin_decisions", ["account_id", "rollback_seq"])


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
