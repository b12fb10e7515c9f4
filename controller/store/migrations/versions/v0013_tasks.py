"""Tasks' switches, their runs and each call of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0013"
down_revision = "0012"

OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tasks",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.Column("stopped_at", UtcDateTime(), nullable=True),
        sa.Column("stopped_by", sa.String(length=100), nullable=True),
        sa.Column("stop_reason", sa.String(length=2000), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tasks"),
    )
    op.create_table(
        "task_runs",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("started_by", sa.String(length=100), nullable=False),
        sa.Column("why", sa.String(length=2000), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("plan_hash", sa.String(length=64), nullable=True),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("approved_hash", sa.String(length=64), nullable=True),
        sa.Column("approved_by", sa.String(length=100), nullable=True),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.Column("changed", sa.JSON(), nullable=False),
        sa.Column("held_by", sa.String(length=32), nullable=True),
        sa.Column("held_until", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_task_runs"),
        sa.UniqueConstraint("id", name="uq_task_runs_id"),
    )
    op.create_index("ix_task_runs_task", "task_runs", ["task", "seq"])
    op.create_index(
        "uq_task_runs_open", "task_runs", ["task"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_table(
        "task_calls",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("target", sa.String(length=2000), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=2000), nullable=True),
        sa.Column("change_sets", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["task_runs.id"], name="fk_task_calls_run_id_task_runs"),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_task_calls"),
    )


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
