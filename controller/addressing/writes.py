"""One write: rows, events, change-sets and answer in one transaction, then the driver is woken.

An answer that a caller has seen is therefore on disk with all that belongs to it, and a repeated request
with its idempotency key gets the stored answer and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import msgspec
from fastapi import Depends, Query, Request, Response
from sqlalchemy.orm import Session

from controller.addressing import headers
from controller.addressing.audit_log import changed
from controller.addressing.auth import Caller, CallerDep
from controller.addressing.before import note_before
from controller.addressing.context import Context, ContextDep
from controller.addressing.envelope import JSON
from controller.addressing.errors import Kind, Refusal, UnrecordedWriteError
from controller.addressing.foresee import plan
from controller.addressing.headers import TakenHeader
from controller.addressing.present import WhileWriting
from controller.addressing.subtractive import NamedIntent, Taken, answer_for
from controller.addressing.tables import AnswerRow, EventRow
from controller.addressing.telling import tell
from controller.addressing.times import rfc3339
from controller.addressing.versions import etag
from controller.safety.verdict import Lane
from controller.snapshots import outbox
from controller.snapshots.model import Change, ChangeSet
from controller.store import Base

CHANGE_SET_HEADER = "Herald-Change-Set"

MOST_TOLD = 10
"""Change-sets that the header of an answer names; whatever makes more has them in its body."""

TAKES_AWAY = frozenset({"withdraw", "delete"})
"""The actions by which a caller names an object that is to be taken away."""

DRY_RUN_CODE = 1000
"""The code of the message in a dry run's envelope."""


@dataclass(slots=True)
class _AccountChanges:
    """What a write changes of one account's operational state.

    ``takes_from``: prefixes that lose something which the operational state does not show. ``lane``: the one
    that is asked for.
    """

    change_set_id: str = field(default_factory=lambda: uuid4().hex)
    changes: list[Change] = field(default_factory=list)
    intents: list[str] = field(default_factory=list)
    takes_from: set[str] = field(default_factory=set)
    lane: Lane | None = None


@dataclass(slots=True)
class Write:
    """What is being written: the session, and what is to be recorded of it.

    ``etag`` is the answer's entity tag, set by :meth:`shows`. ``intent_id``: the two operators' intent that
    the caller names.
    """

    session: Session
    caller: Caller
    context: Context
    now: datetime
    if_match: tuple[str, ...] | None = None
    intent_id: str | None = None
    reason: str = ""
    etag: str | None = None
    _accounts: dict[str, _AccountChanges] = field(default_factory=dict)
    _queued: list[ChangeSet] = field(default_factory=list)
    _events: list[EventRow] = field(default_factory=list)
    _matched: bool = False

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

    def match(self, row: Base) -> None:
        """Refuse (412) to change ``row`` unless it is what the caller's If-Match saw. Call it first."""
        self._matched = True
        if self.if_match is not None and "*" not in self.if_match and etag(row) not in self.if_match:
            raise Refusal(
                Kind.PRECONDITION_FAILED,
                f"it was changed since you read it and is at {etag(row)} now: GET it and decide again",
                f"/header/{headers.MATCH.name}",
            )

    def shows(self, row: Base) -> None:
        """Let the answer carry the entity tag of ``row``; call it after changing."""
        self.session.flush()
        self.etag = etag(row)

    def change(self, account_id: str, *changes: Change) -> None:
        """Add to the change-set of one account; a write has at most one for each account."""
        self._of(account_id).changes.extend(changes)

    def queue(self, change_set: ChangeSet) -> None:
        """Queue a change-set of its own, complete as it is; nothing is done about locks and intents.

        For those who have looked at that themselves, and need several of one account in an order.
        """
        outbox.append(self.session, change_set)
        self._queued.append(change_set)

    def carry(self, account_id: str, intent: str) -> None:
        """Let an account's change-set carry a signed intent (SAFETY.md, 2)."""
        self._of(account_id).intents.append(intent)

    def take_lane(self, account_id: str, lane: Lane) -> None:
        """Let an account's change-set ask for a lane (SAFETY.md, 5)."""
        self._of(account_id).lane = lane

    def carry_once(self, account_id: str, intent: str) -> None:
        """Let it carry an intent that covers several of its changes."""
        if intent not in self._of(account_id).intents:
            self.carry(account_id, intent)

    def takes_from(self, account_id: str, prefix_id: str) -> None:
        """Say that a prefix loses something that no change of the operational state shows.

        Such as when it is asked to be deleted, or given away: a withdrawal lock refuses that, too.
        """
        self._of(account_id).takes_from.add(prefix_id)

    def change_set_id(self, account_id: str) -> str:
        """Return the id that the account's change-set will have, should anything be changed."""
        return self._of(account_id).change_set_id

    def changes_of(self, account_id: str) -> Sequence[Change]:
        """Return what is to change of one account so far."""
        return tuple(self._of(account_id).changes)

    @property
    def named_intent(self) -> NamedIntent:
        """The intent of two operators that the caller names, if any."""
        return NamedIntent(self.session, self.context.intents, self.intent_id, self.now)

    @property
    def changes_anything(self) -> bool:
        """Whether the operational state is to change."""
        return any(part.changes for part in self._accounts.values())

    def eye(self, *touched: str) -> WhileWriting:
        """Return how the answer sees the objects with the ids ``touched``, which this write changes."""
        return WhileWriting(self.context.view, self.change_set_id, frozenset(touched), self.now)

    def change_sets(self, reason: str) -> tuple[ChangeSet, ...]:
        """Return the change-sets as they are now, one for each account that changes."""
        why = reason or "; ".join(f"{e.action} {e.object_kind}" for e in self._events)
        return tuple(
            ChangeSet(
                id=part.change_set_id,
                account_id=account_id,
                actor=self.caller.actor,
                reason=why,
                at=rfc3339(self.now),
                changes=tuple(part.changes),
                intents=tuple(part.intents),
                lane=part.lane,
            )
            for account_id, part in self._accounts.items()
            if part.changes
        )

    def finish(self, origin: str, reason: str) -> tuple[ChangeSet, ...]:
        """Add events and change-sets to the transaction; return the change-sets."""
        if self.if_match is not None and not self._matched:
            raise Refusal(
                Kind.MALFORMED_HEADER,
                f"{headers.MATCH.name} has no meaning for this route: leave it out",
                f"/header/{headers.MATCH.name}",
            )
        self._answer_for()
        if not self._events and changed(self.session):
            raise UnrecordedWriteError("rows were changed and nothing was recorded: call write.record")
        made = self.change_sets(reason)
        ids = {c.account_id: c.id for c in made}
        why = reason or "; ".join(f"{e.action} {e.object_kind}" for e in self._events)
        for event in self._events:
            event.actor, event.origin, event.reason = self.caller.actor, origin, why[:500]
            event.change_set_id = None if event.account_id is None else ids.get(event.account_id)
        tell(self.session, self._events)
        for change_set in made:
            outbox.append(self.session, change_set)
        return (*made, *self._queued)

    def _answer_for(self) -> None:
        """Refuse what a lock forbids; let what is taken away carry the intent of who wanted it."""
        self.session.flush()
        if self.intent_id is not None and self.caller.role == "customer":
            raise Refusal(
                Kind.MALFORMED_HEADER,
                f"{headers.INTENT.name} is for operators and tasks: what an owner asks for is intent enough",
                f"/header/{headers.INTENT.name}",
            )
        named = self.named_intent
        for account_id, part in self._accounts.items():
            named_objects = frozenset(e.object_id for e in self._events if e.action in TAKES_AWAY)
            taken = Taken(
                account_id,
                part.changes,
                frozenset(part.takes_from),
                part.change_set_id,
                named_objects,
            )
            part.intents += answer_for(taken, part.intents, named, self.context, self.caller)
        named.must_be_used()

    def _of(self, account_id: str) -> _AccountChanges:
        return self._accounts.setdefault(account_id, _AccountChanges())


Noted = TypeVar("Noted")

Work = Callable[[Write], Mapping[str, Any]]
"""Does the write and returns the answer's body."""


class _NothingChangesError(Exception):
    """Ends a dry run's transaction, so that nothing of it stays."""


class Writer:
    """Runs writes on behalf of one request."""

    def __init__(self, request: Request, caller: Caller, context: Context, *, dry_run: bool = False) -> None:
        self._caller = caller
        self._context = context
        self._dry_run = dry_run
        self._hash: str = request.state.request_hash
        self._key = _single(request, headers.KEY)
        self._reason = _single(request, headers.REASON) or ""
        self._if_match = _entity_tags(request)
        self._intent_id = _single(request, headers.INTENT)
        self._origin = f"{request.client.host}" if request.client else "unix socket"

    @property
    def dry_run(self) -> bool:
        """Whether all that is done is undone again."""
        return self._dry_run

    def wake(self, change_set_id: str) -> None:
        """Let a change-set be looked at that this write did not make; call it after :meth:`run`."""
        self._context.on_change_set(change_set_id)

    def refuse_key(self, why: str) -> None:
        """Refuse an idempotency key on a route whose answer may not be stored."""
        if self._key is not None:
            raise Refusal(
                Kind.MALFORMED_HEADER,
                f"{headers.KEY.name} cannot be used here: {why}",
                f"/header/{headers.KEY.name}",
            )

    def run(self, work: Work) -> Response:
        """Do ``work`` once; a refusal raised in it leaves nothing behind.

        With ``dry_run=true`` all is done and undone, and the answer has the foreseen ``plan`` beside what
        it would have been; keys are neither looked at nor kept.
        """
        if self._dry_run:
            return self._foresee(work)
        with self._context.store.write() as session:
            stored = self._stored(session)
            if stored is not None:
                return _answer(stored.body, stored.change_set_id, stored.etag)
            write = self._begin(session)
            body = msgspec.json.encode(work(write))
            made = [c.id for c in write.finish(self._origin, self._reason)]
            ids = ", ".join(made[:MOST_TOLD]) or None
            if self._key is not None:
                session.add(
                    AnswerRow(
                        token_id=self._caller.token_id,
                        key=self._key,
                        request_hash=self._hash,
                        status=200,
                        body=body,
                        change_set_id=ids,
                        etag=write.etag,
                        at=write.now,
                    )
                )
        for change_set_id in made:
            self._context.on_change_set(change_set_id)
        self._context.on_write()
        return _answer(body, ids, write.etag)

    def note(self, work: Callable[[Write], Noted]) -> Noted:
        """Do ``work`` in a transaction of its own, which stays whatever the request itself comes to.

        For what must be counted although it is refused; neither key nor dry run applies to it.
        """
        with self._context.store.write() as session:
            note_before(session)
            write = Write(session, self._caller, self._context, datetime.now(UTC))
            found = work(write)
            write.finish(self._origin, self._reason)
        return found

    def _begin(self, session: Session) -> Write:
        note_before(session)
        return Write(
            session,
            self._caller,
            self._context,
            datetime.now(UTC),
            self._if_match,
            self._intent_id,
            reason=self._reason,
        )

    def _foresee(self, work: Work) -> Response:
        body: dict[str, Any] = {}
        try:
            with self._context.store.write() as session:
                write = self._begin(session)
                body = dict(work(write))
                body["plan"] = plan(session, write.finish(self._origin, self._reason), self._context.sites)
                raise _NothingChangesError  # noqa: TRY301 (leaving the block is what undoes it)
        except _NothingChangesError:
            pass
        if "messages" in body:
            body["messages"] = [{"code": DRY_RUN_CODE, "message": "dry run: nothing was changed"}]
        return _answer(msgspec.json.encode(body), None, None)

    def _stored(self, session: Session) -> AnswerRow | None:
        if self._key is None:
            return None
        row = session.get(AnswerRow, (self._caller.token_id, self._key))
        if row is not None and row.request_hash != self._hash:
            raise Refusal(
                Kind.KEY_REUSED,
                f"key {self._key!r} was used for another request: use a new key for a new request",
                f"/header/{headers.KEY.name}",
            )
        return row


def _single(request: Request, header: TakenHeader) -> str | None:
    values = request.headers.getlist(header.name)
    if not values:
        return None
    value = values[0].strip(" \t")
    if len(values) > 1 or not header.takes(value):
        raise Refusal(
            Kind.MALFORMED_HEADER,
            f"{header.name} must be given once, with 1 to {header.longest} characters that match "
            f"{header.pattern}",
            f"/header/{header.name}",
        )
    return value


def _entity_tags(request: Request) -> tuple[str, ...] | None:
    text = _single(request, headers.MATCH)
    return None if text is None else tuple(tag.strip() for tag in text.split(","))


def _answer(body: bytes, change_set_ids: str | None, tag: str | None) -> Response:
    sent = {}
    if change_set_ids is not None:
        sent[CHANGE_SET_HEADER] = change_set_ids
    if tag is not None:
        sent["ETag"] = tag
    return Response(body, 200, sent, media_type=JSON)


def current_writer(
    request: Request,
    caller: CallerDep,
    context: ContextDep,
    dry_run: Annotated[
        bool, Query(description="Change nothing; answer with what would change, and where.")
    ] = False,
) -> Writer:
    """Return the writer of this request."""
    return Writer(request, caller, context, dry_run=dry_run)


WriterDep = Annotated[Writer, Depends(current_writer)]
"""Parameter type of an endpoint that writes."""
