"""When the second half of a delete may go: once the first is seen to be gone, and after a grace time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.rollout.states import RolloutState, SiteState
from controller.rollout.tables import RolloutRow, RolloutSiteRow
from controller.rollout.tracked import Behind, Bench
from controller.snapshots.model import ChangeSet
from controller.snapshots.tables import ChangeSetRow
from controller.store.many import those

GONE = frozenset({SiteState.CONFIRMED, SiteState.SUPERSEDED, SiteState.UNREACHABLE})
"""A site that cannot be reached keeps both, is reported, and takes both steps when it is back."""


@dataclass(frozen=True, slots=True)
class Never:
    """The first half did not happen, so the second must not; ``why`` says so."""

    why: str


@dataclass(frozen=True, slots=True)
class First:
    """A first half. ``gone``: what it withdraws, at all sites that answer. ``failed``: why, if it has."""

    gone: bool
    failed: str | None = None


def firsts(session: Session, change_sets: Iterable[ChangeSet]) -> Mapping[str, First]:
    """Return those that these change-sets are ``after``, by their ids; one that is not known is left out."""
    names = [c.after for c in change_sets if c.after is not None]
    rows = those(session, select(ChangeSetRow), ChangeSetRow.id, names)
    gone = _gone(session, [row.id for row in rows if row.state not in ("done", "failed")])
    return {
        row.id: First(row.state == "done" or row.id in gone, row.reason if row.state == "failed" else None)
        for row in rows
    }


def first_half(change_set: ChangeSet, known: Mapping[str, First], bench: Bench) -> Behind | Never | None:
    """Say whether a change-set waits for the one that it is ``after``; None: it does not (any more).

    ``known`` is what :func:`firsts` said.

    ``bench.gone`` keeps since when the first is gone, on a steady clock: a restart begins the grace anew, and
    a clock on the wall that jumps does not shorten it.
    """
    first = change_set.after
    if first is None:
        return None
    found = known.get(first)
    if found is None or found.failed is not None:
        why = "is not known" if found is None else f"failed: {found.failed}"
        return Never(f"nothing is removed: change-set {first}, which was to withdraw first, {why}")
    if not found.gone:
        bench.gone.pop(first, None)
        return Behind(f"it waits until what change-set {first} withdraws is gone at all sites that answer")
    grace = bench.terms.policy.lanes.unbind_after_s
    left = bench.gone.setdefault(first, bench.now) + grace - bench.now
    if left > 0:
        return Behind(f"what change-set {first} has withdrawn is gone: bindings follow after {grace:g} s")
    bench.gone.pop(first, None)
    return None


def _gone(session: Session, names: Sequence[str]) -> set[str]:
    """Return those of these change-sets, which are not over, that have withdrawn wherever a site answers."""
    rollouts = those(session, select(RolloutRow), RolloutRow.change_set_id, names)
    waiting = {row.id: row.change_set_id for row in rollouts if row.state == RolloutState.WAITING.value}
    sites = those(session, select(RolloutSiteRow), RolloutSiteRow.rollout_id, waiting)
    left = {row.rollout_id for row in sites if SiteState(row.state) not in GONE}
    return {change_set_id for id_, change_set_id in waiting.items() if id_ not in left}
