"""Values that every room speaks of: prefixes, AS paths and routes (pure).

A prefix is kept as its canonical text (``"192.0.2.0/24"``, ``"2001:db8::/48"``): hashable, ordered by
:func:`prefix_key`, and the same in JSON, logs and daemons. It is never kept in a set type that merges
neighbours.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NewType

from controller.errors import HeraldError

Prefix = NewType("Prefix", str)
"""A canonical CIDR: no host bits, compressed lower-case IPv6."""

AsPath = tuple[int | tuple[int, ...], ...]
"""AS_PATH from the nearest AS to the origin; a nested tuple is an AS_SET (RFC 4271, 4.3)."""


def path_text(path: AsPath) -> str:
    """Return a path as people write it: ``65001 64500``, AS_SETs in braces; empty for a local route."""
    return " ".join(
        "{" + ",".join(map(str, hop)) + "}" if isinstance(hop, tuple) else str(hop) for hop in path
    )


class PrefixError(HeraldError):
    """The text is not a prefix in canonical form."""


class Family(Enum):
    """An address family with SAFI unicast (RFC 4760)."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def longest(self) -> int:
        """The longest prefix length that the Internet carries: 24 or 48."""
        return 24 if self is Family.IPV4 else 48


@lru_cache(maxsize=1 << 16)
def parse_prefix(text: str) -> Prefix:
    """Return ``text`` as a canonical prefix.

    Raises :class:`PrefixError` when it is no CIDR or has host bits set; the message gives the prefix that
    was probably meant.
    """
    if "/" not in text:
        raise PrefixError(f"{text!r} has no length: write it as ADDRESS/LENGTH, such as 192.0.2.0/24")
    try:
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PrefixError(f"{text!r} is not an IPv4 or IPv6 prefix: {error}") from error
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise PrefixError(f"{text!r} has host bits set: did you mean {loose}?") from error
    return Prefix(str(network))


def family_of(prefix: Prefix) -> Family:
    """Return the address family of a canonical prefix."""
    return Family.IPV6 if ":" in prefix else Family.IPV4


def prefix_key(prefix: Prefix) -> tuple[int, int, int]:
    """Return a sort key: IPv4 before IPv6, by address, then shorter before longer."""
    version, first, _, length = span(prefix)
    return (version, first, length)


def covers(outer: Prefix, inner: Prefix) -> bool:
    """Tell whether ``inner`` lies in ``outer`` (equal prefixes cover each other)."""
    a, b = span(outer), span(inner)
    return a[0] == b[0] and a[1] <= b[1] and b[2] <= a[2]


@lru_cache(maxsize=1 << 16)
def span(prefix: Prefix) -> tuple[int, int, int, int]:
    """Return version, first and last address as numbers, and length; the same few are asked for again."""
    network = ipaddress.ip_network(prefix)
    return (network.version, int(network.network_address), int(network.broadcast_address), network.prefixlen)


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A route that a site's speaker is to announce to all its neighbours, next hop self.

    ``as_path`` is what the neighbour is to receive, the operator's own AS first: ``(64500,)`` for a prefix
    without an ASN, ``(64500, asn)`` otherwise; prepends repeat the first.
    """

    prefix: Prefix
    as_path: tuple[int, ...]
    communities: tuple[str, ...] = ()
