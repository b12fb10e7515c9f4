"""What an account reaches of a prefix: all of its own, or the parts that another account delegated to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow
from controller.addressing.writes import Write
from controller.bgp import Prefix, covers


@dataclass(frozen=True, slots=True)
class Reach:
    """``delegations`` is empty for the owner, who reaches everything."""

    account_id: str
    prefix: PrefixRow
    delegations: tuple[DelegationRow, ...] = ()

    @property
    def owns(self) -> bool:
        """Whether the prefix is the account's own."""
        return self.prefix.account_id == self.account_id

    @property
    def parts(self) -> list[Prefix]:
        """What was delegated."""
        return [Prefix(d.cidr) for d in self.delegations]

    def by(self, cidr: str) -> DelegationRow | None:
        """Return the delegation in which ``cidr`` lies; None for an owner, or when it lies in none."""
        return next((d for d in self.delegations if covers(Prefix(d.cidr), Prefix(cidr))), None)

    def sees(self, cidr: str) -> bool:
        """Tell whether an object of ``cidr`` is the account's to see."""
        return self.owns or self.by(cidr) is not None

    def meets(self, cidr: str) -> bool:
        """Tell whether addresses of the account lie in ``cidr``, which may be wider than what it sees."""
        return self.sees(cidr) or any(covers(Prefix(cidr), part) for part in self.parts)

    def require_owner(self, what: str) -> None:
        """Refuse (403) a delegated account."""
        if not self.owns:
            raise Refusal(
                Kind.NOT_THE_OWNER,
                f"{self.prefix.cidr} is delegated to account {self.account_id}: only its owner can {what}",
            )


def of(session: Session, account_id: str, prefix_id: str) -> Reach:
    """Return what the account reaches of the prefix; 404 when that is nothing."""
    prefix = session.get(PrefixRow, prefix_id)
    if prefix is not None and prefix.deleted_at is None:
        if prefix.account_id == account_id:
            return Reach(account_id, prefix)
        delegations = tuple(delegations_in(session, prefix.id, account_id))
        if delegations:
            return Reach(account_id, prefix, delegations)
    raise Refusal(Kind.NOT_FOUND, f"account {account_id} has no prefix {prefix_id!r}")


def delegations_in(
    session: Session, prefix_id: str, delegated_account_id: str | None = None
) -> Sequence[DelegationRow]:
    """Return the delegations of a prefix, or those to one account, in the order of creation."""
    query = select(DelegationRow).where(
        DelegationRow.prefix_id == prefix_id, DelegationRow.deleted_at.is_(None)
    )
    if delegated_account_id is not None:
        query = query.where(DelegationRow.delegated_account_id == delegated_account_id)
    return session.scalars(query.order_by(DelegationRow.created_at, DelegationRow.id)).all()


def the_bgp_prefix(session: Session, reach: Reach, bgp_prefix_id: str) -> BgpPrefixRow:
    """Return the BGP prefix; 404 when the account sees none of that id in this prefix."""
    row = session.get(BgpPrefixRow, bgp_prefix_id)
    if row is None or row.prefix_id != reach.prefix.id or row.deleted_at or not reach.sees(row.cidr):
        raise Refusal(Kind.NOT_FOUND, f"prefix {reach.prefix.cidr} has no BGP prefix {bgp_prefix_id!r}")
    return row


def the_binding(session: Session, reach: Reach, binding_id: str) -> BindingRow:
    """Return the binding; 404 when the account sees none of that id in this prefix."""
    row = session.get(BindingRow, binding_id)
    if row is None or row.prefix_id != reach.prefix.id or row.deleted_at or not reach.sees(row.cidr):
        raise Refusal(Kind.NOT_FOUND, f"prefix {reach.prefix.cidr} has no binding {binding_id!r}")
    return row


def record(write: Write, action: str, kind: str, row: BgpPrefixRow | BindingRow, **detail: object) -> None:
    """Note a change in the owner's history, and in that of each account to which a part is delegated.

    Whoever uses delegated addresses learns of all that happens to them, by whomever.
    """
    write.record(action, kind, row.id, row.account_id, **detail)
    concerned = {
        d.delegated_account_id
        for d in delegations_in(write.session, row.prefix_id)
        if covers(Prefix(d.cidr), Prefix(row.cidr)) or covers(Prefix(row.cidr), Prefix(d.cidr))
    }
    for account in sorted(concerned):
        write.record(action, kind, row.id, account, **detail, owner=row.account_id)
