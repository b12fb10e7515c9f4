"""The audit: every event, as it was written, and whether the chain of them is whole."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy import select

from controller.addressing.audit_chain import Head, verify
from controller.addressing.audit_log import chain_of, head_of
from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import EventRow
from controller.addressing.times import rfc3339

router = APIRouter(prefix="/herald/v1/audit", tags=["audit"])

LARGEST_SEQ = 2**63 - 1
Filter = Annotated[str | None, Query(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
Seq = Annotated[int | None, Query(ge=0, le=LARGEST_SEQ)]


class EventBody(BaseModel):
    """Who did what to which object, when, from where and why."""

    seq: int
    at: str
    actor: str
    origin: str
    action: str
    account_id: str | None
    object_kind: str
    object_id: str
    reason: str
    change_set_id: str | None
    detail: dict[str, Any]
    hash: str


class EventPage(BaseModel):
    """``next``: what to give as ``after`` for the page that follows; null when this is the last."""

    result: list[EventBody]
    next: int | None


class HeadBody(BaseModel):
    """The newest event."""

    seq: int
    hash: str


class VerdictBody(BaseModel):
    """``broken_at``: the first event that is not as it was written."""

    intact: bool
    events: int
    head: HeadBody | None
    broken_at: int | None
    reason: str | None


@router.get("", response_model=EventPage)
def list_events(
    caller: CallerDep,
    context: ContextDep,
    *,
    account_id: Filter = None,
    object_id: Filter = None,
    actor: Filter = None,
    action: Filter = None,
    after: Seq = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    newest: Annotated[bool, Query(description="Newest first; after then leads to older ones.")] = False,
) -> Response:
    """What was changed, oldest first: all of it for operators, its own account's for a customer."""
    if account_id is not None:
        caller.require_account(account_id)
    query = select(EventRow).limit(limit + 1)
    wanted = {
        EventRow.account_id: account_id or caller.account_id,
        EventRow.object_id: object_id,
        EventRow.actor: actor,
        EventRow.action: action,
    }
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    if after is not None:
        query = query.where(EventRow.seq < after if newest else EventRow.seq > after)
    query = query.order_by(EventRow.seq.desc() if newest else EventRow.seq)
    with context.store.read() as session:
        found = session.scalars(query).all()
    shown = found[:limit]
    more = shown[-1].seq if len(found) > limit else None
    return json_response({"result": [_body(e) for e in shown], "next": more})


@router.get("/verify", response_model=VerdictBody, responses=refuses(Kind.MALFORMED_QUERY))
def verify_events(
    caller: CallerDep,
    context: ContextDep,
    seq: Annotated[int | None, Query(ge=1, le=LARGEST_SEQ, description="Of a head noted earlier.")] = None,
    hash: Annotated[  # noqa: A002 (the field's name)
        str | None, Query(pattern=r"^[0-9a-f]{64}$", description="Its hash: what was cut off is found.")
    ] = None,
) -> Response:
    """Go through the whole chain, and tell where it first breaks (operators)."""
    caller.require_operator()
    if (seq is None) != (hash is None):
        missing = "seq" if seq is None else "hash"
        raise Refusal(
            Kind.MALFORMED_QUERY, "give seq and hash of the noted head together", f"/query/{missing}"
        )
    noted = None if seq is None or hash is None else Head(seq, hash)
    with context.store.read() as session:
        verdict = verify(chain_of(session), noted)
        head = head_of(session)
    return json_response(
        {
            "intact": verdict.intact,
            "events": verdict.events,
            "head": None if head is None else {"seq": head.seq, "hash": head.hash},
            "broken_at": verdict.broken_at,
            "reason": verdict.reason,
        }
    )


def _body(row: EventRow) -> dict[str, Any]:
    body = {name: getattr(row, name) for name in EventBody.model_fields}
    body["at"] = rfc3339(row.at)
    return body
