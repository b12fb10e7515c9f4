"""Letters of authorization: what is known of each, and its bytes in parts that are read one at a time.

The bytes are in the store and not in files beside it, so that a backup of the store is whole.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import Base, UtcDateTime

ID = String(32)


class LoaDocumentRow(Base):
    """A letter. ``withdrawn_at``: since when it authorizes no new announcement."""

    __tablename__ = "loa_documents"
    __table_args__ = (Index("ix_loa_documents_order", "account_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    filename: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    auto_generated: Mapped[bool] = mapped_column(default=False, server_default=false())
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoaPartRow(Base):
    """One part of a letter's bytes, ``seq`` from 0."""

    __tablename__ = "loa_parts"

    document_id: Mapped[str] = mapped_column(ID, ForeignKey("loa_documents.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
