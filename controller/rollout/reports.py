"""What the HTTP routes tell of change-sets, roll-outs, snapshots and sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.rollout.begin import decode_course
from controller.rollout.errors import UnknownChangeSetError, UnknownRolloutError
from controller.rollout.site import SiteView
from controller.rollout.tables import RolloutRow, RolloutSiteRow
from controller.snapshots import store as snapshots
from controller.snapshots.diff import TreeStep
from controller.snapshots.tables import ChangeSetRow, SnapshotRow
from controller.transport.messages import SiteStatus


class SiteReport(msgspec.Struct, frozen=True):
    """How far one site is, and why it is not further (empty when there is nothing to say)."""

    state: str
    reason: str


class ChangeSetReport(msgspec.Struct, frozen=True):
    """``state``: queued, rolling, done, failed or held."""

    id: str
    account_id: str
    actor: str
    state: str
    reason: str
    rollout_id: str | None
    created_at: str
    modified_at: str
    sites: dict[str, SiteReport]


class GateReport(msgspec.Struct, frozen=True):
    """What those who look said of a wave: ``baseline`` before it was sent, else its gate."""

    wave: int
    baseline: bool
    outcome: str
    reason: str
    evidence: dict[str, str]


class RolloutReport(msgspec.Struct, frozen=True):
    """``state``: see ``rollout.states``; times in RFC 3339 UTC.

    ``waves``: sites, in the order in which they take it, of which ``passed`` have their gate behind them.
    ``bake_left_s``: seconds, as last written down. ``reverts``, ``reverted_by``: the roll-out that this one
    takes back, and the change-sets that take this one back.
    """

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
    sites: dict[str, SiteReport]
    lane: str
    gated: bool
    waves: list[list[str]]
    wave: int
    passed: int
    control: list[str]
    bake_left_s: float | None
    gates: list[GateReport]
    reverts: str
    reverted_by: list[str]


class SnapshotReport(msgspec.Struct, frozen=True):
    """One step of the operational state: what it changed, who caused it and why."""

    id: str
    parent_id: str | None
    change_set_id: str
    actor: str
    reason: str
    at: str
    accounts: dict[str, tuple[str | None, str | None]]
    thinned: bool = False


class SiteStanding(msgspec.Struct, frozen=True):
    """A site as the controller sees it; ``status`` is the agent's last, however old."""

    site: str
    reachable: bool
    reason: str
    status: SiteStatus | None


def change_set(session: Session, change_set_id: str) -> ChangeSetReport:
    """Return one change-set; raises :class:`UnknownChangeSetError`."""
    row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == change_set_id))
    if row is None:
        raise UnknownChangeSetError(f"there is no change-set {change_set_id}")
    rollout = session.scalar(select(RolloutRow).where(RolloutRow.change_set_id == change_set_id))
    rollout_id = None if rollout is None else rollout.id
    return ChangeSetReport(
        id=row.id,
        account_id=row.account_id,
        actor=row.actor,
        state=row.state,
        reason=row.reason,
        rollout_id=rollout_id,
        created_at=rfc3339(row.created_at),
        modified_at=rfc3339(row.modified_at),
        sites={} if rollout_id is None else _sites(session, [rollout_id])[rollout_id],
    )


def rollouts(session: Session, account_id: str | None, limit: int) -> list[RolloutReport]:
    """Return roll-outs, newest first; ``account_id``: only that account's."""
    wanted = (
        select(RolloutRow, ChangeSetRow.actor)
        .join(ChangeSetRow, ChangeSetRow.id == RolloutRow.change_set_id)
        .order_by(RolloutRow.seq.desc())
        .limit(limit)
    )
    if account_id is not None:
        wanted = wanted.where(RolloutRow.account_id == account_id)
    return _rollout_reports(session, [(row, actor) for row, actor in session.execute(wanted)])


def rollout(session: Session, rollout_id: str) -> RolloutReport:
    """Return the roll-out whose id begins so; raises :class:`UnknownRolloutError`."""
    wanted = (
        select(RolloutRow, ChangeSetRow.actor)
        .join(ChangeSetRow, ChangeSetRow.id == RolloutRow.change_set_id)
        .where(RolloutRow.id.startswith(rollout_id, autoescape=True))
        .limit(2)
    )
    found = _rollout_reports(session, [(row, actor) for row, actor in session.execute(wanted)])
    if len(found) != 1:
        why = "no roll-out has" if not found else "more than one roll-out has"
        raise UnknownRolloutError(f"{why} an id that begins with {rollout_id!r}: herald rollouts list")
    return found[0]


def _rollout_reports(session: Session, rows: Sequence[tuple[RolloutRow, str]]) -> list[RolloutReport]:
    ids = [row.id for row, _ in rows]
    sites, waves = _sites(session, ids), _waves(session, ids)
    return [_rollout_report(row, actor, sites[row.id], waves[row.id]) for row, actor in rows]


def _rollout_report(
    row: RolloutRow, actor: str, sites: dict[str, SiteReport], waves: dict[int, list[str]]
) -> RolloutReport:
    course = decode_course(row)
    return RolloutReport(
        id=row.id,
        change_set_id=row.change_set_id,
        account_id=row.account_id,
        snapshot_id=row.snapshot_id,
        from_hash=row.from_hash,
        to_hash=row.to_hash,
        state=row.state,
        reason=row.reason,
        actor=actor,
        created_at=rfc3339(row.created_at),
        modified_at=rfc3339(row.modified_at),
        sites=sites,
        lane=row.lane,
        gated=row.gated,
        waves=[waves[n] for n in sorted(waves)],
        wave=row.wave,
        passed=course.passed,
        control=list(course.control),
        bake_left_s=row.left_s if row.state == "baking" else course.left,
        gates=[GateReport(x.wave, x.baseline, x.outcome, x.reason, x.evidence) for x in course.looked],
        reverts=course.reverts,
        reverted_by=list(course.reverted_by),
    )


def snapshot_list(session: Session, account_id: str | None, limit: int) -> list[SnapshotReport]:
    """Return snapshots, newest first; ``account_id``: only those that changed that account."""
    rows = snapshots.newest(session, limit, account_id=account_id)
    steps = snapshots.steps_of(session, rows)
    return [snapshot_report(row, steps[row.seq]) for row in rows]


def snapshot_report(row: SnapshotRow, steps: Iterable[TreeStep]) -> SnapshotReport:
    """Return one snapshot with what it changed."""
    return SnapshotReport(
        id=row.id,
        parent_id=row.parent_id,
        change_set_id=row.change_set_id,
        actor=row.actor,
        reason=row.reason,
        at=rfc3339(row.at),
        accounts={s.account_id: (s.from_hash, s.to_hash) for s in steps},
        thinned=row.thinned,
    )


def standing(view: SiteView) -> SiteStanding:
    """Return what is known of a site."""
    return SiteStanding(view.site, view.reachable is True, view.reason, view.status)


def rfc3339(at: datetime) -> str:
    """Return an aware time as RFC 3339 UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _sites(session: Session, rollout_ids: Iterable[str]) -> dict[str, dict[str, SiteReport]]:
    found: dict[str, dict[str, SiteReport]] = {id_: {} for id_ in rollout_ids}
    rows = select(RolloutSiteRow).where(RolloutSiteRow.rollout_id.in_(found)).order_by(RolloutSiteRow.site)
    for row in session.scalars(rows):
        found[row.rollout_id][row.site] = SiteReport(row.state, row.reason)
    return found


def _waves(session: Session, rollout_ids: Iterable[str]) -> dict[str, dict[int, list[str]]]:
    found: dict[str, dict[int, list[str]]] = {id_: {} for id_ in rollout_ids}
    rows = select(RolloutSiteRow).where(RolloutSiteRow.rollout_id.in_(found)).order_by(RolloutSiteRow.site)
    for row in session.scalars(rows):
        found[row.rollout_id].setdefault(row.wave, []).append(row.site)
    return found
