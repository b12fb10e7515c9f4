"""Address maps in the store: finding them, and what may be put into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import address_map_rules as maps
from controller.addressing import map_uses, rows
from controller.addressing.address_map_tables import AddressMapRow, MapIpRow, MembershipRow
from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write
from controller.bgp import Prefix, covers


def the_map(session: Session, account_id: str, map_id: str) -> AddressMapRow:
    """Return the account's map; 404 when it has none of that id."""
    row = session.get(AddressMapRow, map_id)
    if row is None or row.account_id != account_id or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no address map {map_id!r}")
    return row


def maps_of(session: Session, account_id: str) -> Sequence[AddressMapRow]:
    """Return the account's maps in the order of creation."""
    return session.scalars(
        select(AddressMapRow)
        .where(AddressMapRow.account_id == account_id, AddressMapRow.deleted_at.is_(None))
        .order_by(AddressMapRow.created_at, AddressMapRow.id)
    ).all()


def ips_of(session: Session, map_id: str) -> Sequence[MapIpRow]:
    """Return the addresses of a map, ordered."""
    return session.scalars(
        select(MapIpRow)
        .where(MapIpRow.map_id == map_id, MapIpRow.deleted_at.is_(None))
        .order_by(MapIpRow.address)
    ).all()


def members_of(session: Session, map_id: str) -> Sequence[MembershipRow]:
    """Return the members of a map in the order of creation."""
    return session.scalars(
        select(MembershipRow)
        .where(MembershipRow.map_id == map_id, MembershipRow.deleted_at.is_(None))
        .order_by(MembershipRow.created_at, MembershipRow.kind, MembershipRow.identifier)
    ).all()


def the_ip(session: Session, map_id: str, ip: str) -> MapIpRow | None:
    """Return one address of a map; None when it is not in it."""
    return session.scalar(
        select(MapIpRow).where(MapIpRow.map_id == map_id, MapIpRow.ip == ip, MapIpRow.deleted_at.is_(None))
    )


def the_member(session: Session, map_id: str, kind: str, identifier: str) -> MembershipRow | None:
    """Return one member of a map; None when it is none."""
    return session.scalar(
        select(MembershipRow).where(
            MembershipRow.map_id == map_id,
            MembershipRow.kind == kind,
            MembershipRow.identifier == identifier,
            MembershipRow.deleted_at.is_(None),
        )
    )


def check_ip(session: Session, row: AddressMapRow, ip: str, pointer: str, *, enabled: bool) -> None:
    """Refuse an address that is not the account's to use, that nobody serves, or that answers elsewhere."""
    owner = _owner_of(session, row.account_id, ip, pointer)
    served = [(Prefix(b.cidr), name) for b, name in map_uses.bindings_at(session, owner, ip)]
    maps.is_served(ip, served, pointer)
    if not enabled:
        return
    for other, _ in map_uses.enabled_in(session, maps.around(ip)[0]):
        if other.id != row.id:
            whose = f"address map {other.id}" if other.account_id == row.account_id else "another account's"
            raise Refusal(
                Kind.IP_IN_ANOTHER_MAP,
                f"{ip} is in {whose}, which is enabled: an address answers by one map at a time",
                pointer,
            )


def _owner_of(session: Session, account_id: str, ip: str, pointer: str) -> str:
    """Return whose bindings serve the address: the account's own, or whose delegation it lies in."""
    host = maps.around(ip)[0]
    around = [p for p in rows.overlapping(session, host) if covers(Prefix(p.cidr), host)]
    own = [p for p in around if p.account_id == account_id]
    if any(p.approved for p in own):
        return account_id
    delegated = session.scalar(
        select(DelegationRow.account_id)
        .join(PrefixRow, PrefixRow.id == DelegationRow.prefix_id)
        .where(
            DelegationRow.delegated_account_id == account_id,
            DelegationRow.cidr.in_(maps.around(ip)),
            DelegationRow.deleted_at.is_(None),
            PrefixRow.deleted_at.is_(None),
        )
        .limit(1)
    )
    if delegated is not None:
        return delegated
    if own:
        raise Refusal(
            Kind.PREFIX_NOT_APPROVED,
            f"{ip} lies in {own[0].cidr}, which has not been approved yet: an operator approves it first",
            pointer,
        )
    raise Refusal(
        Kind.NOT_WITHIN_PREFIX,
        f"{ip} lies in no prefix of account {account_id}, and in none that was delegated to it",
        pointer,
    )


def check_member(session: Session, account_id: str, kind: str, identifier: str, pointer: str) -> None:
    """Refuse an account that is neither this one nor one to which this one delegates addresses.

    Zones are no part of Herald: their identifiers are taken as they are.
    """
    if kind == "zone" or identifier == account_id:
        return
    delegated = select(DelegationRow.id).where(
        DelegationRow.account_id == account_id,
        DelegationRow.delegated_account_id == identifier,
        DelegationRow.deleted_at.is_(None),
    )
    if session.scalar(delegated.limit(1)) is None:
        raise Refusal(
            Kind.INVALID_MEMBER,
            f"account {identifier!r} cannot be a member: give {account_id!r} itself, or an account to which "
            "it delegates a part of a prefix",
            pointer,
        )


def put_ip(write: Write, row: AddressMapRow, ip: str) -> None:
    """Put an address into a map; one that is in it already stays as it is."""
    if the_ip(write.session, row.id, ip) is None:
        write.session.add(
            MapIpRow(id=uuid4().hex, map_id=row.id, ip=ip, address=maps.bytes_of(ip), created_at=write.now)
        )


def put_member(write: Write, row: AddressMapRow, kind: str, identifier: str) -> None:
    """Make somebody a member of a map; who is one already stays so."""
    if the_member(write.session, row.id, kind, identifier) is None:
        write.session.add(
            MembershipRow(
                id=uuid4().hex, map_id=row.id, kind=kind, identifier=identifier, created_at=write.now
            )
        )


def body(row: AddressMapRow) -> dict[str, Any]:
    """Return a map as lists and edits show it."""
    return {
        "id": row.id,
        "can_delete": row.can_delete,
        "can_modify_ips": row.can_modify_ips,
        "created_at": rfc3339(row.created_at),
        "default_sni": row.default_sni,
        "description": row.description,
        "enabled": row.enabled,
        "modified_at": rfc3339(row.modified_at),
    }


def whole_body(session: Session, row: AddressMapRow) -> dict[str, Any]:
    """Return a map with its addresses and members."""
    return {
        **body(row),
        "ips": [{"ip": i.ip, "created_at": rfc3339(i.created_at)} for i in ips_of(session, row.id)],
        "memberships": [
            {
                "can_delete": row.can_modify_ips,
                "created_at": rfc3339(m.created_at),
                "identifier": m.identifier,
                "kind": m.kind,
            }
            for m in members_of(session, row.id)
        ],
    }
