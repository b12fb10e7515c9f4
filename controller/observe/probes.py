"""Probes through named sites, and along the routes that lead to them: does a prefix answer, and where?

Anycast hides a site that has stopped serving a prefix from everybody who is led to another one. So each of a
site's neighbours sends two probes to the same address: one forced out of its link to that site, which tells
whether the site serves the prefix, and one by its own routes, which tells where BGP leads its traffic.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.bgp import Family, Prefix, family_of
from controller.observe.capture_protocol import ProbeResult, Shot, WayAsked
from controller.observe.evidence import Probed
from controller.observe.inventory import Inventory, Node, Site
from controller.observe.stream import CaptureStream

OBSERVERS = 4
"""How many of a site's neighbours probe it, at most."""
LONGEST_WAY = 16
AT_ONCE = 400
"""Probes in one question to the capture."""


@dataclass(frozen=True, slots=True)
class Link:
    """A neighbour's link to a site, in one family."""

    observer: str
    site: str
    family: Family
    interface: str
    source: str
    next_hop: str


def links(inventory: Inventory, site: Site) -> list[Link]:
    """Return the links over which routers of others reach ``site`` directly, by the neighbours' names."""
    router = inventory.node(site.router)
    ends = {i.name: i.addresses for i in router.interfaces}
    found: list[Link] = []
    for node in sorted(inventory.routers(), key=lambda n: n.name):
        for interface in node.interfaces:
            if interface.peer_node != site.router:
                continue
            for family in Family:
                source = _address(interface.addresses, family)
                next_hop = _address(ends.get(interface.peer_interface, ()), family)
                if source and next_hop:
                    found.append(Link(node.name, site.name, family, interface.name, source, next_hop))
    return found


def _address(addresses: Iterable[str], family: Family) -> str:
    plain = (a.split("/")[0] for a in addresses)
    return next((a for a in plain if (":" in a) == (family is Family.IPV6)), "")


def address_in(prefix: Prefix) -> str:
    """Return the address to probe in ``prefix``: machines hold the whole of what is bound, so any answers."""
    network = ipaddress.ip_network(prefix)
    return str(network[1] if network.num_addresses > 1 else network[0])


def probe_sites(
    inventory: Inventory,
    sites: Sequence[str],
    targets: Mapping[Prefix, str],
    *,
    mine: frozenset[Prefix] = frozenset(),
    attempts: int = 3,
    wait_s: float = 0.4,
    port: int | None = None,
) -> list[Probed]:
    """Probe ``targets`` (prefix → the address in it) through and along the way to each of ``sites``.

    All at once; blocks for at most about ``2 * attempts * wait_s`` seconds. ``port``: a TCP SYN through the
    site instead of an echo. Raises :class:`~controller.observe.errors.CaptureError`, and InventoryError for
    an unknown node.
    """
    by_name = {site.name: site for site in inventory.sites}
    used = [link for name in sites if name in by_name for link in _chosen(links(inventory, by_name[name]))]
    pairs = [(link, p) for link in used for p in targets if family_of(p) is link.family]
    led_keys = list(dict.fromkeys((link.observer, targets[p]) for link, p in pairs))
    shots = [
        Shot(
            link.observer,
            targets[p],
            link.interface,
            link.source,
            link.next_hop,
            port=port,
            attempts=attempts,
            wait_s=wait_s,
        )
        for link, p in pairs
    ]
    shots += [Shot(node, address, attempts=attempts, wait_s=wait_s) for node, address in led_keys]
    with CaptureStream(inventory.capture_socket) as stream:
        results: list[ProbeResult] = []
        for start in range(0, len(shots), AT_ONCE):
            results += stream.probe(shots[start : start + AT_ONCE])
        led_to = lead(inventory, stream, led_keys)
    led = dict(zip(led_keys, results[len(pairs) :], strict=True))
    rows: list[Probed] = []
    for (link, prefix), through in zip(pairs, results, strict=False):
        key = (link.observer, targets[prefix])
        whys = [f"{name}: {r.why}" for name, r in (("through", through), ("led", led[key])) if r.why]
        where = led_to.get(key)
        rows.append(
            Probed(
                link.observer,
                link.site,
                prefix,
                through.fate,
                led[key].fate,
                where,
                mine=prefix in mine,
                why="; ".join(whys),
            )
        )
    return rows


def _chosen(found: list[Link]) -> list[Link]:
    names = sorted({link.observer for link in found})[:OBSERVERS]
    return [link for link in found if link.observer in names]


def lead(
    inventory: Inventory, stream: CaptureStream, asked: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Follow kernels' routes from nodes to addresses; return the site at which each arrives, if at one."""
    routers = {site.router: site.name for site in inventory.sites}
    nodes = {node.name: node for node in inventory.nodes}
    at = {pair: pair[0] for pair in asked}
    been = {pair: {pair[0]} for pair in asked}
    arrived: dict[tuple[str, str], str] = {}
    for _ in range(LONGEST_WAY):
        if not at:
            break
        pairs = list(at)
        told = stream.ways([WayAsked(at[pair], pair[1]) for pair in pairs])
        for pair, way in zip(pairs, told, strict=True):
            onward = None if way.local or not way.interface else _peer(nodes.get(at[pair]), way.interface)
            del at[pair]
            if onward in routers:
                arrived[pair] = routers[onward]
            elif onward is not None and onward not in been[pair]:
                been[pair].add(onward)
                at[pair] = onward
    return arrived


def _peer(node: Node | None, interface: str) -> str | None:
    if node is None:
        return None
    return next((i.peer_node for i in node.interfaces if i.name == interface), None)
