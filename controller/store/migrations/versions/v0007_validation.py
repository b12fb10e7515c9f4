"""Checks of prefixes: the latest of each, what was answered before, and how large sources of VRPs were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "prefix_checks",
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("answer_hash", sa.String(length=64), nullable=True),
        sa.Column("requested_at", UtcDateTime(), nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("name IN ('irr', 'rpki', 'ownership')", name="ck_prefix_checks_name"),
        sa.CheckConstraint(
            "state IN ('pending', 'valid', 'invalid', 'error')", name="ck_prefix_checks_state"
        ),
        sa.ForeignKeyConstraint(["prefix_id"], ["prefixes.id"], name="fk_prefix_checks_prefix_id_prefixes"),
        sa.PrimaryKeyConstraint("prefix_id", "name", name="pk_prefix_checks"),
    )
    op.create_index("ix_prefix_checks_due", "prefix_checks", ["due_at"])
    op.create_table(
        "prefix_check_answers",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=10), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prefix_id"], ["prefixes.id"], name="fk_prefix_check_answers_prefix_id_prefixes"
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_prefix_check_answers"),
    )
    op.create_index("ix_prefix_check_answers_of", "prefix_check_answers", ["prefix_id", "seq"])
    op.create_table(
        "vrp_baselines",
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("vrps", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_vrp_baselines"),
    )


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
