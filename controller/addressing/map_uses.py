"""What enabled address maps stand on: bindings and delegations that they would miss."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import address_map_rules as maps
from controller.addressing.address_map_tables import AddressMapRow, MapIpRow, MembershipRow
from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.errors import Kind, Refusal
from controller.addressing.rules import bounds
from controller.addressing.tables import BindingRow, ServiceRow
from controller.bgp import Prefix


def enabled_in(session: Session, cidr: Prefix) -> Sequence[tuple[AddressMapRow, MapIpRow]]:
    """Return the addresses of all enabled maps that lie in ``cidr``."""
    return [(m, i) for m, i in live_in(session, cidr) if m.enabled]


def live_in(session: Session, cidr: Prefix) -> Sequence[tuple[AddressMapRow, MapIpRow]]:
    """Return the addresses of all maps that lie in ``cidr``."""
    low, high = bounds(cidr)
    query = (
        select(AddressMapRow, MapIpRow)
        .join(MapIpRow, MapIpRow.map_id == AddressMapRow.id)
        .where(
            MapIpRow.address.between(low, high),
            MapIpRow.deleted_at.is_(None),
            AddressMapRow.deleted_at.is_(None),
        )
        .order_by(MapIpRow.address)
    )
    return [(m, i) for m, i in session.execute(query)]


def bindings_at(session: Session, owner: str, ip: str) -> list[tuple[BindingRow, str]]:
    """Return the owner's bindings in which an address lies, each with its service's name."""
    query = (
        select(BindingRow, ServiceRow.name)
        .join(ServiceRow, ServiceRow.id == BindingRow.service_id)
        .where(
            BindingRow.account_id == owner,
            BindingRow.cidr.in_(maps.around(ip)),
            BindingRow.deleted_at.is_(None),
        )
    )
    return [(b, name) for b, name in session.execute(query)]


def may_unbind(session: Session, binding: BindingRow) -> None:
    """Refuse to delete a binding without which nothing would answer at an address of an enabled map."""
    for address_map, entry in enabled_in(session, Prefix(binding.cidr)):
        left = [
            (Prefix(b.cidr), name)
            for b, name in bindings_at(session, binding.account_id, entry.ip)
            if b.id != binding.id
        ]
        best = maps.serving(left)
        if best is None or not maps.fits(best[1]):
            raise Refusal(
                Kind.BINDING_IN_USE,
                f"{entry.ip} of the enabled address map {address_map.id} is served by the binding of "
                f"{binding.cidr}: disable the map or take the address out first",
            )


def of_delegation(session: Session, delegation: DelegationRow) -> list[str]:
    """Return what of address maps stands on a delegation, as people would name it."""
    named = [
        f"{entry.ip} of address map {address_map.id}"
        for address_map, entry in live_in(session, Prefix(delegation.cidr))
        if address_map.account_id == delegation.delegated_account_id
    ]
    others = select(DelegationRow.id).where(
        DelegationRow.account_id == delegation.account_id,
        DelegationRow.delegated_account_id == delegation.delegated_account_id,
        DelegationRow.deleted_at.is_(None),
        DelegationRow.id != delegation.id,
    )
    if session.scalar(others.limit(1)) is not None:
        return named
    members = session.scalars(
        select(MembershipRow.map_id)
        .join(AddressMapRow, AddressMapRow.id == MembershipRow.map_id)
        .where(
            MembershipRow.kind == "account",
            MembershipRow.identifier == delegation.delegated_account_id,
            MembershipRow.deleted_at.is_(None),
            AddressMapRow.account_id == delegation.account_id,
            AddressMapRow.deleted_at.is_(None),
        )
    )
    return named + [f"its membership of address map {map_id}" for map_id in members]
