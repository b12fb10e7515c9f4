"""The operational state on disk: change-sets in order, chunks by hash, snapshots and the head.

A snapshot keeps what it changed (account: from hash → to hash) and its parent, so that it costs as much as
the change, not as much as the fleet; :mod:`controller.snapshots.store` puts a whole tree together again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
HASH = String(64)


class ChangeSetRow(Base):
    """A change-set and how far it is: ``queued``, ``rolling``, ``done``, ``failed`` or ``held``."""

    __tablename__ = "change_sets"
    __table_args__ = (Index("ix_change_sets_state", "state", "seq"),)

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    account_id: Mapped[str] = mapped_column(ID, index=True)
    actor: Mapped[str] = mapped_column(String(100))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(2000), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ChunkRow(Base):
    """A chunk's canonical bytes under their hash; never changed, never removed while referenced."""

    __tablename__ = "chunks"

    hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class SnapshotRow(Base):
    """One step of the operational state. ``id`` is a hash over the parent's id, the change and its cause.

    ``thinned``: the history before it was let go, so that its tree is not whole any more.
    """

    __tablename__ = "snapshots"
    __table_args__ = (Index("ix_snapshots_at", "at", "seq"),)

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(HASH, unique=True)
    parent_id: Mapped[str | None] = mapped_column(HASH)
    change_set_id: Mapped[str] = mapped_column(ID)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(500))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    thinned: Mapped[bool] = mapped_column(default=False, server_default=false())


class SnapshotEntryRow(Base):
    """What a snapshot changed for one account."""

    __tablename__ = "snapshot_entries"
    __table_args__ = (Index("ix_snapshot_entries_account", "account_id", "snapshot_seq"),)

    snapshot_seq: Mapped[int] = mapped_column(SEQ, ForeignKey("snapshots.seq"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, primary_key=True)
    from_hash: Mapped[str | None] = mapped_column(HASH)
    to_hash: Mapped[str | None] = mapped_column(HASH, ForeignKey("chunks.hash"))


class HeadRow(Base):
    """The operational tree as it is now: account → chunk hash; and how many BGP prefixes it announces."""

    __tablename__ = "head"

    account_id: Mapped[str] = mapped_column(ID, primary_key=True)
    hash: Mapped[str] = mapped_column(HASH, ForeignKey("chunks.hash"))
    snapshot_seq: Mapped[int] = mapped_column(SEQ, ForeignKey("snapshots.seq"))
    announced: Mapped[int] = mapped_column(default=0, index=True)
