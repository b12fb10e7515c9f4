"""Which change-sets a rollback undoes or keeps back: for each somebody must say whether it is meant.

Those since the snapshot that touched an object which the rollback changes; and those that wait (queued, or
held), which must not slip in after it. What rollbacks made, and what was decided on before, is not asked
again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.snapshots import outbox
from controller.snapshots.model import Change, ChangeSet, ObjectKind, SnapshotError
from controller.snapshots.pins import LANE
from controller.snapshots.rollback_tables import PinDecisionRow
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


def decoded(row: ChangeSetRow) -> ChangeSet:
    """Return a row's change-set; one that cannot be read has no changes, and can only be dropped."""
    try:
        return outbox.decode(row)
    except SnapshotError:
        return ChangeSet(row.id, row.account_id, row.actor, "", "", ())
