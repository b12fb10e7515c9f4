"""What a delegation allows, on plain values (pure); each raises :class:`Refusal` or returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from controller.addressing.errors import Kind, Refusal
from controller.bgp import Prefix, covers

BY_DELEGATE = frozenset({"on_demand"})
"""What a delegated account may change of a BGP prefix."""


def may_delegate(
    cidr: Prefix, account_id: str, delegated_account_id: str, there: Iterable[tuple[Prefix, str]]
) -> None:
    """Refuse a delegation to oneself, and one that overlaps another; ``there``: (cidr, to whom) of those.

    An address is delegated at most once, whoever to: who may bind a service to it is never in doubt.
    """
    if delegated_account_id == account_id:
        raise Refusal(
            Kind.INVALID_ACCOUNT,
            f"account {account_id} has this prefix itself: delegate to another account",
            "/delegated_account_id",
        )
    for other, whose in there:
        if (other, whose) == (cidr, delegated_account_id):
            raise Refusal(Kind.ALREADY_EXISTS, f"{cidr} is delegated to {whose} already", "/cidr")
        if covers(other, cidr) or covers(cidr, other):
            raise Refusal(
                Kind.DELEGATION_OVERLAPS,
                f"{cidr} overlaps {other}, which is delegated to {whose}: end that delegation first, "
                "or delegate another part",
                "/cidr",
            )


def within_delegation(cidr: Prefix, delegated: Sequence[Prefix]) -> None:
    """Refuse a binding that lies in none of what was delegated."""
    if not any(covers(d, cidr) for d in delegated):
        parts = ", ".join(delegated)
        raise Refusal(
            Kind.NOT_WITHIN_DELEGATION,
            f"{cidr} does not lie in what was delegated to this account: {parts}",
            "/cidr",
        )


def may_edit_delegated(cidr: Prefix, fields: Set[str], may_advertise: bool) -> None:
    """Refuse a delegated account's edit of a BGP prefix beyond what its owner allows."""
    others = sorted(fields - BY_DELEGATE)
    if others:
        raise Refusal(
            Kind.NOT_THE_OWNER,
            f"{cidr} is delegated to this account, and only its owner can change {others[0]}: "
            "give on_demand alone",
            f"/{others[0]}",
        )
    if not may_advertise:
        raise Refusal(
            Kind.MAY_NOT_ADVERTISE,
            f"{cidr} is delegated to this account for bindings only: "
            "its owner allows advertising by the delegation's permissions",
            "/on_demand",
        )


def may_end(cidr: Prefix, delegated_account_id: str, dependents: Sequence[str]) -> None:
    """Refuse to end a delegation while something of the delegated account stands on it."""
    if dependents:
        raise Refusal(
            Kind.DELEGATION_IN_USE,
            f"account {delegated_account_id} uses {cidr}: first delete {', '.join(dependents)}",
        )
