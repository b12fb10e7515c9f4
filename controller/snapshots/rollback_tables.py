"""Rollbacks that were carried out, and the pins that they left on accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
HASH = String(64)


class RollbackRow(Base):
    """One rollback: to which snapshot, seen from which head, by whom and why."""

    __tablename__ = "rollbacks"

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    snapshot_id: Mapped[str] = mapped_column(HASH)
    based_on: Mapped[str | None] = mapped_column(HASH)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(500))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class RollbackAccountRow(Base):
    """What a rollback does with one account.

    ``to_hash``: the chunk that the account has once both halves are in effect: the snapshot's, less what was
    revoked since. ``report``: the plan of the account as JSON. A half that has nothing to do has no
    change-set.
    """

    __tablename__ = "rollback_accounts"
    __table_args__ = (Index("ix_rollback_accounts_account", "account_id", "rollback_seq"),)

    rollback_seq: Mapped[int] = mapped_column(SEQ, ForeignKey("rollbacks.seq"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, primary_key=True)
    from_hash: Mapped[str | None] = mapped_column(HASH)
    to_hash: Mapped[str] = mapped_column(HASH, ForeignKey("chunks.hash"))
    additive_id: Mapped[str | None] = mapped_column(ID)
    subtractive_id: Mapped[str | None] = mapped_column(ID)
    report: Mapped[bytes] = mapped_column(LargeBinary)


class PinRow(Base):
    """An account that was rolled back and whose change-sets since are not all decided yet."""

    __tablename__ = "pins"

    account_id: Mapped[str] = mapped_column(ID, primary_key=True)
    rollback_seq: Mapped[int] = mapped_column(SEQ, ForeignKey("rollbacks.seq"))
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class PinDecisionRow(Base):
    """A change-set that a rollback undid or kept back, and what became of it; ``decision`` None: open."""

    __tablename__ = "pin_decisions"
    __table_args__ = (
        CheckConstraint("decision IN ('keep', 'drop')", name="decision"),
        Index("ix_pin_decisions_account", "account_id", "rollback_seq"),
    )

    rollback_seq: Mapped[int] = mapped_column(SEQ, ForeignKey("rollbacks.seq"), primary_key=True)
    change_set_id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID)
    decision: Mapped[str | None] = mapped_column(String(4))
    decided_by: Mapped[str | None] = mapped_column(String(100))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
