"""``/herald/v1/breaker``: what is open, why, since when, what waits, and closing it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from controller.addressing.auth import Caller, CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.writes import Write, WriterDep
from controller.guard import holds, scopes
from controller.guard.asking import let_carry
from controller.guard.bodies import AnswerBreaker, BreakerBody, CloseBreaker, OpeningBody
from controller.guard.scopes import Moment
from controller.guard.showing import UNASKED, closed_bodies, opening_body
from controller.guard.telling import News, tell
from controller.safety import breaker
from controller.safety.breaker import (
    Answered,
    BreakerError,
    Closing,
    NotOpenError,
    StaleQueueError,
    State,
)
from controller.safety.policy import Policy
from controller.snapshots.model import SnapshotError

OF_ERRORS: dict[type[BreakerError], Kind] = {
    NotOpenError: Kind.SCOPE_NOT_OPEN,
    StaleQueueError: Kind.QUEUE_CHANGED,
}


def build_breaker_router(policy: Callable[[], Policy], moved: Callable[[], None]) -> APIRouter:
    """Return the routes; ``moved()`` is called after a scope may have closed, in a worker thread."""
    router = APIRouter(prefix="/herald/v1/breaker", tags=["breaker"])

    @router.get("", response_model=BreakerBody)
    def get_breaker(caller: CallerDep, context: ContextDep) -> Response:
        """All open scopes with their queues (customers: those that can concern them, and what is theirs)."""
        now = datetime.now(UTC)
        with context.store.read() as session:
            state = scopes.load(session, queue=True)
            rows = holds.undecided(session)
            unasked = frozenset(r.change_set_id for r in rows if UNASKED in r.checks)
            seen = _seen_by(caller, state)
            shown = [
                opening_body(o, breaker.queue(seen, o.scope), unasked, now, policy().breaker.remind_after)
                for o in seen.open.values()
            ]
            closed = closed_bodies(session) if caller.sees_all_accounts else []
        return json_response(BreakerBody(open=shown, closed=closed).model_dump())

    @router.post(
        "/close",
        response_model=BreakerBody,
        responses=refuses(
            Kind.SCOPE_NOT_OPEN,
            Kind.QUEUE_CHANGED,
            Kind.UNDECIDED,
            Kind.INTENT_NEEDED,
            Kind.INTENT_NOT_USABLE,
        ),
    )
    def close_breaker(
        body: CloseBreaker, caller: CallerDep, context: ContextDep, writer: WriterDep
    ) -> Response:
        """Close a scope: for the queue that was looked at, with a decision for each group of it.

        What is deployed although nobody asked for it needs the intent of two operators (``Herald-Intent``).
        """
        caller.require_operator()
        released: list[str] = []

        def work(write: Write) -> dict[str, Any]:
            released.clear()
            session = write.session
            state = scopes.load(session, queue=True)
            for held in breaker.queue(state, body.scope, body.only):
                if body.decisions.get(breaker.group_of(held)) == "deploy":
                    _carry(write, held.change_set_id)
            moment = Moment(session, policy(), write.now, caller.actor, body.reason)
            event = Closing(body.scope, body.queue_hash, dict(body.decisions), caller.actor, body.only)
            opening = state.open.get(body.scope)
            after = _happened(moment, state, event)
            released.extend(after.released)
            _tell_closed(moment, body, opening)
            write.record(
                "close", "breaker", body.scope[:32], None, scope=body.scope, only=body.only,
                queue_hash=body.queue_hash, decisions=dict(body.decisions),
            )  # fmt: skip
            return BreakerBody(open=_shown(write, policy()), closed=closed_bodies(session)).model_dump()

        answer = writer.run(work)
        if not writer.dry_run:
            for id_ in released:
                context.on_change_set(id_)
            moved()
        return answer

    @router.post("/answer", response_model=BreakerBody, responses=refuses(Kind.SCOPE_NOT_OPEN))
    def answer_breaker(body: AnswerBreaker, caller: CallerDep, writer: WriterDep) -> Response:
        """Say that somebody looks at it: the scope stays open, and its reminders end."""
        caller.require_operator()

        def work(write: Write) -> dict[str, Any]:
            moment = Moment(write.session, policy(), write.now, caller.actor, body.reason)
            _happened(moment, scopes.load(write.session, queue=True), Answered(body.scope, caller.actor))
            write.record("answer", "breaker", body.scope[:32], None, scope=body.scope)
            return BreakerBody(open=_shown(write, policy()), closed=closed_bodies(write.session)).model_dump()

        return writer.run(work)

    return router


class _After(State, frozen=True):
    """The state, and the change-sets that were released into the queue again or let go."""

    released: tuple[str, ...] = ()


def _happened(moment: Moment, state: State, event: Closing | Answered) -> _After:
    try:
        after = scopes.happened(moment, state, event)
    except BreakerError as error:
        raise Refusal(OF_ERRORS.get(type(error), Kind.UNDECIDED), str(error)) from error
    gone = tuple(id_ for id_ in state.held if id_ not in after.held)
    return _After(after.open, after.held, after.excused, gone)


def _carry(write: Write, change_set_id: str) -> None:
    try:
        let_carry(write, change_set_id)
    except SnapshotError:
        return  # it does not fit any more: its admission says so


def _tell_closed(moment: Moment, body: CloseBreaker, opening: breaker.Opening | None) -> None:
    whom = f" for {body.only}" if body.only else ""
    news = News(
        "breaker.closed",
        "breaker",
        body.scope[:32],
        f"{moment.by} closed the breaker of {body.scope}{whom}: {body.reason}",
        actor=moment.by,
        detail={"scope": body.scope, "only": body.only, "decisions": dict(body.decisions)},
    )
    tell(moment.session, () if opening is None else opening.accounts, news, moment.now)


def _shown(write: Write, policy: Policy) -> list[OpeningBody]:
    state = scopes.load(write.session, queue=True)
    rows = holds.undecided(write.session)
    unasked = frozenset(r.change_set_id for r in rows if UNASKED in r.checks)
    return [
        opening_body(o, breaker.queue(state, o.scope), unasked, write.now, policy.breaker.remind_after)
        for o in state.open.values()
    ]


def _seen_by(caller: Caller, state: State) -> State:
    """Return of the state what a caller may see; a customer sees no others' change-sets."""
    if caller.sees_all_accounts:
        return state
    own = f"account:{caller.account_id}"
    return State(
        open={
            scope: o
            for scope, o in state.open.items()
            if scope == own or not scope.startswith(("account:", "actor:"))
        },
        held={k: h for k, h in state.held.items() if h.account_id == caller.account_id},
    )
