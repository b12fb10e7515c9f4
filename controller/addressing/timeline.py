"""The customer's own timeline: what was asked, what became of it, and what was seen, with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.envelope import json_response
from controller.addressing.tables import EventRow
from controller.timeline.show import Entry, EntryKind, shown
from controller.timeline.tables import TimelineRow

router = APIRouter(prefix="/herald/v1/accounts/{account_id}/timeline", tags=["timeline"])

LARGEST_SEQ = 2**63 - 1
After = Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="Those after the one with this number.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
ObjectId = Annotated[str, Query(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+$")]


class ObjectBody(BaseModel):
    """What an entry is about."""

    kind: str
    id: str


class EntryBody(BaseModel):
    """One entry. ``detail``: what was asked, before and after of changed fields, or the evidence."""

    seq: int
    at: str
    kind: Literal["configured", "operational", "observed"]
    type: str
    account_id: str
    object: ObjectBody
    prefix_id: str | None
    change_set_id: str | None
    site: str | None
    actor: str | None
    origin: str | None
    reason: str
    detail: dict[str, Any]


class TimelinePage(BaseModel):
    """``next``: what to give as ``after`` for the page that follows; null when this is the last."""

    result: list[EntryBody]
    next: int | None


@router.get("", response_model=TimelinePage)
def list_timeline(
    account: AccountDep,
    context: ContextDep,
    after: After = 0,
    limit: Limit = 100,
    prefix_id: ObjectId | None = None,
) -> Response:
    """What was asked, what became of it and what was seen, in the order in which it was written down.

    Nothing comes later with a lower number: go on with ``after``, and no entry is missed or told twice.
    """
    query = select(TimelineRow).where(TimelineRow.account_id == account, TimelineRow.seq > after)
    if prefix_id is not None:
        about = TimelineRow.prefix_id == prefix_id
        sets = select(TimelineRow.change_set_id).where(
            about, TimelineRow.account_id == account, TimelineRow.change_set_id.is_not(None)
        )
        no_object_of_another = TimelineRow.prefix_id.is_(None)
        query = query.where(or_(about, no_object_of_another & TimelineRow.change_set_id.in_(sets)))
    with context.store.read() as session:
        rows = session.scalars(query.order_by(TimelineRow.seq).limit(limit + 1)).all()
        result = entries(session, rows[:limit])
    return json_response({"result": result, "next": result[-1]["seq"] if len(rows) > limit else None})


def entries(session: Session, rows: Sequence[TimelineRow]) -> list[dict[str, Any]]:
    """Return rows of the timeline as they are shown; what was asked has its rest in the events."""
    wanted = [row.event_seq for row in rows if row.event_seq is not None]
    events = {e.seq: e for e in session.scalars(select(EventRow).where(EventRow.seq.in_(wanted)))}
    return [shown(_entry(row, events.get(row.event_seq or 0)), row.seq) for row in rows]


def entries_after(session: Session, after: int, limit: int) -> list[dict[str, Any]]:
    """Return the entries of all accounts after a number, as they are shown."""
    query = select(TimelineRow).where(TimelineRow.seq > after).order_by(TimelineRow.seq).limit(limit)
    return entries(session, session.scalars(query).all())


def _entry(row: TimelineRow, event: EventRow | None) -> Entry:
    return Entry(
        account_id=row.account_id,
        at=row.at,
        kind=cast(EntryKind, row.kind),
        type=row.type,
        object_kind=row.object_kind,
        object_id=row.object_id,
        prefix_id=row.prefix_id,
        change_set_id=row.change_set_id,
        site=row.site,
        event_seq=row.event_seq,
        actor=row.actor if event is None else event.actor,
        origin=None if event is None else event.origin,
        reason=row.reason if event is None else event.reason,
        detail=row.detail if event is None else event.detail,
    )
