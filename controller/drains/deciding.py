"""Asks for drains, confirms and lifts them: what each write does. In the write's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import uuid4

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.persons import require_second_operator
from controller.addressing.tables import BgpPrefixRow
from controller.addressing.writes import Write
from controller.bgp import Prefix
from controller.drains.bodies import CreateDrain, LiftDrain
from controller.drains.foreseen import foresee
from controller.drains.showing import Views, knowing
from controller.guard import drains
from controller.guard.tables import DrainRow
from controller.guard.telling import News, tell
from controller.rollout.driver import Driver
from controller.rollout.signals import Look
from controller.safety.drain import Drain, Strategy
from controller.safety.drain_plan import Plan, Stay
from controller.snapshots.model import DamagedChunkError
from controller.store.many import those

CONFIRM_WITHIN_S = 3600
"""Seconds within which another operator confirms what was asked for."""
TAKE_UP_WITHIN_S = 600
"""Seconds within which agents are to have a drain: what was observed at its confirmation grows old."""

Seen = Mapping[Prefix, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The sites, and who looks around them; None: nobody, and then nothing may be drained."""

    driver: Driver
    looker: Look | None

    def views(self) -> Views:
        """Return what each site's agent said last."""
        return {site: f.view for site, f in self.driver.sites.items()}

    def look(self) -> Seen:
        """Return at which sites each prefix is observed now; blocks while routers are read."""
        if self.looker is None:
            return {}
        moment = self.looker.look(sorted(self.driver.sites), (), {})
        return moment.seen_at(self.driver.policy.gates.observers)

    def others(self, session: Session, site: str) -> frozenset[str]:
        """Return the other sites that are drained, or to be: by the store, and by what sites tell."""
        standing = {row.site for row in drains.standing(session)}
        return self.driver.draining.drained().union(standing) - {site}


def ask(write: Write, fleet: Fleet, body: CreateDrain, seen: Seen) -> tuple[DrainRow, Plan]:
    """Make the row of a drain that another operator is to confirm, and the plan that it is made by.

    What the plan has found against it is the caller's to refuse.
    """
    row = DrainRow(
        id=uuid4().hex,
        site=body.site,
        strategy=body.strategy,
        reason=body.reason,
        capacity_confirmed=body.capacity_confirmed,
        asked_by=write.caller.token_id,
        asked_at=write.now,
        expires_at=write.now + timedelta(seconds=CONFIRM_WITHIN_S),
        lifted_why="",
    )
    found = _planned(write, fleet, row, seen)
    row.goes, row.stays = list(found.goes), msgspec.to_builtins(found.stays)
    write.session.add(row)
    write.record("ask", "drain", row.id, None, site=row.site, strategy=row.strategy, goes=len(row.goes))
    write.session.flush()
    return row, found


def confirm(write: Write, fleet: Fleet, drain_id: str, seen: Seen) -> DrainRow:
    """Sign what was asked for and may still go; an earlier drain of the site is replaced by it."""
    row = the_drain(write.session, drain_id)
    _may_confirm(write, row)
    found = _planned(write, fleet, row, seen)
    refuse(found)
    view = fleet.views().get(row.site)
    if view is None or not view.reachable:
        why = "it is no site of this controller any more" if view is None else view.reason
        raise Refusal(Kind.DRAIN_REFUSED, f"the agent of {row.site} cannot be told: {why}")
    asked = frozenset(row.goes)
    goes = tuple(c for c in found.goes if c in asked)
    came = [Stay("", c, (), "it came after the drain was asked for") for c in found.goes if c not in asked]
    if not goes:
        raise Refusal(Kind.DRAIN_REFUSED, f"nothing of drain {row.id} may go any more: ask for another")
    for before in drains.standing(write.session):
        if before.site == row.site:
            before.lifted_at, before.lifted_by, before.replaced_by = write.now, write.caller.token_id, row.id
            before.lifted_why = f"replaced by {row.id}"
    row.goes, row.stays = list(goes), msgspec.to_builtins((*found.stays, *came))
    row.confirmed_by, row.confirmed_at = write.caller.token_id, write.now
    row.expires_at = write.now + timedelta(seconds=TAKE_UP_WITHIN_S)
    record = Drain(
        id=row.id,
        site=row.site,
        strategy=cast(Strategy, row.strategy),
        goes=goes,
        stays=tuple(stay.cidr for stay in (*found.stays, *came)),
        others=tuple(sorted(fleet.others(write.session, row.site))),
        elsewhere=fleet.driver.policy.lanes.drain_elsewhere,
        asked_by=(row.asked_by, write.caller.token_id),
        expires_at=row.expires_at,
        why=row.reason,
    )
    row.text = write.context.intents.sign_drain(record)
    write.record("confirm", "drain", row.id, None, site=row.site, asked_by=row.asked_by)
    _tell(write, row, "drain.began", f"drains {row.site} ({row.strategy}): {row.reason}")
    write.session.flush()
    return row


def lift(write: Write, fleet: Fleet, drain_id: str, body: LiftDrain) -> DrainRow:
    """End a drain, or take back what was asked for; also one that only sites know of."""
    row = the_drain(write.session, drain_id, fleet.views())
    if row.lifted_at is not None:
        raise Refusal(Kind.NOT_IN_THAT_STATE, f"drain {row.id} was lifted already: {row.lifted_why}")
    row.lifted_at, row.lifted_by, row.lifted_why = write.now, write.caller.token_id, body.reason
    write.record("lift", "drain", row.id, None, site=row.site)
    if row.confirmed_at is not None:
        _tell(write, row, "drain.ended", f"lifted the drain of {row.site}: {body.reason}")
    write.session.flush()
    return row


def refuse(found: Plan) -> None:
    """Refuse a drain that something speaks against as a whole."""
    if found.findings:
        raise Refusal(Kind.DRAIN_REFUSED, "; ".join(f.says for f in found.findings))


def the_drain(session: Session, drain_id: str, views: Views | None = None) -> DrainRow:
    """Return a drain; with ``views`` also one that only sites tell of, which this store then knows."""
    row = session.scalar(select(DrainRow).where(DrainRow.id == drain_id))
    if row is not None:
        return row
    if views is None or not knowing(drain_id, views):
        raise Refusal(Kind.NOT_FOUND, f"there is no drain {drain_id!r}")
    told = (v.status.drains.items() for v in views.values() if v.status is not None)
    now = datetime.now(UTC)
    row = DrainRow(
        id=drain_id,
        site=next(site for known in told for site, id_ in known if id_ == drain_id),
        strategy="withdraw",
        reason="not of this store",
        capacity_confirmed=False,
        goes=[],
        stays=[],
        asked_by="",
        asked_at=now,
        expires_at=now,
        confirmed_by="",
        confirmed_at=now,
        lifted_why="",
    )
    session.add(row)
    return row


def _planned(write: Write, fleet: Fleet, row: DrainRow, seen: Seen) -> Plan:
    try:
        return foresee(
            write.session,
            row.site,
            cast(Strategy, row.strategy),
            fleet=sorted(fleet.driver.sites),
            seen=seen,
            drained=fleet.others(write.session, row.site),
            actor=write.caller.actor,
            now=write.now,
            capacity_confirmed=row.capacity_confirmed,
            policy=fleet.driver.policy,
        )
    except DamagedChunkError as error:
        raise Refusal(Kind.CHUNK_DAMAGED, str(error)) from error


def _may_confirm(write: Write, row: DrainRow) -> None:
    if row.confirmed_at is not None or row.lifted_at is not None or write.now >= row.expires_at:
        why = "confirmed" if row.confirmed_at else "taken back" if row.lifted_at else "asked for too long ago"
        raise Refusal(Kind.NOT_IN_THAT_STATE, f"drain {row.id} was {why}: ask for another")
    require_second_operator(write.session, row.asked_by, write.caller.token_id)


def _tell(write: Write, row: DrainRow, type_: str, what: str) -> None:
    """Tell operators, and the accounts whose prefixes go from the site."""
    actor, detail = write.caller.actor, {"site": row.site, "strategy": row.strategy}
    news = News(type_, "drain", row.id, f"{actor} {what}", site=row.site, actor=actor, detail=detail)
    owners = select(BgpPrefixRow.account_id).where(BgpPrefixRow.deleted_at.is_(None))
    tell(write.session, those(write.session, owners, BgpPrefixRow.cidr, row.goes), news, write.now)
