"""From events to the timeline: each event of an account is told to it, in the write's own transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from controller.addressing.tables import EventRow
from controller.addressing.touched import changes_of, touched
from controller.timeline.log import note
from controller.timeline.names import event_type
from controller.timeline.show import Entry


def tell(session: Session, events: Sequence[EventRow]) -> None:
    """Add events, complete but for what was changed, to the session, and tell the accounts.

    Each event's detail gets ``changed``: before and after of its object's changed fields.
    """
    found = touched(session)
    for event in events:
        changes = changes_of(found, event.object_id)
        if changes:
            event.detail = {**event.detail, "changed": changes}
        session.add(event)
    session.flush()
    for event in events:
        if event.account_id is None:
            continue
        prefix_id = found[event.object_id].prefix_id if event.object_id in found else None
        if event.object_kind == "prefix":
            prefix_id = event.object_id
        note(session, entry_of(event, prefix_id))


def entry_of(event: EventRow, prefix_id: str | None) -> Entry:
    """Return an event as the timeline tells it."""
    assert event.account_id is not None
    return Entry(
        account_id=event.account_id,
        at=event.at,
        kind="configured",
        type=event_type(event.object_kind, event.action),
        object_kind=event.object_kind,
        object_id=event.object_id,
        prefix_id=prefix_id,
        change_set_id=event.change_set_id,
        event_seq=event.seq,
        actor=event.actor,
        origin=event.origin,
        reason=event.reason,
        detail=event.detail,
    )
