"""The rules of the Addressing API on plain values (pure); each raises :class:`Refusal` or returns."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from controller.addressing.errors import Kind, Refusal
from controller.addressing.policy import AddressPolicy
from controller.bgp import Prefix, PrefixError, covers, family_of, parse_prefix

MAGIC_TRANSIT = "Magic Transit"
"""The service that can only be a prefix's default binding."""


def canonical(text: str, pointer: str) -> Prefix:
    """Return ``text``, refused unless it is a canonical prefix and not a default route."""
    try:
        prefix = parse_prefix(text)
    except PrefixError as error:
        raise Refusal(Kind.INVALID_PREFIX, str(error), pointer) from error
    if prefix != text:
        raise Refusal(Kind.INVALID_PREFIX, f"{text!r} is not in canonical form: write {prefix}", pointer)
    if length_of(prefix) == 0:
        raise Refusal(
            Kind.INVALID_PREFIX, f"{prefix} is the default route: give a prefix of your own", pointer
        )
    return prefix


def length_of(prefix: Prefix) -> int:
    """Return the prefix length."""
    return int(prefix.rpartition("/")[2])


def announceable(text: str, policy: AddressPolicy, pointer: str) -> Prefix:
    """Return ``text`` as a prefix that may be onboarded and announced under ``policy``."""
    prefix = canonical(text, pointer)
    family, length = family_of(prefix), length_of(prefix)
    if length > family.longest:
        raise Refusal(
            Kind.INVALID_PREFIX,
            f"{prefix} is longer than /{family.longest}, which the Internet does not carry: "
            f"give the /{family.longest} around it",
            pointer,
        )
    shortest = policy.shortest(family)
    if length < shortest:
        raise Refusal(
            Kind.INVALID_PREFIX, f"{prefix} is shorter than /{shortest}: give what is yours", pointer
        )
    policy.check_space(prefix, pointer)
    return prefix


def within(inner: Prefix, outer: Prefix, pointer: str) -> None:
    """Refuse ``inner`` unless it lies in the onboarded prefix ``outer``."""
    if not covers(outer, inner):
        raise Refusal(Kind.NOT_WITHIN_PREFIX, f"{inner} does not lie in the prefix {outer}", pointer)


def bounds(prefix: Prefix) -> tuple[bytes, bytes]:
    """Return the first and last address as 16 bytes; IPv4 as IPv4-mapped (RFC 4291, 2.5.5.2).

    Two prefixes overlap exactly when each one's first is not after the other's last.
    """
    network = ipaddress.ip_network(prefix)
    base = 0xFFFF << 32 if network.version == 4 else 0
    first = base + int(network.network_address)
    last = base + int(network.broadcast_address)
    return first.to_bytes(16, "big"), last.to_bytes(16, "big")


def starts_around(prefix: Prefix) -> tuple[bytes, ...]:
    """Return the first addresses, as in :func:`bounds`, of all prefixes that cover ``prefix``."""
    network = ipaddress.ip_network(prefix)
    return tuple(
        bounds(Prefix(str(network.supernet(new_prefix=length))))[0] for length in range(network.prefixlen + 1)
    )


def free_of(prefix: Prefix, account_id: str, overlapping: Iterable[tuple[str, Prefix]], pointer: str) -> None:
    """Refuse ``prefix`` when another account has a part of it, or this one has it already.

    ``overlapping``: (account, prefix) of each onboarded prefix that overlaps it. Of another account's only
    the fact is told, not whose it is.
    """
    for owner, other in overlapping:
        if owner != account_id:
            raise Refusal(
                Kind.PREFIX_OVERLAPS,
                f"{prefix} overlaps a prefix that another account has onboarded",
                pointer,
            )
        if other == prefix:
            raise Refusal(Kind.ALREADY_EXISTS, f"{prefix} is onboarded already in this account", pointer)


def not_reserved(
    prefix: Prefix, account_id: str, tombstones: Sequence[tuple[str, Prefix]], pointer: str
) -> None:
    """Refuse ``prefix`` when a deleted prefix that may still come back has its addresses.

    ``tombstones``: as the prefixes in :func:`free_of`; of another account's only the fact is told.
    """
    free_of(prefix, account_id, (t for t in tombstones if t[0] != account_id), pointer)
    if any(other == prefix for _, other in tombstones):
        raise Refusal(
            Kind.PREFIX_TOMBSTONED,
            f"{prefix} was deleted and can still come back: undelete it, or have it purged after its grace",
            pointer,
        )


def is_approved(prefix: Prefix, approved: bool) -> None:
    """Refuse work on a prefix that nobody has approved."""
    if not approved:
        raise Refusal(
            Kind.PREFIX_NOT_APPROVED,
            f"prefix {prefix} has not been approved yet: an operator approves it first",
        )


def may_bind(cidr: Prefix, prefix: Prefix, service_name: str, bound: Sequence[Prefix]) -> None:
    """Refuse a binding out of order; ``bound``: what the prefix has bound already."""
    if cidr in bound:
        raise Refusal(Kind.ALREADY_EXISTS, f"{cidr} is bound already: delete that binding first", "/cidr")
    if cidr == prefix:
        return
    if prefix not in bound:
        raise Refusal(
            Kind.DEFAULT_BINDING_FIRST,
            f"the first binding of a prefix must be for all of it: bind {prefix}, then {cidr}",
            "/cidr",
        )
    if service_name == MAGIC_TRANSIT:
        raise Refusal(
            Kind.DEFAULT_BINDING_ONLY,
            f"{MAGIC_TRANSIT} can only be the default binding: bind it to {prefix}",
            "/service_id",
        )


def may_unbind(cidr: Prefix, prefix: Prefix, bound: Iterable[Prefix], advertised: Iterable[Prefix]) -> None:
    """Refuse to delete a binding that something stands on.

    ``bound``: what the prefix has bound; ``advertised``: the account's BGP prefixes that are advertised.
    """
    under = [p for p in advertised if covers(cidr, p) or covers(p, cidr)]
    if under:
        raise Refusal(
            Kind.STILL_ADVERTISED,
            f"{under[0]} is advertised and stands on the binding of {cidr}: withdraw it first",
        )
    others = [p for p in bound if p != cidr]
    if cidr == prefix and others:
        raise Refusal(
            Kind.BINDING_IN_USE, f"{cidr} is the default binding: delete the binding of {others[0]} first"
        )


def may_advertise(cidr: Prefix, bound: Iterable[Prefix]) -> None:
    """Refuse to advertise what no service would answer for; ``bound``: the account's bindings."""
    if not any(covers(b, cidr) for b in bound):
        raise Refusal(
            Kind.INCOMPLETE_DEPLOYMENT,
            f"no service is bound to {cidr}: bind one to the prefix first, or traffic would find nobody",
        )


def unlocked(cidr: Prefix, locked: bool) -> None:
    """Refuse a change of the advertisement while it is locked."""
    if locked:
        raise Refusal(Kind.STATE_LOCKED, f"the advertisement of {cidr} is locked: ask the operator")


def known_sites(sites: Sequence[str] | None, known: Sequence[str], pointer: str) -> list[str] | None:
    """Return ``sites`` ordered; refused when empty, repeated or unknown. None means all sites."""
    if sites is None:
        return None
    listed = ", ".join(sorted(known)) or "none"
    if not sites:
        raise Refusal(Kind.INVALID_SITE, "no site is named: give null for all, or advertised false", pointer)
    for index, site in enumerate(sites):
        if site not in known:
            raise Refusal(
                Kind.INVALID_SITE, f"no site is called {site!r}: there are {listed}", f"{pointer}/{index}"
            )
        if site in sites[:index]:
            raise Refusal(Kind.INVALID_SITE, f"site {site!r} is named twice", f"{pointer}/{index}")
    return sorted(sites)
