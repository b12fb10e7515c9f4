"""A prefix's history: every change of it and of what stands in it; who, when, from where, what and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import EventRow, PrefixRow
from controller.addressing.timeline import After, Limit, ObjectBody
from controller.addressing.times import rfc3339
from controller.timeline.tables import TimelineRow

router = APIRouter(prefix="/herald/v1/accounts/{account_id}/prefixes/{prefix_id}/history", tags=["history"])


class HistoryBody(BaseModel):
    """One change: who, when, from where, what, why. ``origin`` null: an operator's, not shown to others."""

    seq: int
    at: str
    actor: str
    origin: str | None
    action: str
    object: ObjectBody
    reason: str
    change_set_id: str | None
    detail: dict[str, Any]


class HistoryPage(BaseModel):
    """``next``: what to give as ``after`` for the page that follows; null when this is the last."""

    result: list[HistoryBody]
    next: int | None


@router.get("", response_model=HistoryPage)
def list_history(
    account: AccountDep,
    prefix_id: Annotated[str, Path(max_length=32)],
    caller: CallerDep,
    context: ContextDep,
    *,
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """Every change of a prefix and of what stands in it; also of one that is deleted or purged."""
    about = select(TimelineRow.event_seq).where(
        TimelineRow.account_id == account,
        TimelineRow.prefix_id == prefix_id,
        TimelineRow.event_seq > after,
    )
    query = select(EventRow).where(EventRow.seq.in_(about))
    with context.store.read() as session:
        found = session.scalars(query.order_by(EventRow.seq).limit(limit + 1)).all()
        if not found:
            _must_be_known(session, account, prefix_id)
    result = [_change(e, all_origins=caller.is_operator) for e in found[:limit]]
    return json_response({"result": result, "next": result[-1]["seq"] if len(found) > limit else None})


def _change(event: EventRow, *, all_origins: bool) -> dict[str, Any]:
    own = event.actor.startswith("customer:")
    return {
        "seq": event.seq,
        "at": rfc3339(event.at),
        "actor": event.actor,
        "origin": event.origin if all_origins or own else None,
        "action": event.action,
        "object": {"kind": event.object_kind, "id": event.object_id},
        "reason": event.reason,
        "change_set_id": event.change_set_id,
        "detail": event.detail,
    }


def _must_be_known(session: Session, account: str, prefix_id: str) -> None:
    row = session.get(PrefixRow, prefix_id)
    if row is not None and row.account_id == account:
        return
    told = select(TimelineRow.seq).where(
        TimelineRow.account_id == account, TimelineRow.prefix_id == prefix_id
    )
    if session.scalar(told.limit(1)) is None:
        raise Refusal(Kind.NOT_FOUND, f"account {account} has no prefix {prefix_id!r}")
