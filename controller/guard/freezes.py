"""Freezes in the store: objects with owners; one's unfreeze does not lift another's (SAFETY.md, 10).

What they hold up is decided by :mod:`controller.safety.freeze`. In the caller's transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from controller.guard.tables import FreezeRow
from controller.safety.freeze import Freeze, FreezeKind
from controller.store.once import once


def standing(session: Session, now: datetime) -> list[FreezeRow]:
    """Return the freezes that hold at ``now``, oldest first."""
    not_ended = or_(FreezeRow.ends_at.is_(None), FreezeRow.ends_at > now)
    rows = select(FreezeRow).where(FreezeRow.lifted_at.is_(None), not_ended)
    return list(session.scalars(rows.order_by(FreezeRow.created_at, FreezeRow.id)))


def values(session: Session, now: datetime) -> tuple[Freeze, ...]:
    """Return the freezes that hold at ``now`` as values."""
    rows = select(FreezeRow).where(FreezeRow.lifted_at.is_(None))
    ordered = rows.order_by(FreezeRow.created_at, FreezeRow.id)
    unlifted = once(session, FreezeRow, "unlifted", lambda: list(session.scalars(ordered)))
    return tuple(value(row) for row in unlifted if row.ends_at is None or row.ends_at > now)


def value(row: FreezeRow) -> Freeze:
    """Return a freeze as a value; its times are seconds since the epoch."""
    return Freeze(
        row.id,
        row.scope,
        cast(FreezeKind, row.kind),
        row.owner,
        row.reason,
        row.created_at.timestamp(),
        None if row.ends_at is None else row.ends_at.timestamp(),
    )


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)
