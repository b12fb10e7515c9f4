"""Services: what may be bound to addresses. Customers read them, operators make them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing.auth import CallerDep
from controller.addressing.bodies import CreateService, Listing, NamedBody
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.envelope import json_response, listing
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import ServiceRow
from controller.addressing.writes import Write, WriterDep

router = APIRouter(tags=["services"])


@router.get("/client/v4/accounts/{account_id}/addressing/services", response_model=Listing[NamedBody])
def list_services(account: AccountDep, context: ContextDep) -> Response:
    """All services, the same for every account."""
    with context.store.read() as session:
        found = session.scalars(select(ServiceRow).order_by(ServiceRow.name)).all()
    return json_response(listing([{"id": s.id, "name": s.name} for s in found]))


@router.post("/herald/v1/services", response_model=NamedBody)
def create_service(body: CreateService, caller: CallerDep, writer: WriterDep) -> Response:
    """Make a service; the same one again is fine and changes nothing."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        for row in write.session.scalars(
            select(ServiceRow).where((ServiceRow.id == body.id) | (ServiceRow.name == body.name))
        ):
            if (row.id, row.name) != (body.id, body.name):
                raise Refusal(Kind.ALREADY_EXISTS, f"service {row.id!r} is called {row.name!r} already")
            return {"id": row.id, "name": row.name}
        write.session.add(ServiceRow(id=body.id, name=body.name, created_at=write.now))
        write.record("create", "service", body.id, None, name=body.name)
        return {"id": body.id, "name": body.name}

    return writer.run(work)
