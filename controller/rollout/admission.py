"""From the line of change-sets that wait to roll-outs that have begun. In the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.guard import holds
from controller.guard.admission import OWNER, Guard, Kept
from controller.rollout.after import Never, first_half
from controller.rollout.begin import Begun, begin, change_set_state
from controller.rollout.tables import SiteConflictRow
from controller.rollout.tracked import Behind, Bench, Terms, Tracked
from controller.rollout.waiting_line import MOST_QUEUED, LookedUp, Round, askers, in_turn, looked_up
from controller.snapshots import outbox, pins
from controller.snapshots.model import ChangeSet, SnapshotError
from controller.store.once import once

AT_ONCE = 16
"""Change-sets that one transaction admits: who writes meanwhile waits for no more than these."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one change-set: a roll-out, or a refusal that has been recorded."""

    change_set_id: str
    account_id: str
    begun: Begun | None
    reason: str = ""

    @property
    def tracked(self) -> Tracked | None:
        """The roll-out, if one has begun."""
        return None if self.begun is None else self.begun.tracked


@dataclass(frozen=True, slots=True)
class Gate:
    """What change-sets are admitted past: see :func:`admit_next`."""

    blocked: Callable[[str], str | None]
    guard: Guard
    round: Round
    bench: Bench


def admit_next(
    session: Session,
    sites: Sequence[str],
    blocked: Callable[[str], str | None],
    now: float,
    guard: Guard | None = None,
    *,
    terms: Terms | None = None,
    gone: dict[str, float] | None = None,
    limit: int = AT_ONCE,
    this_round: Round | None = None,
) -> list[Admission]:
    """Take queued change-sets, each asker's in turn: judge, record snapshot and head, begin roll-outs.

    ``blocked(account)`` says why nothing of an account can be carried out now, or None; ``now`` as in
    :func:`controller.rollout.machine.step`. ``guard`` judges; None: production's, which has no key to check
    intents with, so that whatever takes something away is held. A change-set that does not fit is recorded as
    failed. One that is behind a staged roll-out stays queued, and holds up only those that touch the same
    objects. ``this_round`` is what transactions before this one have looked at, None for a new one. When the
    transaction is undone, :meth:`Guard.forget` must be called, and another round begin.
    """
    admitted: list[Admission] = []
    bench = Bench(sites, now, terms or Terms(), {} if gone is None else gone)
    gate = Gate(blocked, guard or Guard(), this_round or Round(), bench)
    line = [w for w in holds.waiting(session, MOST_QUEUED) if w.seq not in gate.round.left]
    asker, had_turn = askers(line), gate.round.had_turn
    if had_turn.issuperset(asker.values()):
        had_turn.clear()
    for waiting in looked_up(session, in_turn(line, had_turn)):
        had_turn.add(asker[waiting.row.account_id])
        found = _admit(session, waiting, gate)
        if found is not None:
            admitted.append(found)
        if len(admitted) >= limit:
            break
    return admitted


def has_queued(session: Session) -> bool:
    """Tell whether a change-set waits for its admission."""
    return bool(holds.waiting(session, 1))


def _admit(session: Session, waiting: LookedUp, gate: Gate) -> Admission | None:
    row = waiting.row
    try:
        why = gate.blocked(row.account_id)
        if why is None:
            if not isinstance(waiting.change_set, ChangeSet):
                raise waiting.change_set
            found = _judge(session, waiting, waiting.change_set, gate)
            if not isinstance(found, Behind):
                return found
            gate.round.leave(row, waiting.change_set)
            outbox.put(session, row, "queued", found.why)
            return None
    except SnapshotError as error:
        why = str(error)
    holds.fail(session, row.id, why)
    return Admission(row.id, row.account_id, None, why)


def _judge(session: Session, waiting: LookedUp, change_set: ChangeSet, gate: Gate) -> Admission | Behind:
    row, bench = waiting.row, gate.bench
    pinned = pins.keep_back(session, change_set, bench.sites) if waiting.pinned else None
    if pinned is not None:
        outbox.put(session, row, "held", pinned)
        return Admission(row.id, row.account_id, None, pinned)
    first = gate.round.queue.behind(change_set)
    half = Behind(first) if first else first_half(change_set, waiting.firsts, bench)
    if isinstance(half, Behind):
        return half
    if isinstance(half, Never):
        holds.fail(session, row.id, half.why)
        return Admission(row.id, row.account_id, None, half.why)
    shrunk = _shrunk(session, row.actor)
    judged = gate.guard.judge(session, row, change_set, bench.sites, shrunk=shrunk, first=not waiting.judged)
    if isinstance(judged, Kept):
        return Admission(row.id, row.account_id, None, judged.reason)
    found = begin(session, judged.change_set, judged.lane, bench)
    if isinstance(found, Behind):
        return found
    rollout = found.tracked.rollout
    outbox.put(session, row, change_set_state(rollout), rollout.reason)
    gate.guard.passed(session, judged)
    return Admission(row.id, row.account_id, found)


def _shrunk(session: Session, actor: str) -> str:
    """Return why what this store says is not to take anything away now, or empty: SAFETY.md, 12.

    What an owner asks for he asks for now; what others do may rest upon what was taken back since.
    """
    if actor.startswith(OWNER):
        return ""
    accounts = select(func.count(SiteConflictRow.account_id.distinct()))
    known_better = once(session, SiteConflictRow, "accounts", lambda: session.scalar(accounts))
    if not known_better:
        return ""
    return (
        f"sites hold what this store never gave them, of {known_better} accounts: it is an older copy, or "
        "another one (herald store status)"
    )
