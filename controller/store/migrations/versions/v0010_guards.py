"""What the controller's guards remember; how many BGP prefixes each account announces."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from controller.store.base import SEQ, UtcDateTime

revision = "0010"
down_revision = "0009"

ID = sa.String(length=32)
UNDECIDED = sa.text("decided IS NULL")
OPEN = sa.text("closed_at IS NULL")
STANDS = sa.text("lifted_at IS NULL")


def upgrade() -> None:
    """Make the tables, and count what is announced."""
    _count_announced()
    _holds()
    _breaker()
    op.create_table(
        "freezes",
        sa.Column("id", ID, nullable=False),
        sa.Column("scope", sa.String(length=150), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("lifted_at", UtcDateTime(), nullable=True),
        sa.Column("lifted_by", sa.String(length=100), nullable=True),
        sa.Column("lifted_why", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_freezes_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_freezes"),
    )
    op.create_index("ix_freezes_standing", "freezes", ["scope"], sqlite_where=STANDS, postgresql_where=STANDS)


def _count_announced() -> None:
    op.add_column("head", sa.Column("announced", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_head_announced", "head", ["announced"])
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT head.account_id, chunks.body FROM head JOIN chunks ON chunks.hash = head.hash")
    )
    counted = []
    for account_id, body in rows:
        try:
            announced = sum(b["advertised"] for b in json.loads(bytes(body))["bgp_prefixes"])
        except (ValueError, KeyError, TypeError):
            continue  # a damaged chunk: whatever needs it says so
        counted.append({"account": account_id, "count": announced})
    if counted:
        update = sa.text("UPDATE head SET announced = :count WHERE account_id = :account")
        connection.execute(update, counted)


def _holds() -> None:
    op.create_table(
        "assessments",
        sa.Column("change_set_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("lane", sa.String(length=12), nullable=False),
        sa.Column("verdict", sa.LargeBinary(), nullable=False),
        sa.Column("intents", sa.JSON(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("change_set_id", name="pk_assessments"),
    )
    op.create_table(
        "holds",
        sa.Column("change_set_id", ID, nullable=False),
        sa.Column("seq", SEQ, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("decided", sa.String(length=10), nullable=True),
        sa.Column("decided_by", sa.String(length=100), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_why", sa.String(length=500), nullable=False),
        sa.CheckConstraint("decided IN ('deploy', 'drop')", name="ck_holds_decided"),
        sa.PrimaryKeyConstraint("change_set_id", name="pk_holds"),
    )
    op.create_index(
        "ix_holds_undecided", "holds", ["account_id"], sqlite_where=UNDECIDED, postgresql_where=UNDECIDED
    )
    op.create_index("ix_holds_seq", "holds", ["seq"])
    op.create_table(
        "hold_waits",
        sa.Column("change_set_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("behind", ID, nullable=False),
        sa.PrimaryKeyConstraint("change_set_id", name="pk_hold_waits"),
    )
    op.create_index("ix_hold_waits_account_id", "hold_waits", ["account_id"])
    op.create_index("ix_hold_waits_behind", "hold_waits", ["behind"])


def _breaker() -> None:
    op.create_table(
        "effect_ledger",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("change_set_id", ID, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_effect_ledger"),
    )
    op.create_index("ix_effect_ledger_at", "effect_ledger", ["at"])
    op.create_table(
        "breaker_openings",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("scope", sa.String(length=150), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_by", sa.String(length=100), nullable=True),
        sa.Column("closed_why", sa.String(length=500), nullable=False),
        sa.Column("closing", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_breaker_openings"),
    )
    op.create_index(
        "ix_breaker_openings_open",
        "breaker_openings",
        ["scope"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index("ix_breaker_openings_closed", "breaker_openings", ["closed_at"])
    op.create_table(
        "breaker_excused",
        sa.Column("scope", sa.String(length=150), nullable=False),
        sa.Column("narrower", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_breaker_excused"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("freezes")
    op.drop_table("breaker_excused")
    op.drop_table("breaker_openings")
    op.drop_table("effect_ledger")
    op.drop_table("hold_waits")
    op.drop_table("holds")
    op.drop_table("assessments")
    op.drop_index("ix_head_announced", "head")
    op.drop_column("head", "announced")
