"""``/herald/v1/holds``: what is held and why, and deciding on one of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.who import kept_to
from controller.addressing.writes import Write, WriterDep
from controller.guard import holds, scopes
from controller.guard.asking import let_carry
from controller.guard.bodies import DecidedHoldBody, DecideHold, HoldList
from controller.guard.showing import hold_bodies
from controller.guard.tables import HoldRow
from controller.safety import breaker
from controller.snapshots.model import SnapshotError

router = APIRouter(prefix="/herald/v1", tags=["holds"])

AccountQuery = Annotated[str | None, Query(min_length=1, max_length=32, description="Only this account's.")]
ChangeSetId = Annotated[str, Path(max_length=32)]


@router.get("/holds", response_model=HoldList)
def list_holds(caller: CallerDep, context: ContextDep, account_id: AccountQuery = None) -> Response:
    """What is held, oldest first: by what, since when, and what waits behind it."""
    account = kept_to(caller, account_id)
    with context.store.read() as session:
        rows = holds.undecided(session, account)
        queue = [h for h in holds.queue(session) if account is None or h.account_id == account]
        shown = hold_bodies(session, rows, scopes.load(session))
    return json_response(HoldList(result=shown, queue_hash=breaker.queue_hash(queue)).model_dump())


@router.post(
    "/accounts/{account_id}/holds/{change_set_id}/decision",
    response_model=DecidedHoldBody,
    responses=refuses(
        Kind.NOT_IN_THAT_STATE, Kind.SCOPE_OPEN, Kind.INTENT_NEEDED, Kind.INTENT_NOT_USABLE,
        Kind.INTENT_DOES_NOT_COVER,
    ),
)  # fmt: skip
def decide_hold(
    account: AccountDep,
    change_set_id: ChangeSetId,
    body: DecideHold,
    caller: CallerDep,
    writer: WriterDep,
) -> Response:
    """Deploy or drop one held change-set: its owner, whose word is its intent, or operators.

    An operator deploys what nobody asked for with the intent of two operators only, and what an open scope of
    the breaker holds by closing that.
    """
    if caller.role == "task":
        raise Refusal(Kind.FORBIDDEN, "a task decides on nothing that is held: its owner or an operator does")

    def work(write: Write) -> dict[str, Any]:
        session = write.session
        row = session.get(HoldRow, change_set_id)
        if row is None or row.account_id != account:
            raise Refusal(Kind.NOT_FOUND, f"account {account} has no held change-set {change_set_id!r}")
        if row.decided is not None:
            raise Refusal(
                Kind.NOT_IN_THAT_STATE,
                f"change-set {change_set_id} was decided by {row.decided_by}: {row.decided}",
            )
        state = "failed"
        if body.decision == "drop":
            holds.drop(session, change_set_id, caller.actor, body.reason, write.now)
            write.record("drop", "hold", change_set_id, account)
        else:
            state = "queued"
            _refuse_open(write, row)
            try:
                let_carry(write, change_set_id)
            except SnapshotError as error:
                raise Refusal(Kind.NOT_IN_THAT_STATE, f"it does not fit any more: {error}") from error
            holds.deploy(session, change_set_id, caller.actor, body.reason, write.now)
            write.record("deploy", "hold", change_set_id, account)
        return {"change_set_id": change_set_id, "decision": body.decision, "state": state}

    answer = writer.run(work)
    if not writer.dry_run:
        writer.wake(change_set_id)
    return answer


def _refuse_open(write: Write, row: HoldRow) -> None:
    """Refuse an operator to go past an open scope; an owner's word does not go past it either."""
    held = next(h for h in holds.queue(write.session) if h.change_set_id == row.change_set_id)
    state = scopes.load(write.session)
    opened = breaker.holding(state, held.actor, held.account_id, held.verbs)
    if opened:
        names = ", ".join(o.scope for o in opened)
        raise Refusal(
            Kind.SCOPE_OPEN,
            f"the breaker is open for {names}, which holds this, too: an operator closes it with a decision "
            f"for each group (herald breaker show)",
        )
