"""The rules of address maps on plain values (pure); each raises :class:`Refusal` or returns."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from controller.addressing.errors import Kind, Refusal
from controller.addressing.rules import MAGIC_TRANSIT, length_of
from controller.bgp import Prefix

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE)


def canonical_ip(text: str, pointer: str) -> str:
    """Return ``text``, refused unless it is an IPv4 or IPv6 address in canonical form (RFC 5952)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise Refusal(
            Kind.INVALID_IP, f"{text!r} is not an IPv4 or IPv6 address: give one, such as 192.0.2.1", pointer
        ) from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise Refusal(Kind.INVALID_IP, f"{text!r} has a zone of one machine: leave it out", pointer)
    if str(address) != text:
        raise Refusal(Kind.INVALID_IP, f"{text!r} is not in canonical form: write {address}", pointer)
    return text


def bytes_of(ip: str) -> bytes:
    """Return an address as 16 bytes, IPv4 as IPv4-mapped, as :func:`controller.addressing.rules.bounds`."""
    address = ipaddress.ip_address(ip)
    base = 0xFFFF << 32 if address.version == 4 else 0
    return (base + int(address)).to_bytes(16, "big")


def around(ip: str) -> list[Prefix]:
    """Return every CIDR in which the address lies, longest first."""
    network = ipaddress.ip_network(ip)
    return [Prefix(str(network.supernet(new_prefix=length))) for length in range(network.prefixlen, -1, -1)]


def serving(bindings: Iterable[tuple[Prefix, str]]) -> tuple[Prefix, str] | None:
    """Return the binding that serves an address: the most specific of ``bindings`` (cidr, service's name)."""
    return max(bindings, key=lambda b: length_of(b[0]), default=None)


def fits(service_name: str) -> bool:
    """Tell whether a service can answer for the names of a map.

    Magic Transit hands packets on and ends no connection, so that nobody would answer for a name there.
    """
    return service_name != MAGIC_TRANSIT


def is_served(ip: str, bindings: Iterable[tuple[Prefix, str]], pointer: str) -> None:
    """Refuse an address for which no service would answer."""
    best = serving(bindings)
    if best is None:
        raise Refusal(
            Kind.IP_NOT_SERVED, f"no service is bound to {ip}: bind one to its prefix first", pointer
        )
    if not fits(best[1]):
        raise Refusal(
            Kind.IP_NOT_SERVED,
            f"{ip} is bound to {best[1]} by {best[0]}, which answers for no name: "
            "bind another service to a part of the prefix around it",
            pointer,
        )


def server_name(text: str | None, pointer: str) -> str | None:
    """Return a default SNI, refused unless it is a host name (RFC 6066, 3: no address, no final dot)."""
    if text is None:
        return None
    labels = text.split(".")
    if (
        len(text) > 253
        or len(labels) < 2
        or not all(LABEL.fullmatch(label) for label in labels)
        or labels[-1].isdecimal()
    ):
        raise Refusal(
            Kind.INVALID_SNI,
            f"{text!r} is not a host name: give one such as www.example.com (IDNs in A-label form), or null",
            pointer,
        )
    return text


def may_modify(map_id: str, can_modify_ips: bool) -> None:
    """Refuse to change the addresses or members of a map that the operator manages."""
    if not can_modify_ips:
        raise Refusal(
            Kind.MAP_MANAGED, f"address map {map_id} is managed by the operator: ask them to change it"
        )


def may_delete(map_id: str, can_delete: bool, enabled: bool) -> None:
    """Refuse to delete a map that is in use, or that the operator manages."""
    if not can_delete:
        raise Refusal(
            Kind.MAP_MANAGED, f"address map {map_id} is managed by the operator: ask them to delete it"
        )
    if enabled:
        raise Refusal(Kind.MAP_ENABLED, f"address map {map_id} is enabled: disable it first (enabled false)")
