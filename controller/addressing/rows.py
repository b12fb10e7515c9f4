"""Finding rows, and rows as the objects of a change-set. Tombstones are never found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import Session

from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.errors import Kind, Refusal
from controller.addressing.rules import bounds, starts_around
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow, ServiceRow
from controller.addressing.validation_tables import PrefixCheckRow
from controller.bgp import Prefix
from controller.snapshots.model import BgpPrefixObject, BindingObject, PrefixObject


def the_prefix(session: Session, account_id: str, prefix_id: str) -> PrefixRow:
    """Return the account's own prefix; 404 when it has none of that id, whoever else has.

    An account to which a part of it was delegated knows that it is there, and is told (403) that this is
    for its owner; what such an account can do goes by :mod:`controller.addressing.reach`.
    """
    row = session.get(PrefixRow, prefix_id)
    if row is None or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no prefix {prefix_id!r}")
    if row.account_id != account_id:
        if is_delegated(session, prefix_id, account_id):
            raise Refusal(
                Kind.NOT_THE_OWNER,
                f"{row.cidr} is delegated to account {account_id}: only its owner can do this",
            )
        raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no prefix {prefix_id!r}")
    return row


def is_delegated(session: Session, prefix_id: str, account_id: str) -> bool:
    """Tell whether any part of the prefix is delegated to the account."""
    found = select(DelegationRow.id).where(
        DelegationRow.prefix_id == prefix_id,
        DelegationRow.delegated_account_id == account_id,
        DelegationRow.deleted_at.is_(None),
    )
    return session.scalar(found.limit(1)) is not None


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


def any_prefix(session: Session, account_id: str, prefix_id: str, pointer: str) -> PrefixRow:
    """Return the account's prefix, a tombstone too: a place in a list outlives what stood there."""
    row = session.get(PrefixRow, prefix_id)
    if row is None or row.account_id != account_id:
        raise Refusal(Kind.MALFORMED_QUERY, f"account {account_id} has no prefix {prefix_id!r}", pointer)
    return row


def count_prefixes(session: Session, account_id: str) -> int:
    """Return how many prefixes the account has."""
    live = select(func.count()).where(PrefixRow.account_id == account_id, PrefixRow.deleted_at.is_(None))
    return session.scalar(live) or 0


def prefixes_after(
    session: Session, account_id: str, last: PrefixRow | None, limit: int
) -> Sequence[PrefixRow]:
    """Return the account's next prefixes in the order of creation; ``last`` None: the first ones."""
    query = select(PrefixRow).where(PrefixRow.account_id == account_id, PrefixRow.deleted_at.is_(None))
    if last is not None:
        query = query.where(tuple_(PrefixRow.created_at, PrefixRow.id) > (last.created_at, last.id))
    return session.scalars(query.order_by(PrefixRow.created_at, PrefixRow.id).limit(limit)).all()


def bgp_prefixes_in(session: Session, prefix_ids: Sequence[str]) -> Sequence[BgpPrefixRow]:
    """Return the BGP prefixes in any of these prefixes, in the order of creation."""
    return session.scalars(
        select(BgpPrefixRow)
        .where(BgpPrefixRow.prefix_id.in_(prefix_ids), BgpPrefixRow.deleted_at.is_(None))
        .order_by(BgpPrefixRow.created_at, BgpPrefixRow.id)
    ).all()


@dataclass(slots=True)
class Parts:
    """What stands in a prefix, in the order of creation; ``once_advertised``: a part of it ever was."""

    bgp: list[BgpPrefixRow] = field(default_factory=list)
    bindings: list[BindingRow] = field(default_factory=list)
    once_advertised: bool = False
    checks: list[PrefixCheckRow] = field(default_factory=list)

    @property
    def validation_asked(self) -> bool:
        """Whether its checks were asked for."""
        return bool(self.checks)


def parts_in(session: Session, prefix_ids: Sequence[str]) -> dict[str, Parts]:
    """Return what stands in each of these prefixes."""
    found = {prefix_id: Parts() for prefix_id in prefix_ids}
    for bgp in bgp_prefixes_in(session, prefix_ids):
        found[bgp.prefix_id].bgp.append(bgp)
    for binding in session.scalars(
        select(BindingRow)
        .where(BindingRow.prefix_id.in_(prefix_ids), BindingRow.deleted_at.is_(None))
        .order_by(BindingRow.created_at, BindingRow.id)
    ):
        found[binding.prefix_id].bindings.append(binding)
    was = select(BgpPrefixRow.prefix_id).where(
        BgpPrefixRow.prefix_id.in_(prefix_ids), BgpPrefixRow.advertised_modified_at.is_not(None)
    )
    for prefix_id in session.scalars(was.distinct()):
        found[prefix_id].once_advertised = True
    for check in session.scalars(select(PrefixCheckRow).where(PrefixCheckRow.prefix_id.in_(prefix_ids))):
        found[check.prefix_id].checks.append(check)
    return found


def parts_of(session: Session, prefix_id: str) -> Parts:
    """Return what stands in one prefix."""
    return parts_in(session, [prefix_id])[prefix_id]


def overlapping(session: Session, prefix: Prefix) -> Sequence[PrefixRow]:
    """Return the onboarded prefixes of all accounts that overlap ``prefix``.

    Of two CIDRs that overlap one covers the other, so they are found by where they start: the index gives
    them without a look at all that start before.
    """
    return session.scalars(select(PrefixRow).where(_overlaps(prefix), PrefixRow.deleted_at.is_(None))).all()


def reserved(session: Session, prefix: Prefix) -> Sequence[PrefixRow]:
    """Return the tombstones of all accounts that overlap ``prefix``; until purged they may return."""
    return session.scalars(
        select(PrefixRow).where(_overlaps(prefix), PrefixRow.deletion_id.is_not(None))
    ).all()


def _overlaps(prefix: Prefix) -> ColumnElement[bool]:
    low, high = bounds(prefix)
    within = PrefixRow.low.between(low, high)
    around = PrefixRow.low.in_(set(starts_around(prefix))) & (PrefixRow.high >= high)
    return or_(within, around)


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
