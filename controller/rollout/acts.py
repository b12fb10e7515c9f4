"""What roll-outs want done, carried out in the transaction that writes down how far they are.

So there is no moment in which a roll-out says that it has done something which is not on disk, or the other
way round. What is to happen in memory, or at a site, happens after the commit, from what this returns. All
functions work in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy.orm import Session

from controller.rollout import records
from controller.rollout.course import Rollout
from controller.rollout.events import Command, Conclude, Confirm, Deliver, Revert
from controller.rollout.reverts import Reverting, take_back
from controller.snapshots.model import ChunkHash


@dataclass(frozen=True, slots=True)
class PutAside:
    """These sites have put back by themselves: they are to have what was before, until somebody resumes."""

    sites: tuple[str, ...]


Act = Command | PutAside


@dataclass(frozen=True, slots=True)
class Done:
    """An act that is on disk. ``hash``: what its sites are to have now, None if that is nothing."""

    rollout_id: str
    account_id: str
    act: Act
    hash: ChunkHash | None = None
    reverting: Reverting | None = None


def carry_out(
    session: Session, rollouts: Mapping[str, Rollout], acts: Sequence[tuple[Rollout, Act]], at: float
) -> list[Done]:
    """Carry out ``acts`` and write down ``rollouts`` (by id); ``at``: the time of their clock."""
    done: list[Done] = []
    kept = dict(rollouts)
    for rollout, act in acts:
        match act:
            case Deliver(sites):
                done.append(Done(rollout.id, rollout.account_id, act, records.aim(session, rollout, sites)))
            case PutAside(sites):
                done.append(
                    Done(rollout.id, rollout.account_id, act, records.aim_back(session, rollout, sites))
                )
            case Revert(sites, _):
                reverting = take_back(session, rollout, sites, at)
                kept[rollout.id] = reverted_by(kept.get(rollout.id, rollout), reverting)
                done.append(Done(rollout.id, rollout.account_id, act, reverting=reverting))
            case Confirm() | Conclude():
                done.append(Done(rollout.id, rollout.account_id, act))
    records.save(session, kept.values(), at)
    return done


def reverted_by(rollout: Rollout, reverting: Reverting) -> Rollout:
    """Return the roll-out with the change-sets that take it back."""
    course = msgspec.structs.replace(rollout.course, reverted_by=reverting.change_sets)
    return Rollout(
        rollout.id,
        rollout.change_set_id,
        rollout.account_id,
        rollout.from_hash,
        rollout.to_hash,
        rollout.sites,
        state=rollout.state,
        wave=rollout.wave,
        deadline=rollout.deadline,
        course=course,
    )
