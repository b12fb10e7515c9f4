"""One write: rows, event, change-set and answer in one transaction, then the driver is woken.

An answer that a caller has seen is therefore on disk with all that belongs to it, and a repeated request
with its idempotency key gets the stored answer and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import Depends, Request, Response
from sqlalchemy.orm import Session

from controller.addressing.auth import Caller, CallerDep
from controller.addressing.context import Context, ContextDep
from controller.addressing.envelope import JSON
from controller.addressing.errors import Kind, Refusal
from controller.addressing.present import WhileWriting
from controller.addressing.tables import AnswerRow, EventRow
from controller.addressing.times import rfc3339
from controller.snapshots import outbox
from controller.snapshots.model import Change, ChangeSet

CHANGE_SET_HEADER = "Herald-Change-Set"
KEY_HEADER = "Idempotency-Key"
REASON_HEADER = "Herald-Reason"


@dataclass(slots=True)
class Write:
    """What is being written: the session, and what is to be recorded of it."""

    session: Session
    caller: Caller
    context: Context
    now: datetime
    change_set_id: str = field(default_factory=lambda: uuid4().hex)
    changes: list[Change] = field(default_factory=list)
    account_id: str | None = None
    _events: list[EventRow] = field(default_factory=list)

    def record(
        self, action: str, kind: str, object_id: str, account_id: str | None, **detail: object
    ) -> None:
        """Note what is done to which object; written at the end, with who, where from and why."""
        self._events.append(
            EventRow(
                at=self.now,
                action=action,
                object_kind=kind,
                object_id=object_id,
                account_id=account_id,
                detail=detail,
            )
        )

    def change(self, account_id: str, *changes: Change) -> None:
        """Add to the change-set of this write, which is about one account."""
        assert self.account_id in (None, account_id)
        self.account_id = account_id
        self.changes.extend(changes)

    def eye(self, *touched: str) -> WhileWriting:
        """Return how the answer sees the objects with the ids ``touched``, which this write changes."""
        return WhileWriting(self.context.view, self.change_set_id, frozenset(touched), self.now)

    def finish(self, origin: str, reason: str) -> str | None:
        """Add events and change-set to the transaction; return the change-set's id if there is one."""
        made = self.change_set_id if self.changes else None
        why = reason or "; ".join(f"{e.action} {e.object_kind}" for e in self._events)
        for event in self._events:
            event.actor, event.origin, event.reason, event.change_set_id = (
                self.caller.actor,
                origin,
                why,
                made,
            )
            self.session.add(event)
        if made is not None and self.account_id is not None:
            outbox.append(
                self.session,
                ChangeSet(
                    id=made,
                    account_id=self.account_id,
                    actor=self.caller.actor,
                    reason=why,
                    at=rfc3339(self.now),
                    changes=tuple(self.changes),
                ),
            )
        return made


Work = Callable[[Write], Mapping[str, Any]]
"""Does the write and returns the answer's body."""


class Writer:
    """Runs writes on behalf of one request."""

    def __init__(self, request: Request, caller: Caller, context: Context) -> None:
        self._caller = caller
        self._context = context
        self._hash: str = request.state.request_hash
        self._key = _single(request, KEY_HEADER, 255)
        self._reason = _single(request, REASON_HEADER, 500) or ""
        self._origin = f"{request.client.host}" if request.client else "unix socket"

    def refuse_key(self, why: str) -> None:
        """Refuse an idempotency key on a route whose answer may not be stored."""
        if self._key is not None:
            raise Refusal(
                Kind.MALFORMED_HEADER, f"{KEY_HEADER} cannot be used here: {why}", f"/header/{KEY_HEADER}"
            )

    def run(self, work: Work) -> Response:
        """Do ``work`` once; a refusal raised in it leaves nothing behind."""
        with self._context.store.write() as session:
            stored = self._stored(session)
            if stored is not None:
                return _answer(stored.status, stored.body, stored.change_set_id)
            write = Write(session, self._caller, self._context, datetime.now(UTC))
            body = msgspec.json.encode(work(write))
            change_set_id = write.finish(self._origin, self._reason)
            if self._key is not None:
                session.add(
                    AnswerRow(
                        token_id=self._caller.token_id,
                        key=self._key,
                        request_hash=self._hash,
                        status=200,
                        body=body,
                        change_set_id=change_set_id,
                        at=write.now,
                    )
                )
        if change_set_id is not None:
            self._context.on_change_set(change_set_id)
        return _answer(200, body, change_set_id)

    def _stored(self, session: Session) -> AnswerRow | None:
        if self._key is None:
            return None
        row = session.get(AnswerRow, (self._caller.token_id, self._key))
        if row is not None and row.request_hash != self._hash:
            raise Refusal(
                Kind.KEY_REUSED,
                f"key {self._key!r} was used for another request: use a new key for a new request",
                f"/header/{KEY_HEADER}",
            )
        return row


def _single(request: Request, name: str, longest: int) -> str | None:
    values = request.headers.getlist(name)
    if not values:
        return None
    if len(values) > 1 or not values[0].strip() or len(values[0]) > longest:
        raise Refusal(
            Kind.MALFORMED_HEADER,
            f"{name} must be given once, with 1 to {longest} characters",
            f"/header/{name}",
        )
    return values[0].strip()


def _answer(status: int, body: bytes, change_set_id: str | None) -> Response:
    headers = {} if change_set_id is None else {CHANGE_SET_HEADER: change_set_id}
    return Response(body, status, headers, media_type=JSON)


def current_writer(request: Request, caller: CallerDep, context: ContextDep) -> Writer:
    """Return the writer of this request."""
    return Writer(request, caller, context)


WriterDep = Annotated[Writer, Depends(current_writer)]
"""Parameter type of an endpoint that writes."""
