"""Finding rows, and rows as the objects of a change-set. Tombstones are never found."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.rules import bounds
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow, ServiceRow
from controller.bgp import Prefix
from controller.snapshots.model import BgpPrefixObject, BindingObject, PrefixObject


def the_prefix(session: Session, account_id: str, prefix_id: str) -> PrefixRow:
    """Return the account's prefix; 404 when it has none of that id, whoever else has."""
    row = session.get(PrefixRow, prefix_id)
    if row is None or row.account_id != account_id or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no prefix {prefix_id!r}")
    return row


def the_bgp_prefix(session: Session, prefix: PrefixRow, bgp_prefix_id: str) -> BgpPrefixRow:
    """Return the BGP prefix in ``prefix``; 404 when it has none of that id."""
    row = session.get(BgpPrefixRow, bgp_prefix_id)
    if row is None or row.prefix_id != prefix.id or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"prefix {prefix.cidr} has no BGP prefix {bgp_prefix_id!r}")
    return row


def the_binding(session: Session, prefix: PrefixRow, binding_id: str) -> BindingRow:
    """Return the binding in ``prefix``; 404 when it has none of that id."""
    row = session.get(BindingRow, binding_id)
    if row is None or row.prefix_id != prefix.id or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"prefix {prefix.cidr} has no binding {binding_id!r}")
    return row


def the_service(session: Session, service_id: str, pointer: str) -> ServiceRow:
    """Return the service; refused, with the list of those that there are."""
    row = session.get(ServiceRow, service_id)
    if row is None:
        known = ", ".join(session.scalars(select(ServiceRow.id).order_by(ServiceRow.id))) or "none"
        raise Refusal(
            Kind.MALFORMED_BODY, f"no service has the id {service_id!r}: there are {known}", pointer
        )
    return row


def prefixes_of(session: Session, account_id: str) -> Sequence[PrefixRow]:
    """Return the account's prefixes in the order of creation."""
    return session.scalars(
        select(PrefixRow)
        .where(PrefixRow.account_id == account_id, PrefixRow.deleted_at.is_(None))
        .order_by(PrefixRow.created_at, PrefixRow.id)
    ).all()


def overlapping(session: Session, prefix: Prefix) -> Sequence[PrefixRow]:
    """Return the onboarded prefixes of all accounts that overlap ``prefix``."""
    low, high = bounds(prefix)
    return session.scalars(
        select(PrefixRow).where(PrefixRow.low <= high, PrefixRow.high >= low, PrefixRow.deleted_at.is_(None))
    ).all()


def bgp_prefixes_of(
    session: Session, account_id: str, prefix_id: str | None = None
) -> Sequence[BgpPrefixRow]:
    """Return the account's BGP prefixes, or those in one prefix, in the order of creation."""
    query = select(BgpPrefixRow).where(
        BgpPrefixRow.account_id == account_id, BgpPrefixRow.deleted_at.is_(None)
    )
    if prefix_id is not None:
        query = query.where(BgpPrefixRow.prefix_id == prefix_id)
    return session.scalars(query.order_by(BgpPrefixRow.created_at, BgpPrefixRow.id)).all()


def bindings_of(session: Session, account_id: str, prefix_id: str | None = None) -> Sequence[BindingRow]:
    """Return the account's bindings, or those in one prefix, in the order of creation."""
    query = select(BindingRow).where(BindingRow.account_id == account_id, BindingRow.deleted_at.is_(None))
    if prefix_id is not None:
        query = query.where(BindingRow.prefix_id == prefix_id)
    return session.scalars(query.order_by(BindingRow.created_at, BindingRow.id)).all()


def prefix_object(row: PrefixRow) -> PrefixObject:
    """Return the row as an object of a chunk."""
    return PrefixObject(row.id, Prefix(row.cidr), row.asn)


def bgp_prefix_object(row: BgpPrefixRow) -> BgpPrefixObject:
    """Return the row as an object of a chunk."""
    sites = None if row.sites is None else tuple(row.sites)
    return BgpPrefixObject(
        row.id, row.prefix_id, Prefix(row.cidr), row.asn, row.advertised, sites, row.asn_prepend_count
    )


def binding_object(row: BindingRow) -> BindingObject:
    """Return the row as an object of a chunk."""
    return BindingObject(row.id, row.prefix_id, Prefix(row.cidr), row.service_id)
