"""Carries a plan out: the record, the pins and the change-sets, all in the write's one transaction (I6)."""

from __future__ import annotations

from collections.abc import Collection
from uuid import uuid4

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from controller.addressing.times import rfc3339
from controller.addressing.writes import Write
from controller.rollbacks.foreseen import Foreseen
from controller.rollbacks.undone import superseded, undone, unhold
from controller.rollout.crash_points import crash_point
from controller.snapshots import outbox, pins
from controller.snapshots import store as snapshots
from controller.snapshots.model import Change, ChangeSet
from controller.snapshots.rollback import AccountPlan
from controller.snapshots.rollback_tables import PinDecisionRow, PinRow, RollbackAccountRow, RollbackRow


def carry_out(write: Write, found: Foreseen, reason: str) -> RollbackRow:
    """Record the rollback, pin its accounts, and queue both halves of each, the additive ones first."""
    made = RollbackRow(
        id=uuid4().hex,
        snapshot_id=found.snapshot.id,
        based_on=found.head.id,
        actor=write.caller.actor,
        reason=reason,
        at=write.now,
    )
    write.session.add(made)
    write.session.flush()
    why = f"rollback {made.id} to {found.snapshot.id[:12]}: {reason}"
    _pin(write, made, found)
    halves = [(plan, *_halves(write, plan, why)) for plan in found.plans]
    for _, additive, _ in halves:
        if additive is not None:
            write.queue(additive)
    for plan, additive, subtractive in halves:
        if subtractive is not None:
            write.queue(subtractive)
        write.session.add(
            RollbackAccountRow(
                rollback_seq=made.seq,
                account_id=plan.account_id,
                from_hash=found.steps[plan.account_id].from_hash,
                to_hash=snapshots.put_chunk(write.session, plan.target),
                additive_id=None if additive is None else additive.id,
                subtractive_id=None if subtractive is None else subtractive.id,
                report=msgspec.json.encode(report(plan)),
            )
        )
        write.record(
            "roll-back", "rollback", made.id, plan.account_id, snapshot_id=found.snapshot.id,
            back=len(plan.back), rest=len(plan.rest), skipped=len(plan.skipped),
        )  # fmt: skip
    if not halves:
        write.record("roll-back", "rollback", made.id, None, snapshot_id=found.snapshot.id)
    write.session.flush()
    crash_point("rollback-unwritten")
    return made


def report(plan: AccountPlan) -> dict[str, object]:
    """Return the plan of an account in plain JSON types: what comes back, what is to go, what is skipped."""
    return {
        "back": [msgspec.to_builtins(step) for step in plan.back],
        "rest": [msgspec.to_builtins(step) for step in plan.rest],
        "skipped": [msgspec.to_builtins(skipped) for skipped in plan.skipped],
    }


def _halves(write: Write, plan: AccountPlan, why: str) -> tuple[ChangeSet | None, ChangeSet | None]:
    def half(name: str, changes: tuple[Change, ...]) -> ChangeSet | None:
        if not changes:
            return None
        return ChangeSet(
            id=uuid4().hex,
            account_id=plan.account_id,
            actor=write.caller.actor,
            reason=f"{name} half of {why}",
            at=rfc3339(write.now),
            changes=changes,
            lane=pins.LANE,
        )

    return half("additive", plan.additive), half("subtractive", plan.subtractive)


def _pin(write: Write, made: RollbackRow, found: Foreseen) -> None:
    """Pin each account of which something is to be decided; what waits there is held from now on."""
    session = write.session
    touched = {p.account_id: {(s.kind, s.id) for s in (*p.back, *p.rest)} for p in found.plans}
    old = superseded(session, touched)
    for row in old:
        outbox.move(session, row.id, "failed", f"rollback {made.id} takes its place")
    gone, waiting = undone(session, found.snapshot.seq, touched)
    unhold(session, {row.id for row in (*old, *waiting)})
    to_decide = _left_open(session, touched) | {row.id: row.account_id for row in (*gone, *waiting)}
    accounts = set(to_decide.values())
    session.execute(delete(PinRow).where(PinRow.account_id.in_(sorted(accounts))))
    for account_id in sorted(accounts):
        session.add(PinRow(account_id=account_id, rollback_seq=made.seq, since=write.now))
    for id_, account_id in to_decide.items():
        session.add(PinDecisionRow(rollback_seq=made.seq, change_set_id=id_, account_id=account_id))
    session.flush()
    for row in waiting:
        pin = session.get_one(PinRow, row.account_id)
        outbox.move(session, row.id, "held", pins.why_pinned(session, pin))


def _left_open(session: Session, accounts: Collection[str]) -> dict[str, str]:
    """Return what an earlier rollback of these accounts left to decide: it stays to be decided."""
    rows = (
        select(PinDecisionRow.change_set_id, PinDecisionRow.account_id)
        .join(
            PinRow,
            (PinRow.account_id == PinDecisionRow.account_id)
            & (PinRow.rollback_seq == PinDecisionRow.rollback_seq),
        )
        .where(PinDecisionRow.decision.is_(None))
    )
    return {id_: account for id_, account in session.execute(rows) if account in accounts}
