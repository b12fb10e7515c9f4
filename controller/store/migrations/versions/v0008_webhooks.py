"""The timeline, webhooks, their deliveries, what was last observed; events until now enter the timeline."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0008"
down_revision = "0007"

PENDING = sa.text("state = 'pending'")

PAST = {
    "create": "created", "edit": "edited", "approve": "approved", "delete": "deleted",
    "advertise": "advertised", "withdraw": "withdrawn", "prepend": "prepended",
    "auto-advertise": "auto_advertise_set", "issue": "issued", "revoke": "revoked",
}  # fmt: skip
"""What was recorded before there was a timeline."""


def upgrade() -> None:
    """Make the tables, and tell what was recorded before."""
    _timeline()
    _webhooks()
    _tell_what_was()


def _timeline() -> None:
    op.create_table(
        "timeline",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("type", sa.String(length=60), nullable=False),
        sa.Column("object_kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.String(length=32), nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=True),
        sa.Column("change_set_id", sa.String(length=32), nullable=True),
        sa.Column("site", sa.String(length=64), nullable=True),
        sa.Column("event_seq", SEQ, nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=True),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_timeline"),
    )
    op.create_index("ix_timeline_account", "timeline", ["account_id", "seq"])
    op.create_index("ix_timeline_prefix", "timeline", ["prefix_id", "seq"])
    op.create_table(
        "sightings",
        sa.Column("bgp_prefix_id", sa.String(length=32), nullable=False),
        sa.Column("seen_by", sa.Integer(), nullable=False),
        sa.Column("of", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("bgp_prefix_id", name="pk_sightings"),
    )


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=False),
        sa.Column("secret", sa.String(length=100), nullable=False),
        sa.Column("previous_secret", sa.String(length=100), nullable=True),
        sa.Column("previous_until", UtcDateTime(), nullable=True),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("disabled_reason", sa.String(length=500), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_webhooks_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_account_id", "webhooks", ["account_id"])
    op.create_table(
        "deliveries",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("webhook_id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=60), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("first_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("last_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("delivered_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="ck_deliveries_state"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_deliveries_webhook_id_webhooks"),
        sa.PrimaryKeyConstraint("seq", name="pk_deliveries"),
        sa.UniqueConstraint("id", name="uq_deliveries_id"),
    )
    op.create_index("ix_deliveries_webhook", "deliveries", ["webhook_id", "seq"])
    op.create_index(
        "ix_deliveries_pending",
        "deliveries",
        ["webhook_id", "seq"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )


def _tell_what_was() -> None:
    """Each event of an account enters the timeline; events and rows that are gone have no prefix there."""
    whens = " ".join(f"WHEN '{action}' THEN '{past}'" for action, past in PAST.items())
    op.execute(
        "INSERT INTO timeline (account_id, at, kind, type, object_kind, object_id, prefix_id, change_set_id, "
        "event_seq, reason, detail) "
        f"SELECT e.account_id, e.at, 'configured', e.object_kind || '.' || CASE e.action {whens} "
        "ELSE replace(e.action, '-', '_') END, e.object_kind, e.object_id, "
        "CASE e.object_kind WHEN 'prefix' THEN e.object_id ELSE coalesce(b.prefix_id, s.prefix_id) END, "
        "e.change_set_id, e.seq, '', '{}' FROM events e "
        "LEFT JOIN bgp_prefixes b ON b.id = e.object_id LEFT JOIN bindings s ON s.id = e.object_id "
        "WHERE e.account_id IS NOT NULL ORDER BY e.seq"
    )


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
