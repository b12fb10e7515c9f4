"""``/herald/v1/rollouts/{id}``: how far a roll-out is, and what people want of it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from controller.addressing.auth import CallerDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.writes import Write, Writer, WriterDep
from controller.rollout import reports
from controller.rollout.driver import Driver
from controller.rollout.errors import RolloutOverError, UnknownRolloutError
from controller.rollout.events import Aborted, Paused, Resumed
from controller.rollout.wishes import Wish

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; it is shown and audited.")]
REFUSES = refuses(Kind.NOT_IN_THAT_STATE)


class WishBody(BaseModel):
    """Why somebody wants it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Reason


class ResumeBody(WishBody):
    """``vouch``: you have looked where observers could not, and stand for the gate of this wave."""

    vouch: bool = False


class SiteBody(BaseModel):
    """How far one site is, and why it is not further."""

    state: str
    reason: str


class GateBody(BaseModel):
    """What those who look said of a wave: ``baseline`` before it was sent, else its gate."""

    wave: int
    baseline: bool
    outcome: str
    reason: str
    evidence: dict[str, str]


class RolloutBody(BaseModel):
    """A roll-out. ``waves``: sites in the order in which they take it; ``passed`` of them have their gate
    behind them. ``bake_left_s``: seconds, as last written down. ``reverts``: the roll-out that this one takes
    back; ``reverted_by``: the change-sets that take this one back."""

    id: str
    change_set_id: str
    account_id: str
    snapshot_id: str
    from_hash: str | None
    to_hash: str
    state: str
    reason: str
    actor: str
    created_at: str
    modified_at: str
    sites: dict[str, SiteBody]
    lane: str
    gated: bool
    waves: list[list[str]]
    wave: int
    passed: int
    control: list[str]
    bake_left_s: float | None
    gates: list[GateBody]
    reverts: str
    reverted_by: list[str]


def build_rollout_router(driver: Driver) -> APIRouter:
    """Return the routes over ``driver`` and its store."""
    router = APIRouter(prefix="/herald/v1/rollouts", tags=["rollouts"])

    def read(rollout_id: str) -> reports.RolloutReport:
        with driver.store.read() as session:
            return reports.rollout(session, rollout_id)

    @router.get("/{rollout_id}", response_model=RolloutBody)
    async def rollout(rollout_id: str, caller: CallerDep) -> Response:
        """Its waves, sites, what its gates answered, and what is left of a bake."""
        try:
            found = await asyncio.to_thread(read, rollout_id)
        except UnknownRolloutError as error:
            raise Refusal(Kind.NOT_FOUND, str(error)) from error
        if not caller.sees_all_accounts and caller.account_id != found.account_id:
            raise Refusal(Kind.NOT_FOUND, f"there is no roll-out {rollout_id}")
        return json_response(found)

    async def wish(rollout_id: str, action: str, event: Wish, writer: Writer) -> Response:
        """Check, audit, and only then do it; asked again with the same key, it is not done again."""
        asked: list[str] = []

        def work(write: Write) -> dict[str, Any]:
            try:
                found = read(rollout_id)
                driver.check(found.id, event)
            except UnknownRolloutError as error:
                raise Refusal(Kind.NOT_FOUND, str(error)) from error
            except RolloutOverError as error:
                raise Refusal(Kind.NOT_IN_THAT_STATE, str(error)) from error
            write.record(action, "rollout", found.id, None, account=found.account_id, reason=event.reason)
            asked.append(found.id)
            return dict(msgspec.to_builtins(found))

        response = await asyncio.to_thread(writer.run, work)
        if not asked or writer.dry_run:
            return response
        try:
            await driver.wish(asked[0], event)
        except (UnknownRolloutError, RolloutOverError) as error:  # it was over a moment later
            raise Refusal(Kind.NOT_IN_THAT_STATE, str(error)) from error
        return json_response(await asyncio.to_thread(read, asked[0]))

    @router.post("/{rollout_id}/pause", response_model=RolloutBody, responses=REFUSES)
    async def pause(rollout_id: str, body: WishBody, caller: CallerDep, writer: WriterDep) -> Response:
        """Hand over nothing more of it (operators); what is left of a bake stands still."""
        caller.require_operator()
        return await wish(rollout_id, "pause", Paused("operator", body.reason), writer)

    @router.post("/{rollout_id}/resume", response_model=RolloutBody, responses=REFUSES)
    async def resume(rollout_id: str, body: ResumeBody, caller: CallerDep, writer: WriterDep) -> Response:
        """Let it go on (operators): its gate is asked again, or you stand for it. No breaker is passed by."""
        caller.require_operator()
        return await wish(rollout_id, "resume", Resumed("operator", body.reason, body.vouch), writer)

    @router.post("/{rollout_id}/abort", response_model=RolloutBody, responses=REFUSES)
    async def abort(rollout_id: str, body: WishBody, caller: CallerDep, writer: WriterDep) -> Response:
        """Take it back wherever it was handed over (operators)."""
        caller.require_operator()
        return await wish(rollout_id, "abort", Aborted(body.reason), writer)

    return router
