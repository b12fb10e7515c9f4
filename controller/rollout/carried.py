"""Which intents travel with a command: those of all change-sets between what a site holds and its target.

A site that was away holds an older chunk than the one before the newest change; what is taken away on the way
to its target was asked for in several change-sets, and each of their intents is needed there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.safety.intents import expiry_of
from controller.snapshots import outbox
from controller.snapshots.model import ChunkHash, SnapshotError
from controller.snapshots.tables import ChangeSetRow, SnapshotEntryRow, SnapshotRow
from controller.store.many import in_parts, those

MOST_INTENTS = 1000
LOOK_BACK = 1000
"""Snapshots of an account that are searched for what the site holds."""


Move = tuple[ChunkHash | None, ChunkHash]
"""What a site holds of an account, and what it is to hold."""


def intents_between(
    session: Session, moves: Mapping[str, Move], now: datetime
) -> Mapping[str, tuple[str, ...]]:
    """Return by account the intents for a move, newest first, none that has expired.

    Where the history does not say what lies between (a staged roll-out has two sides, and one of them is no
    snapshot), it is all of the account's newest change-sets: an intent allows only what it names.
    """
    between = _of_one_step(session, moves)
    for account_id in moves.keys() - between.keys():
        between[account_id] = _between(session, account_id, *moves[account_id])
    wanted = those(
        session, select(ChangeSetRow), ChangeSetRow.id, (i for ids in between.values() for i in ids)
    )
    rows = {row.id: row for row in wanted}
    return {a: _good([rows[i] for i in between[a] if i in rows], now) for a in moves}


def _good(rows: Iterable[ChangeSetRow], now: datetime) -> tuple[str, ...]:
    found: list[str] = []
    for row in rows:
        try:
            texts = outbox.decode(row).intents
        except SnapshotError:
            continue  # what it asked for cannot be read, and so nothing is allowed by it
        for text in texts:
            expires_at = expiry_of(text)
            if expires_at is not None and expires_at > now:
                found.append(text)
    return tuple(dict.fromkeys(found))[:MOST_INTENTS]


def _of_one_step(session: Session, moves: Mapping[str, Move]) -> dict[str, list[str]]:
    """Return the change-set of each move that is the newest step of its account: that is most of them."""
    found: dict[str, list[str]] = {}
    for accounts in in_parts(moves):
        newest = (
            select(func.max(SnapshotEntryRow.snapshot_seq))
            .where(SnapshotEntryRow.account_id.in_(accounts))
            .group_by(SnapshotEntryRow.account_id)
        )
        entries = select(SnapshotEntryRow, SnapshotRow.change_set_id).join(
            SnapshotRow, SnapshotRow.seq == SnapshotEntryRow.snapshot_seq
        )
        for entry, change_set_id in session.execute(entries.where(SnapshotEntryRow.snapshot_seq.in_(newest))):
            if (entry.from_hash, entry.to_hash) == moves[entry.account_id]:
                found[entry.account_id] = [change_set_id]
    return found


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
