"""The reverse zones of a prefix, where its holder can put a token (pure; RFC 1035, 3.5; RFC 3596, 2.5)."""

from __future__ import annotations

import ipaddress

from controller.bgp import Prefix

LABEL = "_herald"


def reverse_zones(prefix: Prefix) -> tuple[str, ...]:
    """Return the names of the zones that make up ``prefix``, with the final dot.

    Reverse zones are cut at octets (IPv4) and nibbles (IPv6); a prefix between two cuts is several zones: a
    /20 is sixteen, and holding one of them proves nothing about the others.
    """
    network = ipaddress.ip_network(prefix)
    step = 8 if network.version == 4 else 4
    length = max(-(-network.prefixlen // step) * step, step)
    return tuple(_zone(sub, length // step) for sub in network.subnets(new_prefix=length))


def token_name(zone: str) -> str:
    """Return the name that is asked first: ``_herald.<zone>``; the zone itself comes after it."""
    return f"{LABEL}.{zone}"


def _zone(network: ipaddress.IPv4Network | ipaddress.IPv6Network, labels: int) -> str:
    address = network.network_address
    if isinstance(address, ipaddress.IPv4Address):
        parts, suffix = str(address).split("."), "in-addr.arpa."
    else:
        parts, suffix = list(address.exploded.replace(":", "")), "ip6.arpa."
    return ".".join([*reversed(parts[:labels]), suffix])
