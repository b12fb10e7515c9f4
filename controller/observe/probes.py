"""Probes through named sites, and along the routes that lead to them: does a prefix answer, and where?

Anycast hides a site that has stopped serving a prefix from everybody who is led to another one. So each of a
site's neighbours sends two kinds of probe to the same address: one forced out of its link to that site, which
tells whether the site serves the prefix, and one by each next hop of its own route, which tells where BGP
leads its traffic. Of routers without routes in their kernel (GoBGP's, OpenBGPD's) only the first kind tells.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from controller.bgp import Family, Prefix, family_of
from controller.observe.capture_protocol import ProbeResult, Shot, WayAsked, WayTold
from controller.observe.evidence import Fate, Probed
from controller.observe.inventory import Inventory, Node, Site
from controller.observe.stream import CaptureStream

OBSERVERS = 4
"""How many of a site's neighbours probe it, at most."""
AT_ONCE = 400
"""Probes in one question to the capture."""
_FATES: tuple[Fate, ...] = ("answered", "unsent", "unreachable", "timed-out", "looped")
"""From the best to the worst, of several next hops."""

Asked = tuple[str, str]
"""A node, and an address that it is to reach."""


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


def is_in(address: str, prefix: Prefix) -> bool:
    """Tell whether ``address`` is one, and lies in ``prefix``."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(prefix)
    except ValueError:
        return False


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
    """Probe ``targets`` (prefix → the address in it) through, and along the way to, each of ``sites``.

    All at once; blocks for about ``attempts * wait_s`` seconds where something does not answer. ``port``: TCP
    SYNs instead of echoes. Raises :class:`~controller.observe.errors.CaptureError`, and InventoryError for an
    unknown node.
    """
    by_name = {site.name: site for site in inventory.sites}
    used = [k for name in sites if name in by_name for k in _chosen(links(inventory, by_name[name]))]
    pairs = [(link, p) for link in used for p in targets if family_of(p) is link.family]
    keys = list(dict.fromkeys((link.observer, targets[p]) for link, p in pairs))
    like = Shot("", "", "", "", "", port=port, attempts=attempts, wait_s=wait_s)
    with CaptureStream(inventory.capture_socket) as stream:
        led_to, first = lead(inventory, stream, keys)
        onward = [(key, hop) for key in keys for hop in first[key].hops]
        shots = [_through(link, targets[p], like) for link, p in pairs]
        shots += [_led(inventory, key, hop, like) for key, hop in onward]
        results: list[ProbeResult] = []
        for start in range(0, len(shots), AT_ONCE):
            results += stream.probe(shots[start : start + AT_ONCE])
    led = {key: [ProbeResult("unreachable", why=way.why)] for key, way in first.items() if not way.hops}
    for (key, _), result in zip(onward, results[len(pairs) :], strict=True):
        led.setdefault(key, []).append(result)
    rows: list[Probed] = []
    for (link, prefix), through in zip(pairs, results, strict=False):
        key = (link.observer, targets[prefix])
        worst = max(led[key], key=lambda r: _FATES.index(r.fate))
        whys = [f"{name}: {r.why}" for name, r in (("through", through), ("led", worst)) if r.why]
        rows.append(
            Probed(
                link.observer,
                link.site,
                prefix,
                through.fate,
                worst.fate,
                led_to[key],
                mine=prefix in mine,
                why="; ".join(whys),
            )
        )
    return rows


def _chosen(found: list[Link]) -> list[Link]:
    names = sorted({link.observer for link in found})[:OBSERVERS]
    return [link for link in found if link.observer in names]


def _through(link: Link, address: str, like: Shot) -> Shot:
    return msgspec.structs.replace(
        like,
        node=link.observer,
        address=address,
        interface=link.interface,
        source=link.source,
        next_hop=link.next_hop,
    )


def _led(inventory: Inventory, key: Asked, hop: tuple[str, str | None], like: Shot) -> Shot:
    """Return the probe that takes a next hop of the node's own route, from its address on that link.

    With the address that a kernel would choose (another link's, where there are several next hops) the reply
    may have no way back, which would say nothing of the prefix.
    """
    (node, address), (interface, gateway) = key, hop
    ends = next((i.addresses for i in inventory.node(node).interfaces if i.name == interface), ())
    return msgspec.structs.replace(
        like,
        node=node,
        address=address,
        interface=interface,
        source=_address(ends, Family.IPV6 if ":" in address else Family.IPV4),
        next_hop=gateway or address,
    )


def lead(
    inventory: Inventory, stream: CaptureStream, asked: Sequence[Asked]
) -> tuple[dict[Asked, tuple[str, ...]], dict[Asked, WayTold]]:
    """Follow kernels' routes from nodes to addresses, along all their next hops.

    Return, by node and address, the sites at which the ways arrive, and the first node's own route.
    """
    routers = {site.router: site.name for site in inventory.sites}
    nodes = {node.name: node for node in inventory.nodes}
    arrived: dict[Asked, set[str]] = {pair: set() for pair in asked}
    been = {pair: {pair[0]} for pair in asked}
    first: dict[Asked, WayTold] = {}
    front = [(pair, pair[0]) for pair in asked]
    while front:
        told = stream.ways([WayAsked(node, pair[1]) for pair, node in front])
        ahead: list[tuple[Asked, str]] = []
        for (pair, node), way in zip(front, told, strict=True):
            first.setdefault(pair, way)
            for interface, _ in way.hops:
                onward = _peer(nodes.get(node), interface)
                if onward in routers:
                    arrived[pair].add(routers[onward])
                elif onward is not None and onward not in been[pair]:
                    been[pair].add(onward)
                    ahead.append((pair, onward))
        front = ahead
    return {pair: tuple(sorted(sites)) for pair, sites in arrived.items()}, first


def _peer(node: Node | None, interface: str) -> str | None:
    if node is None:
        return None
    return next((i.peer_node for i in node.interfaces if i.name == interface), None)
