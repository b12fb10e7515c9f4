"""Which change-sets a rollback undoes or keeps back: for each somebody must say whether it is meant.

Those since the snapshot that touched an object which the rollback changes; and those that wait (queued, or
held), which must not slip in after it. What rollbacks made, and what was decided on before, is not asked
again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from controller.guard.tables import HoldRow, WaitRow
from controller.snapshots import outbox
from controller.snapshots.model import Change, ChangeSet, ObjectKind, SnapshotError
from controller.snapshots.pins import LANE
from controller.snapshots.rollback_tables import PinDecisionRow, RollbackAccountRow
from controller.snapshots.tables import ChangeSetRow, SnapshotEntryRow, SnapshotRow

Key = tuple[ObjectKind, str]
AT_ONCE = 500
WAITING = ("queued", "held")


def key_of(change: Change) -> Key | None:
    """Return the object that a change is about."""
    if change.remove is not None:
        return change.remove
    if change.prefix is not None:
        return ("prefix", change.prefix.id)
    if change.bgp_prefix is not None:
        return ("bgp_prefix", change.bgp_prefix.id)
    return None if change.binding is None else ("binding", change.binding.id)


def undone(
    session: Session, since: int, touched: Mapping[str, Collection[Key]]
) -> tuple[list[ChangeSetRow], list[ChangeSetRow]]:
    """Return the change-sets that are undone, and those that wait, each in their order.

    ``since``: the snapshot's ``seq``; ``touched``: by account, the objects that the rollback changes.
    """
    gone: list[ChangeSetRow] = []
    waiting: list[ChangeSetRow] = []
    accounts = sorted(touched)
    for start in range(0, len(accounts), AT_ONCE):
        some = accounts[start : start + AT_ONCE]
        decided = select(PinDecisionRow.change_set_id).where(
            PinDecisionRow.account_id.in_(some), PinDecisionRow.decision.is_not(None)
        )
        since_then = (
            select(ChangeSetRow)
            .join(SnapshotRow, SnapshotRow.change_set_id == ChangeSetRow.id)
            .join(SnapshotEntryRow, SnapshotEntryRow.snapshot_seq == SnapshotRow.seq)
            .where(
                SnapshotEntryRow.account_id.in_(some),
                SnapshotEntryRow.snapshot_seq > since,
                ChangeSetRow.id.not_in(decided),
            )
            .order_by(ChangeSetRow.seq)
        )
        for row in session.scalars(since_then):
            made = decoded(row)
            keys = {key_of(change) for change in made.changes}
            if made.lane != LANE and not keys.isdisjoint(touched[row.account_id]):
                gone.append(row)
        wait = select(ChangeSetRow).where(
            ChangeSetRow.account_id.in_(some),
            ChangeSetRow.state.in_(WAITING),
            ChangeSetRow.id.not_in(decided),
        )
        waiting += [r for r in session.scalars(wait.order_by(ChangeSetRow.seq)) if decoded(r).lane != LANE]
    return gone, waiting


def superseded(session: Session, accounts: Collection[str]) -> list[ChangeSetRow]:
    """Return what earlier rollbacks of these accounts still have waiting: a new plan takes its place."""
    found: list[ChangeSetRow] = []
    ordered = sorted(accounts)
    for start in range(0, len(ordered), AT_ONCE):
        of = RollbackAccountRow.account_id.in_(ordered[start : start + AT_ONCE])
        halves = select(RollbackAccountRow.additive_id).where(of, RollbackAccountRow.additive_id.is_not(None))
        rest = select(RollbackAccountRow.subtractive_id).where(
            of, RollbackAccountRow.subtractive_id.is_not(None)
        )
        waiting = select(ChangeSetRow).where(
            ChangeSetRow.id.in_(halves) | ChangeSetRow.id.in_(rest), ChangeSetRow.state.in_(WAITING)
        )
        found += session.scalars(waiting)
    return found


def unhold(session: Session, ids: Collection[str]) -> None:
    """Take change-sets out of what the guards hold or keep waiting: another decides on them from now on."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), AT_ONCE):
        some = ordered[start : start + AT_ONCE]
        session.execute(delete(HoldRow).where(HoldRow.change_set_id.in_(some)))
        session.execute(delete(WaitRow).where(WaitRow.change_set_id.in_(some) | WaitRow.behind.in_(some)))


def decoded(row: ChangeSetRow) -> ChangeSet:
    """Return a row's change-set; one that cannot be read has no changes, and can only be dropped."""
    try:
        return outbox.decode(row)
    except SnapshotError:
        return ChangeSet(row.id, row.account_id, row.actor, "", "", ())
