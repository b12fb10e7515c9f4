"""Which intents travel with a command: those of all change-sets between what a site holds and its target.

A site that was away holds an older chunk than the one before the newest change; what is taken away on the way
to its target was asked for in several change-sets, and each of their intents is needed there.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.safety.intents import expiry_of
from controller.snapshots import outbox
from controller.snapshots.model import ChunkHash, SnapshotError
from controller.snapshots.tables import ChangeSetRow, SnapshotEntryRow, SnapshotRow

MOST_INTENTS = 1000
LOOK_BACK = 1000
"""Snapshots of an account that are searched for what the site holds."""


def intents_between(
    session: Session, account_id: str, held: ChunkHash | None, target: ChunkHash, now: datetime
) -> tuple[str, ...]:
    """Return the intents for going from ``held`` to ``target``, newest first, none that has expired.

    Where the history does not say what lies between (a staged roll-out has two sides, and one of them is no
    snapshot), it is all of the account's newest change-sets: an intent allows only what it names.
    """
    found: list[str] = []
    for change_set_id in _between(session, account_id, held, target):
        row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == change_set_id))
        if row is None:
            continue
        try:
            texts = outbox.decode(row).intents
        except SnapshotError:
            continue  # what it asked for cannot be read, and so nothing is allowed by it
        for text in texts:
            expires_at = expiry_of(text)
            if expires_at is not None and expires_at > now:
                found.append(text)
    return tuple(dict.fromkeys(found))[:MOST_INTENTS]


def _between(session: Session, account_id: str, held: ChunkHash | None, target: ChunkHash) -> list[str]:
    """Return the change-sets between, newest first."""
    entries = session.execute(
        select(SnapshotEntryRow.to_hash, SnapshotRow.change_set_id)
        .join(SnapshotRow, SnapshotRow.seq == SnapshotEntryRow.snapshot_seq)
        .where(SnapshotEntryRow.account_id == account_id)
        .order_by(SnapshotEntryRow.snapshot_seq.desc())
        .limit(LOOK_BACK)
    ).all()
    reached = [n for n, (to_hash, _) in enumerate(entries) if to_hash == target]
    first = reached[0] if reached else 0
    found: list[str] = []
    for to_hash, change_set_id in entries[first:]:
        if to_hash == held and found:
            break
        found.append(change_set_id)
    return found
