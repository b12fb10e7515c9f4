"""``/herald/v1/drains``: two operators take a site out of use; one brings it back."""

from __future__ import annotations

from datetime import UTC, datetime
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
from controller.drains.bodies import CreateDrain, DrainBody, DrainList, FindingBody, LiftDrain
from controller.drains.deciding import Fleet, ask, confirm, lift, refuse, the_drain
from controller.drains.showing import Views, drain_body, unknown_body
from controller.guard import drains
from controller.guard.tables import DrainRow
from controller.rollout.driver import Driver
from controller.rollout.signals import Look

MOST_SHOWN = 20

DrainId = Annotated[str, Path(max_length=32)]
LimitQuery = Annotated[int, Query(ge=1, le=1000)]


def build_drain_router(driver: Driver, looker: Look | None) -> APIRouter:
    """Return the routes; without ``looker`` nobody observes anything, and so nothing may be drained."""
    router = APIRouter(prefix="/herald/v1/drains", tags=["drains"])
    fleet = Fleet(driver, looker)

    def shown(row: DrainRow, now: datetime) -> DrainBody:
        return drain_body(row, fleet.views(), driver.draining.problems, now)

    @router.get("", response_model=DrainList)
    def list_drains(caller: CallerDep, context: ContextDep, limit: LimitQuery = MOST_SHOWN) -> Response:
        """Drains, newest first; those that stand, or that sites alone tell of, however old (operators)."""
        caller.require_operator()
        now = datetime.now(UTC)
        with context.store.read() as session:
            newest = select(DrainRow).order_by(DrainRow.seq.desc()).limit(limit)
            rows = {row.id: row for row in (*session.scalars(newest), *drains.standing(session))}
            found = [*_unknown(session, fleet.views()), *(shown(row, now) for row in rows.values())]
        return json_response(DrainList(result=found).model_dump())

    @router.get("/{drain_id}", response_model=DrainBody)
    def get_drain(drain_id: DrainId, caller: CallerDep, context: ContextDep) -> Response:
        """One drain (operators)."""
        caller.require_operator()
        with context.store.read() as session:
            return json_response(shown(the_drain(session, drain_id), datetime.now(UTC)).model_dump())

    @router.post(
        "",
        response_model=DrainBody,
        responses=refuses(Kind.INVALID_SITE, Kind.DRAIN_REFUSED, Kind.CHUNK_DAMAGED),
    )
    def create_drain(body: CreateDrain, caller: CallerDep, writer: WriterDep) -> Response:
        """Ask for a drain: nothing happens until another operator confirms it. A dry run says what stays."""
        caller.require_operator()
        if body.site not in driver.sites:
            known = ", ".join(sorted(driver.sites)) or "none"
            raise Refusal(Kind.INVALID_SITE, f"no site is called {body.site!r}: there are {known}", "/site")
        seen = fleet.look()

        def work(write: Write) -> dict[str, Any]:
            row, found = ask(write, fleet, body, seen)
            if not writer.dry_run:
                refuse(found)
            made = shown(row, write.now)
            made.findings = [FindingBody(check=f.check, says=f.says) for f in found.findings]
            return made.model_dump()

        return writer.run(work)

    @router.post(
        "/{drain_id}/confirm",
        response_model=DrainBody,
        responses=refuses(
            Kind.SECOND_OPERATOR, Kind.NOT_IN_THAT_STATE, Kind.DRAIN_REFUSED, Kind.CHUNK_DAMAGED
        ),
    )
    def confirm_drain(drain_id: DrainId, caller: CallerDep, writer: WriterDep) -> Response:
        """Confirm what another operator asked for: it is looked at again, signed, and agents are told."""
        caller.require_operator()
        seen = fleet.look()

        def work(write: Write) -> dict[str, Any]:
            return shown(confirm(write, fleet, drain_id, seen), write.now).model_dump()

        answer = writer.run(work)
        driver.draining.moved()
        return answer

    @router.post("/{drain_id}/lift", response_model=DrainBody, responses=refuses(Kind.NOT_IN_THAT_STATE))
    def lift_drain(drain_id: DrainId, body: LiftDrain, caller: CallerDep, writer: WriterDep) -> Response:
        """End a drain, or take back what was asked for: the site has what it is to have by now."""
        caller.require_operator()

        def work(write: Write) -> dict[str, Any]:
            return shown(lift(write, fleet, drain_id, body), write.now).model_dump()

        answer = writer.run(work)
        driver.draining.moved()
        return answer

    return router


def _unknown(session: Session, views: Views) -> list[DrainBody]:
    told = {id_: site for v in views.values() if v.status for site, id_ in v.status.drains.items()}
    known = set(session.scalars(select(DrainRow.id).where(DrainRow.id.in_(told)))) if told else set()
    return [unknown_body(site, id_, views) for id_, site in sorted(told.items()) if id_ not in known]
