"""The configured state: accounts, tokens, services, prefixes, BGP prefixes, bindings, events, answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime
from controller.store.migrations.triggers import append_only

revision = "0001"
down_revision = None

LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    """Make the tables, and triggers that keep the events append-only."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "events",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("origin", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=True),
        sa.Column("object_kind", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("change_set_id", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
    )
    op.create_index("ix_events_account_id", "events", ["account_id"])
    op.create_table(
        "services",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
        sa.UniqueConstraint("name", name="uq_services_name"),
    )
    op.create_table(
        "prefixes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("low", sa.LargeBinary(length=16), nullable=False),
        sa.Column("high", sa.LargeBinary(length=16), nullable=False),
        sa.Column("asn", sa.BigInteger(), nullable=True),
        sa.Column("description", sa.String(length=1000), nullable=False),
        sa.Column("loa_document_id", sa.String(length=32), nullable=True),
        sa.Column("delegate_loa_creation", sa.Boolean(), nullable=False),
        sa.Column("ownership_token", sa.String(length=64), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_prefixes_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_prefixes"),
    )
    op.create_index("ix_prefixes_account_id", "prefixes", ["account_id"])
    op.create_index(
        "ix_prefixes_range", "prefixes", ["low", "high"], sqlite_where=LIVE, postgresql_where=LIVE
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=True),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("(role = 'customer') = (account_id IS NOT NULL)", name="ck_tokens_scope"),
        sa.CheckConstraint("role IN ('customer', 'operator')", name="ck_tokens_role"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_tokens_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
    )
    op.create_table(
        "answers",
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("change_set_id", sa.String(length=32), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_answers_token_id_tokens"),
        sa.PrimaryKeyConstraint("token_id", "key", name="pk_answers"),
    )
    op.create_table(
        "bgp_prefixes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("asn", sa.BigInteger(), nullable=True),
        sa.Column("asn_prepend_count", sa.Integer(), nullable=False),
        sa.Column("auto_advertise_withdraw", sa.Boolean(), nullable=False),
        sa.Column("advertised", sa.Boolean(), nullable=False),
        sa.Column("advertised_modified_at", UtcDateTime(), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("sites", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("asn_prepend_count BETWEEN 0 AND 3", name="ck_bgp_prefixes_prepends"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_bgp_prefixes_account_id_accounts"),
        sa.ForeignKeyConstraint(["prefix_id"], ["prefixes.id"], name="fk_bgp_prefixes_prefix_id_prefixes"),
        sa.PrimaryKeyConstraint("id", name="pk_bgp_prefixes"),
    )
    op.create_index("ix_bgp_prefixes_prefix_id", "bgp_prefixes", ["prefix_id"])
    op.create_index(
        "uq_bgp_prefixes_live",
        "bgp_prefixes",
        ["account_id", "cidr"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )
    op.create_table(
        "bindings",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("service_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_bindings_account_id_accounts"),
        sa.ForeignKeyConstraint(["prefix_id"], ["prefixes.id"], name="fk_bindings_prefix_id_prefixes"),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name="fk_bindings_service_id_services"),
        sa.PrimaryKeyConstraint("id", name="pk_bindings"),
    )
    op.create_index("ix_bindings_prefix_id", "bindings", ["prefix_id"])
    op.create_index(
        "uq_bindings_live",
        "bindings",
        ["account_id", "cidr"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )
    append_only("events")


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
