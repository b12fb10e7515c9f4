"""A lab to be written: routers, links with their addresses, machines (pure).

Link ``k`` has 10.X.Y.0/30 and fd00:0:0:K::/64, with k = 256 X + Y; its first end is .1 and ::1, its second
.2 and ::2. Router ``i``'s id is 10.255.X.Y in the same manner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from labs.topology.configs.router import Relation, Router, Session

Daemon = Literal["bird", "frr", "gobgp", "openbgpd", "site"]
LOCAL_AS = 64500
"""The operator's own AS, at all its sites."""


@dataclass(slots=True)
class Node:
    """A router or a machine. ``speaker``: the variable that chooses a site's daemon, and its default."""

    name: str
    role: str
    daemon: Daemon | Literal["linux"]
    asn: int = 0
    site: str | None = None
    speaker: tuple[str, str] = ("", "")
    own4: tuple[str, ...] = ()
    own6: tuple[str, ...] = ()
    stub: bool = False
    exec: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Link:
    """A link and its number. ``relation``: what ``b`` is to ``a``; None: no contract limits what is told."""

    number: int
    a: str
    a_interface: str
    b: str
    b_interface: str
    relation: Relation | None = None

    def address(self, node: str, version: int) -> str:
        """Return the address of the end at ``node``, without its length."""
        host = 1 if node == self.a else 2
        if version == 4:
            return f"10.{self.number // 256}.{self.number % 256}.{host}"
        return f"fd00:0:0:{self.number:x}::{host}"

    def other(self, node: str) -> str:
        """Return the node at the other end."""
        return self.b if node == self.a else self.a

    def to(self, node: str) -> Relation | None:
        """Return what the other end is to ``node``."""
        if self.relation is None or node == self.a:
            return self.relation
        return _REVERSED[self.relation]


_REVERSED: dict[Relation, Relation] = {"customer": "provider", "peer": "peer", "provider": "customer"}


class Design:
    """Nodes and links, added in order; the same additions give the same lab."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.links: list[Link] = []

    def add(self, node: Node) -> Node:
        """Add a node."""
        self.nodes[node.name] = node
        return node

    def link(self, a: str, b: str, relation: Relation | None = None) -> Link:
        """Join two nodes by their next free interfaces (``eth1`` is the first); ``b`` is a's ``relation``."""
        link = Link(len(self.links) + 1, a, self._next(a), b, self._next(b), relation)
        self.links.append(link)
        return link

    def add_site(self, name: str, short: str, speaker: tuple[str, str], machines: int = 2) -> Node:
        """Add a site's router with its machines, each with a default route through the router."""
        site = self.add(Node(name, "site", "site", asn=LOCAL_AS, site=name, speaker=speaker, stub=True))
        for i in range(1, machines + 1):
            machine = self.add(Node(f"{short}m{i}", "machine", "linux", site=name))
            link = self.link(name, machine.name)
            machine.exec += [
                f"ip route add default via {link.address(name, 4)}",
                f"ip route add default via {link.address(name, 6)}",
            ]
        return site

    def addresses(self, node: str) -> list[str]:
        """Return the commands that give ``node`` its addresses.

        IPv6 without duplicate address detection, so that an address can be used at once.
        """
        commands = []
        for link in self.links:
            for end, interface in ((link.a, link.a_interface), (link.b, link.b_interface)):
                if end == node:
                    commands.append(f"ip addr add {link.address(node, 4)}/30 dev {interface}")
                    commands.append(f"ip addr add {link.address(node, 6)}/64 dev {interface} nodad")
        return commands

    def router(self, name: str, daemon: str) -> Router:
        """Return the router ``name`` as a configuration for ``daemon`` needs it."""
        node = self.nodes[name]
        sessions = []
        for link in self.links:
            other = self.nodes[link.other(name)] if name in (link.a, link.b) else None
            if other is None or other.daemon == "linux":
                continue
            sessions.append(
                Session(
                    neighbour=other.name,
                    neighbour_as=other.asn,
                    local4=link.address(name, 4),
                    remote4=link.address(other.name, 4),
                    local6=link.address(name, 6),
                    remote6=link.address(other.name, 6),
                    dials=_dials(daemon, node.daemon, other.daemon),
                    passes_on=not other.stub,
                    relation=link.to(name),
                    roles=node.daemon == other.daemon == "bird",
                )
            )
        number = 1 + [n for n, it in self.nodes.items() if it.daemon != "linux"].index(name)
        return Router(
            name=name,
            asn=node.asn,
            router_id=f"10.255.{number // 256}.{number % 256}",
            sessions=tuple(sessions),
            own4=node.own4,
            own6=node.own6,
            stub=node.stub,
            site=node.daemon == "site",
        )

    def _next(self, node: str) -> str:
        taken = sum((link.a == node) + (link.b == node) for link in self.links)
        return f"eth{taken + 1}"


def _dials(daemon: str, own: str, other: str) -> bool:
    """Tell whether ``daemon`` opens the connection.

    All do but GoBGP, which waits for the other end where that opens it soon: a site may be GoBGP or
    ExaBGP, so a GoBGP site waits and a GoBGP transit dials sites; and OpenBGPD, after a session's loss,
    takes a call at once and makes none for 30 s.
    """
    return daemon != "gobgp" or other == "openbgpd" or (other == "site" and own != "site")
