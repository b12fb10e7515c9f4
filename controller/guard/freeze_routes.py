"""``/herald/v1/freezes``: nothing is taken away, or nothing changes, until who froze it lifts that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Response

from controller.addressing.auth import Caller, CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import AccountRow
from controller.addressing.writes import Write, WriterDep
from controller.guard import freezes
from controller.guard.bodies import CreateFreeze, FreezeBody, FreezeList
from controller.guard.showing import freeze_body
from controller.guard.tables import FreezeRow
from controller.guard.telling import News, tell
from controller.safety.freeze import BadFreezeError, check

router = APIRouter(prefix="/herald/v1/freezes", tags=["freezes"])

ACCOUNT = "account:"


@router.get("", response_model=FreezeList)
def list_freezes(caller: CallerDep, context: ContextDep) -> Response:
    """The freezes that stand (customers: those that can concern them)."""
    with context.store.read() as session:
        found = freezes.standing(session, datetime.now(UTC))
    shown = [freeze_body(row) for row in found if _sees(caller, row)]
    return json_response(FreezeList(result=shown).model_dump())


@router.post("", response_model=FreezeBody, responses=refuses(Kind.BAD_FREEZE))
def create_freeze(body: CreateFreeze, caller: CallerDep, writer: WriterDep) -> Response:
    """Freeze a scope; a customer its own account. Owners' purely additive changes pass every freeze."""
    account = body.scope.removeprefix(ACCOUNT) if body.scope.startswith(ACCOUNT) else None
    if caller.role == "customer" and (account is None or account != caller.account_id):
        own = f"account:{caller.account_id}"
        raise Refusal(Kind.FORBIDDEN, f"a customer freezes its own account: give scope {own}")
    if caller.role != "customer":
        caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        if account is not None and write.session.get(AccountRow, account) is None:
            raise Refusal(Kind.BAD_FREEZE, f"there is no account {account!r}", "/scope")
        row = FreezeRow(
            id=uuid4().hex,
            scope=body.scope,
            kind=body.kind,
            owner=caller.actor,
            account_id=account,
            reason=body.reason,
            created_at=write.now,
            ends_at=_time(body.ends_at),
            lifted_why="",
        )
        try:
            check(freezes.value(row))
        except BadFreezeError as error:
            raise Refusal(Kind.BAD_FREEZE, str(error), "/scope") from error
        write.session.add(row)
        write.record("freeze", "freeze", row.id, account, scope=row.scope, what=row.kind)
        write.session.flush()
        says = f"{row.owner} froze {row.scope} ({row.kind}): {row.reason}"
        news = News("freeze.stands", "freeze", row.id, says, actor=row.owner, detail={"scope": row.scope})
        tell(write.session, (), news, write.now)
        return freeze_body(row).model_dump()

    return writer.run(work)


@router.delete("/{freeze_id}", response_model=FreezeBody)
def lift_freeze(
    freeze_id: Annotated[str, Path(max_length=32)], caller: CallerDep, writer: WriterDep
) -> Response:
    """Lift a freeze: who made it, or break-glass. Another's freeze of the same scope stays."""

    def work(write: Write) -> dict[str, Any]:
        row = write.session.get(FreezeRow, freeze_id)
        if row is None or row.lifted_at is not None or not _sees(caller, row):
            raise Refusal(Kind.NOT_FOUND, f"no freeze {freeze_id!r} stands")
        if not _may_lift(caller, row):
            raise Refusal(
                Kind.FORBIDDEN,
                f"freeze {row.id} is {row.owner}'s ({row.reason}): only {row.owner} lifts it, or break-glass",
            )
        row.lifted_at, row.lifted_by, row.lifted_why = write.now, caller.actor, write.reason[:500]
        write.record("lift", "freeze", row.id, row.account_id, scope=row.scope)
        news = News(
            "freeze.ended", "freeze", row.id, f"{caller.actor} lifted the freeze of {row.scope}",
            actor=caller.actor, detail={"scope": row.scope},
        )  # fmt: skip
        tell(write.session, (), news, write.now)
        return freeze_body(row).model_dump()

    return writer.run(work)


def _may_lift(caller: Caller, row: FreezeRow) -> bool:
    if caller.role == "break-glass" or row.owner == caller.actor:
        return True
    # Another token of the same customer is the same owner.
    own = caller.role == "customer" and row.owner.startswith("customer:")
    return own and row.account_id == caller.account_id


def _sees(caller: Caller, row: FreezeRow) -> bool:
    return caller.sees_all_accounts or row.account_id in (None, caller.account_id)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(Kind.MALFORMED_BODY, f"{text} is no time: {error}", "/ends_at") from error
