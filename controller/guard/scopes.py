"""The breaker in the store; its state machine is :mod:`controller.safety.breaker`.

A scope is open until somebody closes it, whatever crashes. What the machine commands is done in the same
transaction: whoever is to be told is told, and what is released or dropped is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.guard import audience, holds
from controller.guard.tables import ExcusedRow, OpeningRow
from controller.guard.telling import News, tell
from controller.safety.breaker import Closing, Command, Drop, Event, Notify, Opening, Release, State, step
from controller.safety.policy import Policy


@dataclass(frozen=True, slots=True)
class Moment:
    """One transaction, and who decides in it and why, where somebody does.

    ``change_set_id``: what it happens with.
    """

    session: Session
    policy: Policy
    now: datetime
    by: str = ""
    why: str = ""
    change_set_id: str | None = None


def load(session: Session, *, queue: bool = False) -> State:
    """Return the breaker's state: the open scopes, and the queue when it is needed."""
    rows = session.scalars(select(OpeningRow).where(OpeningRow.closed_at.is_(None)).order_by(OpeningRow.seq))
    return State(
        open={row.scope: opening(row) for row in rows},
        held={h.change_set_id: h for h in holds.queue(session)} if queue else {},
        excused={row.scope: tuple(row.narrower) for row in session.scalars(select(ExcusedRow))},
    )


def opening(row: OpeningRow) -> Opening:
    """Return an opening as a value."""
    return msgspec.json.decode(row.body, type=Opening)


def happened(moment: Moment, state: State, event: Event) -> State:
    """Take an event in, write down what it changes, and do what it commands; returns the new state.

    Raises the :class:`~controller.safety.breaker.BreakerError` of an answer or closing that is refused.
    """
    after, commands = step(state, event, moment.now.timestamp(), moment.policy)
    _save(moment, state, after, event)
    for command in commands:
        _carry_out(moment, command)
    moment.session.flush()
    return after


def _save(moment: Moment, before: State, after: State, event: Event) -> None:
    session = moment.session
    for scope, found in after.open.items():
        if scope not in before.open:
            session.add(
                OpeningRow(
                    scope=scope,
                    since=datetime.fromtimestamp(found.since, UTC),
                    body=msgspec.json.encode(found),
                    closing={},
                )
            )
        elif found != before.open[scope]:
            _row(session, scope).body = msgspec.json.encode(found)
    for scope in before.open.keys() - after.open.keys():
        row = _row(session, scope)
        row.closed_at, row.closed_by, row.closed_why = moment.now, moment.by, moment.why[:500]
        row.closing = _closing(event)
    for scope in before.excused.keys() | after.excused.keys():
        if scope not in after.excused:
            session.delete(session.get_one(ExcusedRow, scope))
        elif after.excused[scope] != before.excused.get(scope):
            session.merge(ExcusedRow(scope=scope, narrower=list(after.excused[scope])))
    for id_ in after.held:
        if id_ in before.held and after.held[id_] != before.held[id_]:
            holds.note(session, after.held[id_])


def _row(session: Session, scope: str) -> OpeningRow:
    rows = select(OpeningRow).where(OpeningRow.scope == scope, OpeningRow.closed_at.is_(None))
    return session.scalars(rows).one()


def _closing(event: Event) -> dict[str, Any]:
    if not isinstance(event, Closing):
        return {}
    return {"queue_hash": event.queue_hash, "decisions": dict(event.decisions)}


def _carry_out(moment: Moment, command: Command) -> None:
    session, now = moment.session, moment.now
    match command:
        case Notify():
            news = News(
                "breaker.opened" if command.nth == 0 else "breaker.reminded",
                "breaker",
                command.scope[:32],
                command.says,
                moment.change_set_id,
                detail={"scope": command.scope, "nth": command.nth, "audience": list(command.audience)},
            )
            wider = audience.accounts(session, moment.policy, command, now)
            tell(session, {*command.accounts, *wider}, news, now)
        case Release():
            holds.deploy(session, command.change_set_id, moment.by, moment.why, now)
        case Drop():
            holds.drop(session, command.change_set_id, moment.by, moment.why, now)
        case _:  # counting anew is what a closing's row says (``ledger``)
            return
