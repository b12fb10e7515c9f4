"""The events in the store: each is chained when it is flushed, whoever adds it; and the chain is read.

Writers are serial (the store sees to it), so the newest event that a writer reads is the one before its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session

from controller.addressing.audit_chain import GENESIS, Entry, Head, hash_of
from controller.addressing.tables import EventRow
from controller.addressing.times import rfc3339

PAGE = 1000
CHANGED = "herald_changed"
"""In a session's ``info``: that rows other than events were changed in it."""


def entry_of(row: EventRow) -> Entry:
    """Return an event as the chain sees it."""
    return Entry(
        seq=row.seq,
        at=rfc3339(row.at),
        actor=row.actor,
        origin=row.origin,
        action=row.action,
        account_id=row.account_id,
        object_kind=row.object_kind,
        object_id=row.object_id,
        reason=row.reason,
        change_set_id=row.change_set_id,
        detail=row.detail,
    )


def head_of(session: Session) -> Head | None:
    """Return the newest event's number and hash; None when there is none."""
    found = session.execute(
        select(EventRow.seq, EventRow.hash).order_by(EventRow.seq.desc()).limit(1)
    ).first()
    return None if found is None else Head(*found)


def chain_of(session: Session) -> Iterator[tuple[Entry, str]]:
    """Give all events, oldest first, a page at a time: memory stays flat."""
    last = 0
    while True:
        query = select(EventRow).where(EventRow.seq > last).order_by(EventRow.seq).limit(PAGE)
        found = session.scalars(query).all()
        for row in found:
            yield entry_of(row), row.hash
        if len(found) < PAGE:
            return
        last = found[-1].seq
        session.expunge_all()


@event.listens_for(Session, "before_flush")
def _chain(session: Session, _context: object, _instances: object) -> None:
    """Give new events their place in the chain, in the order in which they were added."""
    fresh = [row for row in session.new if isinstance(row, EventRow)]
    if not fresh:
        return
    head = head_of(session) or Head(0, GENESIS)
    for row in sorted(fresh, key=lambda r: inspect(r).insert_order or 0):
        row.seq = head.seq + 1
        row.hash = hash_of(head.hash, entry_of(row))
        head = Head(row.seq, row.hash)


@event.listens_for(Session, "after_flush")
def _note_flushed(session: Session, _context: object) -> None:
    """Note that rows were changed through objects."""
    touched = [*session.new, *session.deleted, *(r for r in session.dirty if session.is_modified(r))]
    if any(not isinstance(row, EventRow) for row in touched):
        session.info[CHANGED] = True


@event.listens_for(Session, "do_orm_execute")
def _note_executed(state: ORMExecuteState) -> None:
    """Note that rows were changed by a statement."""
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info[CHANGED] = True


def changed(session: Session) -> bool:
    """Flush, and tell whether the session has changed any row beside the events."""
    session.flush()
    return bool(session.info.get(CHANGED))
