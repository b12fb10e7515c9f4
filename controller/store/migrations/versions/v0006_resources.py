"""Delegations, LOA documents, address maps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.store.base import UtcDateTime

revision = "0006"
down_revision = "0005"

LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    """Make the tables."""
    _delegations()
    _letters()
    _maps()


def _delegations() -> None:
    op.create_table(
        "delegations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("prefix_id", sa.String(length=32), nullable=False),
        sa.Column("delegated_account_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("may_advertise", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.Column("deletion_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_delegations_account_id_accounts"),
        sa.ForeignKeyConstraint(["prefix_id"], ["prefixes.id"], name="fk_delegations_prefix_id_prefixes"),
        sa.ForeignKeyConstraint(
            ["delegated_account_id"], ["accounts.id"], name="fk_delegations_delegated_account_id_accounts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_delegations"),
    )
    op.create_index("ix_delegations_prefix_id", "delegations", ["prefix_id"])
    op.create_index("ix_delegations_delegated", "delegations", ["delegated_account_id", "cidr"])
    _unique_while_live("delegations", "account_id", "cidr")
    op.add_column("bindings", sa.Column("delegation_id", sa.String(length=32), nullable=True))
    op.create_index("ix_bindings_delegation_id", "bindings", ["delegation_id"])


def _letters() -> None:
    op.create_table(
        "loa_documents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("auto_generated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("verified_at", UtcDateTime(), nullable=True),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_loa_documents_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_loa_documents"),
    )
    op.create_index("ix_loa_documents_order", "loa_documents", ["account_id", "created_at", "id"])
    op.create_table(
        "loa_parts",
        sa.Column("document_id", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["loa_documents.id"], name="fk_loa_parts_document_id_loa_documents"
        ),
        sa.PrimaryKeyConstraint("document_id", "seq", name="pk_loa_parts"),
    )


def _maps() -> None:
    op.create_table(
        "address_maps",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=True),
        sa.Column("default_sni", sa.String(length=253), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("can_delete", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("can_modify_ips", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("modified_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_address_maps_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_address_maps"),
    )
    op.create_index("ix_address_maps_order", "address_maps", ["account_id", "created_at", "id"])
    op.create_table(
        "address_map_ips",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("map_id", sa.String(length=32), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("address", sa.LargeBinary(length=16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["map_id"], ["address_maps.id"], name="fk_address_map_ips_map_id_address_maps"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_address_map_ips"),
    )
    _unique_while_live("address_map_ips", "map_id", "ip")
    op.create_index(
        "ix_address_map_ips_address", "address_map_ips", ["address"],
        sqlite_where=LIVE, postgresql_where=LIVE,
    )  # fmt: skip
    op.create_table(
        "address_map_memberships",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("map_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("identifier", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('account', 'zone')", name="ck_address_map_memberships_kind"),
        sa.ForeignKeyConstraint(
            ["map_id"], ["address_maps.id"], name="fk_address_map_memberships_map_id_address_maps"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_address_map_memberships"),
    )
    _unique_while_live("address_map_memberships", "map_id", "kind", "identifier")
    op.create_index("ix_address_map_memberships_identifier", "address_map_memberships", ["identifier"])


def _unique_while_live(table: str, *columns: str) -> None:
    op.create_index(
        f"uq_{table}_live", table, list(columns),
        unique=True, sqlite_where=LIVE, postgresql_where=LIVE,
    )  # fmt: skip


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
