"""Scopes, expiry and roles of tokens; the events' hash chain."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

from controller.store.base import UtcDateTime

revision = "0004"
down_revision = "0003"

ROLES = "role IN ('customer', 'operator', 'task', 'break-glass')"
ACCOUNT = (
    "(role <> 'customer' OR account_id IS NOT NULL) AND (role IN ('customer', 'task') OR account_id IS NULL)"
)
EXPIRY = "role IN ('customer', 'operator') OR expires_at IS NOT NULL"
OLD_TOKENS = "id, hash, role, account_id, description, created_at, revoked_at"
ANSWERS = "token_id, key, request_hash, status, body, change_set_id, etag, at"


def upgrade() -> None:
    """Widen the tokens, and chain the events that there are."""
    if op.get_bind().dialect.name == "sqlite":
        _tokens_anew()
    else:
        _tokens_in_place()
    op.add_column("events", sa.Column("hash", sa.String(length=64), server_default="", nullable=False))
    op.create_index("ix_events_object_id", "events", ["object_id"])
    op.create_index("ix_events_actor", "events", ["actor"])
    _chain()


def _tokens_anew() -> None:
    """SQLite changes no constraint in place, and a table that another refers to cannot be dropped.

    So: the new tokens, then answers that refer to those, then the new names, which references follow.
    """
    op.create_table(
        "tokens_anew",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=True),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("issued_by", sa.String(length=32), nullable=True),
        sa.CheckConstraint(ROLES, name="ck_tokens_role"),
        sa.CheckConstraint(ACCOUNT, name="ck_tokens_scope"),
        sa.CheckConstraint(EXPIRY, name="ck_tokens_expiry"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_tokens_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
    )
    op.execute(f"INSERT INTO tokens_anew ({OLD_TOKENS}) SELECT {OLD_TOKENS} FROM tokens")
    op.create_table(
        "answers_anew",
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("change_set_id", sa.String(length=400), nullable=True),
        sa.Column("etag", sa.String(length=64), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens_anew.id"], name="fk_answers_token_id_tokens"),
        sa.PrimaryKeyConstraint("token_id", "key", name="pk_answers"),
    )
    op.execute(f"INSERT INTO answers_anew ({ANSWERS}) SELECT {ANSWERS} FROM answers")
    op.drop_table("answers")
    op.drop_table("tokens")
    op.rename_table("tokens_anew", "tokens")
    op.rename_table("answers_anew", "answers")


def _tokens_in_place() -> None:
    op.drop_constraint("ck_tokens_role", "tokens", type_="check")
    op.drop_constraint("ck_tokens_scope", "tokens", type_="check")
    op.alter_column("tokens", "role", existing_type=sa.String(length=10), type_=sa.String(length=20))
    op.add_column("tokens", sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("tokens", sa.Column("expires_at", UtcDateTime(), nullable=True))
    op.add_column("tokens", sa.Column("issued_by", sa.String(length=32), nullable=True))
    for name, rule in (("role", ROLES), ("scope", ACCOUNT), ("expiry", EXPIRY)):
        op.create_check_constraint(f"ck_tokens_{name}", "tokens", rule)


EVENTS = sa.table(
    "events",
    sa.column("seq", sa.Integer()),
    sa.column("at", sa.String()),
    *(sa.column(n, sa.String()) for n in ("actor", "origin", "action", "account_id", "object_kind")),
    *(sa.column(n, sa.String()) for n in ("object_id", "reason", "change_set_id", "hash")),
    sa.column("detail", sa.JSON()),
)


def _chain() -> None:
    """Give the events that there are their hashes; the trigger that forbids it is away meanwhile."""
    bind = op.get_bind()
    found = bind.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)).mappings().all()
    if not found:
        return
    if bind.dialect.name == "sqlite":
        op.execute("DROP TRIGGER events_no_update")
    else:
        op.execute("ALTER TABLE events DISABLE TRIGGER USER")
    previous = "0" * 64
    for row in found:
        event = {name: value for name, value in row.items() if name != "hash"}
        text = json.dumps(event, sort_keys=True, separators=(",", ":"))  # as audit_chain.canonical does
        previous = hashlib.sha256(f"{previous}\n{text}".encode("ascii")).hexdigest()
        bind.execute(sa.update(EVENTS).where(EVENTS.c.seq == row["seq"]).values(hash=previous))
    if bind.dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER events_no_update BEFORE UPDATE ON events "
            "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
        )
    else:
        op.execute("ALTER TABLE events ENABLE TRIGGER USER")


def downgrade() -> None:
    """Refuse: rows would be lost. Restore a copy of the database instead."""
    raise NotImplementedError("migrations go up only: restore a copy of the database")
