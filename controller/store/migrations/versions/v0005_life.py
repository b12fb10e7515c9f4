"""Intents, deletions, locks, transfers, migrations; the revocations, append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime
from controller.store.migrations.triggers import append_only

revision = "0005"
down_revision = "0004"

DELETED = sa.text("deletion_id IS NOT NULL")
PENDING = sa.text("pending_delete_at IS NOT NULL")
OFFERED = sa.text("state = 'offered'")


def upgrade() -> None:
    """Make the tables, the columns that say who is to go and who went, and the triggers."""
    _columns()
    _intents()
    _deletions()
    _locks()
    _transfers()
    _revocations()
    _migrations()


def _columns() -> None:
    op.add_column("prefixes", sa.Column("pending_delete_at", UtcDateTime(), nullable=True))
    for table in ("prefixes", "bgp_prefixes", "bindings"):
        op.add_column(table, sa.Column("deletion_id", sa.String(length=32), nullable=True))
    op.create_index(
        "ix_prefixes_reserved", "prefixes", ["low", "high"], sqlite_where=DELETED, postgresql_where=DELETED
    )
    op.create_index("ix_prefixes_pending", "prefixes", ["id"], sqlite_where=PENDING, postgresql_where=PENDING)


def _intents() -> None:
    op.create_table(
        "intent_requests",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.Column("sites", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("requested_by", sa.String(length=32), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("confirmed_by", sa.String(length=32), nullable=True),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("used_for", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_intent_requests_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_intent_requests"),
    )


def _deletions() -> None:
    op.create_table(
        "deletion_requests",
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("requested_by", sa.String(length=32), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_deletion_requests_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["prefix_id"], ["prefixes.id"], name="fk_deletion_requests_prefix_id_prefixes"
        ),
        sa.PrimaryKeyConstraint("prefix_id", name="pk_deletion_requests"),
    )
    op.create_table(
        "deletions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("grace_ends_at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("outcome IN ('undeleted', 'purged')", name="ck_deletions_outcome"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_deletions_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
    )
    op.create_index("ix_deletions_account_id", "deletions", ["account_id"])


def _locks() -> None:
    op.create_table(
        "withdrawal_locks",
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("code_hash", sa.String(length=64), nullable=True),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tries_since", UtcDateTime(), nullable=True),
        sa.Column("locked_by", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(public_key IS NULL) = (code_hash IS NOT NULL)", name="ck_withdrawal_locks_opens"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_withdrawal_locks_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["prefix_id"], ["prefixes.id"], name="fk_withdrawal_locks_prefix_id_prefixes"
        ),
        sa.PrimaryKeyConstraint("prefix_id", name="pk_withdrawal_locks"),
        sa.UniqueConstraint("id", name="uq_withdrawal_locks_id"),
    )


def _transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("to_account_id", sa.String(length=32), nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=32), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('offered', 'accepted', 'cancelled')", name="ck_transfers_state"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_transfers_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["to_account_id"], ["accounts.id"], name="fk_transfers_to_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
    )
    op.create_index("ix_transfers_account_id", "transfers", ["account_id"])
    op.create_index("ix_transfers_to_account_id", "transfers", ["to_account_id"])
    op.create_index(
        "uq_transfers_offered",
        "transfers",
        ["prefix_id"],
        unique=True,
        sqlite_where=OFFERED,
        postgresql_where=OFFERED,
    )


def _revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.CheckConstraint(
            "kind IN ('transfer', 'loa_withdrawn', 'legal_order', 'origin_deauthorised')",
            name="ck_revocations_kind",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_revocations_account_id_accounts"),
        sa.PrimaryKeyConstraint("seq", name="pk_revocations"),
    )
    op.create_index("ix_revocations_account_id", "revocations", ["account_id"])
    append_only("revocations")


def _migrations() -> None:
    op.create_table(
        "migrations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("cidrs", sa.JSON(), nullable=False),
        sa.Column("withdrawn", sa.JSON(), nullable=False),
        sa.Column("not_before", UtcDateTime(), nullable=False),
        sa.Column("not_after", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("confirmation", sa.String(length=12), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('planned', 'confirmed', 'withdrawing', 'done', 'cancelled', 'lapsed')",
            name="ck_migrations_state",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_migrations_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_migrations"),
    )
    op.create_index("ix_migrations_account_id", "migrations", ["account_id"])


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
