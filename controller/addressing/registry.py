"""Issues the registry: for each account the signed entry of what it may announce at all (SAFETY.md, 3).

It is read from whose a prefix is, and not from what is to be announced. Its key is its own, in the file
``registry.key`` of the state directory (one line of base64, mode 0600, made at the first start): whoever
steals the key of intents cannot widen what leaves a site, and the other way round. To change it, give agents
the new public key beside the old one, put the new key into the file, and start again: every entry is signed
when it is sent.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from controller.addressing import rows
from controller.addressing.errors import AddressingError
from controller.addressing.life_tables import RevocationRow
from controller.addressing.private_file import write_private
from controller.addressing.registry_tables import RegistryEntryRow
from controller.addressing.tables import PrefixRow
from controller.bgp import Prefix
from controller.safety.registry import Loss, Owned, RegistryEntry, compose, sign_entry
from controller.snapshots import pins
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash, PrefixObject, SnapshotError
from controller.snapshots.overlaps import Overlaps
from controller.snapshots.rollback_tables import RollbackAccountRow, RollbackRow
from controller.snapshots.tables import SnapshotRow
from controller.store import Store

AT_ONCE = 500


class RegistryKeyError(AddressingError):
    """The file with the registry's key cannot be read; a person must put it back."""


class RegistryIssuer:
    """Issues entries; ``public_key``: raw, what agents check them with."""

    def __init__(self, store: Store, key: bytes) -> None:
        self._store = store
        self._key = key
        self.public_key = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()

    def issue(self, accounts: Collection[str], now: datetime) -> dict[str, str]:
        """Return the signed entry of each account, as of now; blocks.

        Serials rise when an entry has changed, and are above the milliseconds of ``now``, so that a store
        that was restored from a copy soon is above what its sites have seen.
        """
        with self._store.read() as session:
            entries = compose_all(session, accounts)
            serials = _serials(session, entries)
        changed = [account_id for account_id in entries if account_id not in serials]
        if changed:
            with self._store.write() as session:  # what others wrote meanwhile counts
                entries |= compose_all(session, changed)
                serials |= _number(session, {a: entries[a] for a in changed}, now)
        return {
            account_id: sign_entry(msgspec.structs.replace(entry, serial=serials[account_id]), self._key)
            for account_id, entry in entries.items()
        }

    def look(self, account_id: str) -> tuple[RegistryEntry, int | None]:
        """Return the account's entry as of now, and its serial; None while it was not issued so. Blocks."""
        with self._store.read() as session:
            entries = compose_all(session, [account_id])
            return entries[account_id], _serials(session, entries).get(account_id)

    def revoked(self, after: int, now: datetime) -> tuple[dict[str, str], int] | None:
        """Return the entries of accounts that lost something after that number of the ledger; blocks.

        With them up to which number they tell of it; None: nothing was revoked since.
        """
        newest = select(RevocationRow.seq, RevocationRow.account_id).where(RevocationRow.seq > after)
        with self._store.read() as session:
            found = session.execute(newest.order_by(RevocationRow.seq).limit(AT_ONCE)).all()
        if not found:
            return None
        return self.issue({account_id for _, account_id in found}, now), found[-1][0]


def open_registry(store: Store, path: Path) -> RegistryIssuer:
    """Return the issuer with the key in ``path``, which is made when there is none.

    Raises :class:`RegistryKeyError` when the file is there and damaged: agents believe that key alone.
    """
    try:
        raw = base64.b64decode(path.read_text().strip(), validate=True)
        return RegistryIssuer(store, raw)
    except FileNotFoundError:
        raw = Ed25519PrivateKey.generate().private_bytes_raw()
        write_private(path, base64.b64encode(raw).decode())
        return RegistryIssuer(store, raw)
    except (OSError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        raise RegistryKeyError(f"cannot read the registry's key {path} ({error}): put it back") from error


def compose_all(session: Session, accounts: Iterable[str]) -> dict[str, RegistryEntry]:
    """Return the accounts' entries, with the serial 0, from the rows of prefixes and the ledger.

    A tombstone still counts: until it is purged, an undelete or a rollback may bring it back. While a
    rollback is being decided on, what it brings back counts, less what was revoked since its snapshot.
    """
    names = sorted(set(accounts))
    owned: dict[str, list[Owned]] = {account_id: [] for account_id in names}
    lost: dict[str, list[Loss]] = {account_id: [] for account_id in names}
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        prefixes = select(PrefixRow.account_id, PrefixRow.cidr, PrefixRow.asn, PrefixRow.approved_at).where(
            PrefixRow.account_id.in_(some),
            PrefixRow.approved,
            or_(PrefixRow.deleted_at.is_(None), PrefixRow.deletion_id.is_not(None)),
        )
        for account_id, cidr, asn, approved_at in session.execute(prefixes):
            owned[account_id].append(Owned(Prefix(cidr), asn, approved_at))
        back = {account_id: _rollback_of(session, account_id) for account_id in some}
        for row in session.scalars(select(RevocationRow).where(RevocationRow.account_id.in_(some))):
            rollback = back[row.account_id]
            if rollback is None or not rollback.undoes(row):
                lost[row.account_id].append(Loss(row.seq, row.kind, Prefix(row.cidr), row.at))
        for account_id, rollback in back.items():
            if rollback is not None:
                owned[account_id] += [Owned(p.cidr, p.asn, None) for p in rollback.purged]
    return {account_id: compose(account_id, owned[account_id], lost[account_id]) for account_id in names}


@dataclass(frozen=True, slots=True)
class _Rollback:
    """What a rollback brings back to an account, as long as nobody has decided on all of it.

    ``since``: when its snapshot was made; ``announced``: what that announces, ``purged``: what has no row.
    """

    since: datetime
    announced: Overlaps[Prefix]
    purged: tuple[PrefixObject, ...]

    def undoes(self, row: RevocationRow) -> bool:
        """Tell whether the snapshot announced it, though it had been revoked already (SAFETY.md, 8)."""
        return row.at < self.since and bool(self.announced.touching(Prefix(row.cidr)))


def _rollback_of(session: Session, account_id: str) -> _Rollback | None:
    pin = pins.pin_of(session, account_id)
    made = None if pin is None else session.get(RollbackAccountRow, (pin.rollback_seq, account_id))
    if pin is None or made is None:
        return None
    to = session.get_one(RollbackRow, pin.rollback_seq).snapshot_id
    snapshot = session.scalar(select(SnapshotRow).where(SnapshotRow.id == to))
    if snapshot is None:
        return None
    try:
        chunk = snapshots.chunk(session, ChunkHash(made.to_hash))
    except SnapshotError:
        return None  # whatever is to be sent says so
    return _Rollback(
        snapshot.at,
        Overlaps((b.cidr, b.cidr) for b in chunk.bgp_prefixes if b.advertised),
        tuple(p for p in chunk.prefixes if _is_free(session, account_id, p)),
    )


def _is_free(session: Session, account_id: str, prefix: PrefixObject) -> bool:
    """Tell whether a prefix was purged, and nobody else has a part of it or may have it back."""
    if session.get(PrefixRow, prefix.id) is not None:
        return False
    others = (*rows.overlapping(session, prefix.cidr), *rows.reserved(session, prefix.cidr))
    return all(row.account_id == account_id for row in others)


def _serials(session: Session, entries: Mapping[str, RegistryEntry]) -> dict[str, int]:
    """Return the serials of those entries that are as they were issued last."""
    found: dict[str, int] = {}
    names = list(entries)
    for start in range(0, len(names), AT_ONCE):
        issued = select(RegistryEntryRow).where(
            RegistryEntryRow.account_id.in_(names[start : start + AT_ONCE])
        )
        for row in session.scalars(issued):
            if row.body == msgspec.json.encode(entries[row.account_id]):
                found[row.account_id] = row.serial
    return found


def _number(session: Session, entries: Mapping[str, RegistryEntry], now: datetime) -> dict[str, int]:
    """Return the serials of ``entries``, new ones for those that differ from what was issued last."""
    serials = _serials(session, entries)
    least = int(now.timestamp() * 1000)
    for account_id, entry in entries.items():
        if account_id in serials:
            continue
        row = session.get(RegistryEntryRow, account_id)
        if row is None:
            row = RegistryEntryRow(account_id=account_id, serial=0)
            session.add(row)
        row.serial = max(row.serial + 1, least)
        row.body, row.issued_at = msgspec.json.encode(entry), now
        serials[account_id] = row.serial
    return serials
