"""The effects of late, which the windows count: kept in the store, so that a crash or a restart forgets none.

Each change-set that takes something away is counted when it is assessed, whether it was admitted or held;
:mod:`controller.safety.windows` says in which scopes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from controller.guard.tables import EffectEntryRow, OpeningRow
from controller.safety.policy import Policy
from controller.safety.windows import BREADTH, FLEET, OWNERS, Entry, Ledger


class KeptLedger:
    """A ledger in memory that follows the store's rows, whoever wrote them.

    Use it in one transaction at a time; :meth:`forget` it when one was undone.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        rules = policy.breaker
        windows = (*rules.fleet, *rules.actor, *rules.account, *rules.accounts, *rules.classes, *rules.owners)
        own = (*policy.lanes.emergency, *policy.lanes.migration)
        self.keep_s = max((w.seconds for w in (*windows, *own)), default=0)
        self._ledger: Ledger | None = None
        self._last = 0
        self._closings = 0

    def forget(self) -> None:
        """Read everything anew next time."""
        self._ledger = None

    def at(self, session: Session, now: datetime) -> Ledger:
        """Return the ledger as the store has it at ``now``."""
        since = now - timedelta(seconds=self.keep_s)
        closings = _closings(session)
        if self._ledger is None or closings != self._closings:
            self._ledger, self._last = Ledger(self._policy, (), _closed_at(session, since)), 0
            self._closings = closings
        rows = session.execute(
            select(EffectEntryRow.seq, EffectEntryRow.body)
            .where(EffectEntryRow.seq > self._last, EffectEntryRow.at > since)
            .order_by(EffectEntryRow.seq)
        )
        for seq, body in rows:
            self._ledger.record(msgspec.json.decode(body, type=list[Entry]))
            self._last = seq
        return self._ledger

    def record(self, session: Session, change_set_id: str, entries: Iterable[Entry]) -> None:
        """Count the effects of a change-set; the copy in memory has them from the next look on."""
        body = list(entries)
        if not body:
            return
        at = datetime.fromtimestamp(body[0].at, UTC)
        session.add(EffectEntryRow(at=at, change_set_id=change_set_id, body=msgspec.json.encode(body)))
        session.flush()

    def prune(self, session: Session, now: datetime) -> None:
        """Remove the rows that no window reaches any more."""
        oldest = now - timedelta(seconds=self.keep_s)
        session.execute(delete(EffectEntryRow).where(EffectEntryRow.at <= oldest))


def _closings(session: Session) -> int:
    """Return how many scopes were closed so far: at each of them counting begins anew."""
    return session.scalar(select(func.count()).where(OpeningRow.closed_at.is_not(None))) or 0


def _closed_at(session: Session, since: datetime) -> Mapping[str, float]:
    rows = session.execute(
        select(OpeningRow.scope, OpeningRow.closed_at)
        .where(OpeningRow.closed_at > since)
        .order_by(OpeningRow.seq)
    )
    found: dict[str, float] = {}
    for scope, closed_at in rows:
        if closed_at is None:
            continue
        for name in (FLEET, OWNERS, BREADTH) if scope == FLEET else (scope,):
            found[name] = closed_at.timestamp()
    return found
