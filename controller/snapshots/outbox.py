"""Where an acknowledged write waits for its roll-out: kept in the write's own transaction."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.snapshots.model import ChangeSet, SnapshotError
from controller.snapshots.tables import ChangeSetRow


class DamagedChangeSetError(SnapshotError):
    """A stored change-set does not decode."""


def append(session: Session, change_set: ChangeSet) -> None:
    """Queue ``change_set`` within the caller's transaction; change-sets are taken in this order."""
    now = datetime.now(UTC)
    session.add(
        ChangeSetRow(
            id=change_set.id,
            account_id=change_set.account_id,
            actor=change_set.actor,
            body=msgspec.json.encode(change_set),
            state="queued",
            reason="",
            created_at=now,
            modified_at=now,
        )
    )
    session.flush()


def queued(session: Session, limit: int) -> list[ChangeSetRow]:
    """Return the oldest change-sets that wait, at most ``limit``."""
    rows = select(ChangeSetRow).where(ChangeSetRow.state == "queued").order_by(ChangeSetRow.seq).limit(limit)
    return list(session.scalars(rows))


def decode(row: ChangeSetRow) -> ChangeSet:
    """Return a row's change-set; raises :class:`DamagedChangeSetError`."""
    try:
        return msgspec.json.decode(row.body, type=ChangeSet, strict=True)
    except msgspec.MsgspecError as error:
        raise DamagedChangeSetError(
            f"change-set {row.id} does not decode: {error}: not carried out"
        ) from error


def move(session: Session, change_set_id: str, state: str, reason: str) -> None:
    """Set the state of one change-set; one that is gone is left alone."""
    row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == change_set_id))
    if row is not None:
        row.state, row.reason, row.modified_at = state, reason[:2000], datetime.now(UTC)
