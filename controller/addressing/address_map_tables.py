"""Address maps: which addresses of an account answer for which of its zones."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import Base, UtcDateTime

ID = String(32)
LIVE = text("deleted_at IS NULL")


class AddressMapRow(Base):
    """A map. ``can_delete``, ``can_modify_ips`` are false for maps that the operator manages."""

    __tablename__ = "address_maps"
    __table_args__ = (Index("ix_address_maps_order", "account_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"))
    description: Mapped[str | None] = mapped_column(String(1000))
    default_sni: Mapped[str | None] = mapped_column(String(253))
    enabled: Mapped[bool] = mapped_column(default=False, server_default=false())
    can_delete: Mapped[bool] = mapped_column(default=True, server_default=true())
    can_modify_ips: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MapIpRow(Base):
    """An address of a map. ``address``: the same in 16 bytes, to find those within a prefix by index."""

    __tablename__ = "address_map_ips"
    __table_args__ = (
        Index(
            "uq_address_map_ips_live", "map_id", "ip",
            unique=True, sqlite_where=LIVE, postgresql_where=LIVE,
        ),
        Index("ix_address_map_ips_address", "address", sqlite_where=LIVE, postgresql_where=LIVE),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    map_id: Mapped[str] = mapped_column(ID, ForeignKey("address_maps.id"))
    ip: Mapped[str] = mapped_column(String(45))
    address: Mapped[bytes] = mapped_column(LargeBinary(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MembershipRow(Base):
    """Who is given the map's addresses: an account, or a zone by an identifier that Herald does not know."""

    __tablename__ = "address_map_memberships"
    __table_args__ = (
        Index(
            "uq_address_map_memberships_live", "map_id", "kind", "identifier",
            unique=True, sqlite_where=LIVE, postgresql_where=LIVE,
        ),
        Index("ix_address_map_memberships_identifier", "identifier"),
        CheckConstraint("kind IN ('account', 'zone')", name="kind"),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    map_id: Mapped[str] = mapped_column(ID, ForeignKey("address_maps.id"))
    kind: Mapped[str] = mapped_column(String(10))
    identifier: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
