"""What a rollback may not bring back, and what it may not take (SAFETY.md, 8): from the configured state.

The ledger says what was revoked since the snapshot; whose an onboarded prefix is, is asked again for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import rows
from controller.addressing.life_tables import RevocationRow, WithdrawalLockRow
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.bgp import Prefix
from controller.snapshots.model import Chunk, PrefixObject
from controller.snapshots.rollback import Bar, Limits

AT_ONCE = 500


def limits(
    session: Session, since: datetime, now: Mapping[str, Chunk | None], then: Mapping[str, Chunk | None]
) -> dict[str, Limits]:
    """Return the limits of each account in ``then``: its chunk as of the snapshot, made at ``since``."""
    bars: dict[str, list[Bar]] = {account_id: [] for account_id in then}
    for row in _of_accounts(session, then):
        if row.at >= since:
            bars[row.account_id].append(Bar(Prefix(row.cidr), _revoked(row)))
    for account_id, chunk in then.items():
        bars[account_id] += _owned_by_others(session, account_id, now.get(account_id), chunk)
    locked: dict[str, set[str]] = {account_id: set() for account_id in then}
    for account_id, prefix_id in _locks(session, then):
        locked[account_id].add(prefix_id)
    return {a: Limits(tuple(bars[a]), frozenset(locked[a])) for a in then}


def _revoked(row: RevocationRow) -> str:
    return f"revoked since: {row.kind}, entry {row.seq} of {rfc3339(row.at)} ({row.reason})"


def _of_accounts(session: Session, accounts: Collection[str]) -> Sequence[RevocationRow]:
    found: list[RevocationRow] = []
    for some in _parts(accounts):
        entries = select(RevocationRow).where(RevocationRow.account_id.in_(some)).order_by(RevocationRow.seq)
        found += session.scalars(entries)
    return found


def _locks(session: Session, accounts: Collection[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for some in _parts(accounts):
        locks = select(WithdrawalLockRow.account_id, WithdrawalLockRow.prefix_id)
        found += [(a, p) for a, p in session.execute(locks.where(WithdrawalLockRow.account_id.in_(some)))]
    return found


def _owned_by_others(session: Session, account_id: str, now: Chunk | None, then: Chunk | None) -> list[Bar]:
    """Return a bar for each onboarded prefix of the snapshot that is somebody else's today."""
    wanted = {p.id: p for p in (() if then is None else then.prefixes)}
    standing = {p.id for p in (() if now is None else now.prefixes)}
    owners: dict[str, str] = {}
    reserved: set[str] = set()  # until a tombstone is purged nobody else can have a part of it
    for some in _parts(wanted):
        known = select(PrefixRow.id, PrefixRow.account_id, PrefixRow.deletion_id).where(
            PrefixRow.id.in_(some)
        )
        for id_, owner, deletion_id in session.execute(known):
            owners[id_] = owner
            if deletion_id is not None:
                reserved.add(id_)
    found = []
    for prefix in wanted.values():
        owner = owners.get(prefix.id, account_id)
        if owner == account_id and prefix.id not in standing and prefix.id not in reserved:
            owner = _holder(session, account_id, prefix)
        if owner != account_id:
            found.append(Bar(prefix.cidr, f"it is account {owner}'s now"))
    return found


def _holder(session: Session, account_id: str, prefix: PrefixObject) -> str:
    """Return another account that has a part of the space, or had it and may have it back; else its own."""
    cidr = Prefix(prefix.cidr)
    others = (*rows.overlapping(session, cidr), *rows.reserved(session, cidr))
    return next((row.account_id for row in others if row.account_id != account_id), account_id)


def _parts(names: Collection[str]) -> list[list[str]]:
    ordered = sorted(names)
    return [ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)]
