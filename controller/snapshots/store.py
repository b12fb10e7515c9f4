"""Chunks, snapshots and the head in the database.

Every chunk that is read is checked against its hash; one that is damaged is refused whole, and nothing is
carried out with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Subquery, func, select
from sqlalchemy.orm import Session

from controller.snapshots.compile import Candidate
from controller.snapshots.diff import TreeStep, diff_trees
from controller.snapshots.model import (
    ChangeSet,
    Chunk,
    ChunkHash,
    DamagedChunkError,
    SnapshotError,
    decode_chunk,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.naming import Back, Beginning, Until, parse_name
from controller.snapshots.tables import ChunkRow, HeadRow, SnapshotEntryRow, SnapshotRow
from controller.store.many import those

AT_ONCE = 500
"""Accounts that one query names: SQLite takes some tens of thousands of parameters, others fewer."""


ANNOUNCED = "herald.announced"
"""In a session's ``info``: how many BGP prefixes all accounts are to announce, and how many accounts any."""

NEWEST = "herald.newest-snapshot"
"""In a session's ``info``: its id. Both are asked for once in a transaction, and follow :func:`commit`."""


class UnknownSnapshotError(SnapshotError):
    """No snapshot is meant by that name, or more than one."""


class ThinnedSnapshotError(SnapshotError):
    """The snapshot's tree is not whole any more: older history was collected."""


def head(session: Session) -> dict[str, ChunkHash]:
    """Return the operational tree."""
    return {row.account_id: ChunkHash(row.hash) for row in session.scalars(select(HeadRow))}


def head_of(session: Session, account_id: str) -> ChunkHash | None:
    """Return the operational chunk's hash of one account, None when it never had one."""
    row = session.get(HeadRow, account_id)
    return None if row is None else ChunkHash(row.hash)


def announced(session: Session, account_id: str) -> tuple[int, int, int]:
    """Return how many BGP prefixes an account and all accounts are to announce, and how many accounts any.

    Kept with each account's head, so that no chunk is read.
    """
    row = session.get(HeadRow, account_id)
    if ANNOUNCED not in session.info:
        sums = select(func.sum(HeadRow.announced), func.count()).where(HeadRow.announced > 0)
        total, accounts = session.execute(sums).one()
        session.info[ANNOUNCED] = (total or 0, accounts)
    return (0 if row is None else row.announced, *session.info[ANNOUNCED])


def heads_and_chunks(session: Session, accounts: Collection[str]) -> list[object]:
    """Return the heads of accounts, and their chunks, for as long as they are to be found without asking."""
    heads = those(session, select(HeadRow), HeadRow.account_id, accounts)
    return [*heads, *those(session, select(ChunkRow), ChunkRow.hash, [row.hash for row in heads])]


def chunk_body(session: Session, hash_: ChunkHash) -> bytes:
    """Return a chunk's bytes; raises :class:`DamagedChunkError` when they are missing or damaged."""
    row = session.get(ChunkRow, hash_)
    if row is None:
        raise DamagedChunkError(f"chunk {hash_[:12]} is missing from the database: restore it from a copy")
    if hash_chunk(row.body) != hash_:
        raise DamagedChunkError(f"chunk {hash_[:12]} is damaged in the database: restore it from a copy")
    return row.body


def chunk_bodies(
    session: Session, hashes: Collection[ChunkHash]
) -> Mapping[ChunkHash, bytes | DamagedChunkError]:
    """Return the bytes of many chunks, or what is wrong with them."""
    rows = those(session, select(ChunkRow), ChunkRow.hash, hashes)  # kept, so that the session finds them
    found: dict[ChunkHash, bytes | DamagedChunkError] = {}
    for hash_ in hashes:
        try:
            found[hash_] = chunk_body(session, hash_)
        except DamagedChunkError as error:
            found[hash_] = error
    del rows
    return found


def chunk(session: Session, hash_: ChunkHash) -> Chunk:
    """Return a chunk; raises :class:`DamagedChunkError`."""
    return decode_chunk(chunk_body(session, hash_), hash_)


def knows(session: Session, hash_: ChunkHash) -> bool:
    """Tell whether this controller ever made or took over that chunk."""
    return session.scalar(select(func.count()).where(ChunkRow.hash == hash_)) == 1


def commit(session: Session, found: Candidate, change_set: ChangeSet) -> SnapshotRow:
    """Record a candidate as the newest snapshot and the head, in the caller's transaction.

    Who and why come from the change-set, when is now. A candidate equal to the head is recorded as a
    snapshot that changes nothing.
    """
    if not knows(session, found.hash):  # writers are serial: nobody adds it in between
        session.add(ChunkRow(hash=found.hash, body=found.body))
    if NEWEST not in session.info:
        session.info[NEWEST] = session.scalar(
            select(SnapshotRow.id).order_by(SnapshotRow.seq.desc()).limit(1)
        )
    parent_id: str | None = session.info[NEWEST]
    row = SnapshotRow(
        id=_snapshot_id(parent_id, change_set.id, found.step),
        parent_id=parent_id,
        change_set_id=change_set.id,
        actor=change_set.actor[:100],
        reason=change_set.reason[:500],
        at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    step = found.step
    session.add(
        SnapshotEntryRow(
            snapshot_seq=row.seq, account_id=step.account_id, from_hash=step.from_hash, to_hash=step.to_hash
        )
    )
    session.info[NEWEST] = row.id
    head = session.get(HeadRow, step.account_id)
    before, now = 0 if head is None else head.announced, sum(b.advertised for b in found.chunk.bgp_prefixes)
    if head is None:
        head = HeadRow(account_id=step.account_id)
        session.add(head)
    head.hash, head.snapshot_seq, head.announced = found.hash, row.seq, now
    if ANNOUNCED in session.info:
        total, accounts = session.info[ANNOUNCED]
        session.info[ANNOUNCED] = (total + now - before, accounts + (now > 0) - (before > 0))
    session.flush()
    return row


def tree_at(session: Session, snapshot_id: str) -> dict[str, ChunkHash]:
    """Return the whole tree of a snapshot; raises :class:`SnapshotError` when it cannot be put together."""
    row = whole(find(session, snapshot_id))
    newest = (
        select(SnapshotEntryRow.account_id, func.max(SnapshotEntryRow.snapshot_seq).label("seq"))
        .where(SnapshotEntryRow.snapshot_seq <= row.seq)
        .group_by(SnapshotEntryRow.account_id)
        .subquery()
    )
    return _hashes(session, newest)


def hashes_at(session: Session, accounts: Collection[str], seq: int) -> dict[str, ChunkHash]:
    """Return the chunks of some accounts as of a snapshot; an account that had nothing is not among them.

    It looks at these accounts alone, by index. The snapshot must be :func:`whole`.
    """
    found: dict[str, ChunkHash] = {}
    ordered = sorted(accounts)
    for start in range(0, len(ordered), AT_ONCE):
        newest = (
            select(SnapshotEntryRow.account_id, func.max(SnapshotEntryRow.snapshot_seq).label("seq"))
            .where(
                SnapshotEntryRow.account_id.in_(ordered[start : start + AT_ONCE]),
                SnapshotEntryRow.snapshot_seq <= seq,
            )
            .group_by(SnapshotEntryRow.account_id)
            .subquery()
        )
        found |= _hashes(session, newest)
    return found


def differing(
    session: Session, older: int, newer: int, *, accounts: Collection[str] | None = None
) -> tuple[TreeStep, ...]:
    """Return what differs between two snapshots (their ``seq``), by account.

    It looks at what was changed between the two, not at the whole trees. Both must be :func:`whole`.
    """
    changed = select(SnapshotEntryRow.account_id).where(
        SnapshotEntryRow.snapshot_seq > older, SnapshotEntryRow.snapshot_seq <= newer
    )
    touched = set(session.scalars(changed.distinct()))
    if accounts is not None:
        touched &= set(accounts)
    return diff_trees(hashes_at(session, touched, older), hashes_at(session, touched, newer))


def _hashes(session: Session, newest: Subquery) -> dict[str, ChunkHash]:
    entries = select(SnapshotEntryRow.account_id, SnapshotEntryRow.to_hash).join(
        newest,
        (SnapshotEntryRow.account_id == newest.c.account_id)
        & (SnapshotEntryRow.snapshot_seq == newest.c.seq),
    )
    return {a: ChunkHash(h) for a, h in session.execute(entries) if h is not None}


def find(session: Session, name: str) -> SnapshotRow:
    """Return the snapshot that ``name`` means (:mod:`controller.snapshots.naming`).

    Raises :class:`UnknownSnapshotError`, or
    :class:`~controller.snapshots.naming.SnapshotNameError` for what is no name at all.
    """
    newest_first = select(SnapshotRow).order_by(SnapshotRow.seq.desc())
    match parse_name(name, datetime.now(UTC)):
        case Beginning(digits):
            # By range, for the index; "g" is behind every digit.
            within = (SnapshotRow.id >= digits, SnapshotRow.id < digits + "g")
            rows = list(session.scalars(select(SnapshotRow).where(*within).limit(2)))
            if len(rows) != 1:
                why = "no snapshot has" if not rows else "more than one snapshot has"
                raise UnknownSnapshotError(f"{why} an id that begins with {name!r}: herald snapshots list")
            return rows[0]
        case Back(count):
            found = session.scalar(newest_first.offset(count).limit(1))
            why = "there is no snapshot yet" if count == 0 else f"there are not {count + 1} snapshots"
        case Until(at):
            before = select(SnapshotRow).where(SnapshotRow.at <= at)
            found = session.scalar(before.order_by(SnapshotRow.at.desc(), SnapshotRow.seq.desc()).limit(1))
            why = f"no snapshot is as old as {at.isoformat()}"
    if found is None:
        raise UnknownSnapshotError(f"{name}: {why}: herald snapshots list")
    return found


def whole(row: SnapshotRow) -> SnapshotRow:
    """Return the snapshot if its tree can be put together; raises :class:`ThinnedSnapshotError`."""
    if row.thinned:
        raise ThinnedSnapshotError(
            f"snapshot {row.id[:12]} of {row.at.isoformat()} is older than the history that is kept: what it "
            "changed can be seen, and its tree is not whole any more"
        )
    return row


def newest_seq(session: Session) -> int:
    """Return the newest snapshot's place in the order, 0 when there is none."""
    return session.scalar(select(func.max(SnapshotRow.seq))) or 0


def put_chunk(session: Session, found: Chunk) -> ChunkHash:
    """Keep a chunk that no snapshot has (yet), and return its name."""
    body = encode_chunk(found)
    hash_ = hash_chunk(body)
    if not knows(session, hash_):
        session.add(ChunkRow(hash=hash_, body=body))
    return hash_


def newest(session: Session, limit: int, *, account_id: str | None = None) -> list[SnapshotRow]:
    """Return snapshots, newest first; ``account_id``: only those that changed that account."""
    rows = select(SnapshotRow).order_by(SnapshotRow.seq.desc()).limit(limit)
    if account_id is not None:
        changed = select(SnapshotEntryRow.snapshot_seq).where(SnapshotEntryRow.account_id == account_id)
        rows = rows.where(SnapshotRow.seq.in_(changed))
    return list(session.scalars(rows))


def steps_of(session: Session, rows: list[SnapshotRow]) -> Mapping[int, list[TreeStep]]:
    """Return what each of these snapshots changed, by its ``seq``."""
    found: dict[int, list[TreeStep]] = {row.seq: [] for row in rows}
    entries = select(SnapshotEntryRow).where(SnapshotEntryRow.snapshot_seq.in_(found))
    for e in session.scalars(entries):
        found[e.snapshot_seq].append(
            TreeStep(
                e.account_id,
                None if e.from_hash is None else ChunkHash(e.from_hash),
                None if e.to_hash is None else ChunkHash(e.to_hash),
            )
        )
    return found


def _snapshot_id(parent_id: str | None, change_set_id: str, step: TreeStep) -> str:
    """Name a snapshot by all that it stands on, as git names a commit."""
    parts = (parent_id, change_set_id, step.account_id, step.from_hash, step.to_hash)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
