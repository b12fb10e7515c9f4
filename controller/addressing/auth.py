"""Who calls: bearer tokens, kept only as SHA-256, an operator's or one account's customer's."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

import structlog
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.addressing.envelope import refusal_response, unavailable_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import TokenRow
from controller.store import Store, StoreUnavailableError

log = structlog.get_logger()

Role = Literal["customer", "operator"]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; ``account_id`` is None for an operator."""

    token_id: str
    role: Role
    account_id: str | None

    @property
    def actor(self) -> str:
        """How events and change-sets name the caller."""
        return f"{self.role}:{self.token_id}"

    @property
    def is_operator(self) -> bool:
        """Whether the caller may see and do everything."""
        return self.role == "operator"

    def require_operator(self) -> None:
        """Refuse (403) anybody but an operator."""
        if not self.is_operator:
            raise Refusal(Kind.FORBIDDEN, "this is for operators only: use an operator's token")

    def require_account(self, account_id: str) -> None:
        """Refuse (403) a customer of another account."""
        if not self.is_operator and account_id != self.account_id:
            raise Refusal(
                Kind.FORBIDDEN, f"this token is for account {self.account_id}, not for {account_id}"
            )


def hash_token(token: str) -> str:
    """Return what is kept of a token: its SHA-256. Tokens have 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue_token(
    session: Session, role: Role, account_id: str | None, description: str, now: datetime
) -> tuple[str, TokenRow]:
    """Make a token and add its row; the token itself is returned once and kept nowhere."""
    token = f"herald_{secrets.token_urlsafe(32)}"
    row = TokenRow(
        id=uuid4().hex,
        hash=hash_token(token),
        role=role,
        account_id=account_id,
        description=description,
        created_at=now,
    )
    session.add(row)
    return token, row


def find_caller(session: Session, token: str) -> Caller | None:
    """Return whose token it is; None for an unknown or revoked one."""
    wanted = hash_token(token)
    row = session.scalar(select(TokenRow).where(TokenRow.hash == wanted, TokenRow.revoked_at.is_(None)))
    if row is None or not hmac.compare_digest(row.hash, wanted):
        return None
    return Caller(row.id, "operator" if row.role == "operator" else "customer", row.account_id)


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
        if token and find_caller(session, token) is not None:
            return token
        if not token:
            token, row = issue_token(session, "operator", None, "made at the first start", now)
            _write_private(path, token)
            return token
        known = session.scalar(select(TokenRow).where(TokenRow.hash == hash_token(token)))
        if known is None:
            row = issue_token(session, "operator", None, "from the operator's token file", now)[1]
            row.hash = hash_token(token)
    return token


def _write_private(path: Path, token: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class AuthMiddleware:
    """Refuses (401) every request without a valid token before anything of it is looked at."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app = app
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the :class:`Caller` into the request's state, or answer 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["caller"] = await run_in_threadpool(
                self._caller, Headers(scope=scope)
            )
        except Refusal as refusal:
            await refusal_response(refusal)(scope, receive, send)
            return
        except StoreUnavailableError as error:
            log.warning("store unavailable", path=scope["path"], reason=str(error))
            await unavailable_response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _caller(self, headers: Headers) -> Caller:
        values = headers.getlist("authorization")
        scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(Kind.UNAUTHENTICATED, "no bearer token: send Authorization: Bearer TOKEN")
        with self._store.read() as session:
            caller = find_caller(session, token.strip())
        if caller is None:
            raise Refusal(
                Kind.UNAUTHENTICATED, "this token is not known or was revoked: ask an operator for one"
            )
        return caller


def current_caller(request: Request) -> Caller:
    """Return the caller that :class:`AuthMiddleware` found."""
    caller = request.state.caller
    assert isinstance(caller, Caller)
    return caller


CallerDep = Annotated[Caller, Depends(current_caller)]
"""Parameter type of an endpoint that needs to know who calls."""
