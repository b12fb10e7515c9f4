"""Tokens: operators issue, list and revoke them. The token itself is shown once."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing.auth import CallerDep, issue_token
from controller.addressing.bodies import CreateToken
from controller.addressing.context import ContextDep
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import AccountRow, TokenRow
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write, WriterDep

router = APIRouter(prefix="/herald/v1", tags=["tokens"])


@router.get("/caller")
def get_caller(caller: CallerDep) -> Response:
    """Whose token this is."""
    return json_response({"id": caller.token_id, "role": caller.role, "account_id": caller.account_id})


@router.get("/tokens")
def list_tokens(caller: CallerDep, context: ContextDep) -> Response:
    """All tokens, without what would let anybody use one."""
    caller.require_operator()
    with context.store.read() as session:
        found = session.scalars(select(TokenRow).order_by(TokenRow.created_at)).all()
    return json_response([_body(t) for t in found])


@router.post("/tokens")
def create_token(body: CreateToken, caller: CallerDep, writer: WriterDep) -> Response:
    """Issue a token. With an idempotency key it is refused: its answer, which is stored, is the secret."""
    caller.require_operator()
    writer.refuse_key("a token is shown once and never stored")

    def work(write: Write) -> dict[str, Any]:
        if (body.role == "customer") != (body.account_id is not None):
            raise Refusal(
                Kind.MALFORMED_BODY,
                "a customer's token needs an account_id, an operator's has none",
                "/account_id",
            )
        if body.account_id is not None and write.session.get(AccountRow, body.account_id) is None:
            raise Refusal(Kind.MALFORMED_BODY, f"there is no account {body.account_id!r}", "/account_id")
        token, row = issue_token(write.session, body.role, body.account_id, body.description, write.now)
        write.record("issue", "token", row.id, body.account_id, role=body.role)
        return {"token": token, **_body(row)}

    return writer.run(work)


@router.delete("/tokens/{token_id}")
def revoke_token(token_id: str, caller: CallerDep, writer: WriterDep) -> Response:
    """Revoke a token at once; its row stays."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        row = write.session.get(TokenRow, token_id)
        if row is None:
            raise Refusal(Kind.NOT_FOUND, f"there is no token {token_id!r}")
        if row.id == caller.token_id:
            raise Refusal(Kind.FORBIDDEN, "this is the token that you are using: revoke it with another one")
        if row.revoked_at is None:
            row.revoked_at = write.now
            write.record("revoke", "token", row.id, row.account_id)
        return _body(row)

    return writer.run(work)


def _body(row: TokenRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "role": row.role,
        "account_id": row.account_id,
        "description": row.description,
        "created_at": rfc3339(row.created_at),
        "revoked_at": rfc3339(row.revoked_at),
    }
