"""The timeline, webhooks and their deliveries, and what was last observed of each BGP prefix."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from controller.store import SEQ, Base, UtcDateTime

ID = String(32)
PENDING = text("state = 'pending'")

SECRET = {"secret": True}
"""Marks a column that is never shown and never written into the history."""


class TimelineRow(Base):
    """One thing that is told to an account, in the order in which it was written.

    ``kind``: configured, operational or observed. Of a configured one the rest is in ``events`` under
    ``event_seq``; of the others it is here.
    """

    __tablename__ = "timeline"
    __table_args__ = (
        Index("ix_timeline_account", "account_id", "seq"),
        Index("ix_timeline_prefix", "prefix_id", "seq"),
    )

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    account_id: Mapped[str] = mapped_column(ID)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(12))
    type: Mapped[str] = mapped_column(String(60))
    object_kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[str] = mapped_column(ID)
    prefix_id: Mapped[str | None] = mapped_column(ID)
    change_set_id: Mapped[str | None] = mapped_column(ID)
    site: Mapped[str | None] = mapped_column(String(64))
    event_seq: Mapped[int | None] = mapped_column(SEQ)
    actor: Mapped[str | None] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(2000), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class WebhookRow(Base):
    """Where an account wants to be told. ``secret`` is kept as it is: without it nothing can be signed.

    ``previous_secret`` signs beside it until ``previous_until``. ``disabled_at``: nothing is sent since then,
    and nothing new is kept for it.
    """

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    url: Mapped[str] = mapped_column(String(2000))
    events: Mapped[list[str]] = mapped_column(JSON)
    description: Mapped[str] = mapped_column(String(1000), default="")
    secret: Mapped[str] = mapped_column(String(100), info=SECRET)
    previous_secret: Mapped[str | None] = mapped_column(String(100), info=SECRET)
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_reason: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DeliveryRow(Base):
    """One notification for one webhook; ``body`` is what is signed and sent, the same at each attempt.

    ``id`` is the ``webhook-id``. ``next_at``: not to be tried before. ``last_status``: the HTTP status of the
    last answer, None when there was none.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_webhook", "webhook_id", "seq"),
        Index("ix_deliveries_pending", "webhook_id", "seq", sqlite_where=PENDING, postgresql_where=PENDING),
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
    )

    seq: Mapped[int] = mapped_column(SEQ, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    webhook_id: Mapped[str] = mapped_column(ID, ForeignKey("webhooks.id"))
    type: Mapped[str] = mapped_column(String(60))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    first_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_status: Mapped[int | None]
    last_error: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SightingRow(Base):
    """How many routers were last told to hold a BGP prefix: a restart tells nothing twice."""

    __tablename__ = "sightings"

    bgp_prefix_id: Mapped[str] = mapped_column(ID, primary_key=True)
    seen_by: Mapped[int]
    of: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
