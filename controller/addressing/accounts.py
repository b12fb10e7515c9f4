"""Accounts: operators make and list them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing.auth import CallerDep
from controller.addressing.bodies import CreateAccount, NamedBody
from controller.addressing.context import ContextDep
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import AccountRow
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write, WriterDep

router = APIRouter(prefix="/herald/v1/accounts", tags=["accounts"])


@router.get("", response_model=list[NamedBody])
def list_accounts(caller: CallerDep, context: ContextDep) -> Response:
    """All accounts; a customer sees its own."""
    query = select(AccountRow).order_by(AccountRow.id)
    if not caller.sees_all_accounts:
        query = query.where(AccountRow.id == caller.account_id)
    with context.store.read() as session:
        found = session.scalars(query).all()
    return json_response([_body(a) for a in found])


@router.post("", response_model=NamedBody)
def create_account(body: CreateAccount, caller: CallerDep, writer: WriterDep) -> Response:
    """Make an account; the same id and name again is fine and changes nothing."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        row = None if body.id is None else write.session.get(AccountRow, body.id)
        if row is not None and row.name != body.name:
            raise Refusal(Kind.ALREADY_EXISTS, f"account {row.id!r} is called {row.name!r} already", "/id")
        if row is None:
            row = AccountRow(id=body.id or uuid4().hex, name=body.name, created_at=write.now)
            write.session.add(row)
            write.record("create", "account", row.id, row.id, name=row.name)
        return _body(row)

    return writer.run(work)


def _body(row: AccountRow) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "created_at": rfc3339(row.created_at)}
