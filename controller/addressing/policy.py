"""Which addresses and AS numbers may be onboarded at all (pure): the one place that decides it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from controller.addressing.errors import Kind, Refusal
from controller.bgp import Family, Prefix

NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        # IANA special-purpose registries (RFC 6890): what no router may carry as a customer's prefix.
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/8", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip

SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        # Private (RFC 1918, 4193), shared (RFC 6598), benchmarking (RFC 2544, 5180),
        # documentation (RFC 5737, 3849, 9637).
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15",
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
        "fc00::/7", "2001:2::/48", "2001:db8::/32", "3fff::/20",
    )
)  # fmt: skip

RESERVED_ASNS = {0: "RFC 7607", 23456: "AS_TRANS, RFC 6793", 65535: "RFC 7300", 4294967295: "RFC 7300"}


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """``allow_special``: take private and documentation space, which labs use; the real Internet must not.

    ``shortest``: the shortest prefix length; half of the Internet is a default route in effect.
    """

    allow_special: bool = True
    shortest_ipv4: int = 8
    shortest_ipv6: int = 16

    def shortest(self, family: Family) -> int:
        """Return the shortest length that may be onboarded."""
        return self.shortest_ipv4 if family is Family.IPV4 else self.shortest_ipv6

    def check_space(self, prefix: Prefix, pointer: str) -> None:
        """Refuse a prefix that overlaps space which may not be announced."""
        network = ipaddress.ip_network(prefix)
        refused = NEVER if self.allow_special else NEVER + SPECIAL
        for space in refused:
            if space.version == network.version and space.overlaps(network):
                raise Refusal(
                    Kind.INVALID_PREFIX,
                    f"{prefix} overlaps {space}, which is not for public use: give addresses of your own",
                    pointer,
                )

    def check_asn(self, asn: int | None, pointer: str) -> None:
        """Refuse an AS number that cannot be an origin; None means the operator's own AS."""
        if asn is None:
            return
        if not 0 < asn < 2**32:
            raise Refusal(
                Kind.INVALID_ASN, f"{asn} is not an AS number: give 1 to 4294967294, or null", pointer
            )
        if asn in RESERVED_ASNS:
            raise Refusal(
                Kind.INVALID_ASN,
                f"AS {asn} is reserved ({RESERVED_ASNS[asn]}): give your own AS number, or null",
                pointer,
            )
