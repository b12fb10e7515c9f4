"""Lets old history go: reads what there is, asks the rule, and deletes what it says, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.orm import Session

from controller.rollout.begin import parse_course
from controller.rollout.states import FINISHED, OVER
from controller.rollout.tables import RolloutRow, RolloutSiteRow, SiteConflictRow, SiteTreeRow
from controller.snapshots.collection import Collected, Entry, History, Holder, Keep, Past, collect
from controller.snapshots.rollback_tables import PinRow, RollbackAccountRow, RollbackRow
from controller.snapshots.tables import ChunkRow, HeadRow, SnapshotEntryRow, SnapshotRow
from controller.store.removal import remove, table_of

AT_ONCE = 500
T = TypeVar("T")


def collect_history(
    session: Session, keep: Keep, now: datetime, held: Iterable[Mapping[str, str]]
) -> Collected:
    """Let go what the rule lets go at ``now``, and return it.

    ``held``: what each site is known to hold, by account: a chunk that a site may still have, however long it
    has been away, stays known, so that it is no stranger's when the site comes back.
    """
    history = _history(session, held)
    gone = collect(history, keep, now)
    _delete(session, gone)
    return gone


def _history(session: Session, held: Iterable[Mapping[str, str]]) -> History:
    seqs: dict[str, int] = {}
    seqs.update((id_, seq) for id_, seq in session.execute(select(SnapshotRow.id, SnapshotRow.seq)))
    return History(
        snapshots=[
            Past(*row)
            for row in session.execute(select(SnapshotRow.seq, SnapshotRow.at, SnapshotRow.thinned))
        ],
        entries=[
            Entry(seq, account, tuple(h for h in (old, new) if h is not None))
            for seq, account, old, new in session.execute(
                select(
                    SnapshotEntryRow.snapshot_seq,
                    SnapshotEntryRow.account_id,
                    SnapshotEntryRow.from_hash,
                    SnapshotEntryRow.to_hash,
                )
            )
        ],
        rollouts=_rollouts(session, seqs),
        chunks=set(session.scalars(select(ChunkRow.hash))),
        named=_named(session, seqs),
        live=_live(session, held),
    )


def _rollouts(session: Session, seqs: Mapping[str, int]) -> list[Holder]:
    """Return the roll-outs. One that a site's tree names, or a site has not finished, is not settled.

    Nor is an account's newest, which answers for sites that join.
    """
    aimed = set(session.scalars(select(SiteTreeRow.rollout_id)))
    over = {state.value for state in OVER}
    finished = [state.value for state in FINISHED]
    open_at = set(
        session.scalars(select(RolloutSiteRow.rollout_id).where(RolloutSiteRow.state.not_in(finished)))
    )
    rows = session.execute(
        select(
            RolloutRow.id,
            RolloutRow.account_id,
            RolloutRow.snapshot_id,
            RolloutRow.from_hash,
            RolloutRow.to_hash,
            RolloutRow.state,
            RolloutRow.course,
        ).order_by(RolloutRow.seq)
    ).all()
    newest = {row.account_id: row.id for row in rows}
    return [
        Holder(
            row.id,
            seqs.get(row.snapshot_id, 0),
            tuple(h for h in (row.from_hash, row.to_hash, *_others(row.course)) if h is not None),
            settled=row.state in over
            and row.id not in aimed
            and row.id not in open_at
            and newest[row.account_id] != row.id
            and row.snapshot_id in seqs,
        )
        for row in rows
    ]


def _others(course: str) -> tuple[str, ...]:
    """Return the chunks that a roll-out may have left at sites besides its own, which are no snapshot's."""
    found = parse_course(course)
    return (*found.also, *found.beside, *found.were)


def _named(session: Session, seqs: Mapping[str, int]) -> set[int]:
    """Return the snapshots that a pin stands on: where its account went back to, and from where."""
    rows = session.execute(
        select(RollbackRow.snapshot_id, RollbackRow.based_on).join(
            PinRow, PinRow.rollback_seq == RollbackRow.seq
        )
    )
    return {seqs[id_] for row in rows for id_ in row if id_ in seqs}


def _live(session: Session, held: Iterable[Mapping[str, str]]) -> set[str]:
    found = {hash_ for tree in held for hash_ in tree.values()}
    for column in (HeadRow.hash, SiteTreeRow.hash, SiteConflictRow.hash, RollbackAccountRow.to_hash):
        found.update(session.scalars(select(column)))
    pinned = select(RollbackAccountRow.from_hash).join(
        PinRow,
        (PinRow.rollback_seq == RollbackAccountRow.rollback_seq)
        & (PinRow.account_id == RollbackAccountRow.account_id),
    )
    found.update(h for h in session.scalars(pinned) if h is not None)
    return found


def _delete(session: Session, gone: Collected) -> None:
    rollouts, entries, snapshots = (table_of(t) for t in (RolloutRow, SnapshotEntryRow, SnapshotRow))
    for some in _parts(sorted(gone.rollouts)):
        remove(session, rollouts, rollouts.c.id.in_(some))
    key = tuple_(entries.c.snapshot_seq, entries.c.account_id)
    for pairs in _parts(sorted(gone.entries)):
        session.execute(delete(entries).where(key.in_(pairs)))
    for seqs in _parts(sorted(gone.snapshots)):
        session.execute(delete(snapshots).where(snapshots.c.seq.in_(seqs)))
    for seqs in _parts(sorted(gone.thinned)):
        session.execute(update(SnapshotRow).where(SnapshotRow.seq.in_(seqs)).values(thinned=True))
    chunks = table_of(ChunkRow)
    for hashes in _parts(sorted(gone.chunks)):
        session.execute(delete(chunks).where(chunks.c.hash.in_(hashes)))
    session.expire_all()


def _parts(things: list[T]) -> list[list[T]]:
    return [things[start : start + AT_ONCE] for start in range(0, len(things), AT_ONCE)]


def referenced_by(session: Session, hashes: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """Return who stands on these chunks: accounts by their head, sites by their tree, snapshots."""
    found: dict[str, dict[str, list[str]]] = {
        h: {"accounts": [], "sites": [], "snapshots": []} for h in hashes
    }
    for some in _parts(sorted(hashes)):
        for head in session.scalars(select(HeadRow).where(HeadRow.hash.in_(some))):
            found[head.hash]["accounts"].append(head.account_id)
        for tree in session.scalars(select(SiteTreeRow).where(SiteTreeRow.hash.in_(some))):
            found[tree.hash]["sites"].append(tree.site)
        made = select(SnapshotEntryRow.to_hash, SnapshotRow.id).join(
            SnapshotRow, SnapshotRow.seq == SnapshotEntryRow.snapshot_seq
        )
        for hash_, id_ in session.execute(made.where(SnapshotEntryRow.to_hash.in_(some))):
            if hash_ is not None:
                found[hash_]["snapshots"].append(id_)
    return found
