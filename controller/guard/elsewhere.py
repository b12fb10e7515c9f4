"""What migrations wait for: prefixes that were seen elsewhere of late, and the steps that it lets go on.

What was seen is kept in memory alone: after a restart nothing has been seen, and steps wait until it is.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.bgp import Prefix
from controller.guard import holds
from controller.guard.tables import HoldRow, WaitRow
from controller.snapshots import outbox
from controller.snapshots.model import ChangeSet
from controller.snapshots.tables import ChangeSetRow

FRESH_S = 120.0
"""What was seen longer ago than this says nothing of now."""
CHECK = LANE = "migration"


class Sightings:
    """Prefixes that were seen elsewhere, and when; any thread may ask."""

    def __init__(self) -> None:
        self._seen: tuple[frozenset[Prefix], float] = (frozenset(), float("-inf"))

    def note(self, prefixes: Collection[Prefix], now: float) -> None:
        """Keep what the newest look has seen, in place of what the one before had."""
        self._seen = (frozenset(prefixes), now)

    def fresh(self, now: float) -> frozenset[Prefix]:
        """Return what was seen of late; ``now`` in seconds. Nothing, when a clock went back."""
        prefixes, at = self._seen
        return prefixes if 0.0 <= now - at <= FRESH_S else frozenset()


def waiting(session: Session) -> dict[str, frozenset[Prefix]]:
    """Return the steps of migrations that nothing else holds, and the prefixes that each would withdraw."""
    return {
        one.id: frozenset(c.bgp_prefix.cidr for c in one.changes if c.bgp_prefix is not None)
        for one in _steps(session, [h for h in holds.undecided(session) if h.checks == [CHECK]])
    }


def held_under(session: Session, account_id: str, intent: str) -> list[str]:
    """Return the steps of one migration that are held, whatever for: those that carry its intent."""
    return [one.id for one in _steps(session, holds.undecided(session, account_id)) if intent in one.intents]


def _steps(session: Session, held: list[HoldRow]) -> list[ChangeSet]:
    ids = [h.change_set_id for h in held]
    rows = session.scalars(select(ChangeSetRow).where(ChangeSetRow.id.in_(ids))) if ids else ()
    return [made for row in rows if (made := outbox.decode(row)).lane == LANE]


def go_on(session: Session, change_set_id: str) -> None:
    """Let a step that is held be judged again, as one that has waited: what came since overtakes it."""
    hold = holds.undecided_one(session, change_set_id)
    if hold is None:
        return
    session.merge(WaitRow(change_set_id=change_set_id, account_id=hold.account_id, behind=""))
    session.delete(hold)
    outbox.move(session, change_set_id, "queued", "it is seen elsewhere: judged again")
    session.flush()
