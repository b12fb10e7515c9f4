"""The configured state: what customers asked for. Rows are tombstoned (``deleted_at``), never removed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from controller.addressing import (
    address_map_tables,
    delegation_tables,
    life_tables,
    loa_tables,
    registry_tables,
    validation_tables,
)
from controller.store import SEQ, Base, UtcDateTime

OTHER_ROOMS = (
    address_map_tables,
    delegation_tables,
    life_tables,
    loa_tables,
    registry_tables,
    validation_tables,
)
"""Whose tables belong to the same state; named here, so that whoever has these has all."""

ID = String(32)
LIVE = text("deleted_at IS NULL")
DELETED = text("deletion_id IS NOT NULL")
PENDING = text("pending_delete_at IS NOT NULL")


class AccountRow(Base):
    """A customer."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TokenRow(Base):
    """A bearer token; only its SHA-256 is kept. Operators' have no account, tasks' may have one.

    ``scopes``: resource to verbs, None for all that the role may do. ``issued_by``: a token's id.
    """

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("role IN ('customer', 'operator', 'task', 'break-glass')", name="role"),
        CheckConstraint(
            "(role <> 'customer' OR account_id IS NOT NULL) "
            "AND (role IN ('customer', 'task') OR account_id IS NULL)",
            name="scope",
        ),
        CheckConstraint("role IN ('customer', 'operator') OR expires_at IS NOT NULL", name="expiry"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    account_id: Mapped[str | None] = mapped_column(ID, ForeignKey("accounts.id"))
    description: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    scopes: Mapped[dict[str, list[str]] | None] = mapped_column(JSON(none_as_null=True))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    issued_by: Mapped[str | None] = mapped_column(ID)


class ServiceRow(Base):
    """What may be bound to addresses."""

    __tablename__ = "services"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrefixRow(Base):
    """An onboarded prefix. ``low``/``high``: first and last address, 16 bytes, for overlaps by index.

    ``pending_delete_at``: since when its owner wants it removed. ``deletion_id``: which deletion took it (as
    with BGP prefixes and bindings); its addresses stay reserved until it is purged.
    """

    __tablename__ = "prefixes"
    __table_args__ = (
        Index("ix_prefixes_range", "low", "high", sqlite_where=LIVE, postgresql_where=LIVE),
        Index("ix_prefixes_order", "account_id", "created_at", "id"),
        Index("ix_prefixes_reserved", "low", "high", sqlite_where=DELETED, postgresql_where=DELETED),
        Index("ix_prefixes_pending", "id", sqlite_where=PENDING, postgresql_where=PENDING),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    cidr: Mapped[str] = mapped_column(String(49))
    low: Mapped[bytes] = mapped_column(LargeBinary(16))
    high: Mapped[bytes] = mapped_column(LargeBinary(16))
    asn: Mapped[int | None] = mapped_column(BigInteger)
    description: Mapped[str] = mapped_column(String(1000), default="")
    loa_document_id: Mapped[str | None] = mapped_column(ID)
    delegate_loa_creation: Mapped[bool] = mapped_column(default=False)
    ownership_token: Mapped[str] = mapped_column(String(64))
    approved: Mapped[bool] = mapped_column(default=False)
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    pending_delete_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_id: Mapped[str | None] = mapped_column(ID)


class BgpPrefixRow(Base):
    """An advertisable part of a prefix. ``sites`` None: all of them."""

    __tablename__ = "bgp_prefixes"
    __table_args__ = (
        Index(
            "uq_bgp_prefixes_live",
            "account_id",
            "cidr",
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        ),
        CheckConstraint("asn_prepend_count BETWEEN 0 AND 3", name="prepends"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"), index=True)
    cidr: Mapped[str] = mapped_column(String(49))
    asn: Mapped[int | None] = mapped_column(BigInteger)
    asn_prepend_count: Mapped[int] = mapped_column(default=0)
    auto_advertise_withdraw: Mapped[bool] = mapped_column(default=False)
    advertised: Mapped[bool] = mapped_column(default=False)
    advertised_modified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    locked: Mapped[bool] = mapped_column(default=False)
    sites: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_id: Mapped[str | None] = mapped_column(ID)


class BindingRow(Base):
    """A part of a prefix that a service serves. ``account_id``: the prefix's owner, in whose chunk it is.

    ``delegation_id``: the delegation by which another account made it; None for the owner's own.
    """

    __tablename__ = "bindings"
    __table_args__ = (
        Index(
            "uq_bindings_live", "account_id", "cidr", unique=True, sqlite_where=LIVE, postgresql_where=LIVE
        ),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"), index=True)
    cidr: Mapped[str] = mapped_column(String(49))
    service_id: Mapped[str] = mapped_column(ID, ForeignKey("services.id"))
    delegation_id: Mapped[str | None] = mapped_column(ID, index=True)  # no key: added to a table that was
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_id: Mapped[str | None] = mapped_column(ID)


class EventRow(Base):
    """Who did what, when, from where and why; triggers refuse to change or remove one.

    ``seq`` and ``hash`` are given when it is flushed (:mod:`controller.addressing.audit_log`).
    """

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_object_id", "object_id"), Index("ix_events_actor", "actor"))

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(100))
    origin: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(50))
    account_id: Mapped[str | None] = mapped_column(ID, index=True)
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(ID)
    reason: Mapped[str] = mapped_column(String(500))
    change_set_id: Mapped[str | None] = mapped_column(ID)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    hash: Mapped[str] = mapped_column(String(64), server_default="")


class AnswerRow(Base):
    """The answer to a write that came with an idempotency key, kept in the write's own transaction."""

    __tablename__ = "answers"

    token_id: Mapped[str] = mapped_column(ID, ForeignKey("tokens.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    change_set_id: Mapped[str | None] = mapped_column(String(400))
    etag: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
