"""Removal and its guards: intents of operators, deletions, locks, transfers, migrations, revocations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
CIDR = String(49)
REASON = String(500)
OFFERED = text("state = 'offered'")


class IntentRequestRow(Base):
    """One operator asks for an intent, another confirms it; ``text`` is then the signed intent.

    ``used_for``: the change-set that carried it, or empty when nothing operational was changed.
    """

    __tablename__ = "intent_requests"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    kind: Mapped[str] = mapped_column(String(10))
    prefixes: Mapped[list[str]] = mapped_column(JSON)
    sites: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    reason: Mapped[str] = mapped_column(REASON)
    requested_by: Mapped[str] = mapped_column(ID)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_by: Mapped[str | None] = mapped_column(ID)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    text: Mapped[str | None] = mapped_column(Text)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used_for: Mapped[str | None] = mapped_column(ID)


class DeletionRequestRow(Base):
    """Its owner wants this prefix to be removed; ``text`` is the signed intent (kind delete)."""

    __tablename__ = "deletion_requests"

    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    reason: Mapped[str] = mapped_column(REASON)
    requested_by: Mapped[str] = mapped_column(ID)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    text: Mapped[str] = mapped_column(Text)


class DeletionRow(Base):
    """A prefix that was deleted with all that stood on it, and how that ended (``outcome`` None: not yet).

    It outlives the prefix, so ``prefix_id`` is no foreign key.
    """

    __tablename__ = "deletions"
    __table_args__ = (CheckConstraint("outcome IN ('undeleted', 'purged')", name="outcome"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    prefix_id: Mapped[str] = mapped_column(ID)
    cidr: Mapped[str] = mapped_column(CIDR)
    reason: Mapped[str] = mapped_column(REASON)
    actor: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    grace_ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(10))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WithdrawalLockRow(Base):
    """While it stands nothing is taken from the prefix. It opens to a key, or to a code kept as SHA-256."""

    __tablename__ = "withdrawal_locks"
    __table_args__ = (
        UniqueConstraint("id", name="uq_withdrawal_locks_id"),
        CheckConstraint("(public_key IS NULL) = (code_hash IS NOT NULL)", name="opens"),
    )

    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"), primary_key=True)
    id: Mapped[str] = mapped_column(ID)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    public_key: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    code_hash: Mapped[str | None] = mapped_column(String(64))
    nonce: Mapped[str] = mapped_column(String(64))
    tries: Mapped[int] = mapped_column(default=0)
    tries_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    locked_by: Mapped[str] = mapped_column(ID)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TransferRow(Base):
    """An offer of a prefix to another account; ``text`` is the signed intent of its owner."""

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("state IN ('offered', 'accepted', 'cancelled')", name="state"),
        Index(
            "uq_transfers_offered", "prefix_id", unique=True, sqlite_where=OFFERED, postgresql_where=OFFERED
        ),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    to_account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    prefix_id: Mapped[str] = mapped_column(ID)
    cidr: Mapped[str] = mapped_column(CIDR)
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(REASON)
    text: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(ID)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(ID)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RevocationRow(Base):
    """What no roll-back and no undelete may bring back; triggers refuse to change or remove one."""

    __tablename__ = "revocations"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('transfer', 'loa_withdrawn', 'legal_order', 'origin_deauthorised')", name="kind"
        ),
    )

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(20))
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    cidr: Mapped[str] = mapped_column(CIDR)
    reason: Mapped[str] = mapped_column(REASON)
    actor: Mapped[str] = mapped_column(String(100))


class MigrationRow(Base):
    """An owner moves many prefixes away; states as in :mod:`controller.safety.migration`."""

    __tablename__ = "migrations"
    __table_args__ = (
        CheckConstraint(
            "state IN ('planned', 'confirmed', 'withdrawing', 'done', 'cancelled', 'lapsed')", name="state"
        ),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    cidrs: Mapped[list[str]] = mapped_column(JSON)
    withdrawn: Mapped[list[str]] = mapped_column(JSON)
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(REASON)
    state: Mapped[str] = mapped_column(String(12))
    confirmation: Mapped[str] = mapped_column(String(12))
    text: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(ID)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
