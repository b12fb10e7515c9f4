"""Delegations: parts of a prefix that another account may use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import Base, UtcDateTime

ID = String(32)
LIVE = text("deleted_at IS NULL")


class DelegationRow(Base):
    """``account_id`` owns the prefix, ``delegated_account_id`` may bind services within ``cidr``.

    ``may_advertise``: it may advertise and withdraw there, too. ``deletion_id``: the deletion of the prefix
    that took the delegation with it, so that an undelete finds it again; None when it was ended by itself.
    """

    __tablename__ = "delegations"
    __table_args__ = (
        Index(
            "uq_delegations_live", "account_id", "cidr",
            unique=True, sqlite_where=LIVE, postgresql_where=LIVE,
        ),
        Index("ix_delegations_delegated", "delegated_account_id", "cidr"),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    prefix_id: Mapped[str] = mapped_column(ID, ForeignKey("prefixes.id"), index=True)
    delegated_account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    cidr: Mapped[str] = mapped_column(String(49))
    may_advertise: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_id: Mapped[str | None] = mapped_column(ID)
