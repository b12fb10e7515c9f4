"""The operational state: change-sets, chunks, snapshots, the head; roll-outs, the sites' trees, conflicts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    _snapshots()
    _rollouts()


def _snapshots() -> None:
    op.create_table(
        "change_sets",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_change_sets"),
        sa.UniqueConstraint("id", name="uq_change_sets_id"),
    )
    op.create_index("ix_change_sets_account_id", "change_sets", ["account_id"])
    op.create_index("ix_change_sets_state", "change_sets", ["state", "seq"])
    op.create_table(
        "chunks",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_chunks"),
    )
    op.create_table(
        "snapshots",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=True),
        sa.Column("change_set_id", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_snapshots"),
        sa.UniqueConstraint("id", name="uq_snapshots_id"),
    )
    op.create_table(
        "snapshot_entries",
        sa.Column("snapshot_seq", SEQ, nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("from_hash", sa.String(length=64), nullable=True),
        sa.Column("to_hash", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["snapshot_seq"], ["snapshots.seq"], name="fk_snapshot_entries_snapshot_seq_snapshots"
        ),
        sa.ForeignKeyConstraint(["to_hash"], ["chunks.hash"], name="fk_snapshot_entries_to_hash_chunks"),
        sa.PrimaryKeyConstraint("snapshot_seq", "account_id", name="pk_snapshot_entries"),
    )
    op.create_index("ix_snapshot_entries_account", "snapshot_entries", ["account_id", "snapshot_seq"])
    op.create_table(
        "head",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("snapshot_seq", SEQ, nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["chunks.hash"], name="fk_head_hash_chunks"),
        sa.ForeignKeyConstraint(["snapshot_seq"], ["snapshots.seq"], name="fk_head_snapshot_seq_snapshots"),
        sa.PrimaryKeyConstraint("account_id", name="pk_head"),
    )


def _rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("change_set_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("snapshot_id", sa.String(length=64), nullable=False),
        sa.Column("from_hash", sa.String(length=64), nullable=True),
        sa.Column("to_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["to_hash"], ["chunks.hash"], name="fk_rollouts_to_hash_chunks"),
        sa.PrimaryKeyConstraint("seq", name="pk_rollouts"),
        sa.UniqueConstraint("id", name="uq_rollouts_id"),
        sa.UniqueConstraint("change_set_id", name="uq_rollouts_change_set_id"),
    )
    op.create_index("ix_rollouts_account", "rollouts", ["account_id", "seq"])
    op.create_index("ix_rollouts_state", "rollouts", ["state"])
    op.create_table(
        "rollout_sites",
        sa.Column("rollout_id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_rollout_sites_rollout_id_rollouts"),
        sa.PrimaryKeyConstraint("rollout_id", "site", name="pk_rollout_sites"),
    )
    op.create_table(
        "sites",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sites"),
    )
    op.create_table(
        "site_conflicts",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["sites.name"], name="fk_site_conflicts_site_sites"),
        sa.PrimaryKeyConstraint("site", "account_id", name="pk_site_conflicts"),
    )
    op.create_table(
        "site_trees",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("rollout_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["chunks.hash"], name="fk_site_trees_hash_chunks"),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_site_trees_rollout_id_rollouts"),
        sa.ForeignKeyConstraint(["site"], ["sites.name"], name="fk_site_trees_site_sites"),
        sa.PrimaryKeyConstraint("site", "account_id", name="pk_site_trees"),
    )


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
