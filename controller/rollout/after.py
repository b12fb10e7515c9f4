"""When the second half of a delete may go: once the first is seen to be gone, and after a grace time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.rollout.states import SiteState
from controller.rollout.tables import RolloutRow, RolloutSiteRow
from controller.rollout.tracked import Behind, Bench
from controller.snapshots.model import ChangeSet
from controller.snapshots.tables import ChangeSetRow

GONE = frozenset({SiteState.CONFIRMED, SiteState.SUPERSEDED, SiteState.UNREACHABLE})
"""A site that cannot be reached keeps both, is reported, and takes both steps when it is back."""


@dataclass(frozen=True, slots=True)
class Never:
    """The first half did not happen, so the second must not; ``why`` says so."""

    why: str


def first_half(session: Session, change_set: ChangeSet, bench: Bench) -> Behind | Never | None:
    """Say whether a change-set waits for the one that it is ``after``; None: it does not (any more).

    ``bench.gone`` keeps since when the first is gone, on a steady clock: a restart begins the grace anew, and
    a clock on the wall that jumps does not shorten it.
    """
    first = change_set.after
    if first is None:
        return None
    row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == first))
    if row is None or row.state == "failed":
        why = "is not known" if row is None else f"failed: {row.reason}"
        return Never(f"nothing is removed: change-set {first}, which was to withdraw first, {why}")
    if not _is_gone(session, row):
        bench.gone.pop(first, None)
        return Behind(f"it waits until what change-set {first} withdraws is gone at all sites that answer")
    grace = bench.terms.policy.lanes.unbind_after_s
    left = bench.gone.setdefault(first, bench.now) + grace - bench.now
    if left > 0:
        return Behind(f"what change-set {first} has withdrawn is gone: bindings follow after {grace:g} s")
    bench.gone.pop(first, None)
    return None


def _is_gone(session: Session, row: ChangeSetRow) -> bool:
    if row.state == "done":
        return True
    rollout = session.scalar(select(RolloutRow).where(RolloutRow.change_set_id == row.id))
    if rollout is None or rollout.state != "waiting":
        return False
    states = session.scalars(select(RolloutSiteRow.state).where(RolloutSiteRow.rollout_id == rollout.id))
    return all(SiteState(state) in GONE for state in states)
