"""The way back of a roll-out: change-sets of its own, from what it brought to what was before.

What only adds goes at once. What takes something away is a change-set like any other: it waits in the queue,
and is assessed, held or staged as whatever its actor asks for (SAFETY.md, 6). All functions work in the
caller's transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.rollout.begin import Begun, add_row, change_set_state, sides_of
from controller.rollout.course import Course, Rollout
from controller.rollout.delivery import footprint
from controller.rollout.events import Started
from controller.rollout.machine import plan, step
from controller.rollout.tables import RolloutRow, SiteTreeRow
from controller.rollout.tracked import Tracked
from controller.safety.effects import step_effects, subtractive
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.compile import CompileError, candidate, validate
from controller.snapshots.diff import ObjectStep, apply_to_chunk, diff_chunks
from controller.snapshots.model import (
    BgpPrefixObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    DamagedChunkError,
    PrefixObject,
)
from controller.snapshots.tables import ChangeSetRow
from controller.timeline.show import rfc3339

LANE = "rollback"


@dataclass(frozen=True, slots=True)
class Reverting:
    """``begun``: the half that goes at once. ``change_sets``: all whose end is the revert's end.

    ``waits``: one of them is in the queue. ``why``: it cannot be taken back by itself.
    """

    begun: Begun | None = None
    change_sets: tuple[str, ...] = ()
    waits: bool = False
    why: str = ""


def take_back(session: Session, rollout: Rollout, reached: Sequence[str], now: float) -> Reverting:
    """Begin the way back of ``rollout`` for the sites that were reached."""
    account = rollout.account_id
    row = session.scalars(select(RolloutRow).where(RolloutRow.id == rollout.id)).one()
    to_hash = ChunkHash(row.to_hash)  # the row's: a later change may have been applied on both sides
    if snapshots.head_of(session, account) != to_hash:
        return Reverting(why="newer changes stand on it: see herald rollback")
    try:
        new = snapshots.chunk(session, to_hash)
        old = Chunk(account) if row.from_hash is None else snapshots.chunk(session, ChunkHash(row.from_hash))
    except DamagedChunkError as error:
        return Reverting(why=str(error))
    adds, takes = halves(new, old, reached)
    by = session.scalars(select(ChangeSetRow).where(ChangeSetRow.id == rollout.change_set_id)).one().actor
    begun, made = None, []
    if adds:
        change_set = _change_set(session, rollout, by, adds)
        begun = _at_once(session, rollout, change_set, reached, now)
        made.append(change_set.id)
    if takes:
        made.append(_change_set(session, rollout, by, takes).id)
    return Reverting(begun, tuple(made), waits=bool(takes))


def halves(
    new: Chunk, old: Chunk, sites: Sequence[str]
) -> tuple[tuple[ObjectStep, ...], tuple[ObjectStep, ...]]:
    """Return the steps back from ``new`` to ``old`` that only add at ``sites``, and the others.

    All are in the second half when the first would not be a sound state by itself.
    """
    steps = diff_chunks(new, old)
    takes = tuple(s for s in steps if s.after is None or subtractive(step_effects(s, sites)))
    lost = subtractive(e for s in takes for e in step_effects(s, sites))
    if not lost:  # what goes was nothing that anybody could reach
        return steps, ()
    adds = tuple(s for s in steps if s not in takes)
    try:
        validate(apply_to_chunk(new.account_id, new, adds))
    except CompileError:
        return (), steps
    return adds, takes


def _change_set(session: Session, rollout: Rollout, actor: str, steps: Sequence[ObjectStep]) -> ChangeSet:
    """Queue a change-set that takes these steps."""
    made = ChangeSet(
        uuid.uuid4().hex,
        rollout.account_id,
        actor,
        f"takes back roll-out {rollout.id}: {rollout.course.why}"[:500],
        rfc3339(datetime.now(UTC)),
        tuple(_change(step) for step in steps),
        lane=LANE,
    )
    outbox.append(session, made)
    return made


def _change(step: ObjectStep) -> Change:
    after = step.after
    if after is None:
        return Change(remove=(step.kind, step.id))
    if isinstance(after, PrefixObject):
        return Change(prefix=after)
    return Change(bgp_prefix=after) if isinstance(after, BgpPrefixObject) else Change(binding=after)


def _at_once(
    session: Session,
    rollout: Rollout,
    change_set: ChangeSet,
    reached: Sequence[str],
    now: float,
) -> Begun:
    """Begin the half that only adds, at those of the sites that were reached that have not put back."""
    account = rollout.account_id
    head_hash = snapshots.head_of(session, account)
    assert head_hash is not None, "the roll-out's own"
    head = snapshots.chunk(session, head_hash)
    found = candidate({account: head_hash}, head, change_set)
    snapshot = snapshots.commit(session, found, change_set)
    trees = sides_of(session, account, reached).of
    sites = tuple(site for site in reached if trees[site] == head_hash)
    course = Course(lane=LANE, reverts=rollout.id)
    planned = plan(
        uuid.uuid4().hex, change_set.id, account, head_hash, found.hash, waves=(sites,), course=course
    )
    back, _ = step(planned, Started(), now)
    row = add_row(session, back, snapshot.id)
    for site in sites:
        session.merge(SiteTreeRow(site=site, account_id=account, hash=found.hash, rollout_id=back.id))
    outbox.move(session, change_set.id, change_set_state(back), back.reason)
    tracked = Tracked(row.seq, back, footprint(head, found.chunk), now, change_set.actor)
    return Begun(tracked, dict.fromkeys(sites, found.hash), {})


def end_of(session: Session, change_sets: Sequence[str]) -> tuple[bool, str] | None:
    """Tell whether a way back is over, and whether it worked; None: it is not over."""
    rows = list(session.scalars(select(ChangeSetRow).where(ChangeSetRow.id.in_(change_sets))))
    failed = [f"change-set {r.id}: {r.state}: {r.reason}" for r in rows if r.state in ("failed", "dropped")]
    if failed:
        return False, "; ".join(failed)
    return (True, "") if all(row.state == "done" for row in rows) else None
