"""The newest entry of the registry that each account was given."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import Base, UtcDateTime


class RegistryEntryRow(Base):
    """``body``: the entry's JSON with the serial 0, to tell whether it has changed; ``serial`` only rises.

    ``account_id`` is no foreign key: what a site is told must not wait for a row.
    """

    __tablename__ = "registry_entries"

    account_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    serial: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
