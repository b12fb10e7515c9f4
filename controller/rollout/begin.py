"""From a change-set that may go to its roll-out: waves, snapshot, head, the first targets.

All functions work in the caller's transaction. A change that goes at once does not wait for a staged roll-out
of its account that is under way: it is applied on both sides of it (``rebase``), and the roll-out then goes
between the new sides. One that is staged itself, or touches the same objects, waits in the queue.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.rollout.course import Course, Rollout
from controller.rollout.delivery import footprint
from controller.rollout.events import Deliver, Started
from controller.rollout.machine import plan, step
from controller.rollout.rebase import Overlap, rebase, restore
from controller.rollout.states import OVER, RolloutState
from controller.rollout.tables import RolloutRow, RolloutSiteRow, SiteTreeRow
from controller.rollout.tracked import Behind, Bench, Terms, Tracked
from controller.rollout.two_steps import in_two_steps
from controller.rollout.waves import bake_s, is_gated, plan_waves
from controller.safety.effects import effects, subtractive
from controller.snapshots import outbox, pins
from controller.snapshots import store as snapshots
from controller.snapshots.compile import candidate
from controller.snapshots.model import ChangeSet, Chunk, ChunkHash, encode_chunk, hash_chunk
from controller.snapshots.tables import ChunkRow


@dataclass(frozen=True, slots=True)
class Begun:
    """A roll-out that has begun. ``targets``: by site, what it is to have now.

    ``names``: chunks that have become others, at sites and in staged roll-outs of the account. ``stages``: of
    a rollback or a delete, as ``crash_points`` calls them.
    """

    tracked: Tracked
    targets: Mapping[str, ChunkHash]
    names: Mapping[ChunkHash | None, ChunkHash]
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sides:
    """What an account's sites are to have, and its staged roll-outs that are under way, newest first."""

    of: Mapping[str, ChunkHash | None]
    under_way: tuple[RolloutRow, ...]
    has_staged: bool = False
    rows: tuple[SiteTreeRow, ...] = ()
    """Kept in hand, so that the session finds them again without asking the database for each."""

    @property
    def staged(self) -> RolloutRow | None:
        """The newest of them."""
        return next(iter(self.under_way), None)

    def takes_back(self, change_set_id: str) -> bool:
        """Tell whether a change-set is a part of what takes one of them back."""
        return any(change_set_id in decode_course(row).reverted_by for row in self.under_way)

    def beside(self, head: ChunkHash | None) -> set[ChunkHash | None]:
        """Return the chunks that are not the head: at sites that are not reached, and to go back to."""
        found = set(self.of.values())
        found |= {None if row.from_hash is None else ChunkHash(row.from_hash) for row in self.under_way}
        return found - {head}

    def target(self, site: str, names: Mapping[ChunkHash | None, ChunkHash], head: ChunkHash) -> ChunkHash:
        """Return what the site is to have now; without a staged roll-out that is the head."""
        return head if self.staged is None else names.get(self.of.get(site), head)


def begin(session: Session, change_set: ChangeSet, lane: str, bench: Bench) -> Begun | Behind:
    """Compile the change-set against the operational state, record snapshot and head, begin its roll-out.

    The change-set's own state is the caller's to write: :func:`change_set_state`.
    Raises :class:`~controller.snapshots.model.SnapshotError` when it does not fit.
    """
    sites, now = bench.sites, bench.now
    account = change_set.account_id
    head_hash = snapshots.head_of(session, account)
    head = None if head_hash is None else snapshots.chunk(session, head_hash)
    sides = sides_of(session, account, sites)
    second: ChangeSet | None = None
    if change_set.after is None and not sides.takes_back(change_set.id):
        halves = in_two_steps(head, change_set, uuid.uuid4().hex)
        change_set, second = halves or (change_set, None)
    found = candidate({} if head_hash is None else {account: head_hash}, head, change_set)
    rollout_id = uuid.uuid4().hex
    course, waves = _course(rollout_id, (head, found.chunk), sites, lane, bench.terms)
    names: dict[ChunkHash | None, ChunkHash] = {head_hash: found.hash}
    if sides.staged is not None and not sides.takes_back(change_set.id):
        why = "an account has one staged roll-out at a time" if course.gated else None
        why = why or _why_behind(session, sides, change_set, (head_hash, head), names)
        if why is not None:
            return Behind(f"it waits for roll-out {sides.staged.id}, which is {sides.staged.state}: {why}")
        course = msgspec.structs.replace(
            course, beside=tuple(h for old, h in names.items() if old != head_hash and h != found.hash)
        )
    if second is not None:
        outbox.append(session, second)
    snapshot = snapshots.commit(session, found, change_set)
    planned = plan(rollout_id, change_set.id, account, head_hash, found.hash, waves=waves, course=course)
    rollout, commands = step(planned, Started(), now)
    row = add_row(session, rollout, snapshot.id)
    if sides.takes_back(change_set.id):
        names = {**{hash_: hash_ for hash_ in sides.of.values() if hash_ is not None}, **names}
    elif sides.has_staged:
        rename(session, account, names, but=rollout.id)
    targets: dict[str, ChunkHash] = {}
    for command in commands:
        if isinstance(command, Deliver):
            targets = {s: sides.target(s, names, found.hash) for s in command.sites}
    trees = {row.site: row for row in sides.rows}
    for site, hash_ in targets.items():
        if site not in trees:
            trees[site] = SiteTreeRow(site=site, account_id=account)
            session.add(trees[site])
        trees[site].hash, trees[site].rollout_id = hash_, rollout.id
    stages = {
        "rollback-half": change_set.lane == pins.LANE and change_set.after is None,
        "delete": second is not None,
        "removal": change_set.after is not None,
    }
    return Begun(
        Tracked(row.seq, rollout, footprint(head, found.chunk), now, change_set.actor),
        targets,
        names,
        tuple(stage for stage, holds in stages.items() if holds),
    )


def _course(
    rollout_id: str, step_: tuple[Chunk | None, Chunk], sites: Sequence[str], lane: str, terms: Terms
) -> tuple[Course, tuple[tuple[str, ...], ...]]:
    found = effects(*step_, sites)
    lost = {e.cidr for e in subtractive(found)}
    policy = terms.policy
    gated = is_gated(lane, subtractive=bool(lost), staged=policy.guards.staged)
    waves = plan_waves(
        rollout_id,
        sites,
        policy.waves,
        gated=gated,
        touched={e.site for e in found},
        kinds=terms.kinds,
    )
    if not gated:
        return Course(lane=lane, subtractive=bool(lost)), waves.waves
    course = Course(
        lane=lane,
        gated=True,
        subtractive=bool(lost),
        bake_s=bake_s(len(lost), policy.waves),
        gate_wait_s=policy.gates.wait_s,
        confirm_within_s=policy.waves.confirm_within_s,
        control=waves.control,
        touched=tuple(sorted({e.site for e in found})),
    )
    return course, waves.waves


def sides_of(session: Session, account_id: str, sites: Sequence[str]) -> Sides:
    """Return what sites are to have of an account, and its staged roll-outs under way."""
    # By the sites' names, which the key begins with: not by looking through what every account has.
    rows = select(SiteTreeRow).where(SiteTreeRow.site.in_(sites), SiteTreeRow.account_id == account_id)
    found = tuple(session.scalars(rows))
    trees = {row.site: ChunkHash(row.hash) for row in found}
    staged = _staged(session, account_id)
    under_way = tuple(row for row in staged if _is_under_way(session, row))
    return Sides({site: trees.get(site) for site in sites}, under_way, bool(staged), found)


def _staged(session: Session, account_id: str) -> list[RolloutRow]:
    """Return the account's staged roll-outs that are not over, newest first."""
    over = [state.value for state in OVER]
    rows = (
        select(RolloutRow)
        .where(RolloutRow.account_id == account_id, RolloutRow.state.not_in(over), RolloutRow.gated)
        .order_by(RolloutRow.seq.desc())
    )
    return list(session.scalars(rows))


def _is_under_way(session: Session, row: RolloutRow) -> bool:
    """Tell whether a gate of it is still to pass, or it is on its way back."""
    last = session.scalar(select(func.max(RolloutSiteRow.wave)).where(RolloutSiteRow.rollout_id == row.id))
    return row.state == RolloutState.REVERTING.value or decode_course(row).passed <= (last or 0)


def _why_behind(
    session: Session,
    sides: Sides,
    change_set: ChangeSet,
    head: tuple[ChunkHash | None, Chunk | None],
    names: dict[ChunkHash | None, ChunkHash],
) -> str | None:
    """Apply the change on the other sides, and add their ``names``; or say why it has to wait.

    What a rollback restores does not wait for the very roll-out that is taking it away.
    """
    for hash_ in sides.beside(head[0]):
        other = None if hash_ is None else snapshots.chunk(session, hash_)
        if change_set.lane == pins.LANE:
            made = restore(other, change_set, tuple(sides.of))
        else:
            made = rebase(other, head[1], change_set)
        if isinstance(made, Overlap):
            return made.why
        names[hash_] = keep_chunk(session, made)
    return None


def keep_chunk(session: Session, chunk: Chunk) -> ChunkHash:
    """Store a chunk under its hash, once."""
    body = encode_chunk(chunk)
    hash_ = hash_chunk(body)
    if not snapshots.knows(session, hash_):
        session.add(ChunkRow(hash=hash_, body=body))
        session.flush()
    return hash_


def rename(
    session: Session, account_id: str, names: Mapping[ChunkHash | None, ChunkHash], *, but: str
) -> None:
    """Let the account's staged roll-outs go between the chunks that theirs have become."""
    for row in _staged(session, account_id):
        from_hash = None if row.from_hash is None else ChunkHash(row.from_hash)
        if row.id != but:
            row.from_hash = names.get(from_hash, from_hash)
            row.to_hash = names.get(ChunkHash(row.to_hash), ChunkHash(row.to_hash))


def add_row(session: Session, rollout: Rollout, snapshot_id: str) -> RolloutRow:
    """Write down a new roll-out and its sites."""
    stamp = datetime.now(UTC)
    row = RolloutRow(
        id=rollout.id,
        change_set_id=rollout.change_set_id,
        account_id=rollout.account_id,
        snapshot_id=snapshot_id,
        from_hash=rollout.from_hash,
        to_hash=rollout.to_hash,
        state=rollout.state.value,
        reason=rollout.reason,
        lane=rollout.course.lane,
        gated=rollout.course.gated,
        wave=rollout.wave,
        course=msgspec.json.encode(rollout.course).decode(),
        left_s=rollout.course.gate_wait_s if rollout.course.gated else None,
        created_at=stamp,
        modified_at=stamp,
    )
    session.add(row)
    session.flush()
    for name, progress in rollout.sites.items():
        session.add(
            RolloutSiteRow(
                rollout_id=rollout.id, site=name, wave=progress.wave, state=progress.state.value, reason=""
            )
        )
    return row


def decode_course(row: RolloutRow) -> Course:
    """Return how a recorded roll-out goes; one of before there were lanes went at once."""
    return parse_course(row.course)


def parse_course(text: str) -> Course:
    """Return what is recorded of how a roll-out goes."""
    return msgspec.json.decode(text, type=Course) if text else Course()


def change_set_state(rollout: Rollout) -> str:
    """Return the state of the change-set of a roll-out."""
    if rollout.state not in OVER:
        return "rolling"
    return "done" if rollout.state.value == "done" else "failed"
