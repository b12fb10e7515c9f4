"""``/herald/v1/rollbacks``: back to a snapshot, for one, several or all accounts (operators)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.writes import Write, WriterDep
from controller.rollbacks.bodies import CreateRollback, ProgressBody, RollbackBody, RollbackPage
from controller.rollbacks.carrying import carry_out
from controller.rollbacks.foreseen import MOST_NAMED, Foreseen, foresee, the_snapshot
from controller.rollbacks.showing import in_full, line, progress
from controller.rollout.crash_points import crash_point
from controller.snapshots import store as snapshots
from controller.snapshots.rollback_tables import RollbackRow

router = APIRouter(prefix="/herald/v1/rollbacks", tags=["rollbacks"])
PathId = Annotated[str, Path(max_length=32)]


@router.post(
    "",
    response_model=RollbackBody,
    responses=refuses(
        Kind.SNAPSHOT_THINNED,
        Kind.CHUNK_DAMAGED,
        Kind.INVALID_ACCOUNT,
        Kind.COUNT_DISAGREES,
        Kind.ACCOUNTS_MOVED,
    ),
)
def create_rollback(body: CreateRollback, caller: CallerDep, writer: WriterDep) -> Response:
    """Go back: what comes back does so at once, what would go is held and assessed like any other."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        accounts = None if body.accounts is None else set(body.accounts)
        found = foresee(write.session, body.snapshot, accounts, write.context.sites)
        _as_expected(body, found)
        _as_seen(write.session, body, found)
        return in_full(write.session, carry_out(write, found, body.reason))

    answer = writer.run(work)
    crash_point("rollback-written")
    return answer


@router.get("", response_model=RollbackPage)
def list_rollbacks(
    caller: CallerDep,
    context: ContextDep,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Older ones: the last page's next.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Rollbacks in short, newest first (operators)."""
    caller.require_operator()
    query = select(RollbackRow).order_by(RollbackRow.seq.desc()).limit(limit + 1)
    if after:
        query = query.where(RollbackRow.seq < after)
    with context.store.read() as session:
        found = session.scalars(query).all()
        shown = [line(session, row) for row in found[:limit]]
    following = found[limit - 1].seq if len(found) > limit else None
    return json_response({"result": shown, "next": following})


@router.get("/{rollback_id}", response_model=RollbackBody)
def get_rollback(rollback_id: PathId, caller: CallerDep, context: ContextDep) -> Response:
    """One rollback with what it does to each account (operators)."""
    caller.require_operator()
    with context.store.read() as session:
        return json_response(in_full(session, _the(session, rollback_id)))


@router.get("/{rollback_id}/progress", response_model=ProgressBody)
def get_rollback_progress(rollback_id: PathId, caller: CallerDep, context: ContextDep) -> Response:
    """How far it is, in numbers, and at each site (operators)."""
    caller.require_operator()
    with context.store.read() as session:
        return json_response(progress(session, _the(session, rollback_id)))


def _the(session: Session, rollback_id: str) -> RollbackRow:
    row = session.scalar(select(RollbackRow).where(RollbackRow.id == rollback_id))
    if row is None:
        raise Refusal(Kind.NOT_FOUND, f"there is no rollback {rollback_id!r}")
    return row


def _as_expected(body: CreateRollback, found: Foreseen) -> None:
    if body.expected_accounts is not None and body.expected_accounts != len(found.plans):
        raise Refusal(
            Kind.COUNT_DISAGREES,
            f"{body.expected_accounts} accounts were expected, and {len(found.plans)} differ: look again",
            "/expected_accounts",
        )


def _as_seen(session: Session, body: CreateRollback, found: Foreseen) -> None:
    """Refuse when an account of the plan has moved since the head that the caller saw; others may."""
    if body.based_on is None:
        return
    seen = the_snapshot(session, body.based_on, "/based_on")
    planned = {p.account_id for p in found.plans}
    moved = sorted(
        s.account_id for s in snapshots.differing(session, seen.seq, found.head.seq, accounts=planned)
    )
    if moved:
        more = f" and {len(moved) - MOST_NAMED} more" if len(moved) > MOST_NAMED else ""
        raise Refusal(
            Kind.ACCOUNTS_MOVED,
            f"since {seen.id[:12]} there were changes of {', '.join(moved[:MOST_NAMED])}{more}: look at the "
            f"plan again, and give based_on {found.head.id[:12]}",
            "/based_on",
        )
