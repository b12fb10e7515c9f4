"""Of several controllers on one store one leads, by a lease with a fencing token (SAFETY.md, 10).

The token (``fence``) rises by one with each new leader and goes with every command; agents refuse a lower
one. So a leader that was stopped and comes back late does nothing, whatever it believes. All functions work
in the caller's transaction; ``now`` is the wall clock of whoever calls, and only decides how soon another may
lead: what is right does not depend on clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, Session, mapped_column

from controller.store import Base, UtcDateTime

LEASE_S = 10.0
"""Seconds after which a leader that does not renew is taken for gone."""

ROLLOUTS = "rollouts"
"""The lease of whoever admits change-sets and commands sites."""


class LeaseRow(Base):
    """Who leads, until when, and by which fencing token."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(400))
    fence: Mapped[int] = mapped_column(BigInteger)
    held_until: Mapped[datetime] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class Lead:
    """``fence`` None: somebody else (``holder``) leads, until ``until`` at least."""

    holder: str
    fence: int | None
    until: datetime


def take(session: Session, holder: str, now: datetime) -> Lead:
    """Lead, if nobody does, or the last leader was ``holder`` itself or has let its lease pass.

    Call it with a name that no living process but this one can have.
    """
    until = now + timedelta(seconds=LEASE_S)
    row = session.get(LeaseRow, ROLLOUTS)
    if row is None:
        row = LeaseRow(name=ROLLOUTS, holder=holder, fence=0, held_until=until)
        session.add(row)
    elif row.holder != holder and now < row.held_until:
        return Lead(row.holder, None, row.held_until)
    row.holder, row.fence, row.held_until = holder, row.fence + 1, until
    session.flush()
    return Lead(holder, row.fence, until)


def renew(session: Session, holder: str, fence: int, now: datetime, *, above: int = 0) -> Lead:
    """Go on leading by ``fence``; by a higher one when a site has heard of ``above``.

    A site may have, without anybody else leading on this store: an older copy of it was restored. Whoever
    does not hold the lease any more is given None, and must stop.
    """
    row = session.get(LeaseRow, ROLLOUTS)
    if row is None or row.holder != holder or row.fence != fence:
        other = (holder, now) if row is None else (row.holder, row.held_until)
        return Lead(other[0], None, other[1])
    row.held_until = now + timedelta(seconds=LEASE_S)
    if above > fence:
        row.fence = above + 1
    session.flush()
    return Lead(holder, row.fence, row.held_until)


def give_up(session: Session, holder: str, fence: int, now: datetime) -> None:
    """Let another lead at once; nothing if somebody does already."""
    row = session.get(LeaseRow, ROLLOUTS)
    if row is not None and row.holder == holder and row.fence == fence:
        row.held_until = now
