"""``/herald/v1/pins``: accounts that were rolled back, and what is to be decided about them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind
from controller.addressing.writes import Write, WriterDep
from controller.rollbacks.bodies import DecidedBody, PinPage, PutDecisions
from controller.rollbacks.deciding import decide
from controller.rollbacks.showing import pin_body
from controller.snapshots.rollback_tables import PinRow

router = APIRouter(prefix="/herald/v1", tags=["pins"])


@router.get("/pins", response_model=PinPage)
def list_pins(
    caller: CallerDep,
    context: ContextDep,
    after: Annotated[str, Query(max_length=32, description="Accounts behind this one.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Pins by account; who is kept to one account sees its own."""
    query = select(PinRow).where(PinRow.account_id > after).order_by(PinRow.account_id).limit(limit + 1)
    if caller.account_id is not None:
        query = query.where(PinRow.account_id == caller.account_id)
    with context.store.read() as session:
        found = session.scalars(query).all()
        shown = [pin_body(session, pin) for pin in found[:limit]]
    following = found[limit - 1].account_id if len(found) > limit else None
    return json_response({"result": shown, "next": following})


@router.post(
    "/accounts/{account_id}/pin/decisions",
    response_model=DecidedBody,
    responses=refuses(Kind.NOT_PINNED, Kind.NOT_IN_THAT_STATE),
)
def create_decisions(
    account: AccountDep, body: PutDecisions, caller: CallerDep, writer: WriterDep
) -> Response:
    """Keep or drop change-sets that a rollback undid or kept back; with the last one the pin ends."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        pin = decide(write, account, body.decisions)
        return {"account_id": account, "pin": None if pin is None else pin_body(write.session, pin)}

    return writer.run(work)
