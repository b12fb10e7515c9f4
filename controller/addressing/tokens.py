"""Tokens: operators issue, list and revoke them; customers do so for their own account, and never wider.

The token itself is shown once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.auth import Caller, CallerDep, issue_token
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.permissions import OPEN, VERBS, WantedToken, check_issue, scopes_from
from controller.addressing.tables import AccountRow, TokenRow
from controller.addressing.times import rfc3339
from controller.addressing.token_bodies import (
    CallerBody,
    CreateToken,
    IssuedTokenBody,
    RevokedTokenBody,
    TokenBody,
)
from controller.addressing.writes import Write, WriterDep

router = APIRouter(prefix="/herald/v1")


@router.get("/caller", response_model=CallerBody, tags=["caller"])
def get_caller(caller: CallerDep) -> Response:
    """Whose token this is, and what it may do."""
    scopes = caller.scopes
    return json_response(
        {
            "id": caller.token_id,
            "role": caller.role,
            "account_id": caller.account_id,
            "scopes": None
            if scopes is None
            else {r: [v for v in VERBS if v in s] for r, s in scopes.items()},
            "expires_at": rfc3339(caller.expires_at),
        }
    )


@router.get("/tokens", response_model=list[TokenBody], tags=["tokens"])
def list_tokens(caller: CallerDep, context: ContextDep) -> Response:
    """All tokens (a customer: its account's), without what would let anybody use one."""
    query = select(TokenRow).order_by(TokenRow.created_at, TokenRow.id)
    if not caller.sees_all_accounts:
        query = query.where(TokenRow.account_id == caller.account_id)
    with context.store.read() as session:
        found = session.scalars(query).all()
    return json_response([_body(t) for t in found])


@router.get("/tokens/{token_id}", response_model=TokenBody, tags=["tokens"])
def get_token(token_id: str, caller: CallerDep, context: ContextDep) -> Response:
    """One token, without what would let anybody use it."""
    with context.store.read() as session:
        return json_response(_body(_the_token(session, token_id, caller)))


@router.post("/tokens", response_model=IssuedTokenBody, responses=refuses(Kind.WIDER_TOKEN), tags=["tokens"])
def create_token(body: CreateToken, caller: CallerDep, writer: WriterDep, request: Request) -> Response:
    """Issue a token. With an idempotency key it is refused: its answer, which is stored, is the secret."""
    writer.refuse_key("a token is shown once and never stored")
    wanted = WantedToken(body.role, body.account_id, scopes_from(body.scopes), _time(body.expires_at))
    resources = resources_of(request.app.openapi())

    def work(write: Write) -> dict[str, Any]:
        check_issue(caller, wanted, resources, write.now)
        if body.account_id is not None and write.session.get(AccountRow, body.account_id) is None:
            raise Refusal(Kind.MALFORMED_BODY, f"there is no account {body.account_id!r}", "/account_id")
        token, row = issue_token(
            write.session,
            wanted.role,
            wanted.account_id,
            body.description,
            write.now,
            scopes=wanted.scopes,
            expires_at=wanted.expires_at,
            issued_by=caller.token_id,
        )
        shown = _body(row)
        write.record(
            "issue",
            "token",
            row.id,
            body.account_id,
            role=row.role,
            scopes=shown["scopes"],
            expires_at=shown["expires_at"],
        )
        return {"token": token, **shown}

    return writer.run(work)


@router.delete("/tokens/{token_id}", response_model=RevokedTokenBody, tags=["tokens"])
def revoke_token(
    token_id: str,
    caller: CallerDep,
    writer: WriterDep,
    with_issued: Annotated[
        bool, Query(description="Also those that were issued with it, and with those: for a stolen token.")
    ] = False,
) -> Response:
    """Revoke a token at once; its row stays."""

    def work(write: Write) -> dict[str, Any]:
        row = _the_token(write.session, token_id, caller)
        if row.id == caller.token_id:
            raise Refusal(Kind.FORBIDDEN, "this is the token that you are using: revoke it with another one")
        if not caller.is_operator and row.role != "customer":
            raise Refusal(Kind.FORBIDDEN, f"an operator issued this {row.role}'s token: ask one to revoke it")
        going = [row, *(_issued_with(write.session, row) if with_issued else ())]
        revoked = [t for t in going if t.revoked_at is None and t.id != caller.token_id]
        for token in revoked:
            token.revoked_at = write.now
            write.record("revoke", "token", token.id, token.account_id)
        return {**_body(row), "revoked": [t.id for t in revoked]}

    return writer.run(work)


def resources_of(openapi: dict[str, Any]) -> frozenset[str]:
    """Return the resources that scopes may name: the tags of all routes, less those open to every token."""
    operations = (o for methods in openapi["paths"].values() for o in methods.values())
    return frozenset(tag for o in operations for tag in o.get("tags", ())) - OPEN


def _the_token(session: Session, token_id: str, caller: Caller) -> TokenRow:
    row = session.get(TokenRow, token_id)
    if row is None or (not caller.sees_all_accounts and row.account_id != caller.account_id):
        raise Refusal(Kind.NOT_FOUND, f"there is no token {token_id!r}")
    return row


def _issued_with(session: Session, row: TokenRow) -> list[TokenRow]:
    """Return the tokens that were issued with ``row``, and with those, and so on."""
    found: list[TokenRow] = []
    issuers = [row.id]
    while issuers:
        issued = session.scalars(select(TokenRow).where(TokenRow.issued_by.in_(issuers))).all()
        found += issued
        issuers = [t.id for t in issued]
    return found


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(Kind.MALFORMED_BODY, f"{text} is no time: {error}", "/expires_at") from error


def _body(row: TokenRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "role": row.role,
        "account_id": row.account_id,
        "description": row.description,
        "created_at": rfc3339(row.created_at),
        "revoked_at": rfc3339(row.revoked_at),
        "scopes": row.scopes,
        "expires_at": rfc3339(row.expires_at),
        "issued_by": row.issued_by,
    }
