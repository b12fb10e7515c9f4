"""The life of a migration (pure): an owner moves many prefixes away (SAFETY.md, 5, lane "migration").

A literal table of state × event. Each pair is there: it names the next state, or says why the event is
refused in that state. Late events are entries of the table, not faults.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum

import msgspec

from controller.errors import HeraldError


class State(Enum):
    """``planned`` until its owner confirms the plan; ``done``, ``cancelled`` and ``lapsed`` are ends."""

    PLANNED = "planned"
    CONFIRMED = "confirmed"
    WITHDRAWING = "withdrawing"
    DONE = "done"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class Event(Enum):
    """What happens to a migration. ``withdrew_last``: nothing of its list is left to withdraw."""

    CONFIRMED = "confirmed"
    WITHDREW_SOME = "withdrew_some"
    WITHDREW_LAST = "withdrew_last"
    CANCELLED = "cancelled"
    WINDOW_ENDED = "window_ended"


class MigrationStateError(HeraldError):
    """The event is refused in this state; the message says why and what to do."""


UNCONFIRMED = "it has not been confirmed yet: confirm it with its confirmation code first"
CONFIRMED_ALREADY = "it is confirmed already: withdraw what is on its list"
OVER = "it is over: plan another one"

TABLE: Mapping[tuple[State, Event], State | str] = {
    (State.PLANNED, Event.CONFIRMED): State.CONFIRMED,
    (State.PLANNED, Event.WITHDREW_SOME): UNCONFIRMED,
    (State.PLANNED, Event.WITHDREW_LAST): UNCONFIRMED,
    (State.PLANNED, Event.CANCELLED): State.CANCELLED,
    (State.PLANNED, Event.WINDOW_ENDED): State.LAPSED,
    (State.CONFIRMED, Event.CONFIRMED): CONFIRMED_ALREADY,
    (State.CONFIRMED, Event.WITHDREW_SOME): State.WITHDRAWING,
    (State.CONFIRMED, Event.WITHDREW_LAST): State.DONE,
    (State.CONFIRMED, Event.CANCELLED): State.CANCELLED,
    (State.CONFIRMED, Event.WINDOW_ENDED): State.LAPSED,
    (State.WITHDRAWING, Event.CONFIRMED): CONFIRMED_ALREADY,
    (State.WITHDRAWING, Event.WITHDREW_SOME): State.WITHDRAWING,
    (State.WITHDRAWING, Event.WITHDREW_LAST): State.DONE,
    (State.WITHDRAWING, Event.CANCELLED): State.CANCELLED,
    (State.WITHDRAWING, Event.WINDOW_ENDED): State.LAPSED,
    (State.DONE, Event.CONFIRMED): OVER,
    (State.DONE, Event.WITHDREW_SOME): OVER,
    (State.DONE, Event.WITHDREW_LAST): OVER,
    (State.DONE, Event.CANCELLED): OVER,
    (State.DONE, Event.WINDOW_ENDED): State.DONE,
    (State.CANCELLED, Event.CONFIRMED): OVER,
    (State.CANCELLED, Event.WITHDREW_SOME): OVER,
    (State.CANCELLED, Event.WITHDREW_LAST): OVER,
    (State.CANCELLED, Event.CANCELLED): OVER,
    (State.CANCELLED, Event.WINDOW_ENDED): State.CANCELLED,
    (State.LAPSED, Event.CONFIRMED): OVER,
    (State.LAPSED, Event.WITHDREW_SOME): OVER,
    (State.LAPSED, Event.WITHDREW_LAST): OVER,
    (State.LAPSED, Event.CANCELLED): OVER,
    (State.LAPSED, Event.WINDOW_ENDED): State.LAPSED,
}

ENDS = frozenset({State.DONE, State.CANCELLED, State.LAPSED})
"""States that nothing leads out of."""


def step(state: State, event: Event) -> State:
    """Return the state after ``event``; raises :class:`MigrationStateError` when it is refused."""
    found = TABLE[state, event]
    if isinstance(found, str):
        raise MigrationStateError(f"this migration is {state.value}: {found}")
    return found


def at(state: State, not_after: datetime, now: datetime) -> State:
    """Return what ``state`` is at ``now``: the end of the window comes by itself."""
    return step(state, Event.WINDOW_ENDED) if now >= not_after else state


def confirmation(
    migration_id: str, account_id: str, cidrs: Sequence[str], not_before: datetime, not_after: datetime
) -> str:
    """Return the code that confirms exactly this plan: 12 hex digits of its SHA-256.

    It is no secret: naming it shows that the plan which is confirmed is the one that was looked at.
    """
    plan = (migration_id, account_id, tuple(cidrs), not_before, not_after)
    return hashlib.sha256(msgspec.json.encode(plan)).hexdigest()[:12]
