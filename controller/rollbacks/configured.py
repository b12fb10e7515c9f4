"""Puts configured rows to what the operational state says of them: what a dropped change-set asked for goes.

A chunk has all that is operational: ids, addresses, origins, sites, prepends, services. What only customers
and operators see (descriptions, letters, the delegations of a deleted prefix) is in the rows themselves,
which keep all their values under a tombstone, and comes back with them. Only what was purged is made anew
from the chunk alone, without these: whoever purges has waited for the time of grace, and says that it is for
good.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import uuid4

from sqlalchemy import select

from controller.addressing import reach
from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_tables import DeletionRow
from controller.addressing.rules import bounds
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow
from controller.addressing.writes import Write
from controller.bgp import Prefix
from controller.snapshots.model import BgpPrefixObject, BindingObject, ObjectKind, PrefixObject
from controller.snapshots.objects import Objects

Key = tuple[ObjectKind, str]
Row = PrefixRow | BgpPrefixRow | BindingRow
KINDS: tuple[ObjectKind, ...] = ("prefix", "binding", "bgp_prefix")


def put_back(write: Write, account_id: str, keys: Collection[Key], wanted: Objects) -> int:
    """Put the account's rows of these objects to what ``wanted`` has of them; return how many have changed.

    What is not wanted is tombstoned first, so that its place is free.
    """
    changed = 0
    rows = {key: _row(write, account_id, key) for key in keys}
    for key, row in rows.items():
        if row is not None and key not in wanted:
            changed += _take(write, row)
    write.session.flush()
    for kind in KINDS:
        for key in sorted(k for k in keys if k[0] == kind and k in wanted):
            changed += _put(write, account_id, key, rows[key], wanted)
            write.session.flush()
    return changed


def _row(write: Write, account_id: str, key: Key) -> Row | None:
    row: Row | None
    if key[0] == "prefix":
        row = write.session.get(PrefixRow, key[1])
    elif key[0] == "binding":
        row = write.session.get(BindingRow, key[1])
    else:
        row = write.session.get(BgpPrefixRow, key[1])
    if row is not None and row.account_id != account_id:
        raise Refusal(
            Kind.NOT_IN_THAT_STATE,
            f"{key[0]} {row.cidr} ({row.id}) is account {row.account_id}'s now: keep the change-set about it",
        )
    return row


def _take(write: Write, row: Row) -> int:
    """Tombstone a row that the operational state does not have; a prefix is only not approved any more."""
    if isinstance(row, PrefixRow):
        if not row.approved:
            return 0
        row.approved, row.approved_at, row.modified_at = False, None, write.now
        _tell(write, row)
        return 1
    if row.deleted_at is not None:
        return 0
    row.deleted_at = write.now
    _tell(write, row)
    return 1


def _put(write: Write, account_id: str, key: Key, row: Row | None, wanted: Objects) -> int:
    thing = wanted[key]
    if isinstance(thing, PrefixObject):
        assert row is None or isinstance(row, PrefixRow)
        return _put_prefix(write, account_id, row, thing)
    if isinstance(thing, BindingObject):
        assert row is None or isinstance(row, BindingRow)
        return _put_binding(write, account_id, row, thing)
    assert row is None or isinstance(row, BgpPrefixRow)
    return _put_bgp_prefix(write, account_id, row, thing)


def _put_prefix(write: Write, account_id: str, row: PrefixRow | None, thing: PrefixObject) -> int:
    if row is None:
        low, high = bounds(thing.cidr)
        row = PrefixRow(
            id=thing.id, account_id=account_id, cidr=thing.cidr, low=low, high=high, asn=thing.asn,
            description="", delegate_loa_creation=False, ownership_token=str(uuid4()), approved=True,
            approved_at=write.now, created_at=write.now, modified_at=write.now,
        )  # fmt: skip
        write.session.add(row)
    elif row.deleted_at is None and row.approved and row.asn == thing.asn:
        return 0
    else:
        _end_deletion(write, row)
        row.deleted_at, row.deletion_id, row.asn, row.modified_at = None, None, thing.asn, write.now
        if not row.approved:
            row.approved, row.approved_at = True, write.now
    _tell(write, row)
    return 1


def _end_deletion(write: Write, row: PrefixRow) -> None:
    """Bring back what a deletion took that no chunk has: the delegations; and say that it is undone."""
    if row.deletion_id is None:
        return
    deletion = write.session.get(DeletionRow, row.deletion_id)
    if deletion is not None and deletion.outcome is None:
        deletion.outcome, deletion.ended_at = "undeleted", write.now
    for delegation in write.session.scalars(
        select(DelegationRow).where(DelegationRow.deletion_id == row.deletion_id).order_by(DelegationRow.id)
    ):
        if _is_delegated_again(write, delegation):
            continue
        delegation.deleted_at, delegation.deletion_id = None, None
        for account in (delegation.account_id, delegation.delegated_account_id):
            write.record("undelete", "delegation", delegation.id, account, cidr=delegation.cidr)
    write.session.flush()


def _is_delegated_again(write: Write, delegation: DelegationRow) -> bool:
    standing = select(DelegationRow.id).where(
        DelegationRow.account_id == delegation.account_id,
        DelegationRow.cidr == delegation.cidr,
        DelegationRow.deleted_at.is_(None),
    )
    return write.session.scalar(standing.limit(1)) is not None


def _put_binding(write: Write, account_id: str, row: BindingRow | None, thing: BindingObject) -> int:
    if row is None:
        row = BindingRow(
            id=thing.id, account_id=account_id, prefix_id=thing.prefix_id, cidr=thing.cidr,
            service_id=thing.service_id, created_at=write.now,
        )  # fmt: skip
        write.session.add(row)
    elif row.deleted_at is None and row.service_id == thing.service_id:
        return 0
    else:
        row.deleted_at, row.deletion_id, row.service_id = None, None, thing.service_id
    _tell(write, row)
    return 1


def _put_bgp_prefix(write: Write, account_id: str, row: BgpPrefixRow | None, thing: BgpPrefixObject) -> int:
    sites = None if thing.sites is None else list(thing.sites)
    if row is None:
        row = BgpPrefixRow(
            id=thing.id, account_id=account_id, prefix_id=thing.prefix_id, cidr=thing.cidr, asn=thing.asn,
            asn_prepend_count=thing.prepends, auto_advertise_withdraw=False, advertised=thing.advertised,
            advertised_modified_at=write.now if thing.advertised else None, locked=False, sites=sites,
            created_at=write.now, modified_at=write.now,
        )  # fmt: skip
        write.session.add(row)
        _tell(write, row)
        return 1
    is_so = (row.asn, row.asn_prepend_count, row.advertised, row.sites) == (
        thing.asn, thing.prepends, thing.advertised, sites,
    )  # fmt: skip
    if row.deleted_at is None and is_so:
        return 0
    if row.advertised != thing.advertised:
        row.advertised_modified_at = write.now
    row.asn, row.asn_prepend_count, row.advertised, row.sites = (
        thing.asn, thing.prepends, thing.advertised, sites,
    )  # fmt: skip
    row.deleted_at, row.deletion_id, row.modified_at = None, None, write.now
    _tell(write, row)
    return 1


def _tell(write: Write, row: Row) -> None:
    """Note in all histories that it concerns that a row is as the operational state has it again."""
    if isinstance(row, PrefixRow):
        write.record("put-back", "prefix", row.id, row.account_id, cidr=Prefix(row.cidr))
        return
    write.session.flush()
    reach.record(
        write, "put-back", "binding" if isinstance(row, BindingRow) else "bgp_prefix", row, cidr=row.cidr
    )
