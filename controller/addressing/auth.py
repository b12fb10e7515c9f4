"""Bearer tokens, kept only as SHA-256: made, and found again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast
from uuid import uuid4

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.permissions import VERBS, Caller, Role, Scopes, scopes_from
from controller.addressing.private_file import write_private
from controller.addressing.tables import EventRow, TokenRow
from controller.addressing.times import rfc3339
from controller.store import Store

__all__ = [
    "Caller",
    "CallerDep",
    "Role",
    "bootstrap_operator",
    "current_caller",
    "find_caller",
    "hash_token",
    "issue_token",
    "new_token",
]


def hash_token(token: str) -> str:
    """Return what is kept of a token: its SHA-256. Tokens have 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Return a new token; only its hash may be kept."""
    return f"herald_{secrets.token_urlsafe(32)}"


def issue_token(
    session: Session,
    role: Role,
    account_id: str | None,
    description: str,
    now: datetime,
    *,
    scopes: Scopes | None = None,
    expires_at: datetime | None = None,
    issued_by: str | None = None,
) -> tuple[str, TokenRow]:
    """Make a token and add its row; the token itself is returned once and kept nowhere."""
    token = new_token()
    kept = None if scopes is None else {r: [v for v in VERBS if v in verbs] for r, verbs in scopes.items()}
    row = TokenRow(
        id=uuid4().hex,
        hash=hash_token(token),
        role=role,
        account_id=account_id,
        description=description,
        created_at=now,
        scopes=kept,
        expires_at=expires_at,
        issued_by=issued_by,
    )
    session.add(row)
    return token, row


def authenticate(session: Session, token: str, now: datetime) -> Caller:
    """Return whose token it is; refused (401) when it is unknown, revoked or expired.

    The database finds the row by the hash, which nobody can steer towards another's; what it found is
    compared in constant time, and an unknown token takes the same way as a known one.
    """
    wanted = hash_token(token)
    row = session.scalar(select(TokenRow).where(TokenRow.hash == wanted))
    same = hmac.compare_digest("" if row is None else row.hash, wanted)
    if row is None or not same:
        raise Refusal(Kind.UNAUTHENTICATED, "this token is not known: ask an operator for one")
    if row.revoked_at is not None:
        raise Refusal(
            Kind.UNAUTHENTICATED, f"this token was revoked at {rfc3339(row.revoked_at)}: use another"
        )
    if row.expires_at is not None and row.expires_at <= now:
        raise Refusal(
            Kind.UNAUTHENTICATED, f"this token ended at {rfc3339(row.expires_at)}: ask for a new one"
        )
    role = cast(Role, row.role)  # the table's CHECK lets nothing else in
    return Caller(row.id, role, row.account_id, scopes_from(row.scopes), row.expires_at)


def find_caller(session: Session, token: str, now: datetime | None = None) -> Caller | None:
    """Return whose token it is; None for an unknown, revoked or expired one."""
    try:
        return authenticate(session, token, now or datetime.now(UTC))
    except Refusal:
        return None


def bootstrap_operator(store: Store, path: Path, now: datetime) -> str:
    """Return the operator's token in the file ``path`` (mode 0600), making both when there is none yet.

    The file is written before the row is committed, so that a crash in between leaves a file whose token
    the next start registers. A file without its row (the database is new) is registered again.
    """
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""
    with store.write() as session:
        if token and find_caller(session, token, now) is not None:
            return token
        if not token:
            token, row = issue_token(session, "operator", None, "made at the first start", now)
            _record_start(session, row, now)
            write_private(path, token)
            return token
        known = session.scalar(select(TokenRow).where(TokenRow.hash == hash_token(token)))
        if known is None:
            row = issue_token(session, "operator", None, "from the operator's token file", now)[1]
            row.hash = hash_token(token)
            _record_start(session, row, now)
    return token


def _record_start(session: Session, row: TokenRow, now: datetime) -> None:
    session.add(
        EventRow(
            at=now,
            actor="herald",
            origin="herald serve",
            action="issue",
            account_id=None,
            object_kind="token",
            object_id=row.id,
            reason=row.description,
            detail={"role": row.role},
        )
    )


def current_caller(request: Request) -> Caller:
    """Return the caller that :class:`~controller.addressing.access.AccessMiddleware` found."""
    caller = request.state.caller
    assert isinstance(caller, Caller)
    return caller


CallerDep = Annotated[Caller, Depends(current_caller)]
"""Parameter type of an endpoint that needs to know who calls."""
