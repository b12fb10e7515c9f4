"""RIB readers: each daemon's own answer → :class:`controller.observe.rib.RibRow`.

Reading and parsing are apart: ``*_reply`` modules are pure. A row is a *candidate* of the Loc-RIB: a path
that its daemon would choose if the better ones went. So paths that were filtered, that carry the node's
own AS, or whose next hop cannot be reached are left out (FRR, OpenBGPD and BIRD list some of them). Local
routes have the AS path ``()`` and come from nobody; of BIRD's tables that means static ones.

An empty list means that the daemon said so. One that does not answer is an error, never "no routes".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from controller.bgp import Prefix, prefix_key
from controller.observe.inventory import Inventory, Node
from controller.observe.readers import bird, exabgp, frr, gobgp, openbgpd
from controller.observe.readers.errors import (
    ReaderError,
    ReaderGarbledError,
    ReaderRefusedError,
    ReaderUnreachableError,
)
from controller.observe.readers.sessions import Session, sessions
from controller.observe.readers.source import source_of
from controller.observe.rib import RibRow

__all__ = [
    "ReaderError",
    "ReaderGarbledError",
    "ReaderRefusedError",
    "ReaderUnreachableError",
    "Session",
    "read_node",
    "read_ribs",
    "read_sent",
    "sessions",
]

DEADLINE_S = 5.0
_AT_ONCE = 32

_READERS = {"bird": bird.read, "frr": frr.read, "gobgp": gobgp.read, "openbgpd": openbgpd.read}


def read_ribs(
    inventory: Inventory,
    prefix: Prefix | None = None,
    *,
    node: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> list[RibRow]:
    """Return the Loc-RIBs of all routers (not our sites), or of ``node`` alone, which may be a site.

    ``prefix`` restricts it to that very prefix; ``deadline_s`` (seconds) bounds each node. Ordered by node
    (as in the inventory), prefix, best first. Raises ReaderError (the first node's that fails),
    InventoryError for an unknown ``node``.
    """
    if node is not None:
        return read_node(inventory, node, prefix, deadline_s=deadline_s)
    return _together(
        inventory.routers(), lambda n: read_node(inventory, n.name, prefix, deadline_s=deadline_s)
    )


def read_node(
    inventory: Inventory, node: str, prefix: Prefix | None = None, *, deadline_s: float = DEADLINE_S
) -> list[RibRow]:
    """Return one node's Loc-RIB; ExaBGP has none, so of such a site what its speaker was given.

    Raises as :func:`read_ribs`; machines and hosts have no RIB: ReaderError.
    """
    found = inventory.node(node)
    if found.daemon == "exabgp":
        return _ordered(_sent(inventory, found, prefix, deadline_s))
    reader = _READERS.get(found.daemon)
    if reader is None:
        raise ReaderError(f"{node} has no BGP daemon (it is a {found.role}): there is no RIB to read")
    return _ordered(reader(found, source_of(inventory, node), prefix, deadline_s))


def read_sent(
    inventory: Inventory,
    prefix: Prefix | None = None,
    *,
    node: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> list[RibRow]:
    """Return the Adj-RIB-Out of all sites (or of the site whose router is ``node``).

    One row per neighbour, whose name stands in ``from``; ``as_path`` as the neighbour receives it. Of GoBGP
    its own tables are read, of ExaBGP what its agent reads back from it. Raises as :func:`read_ribs`;
    ReaderError when ``node`` is not a site's router.
    """
    names = [site.router for site in inventory.sites] if node is None else [inventory.node(node).name]
    return _together(
        [inventory.node(name) for name in names],
        lambda n: _ordered(_sent(inventory, n, prefix, deadline_s)),
    )


def _sent(inventory: Inventory, node: Node, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    site = exabgp.site_of(inventory, node)
    source = source_of(inventory, node.name)
    if node.daemon == "gobgp":
        return gobgp.read_sent(node, source, prefix, deadline_s)
    return exabgp.read_sent(site, source, prefix, deadline_s)


def _together(nodes: Sequence[Node], read: Callable[[Node], list[RibRow]]) -> list[RibRow]:
    if not nodes:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(nodes)), thread_name_prefix="rib") as pool:
        return [row for rows in pool.map(read, nodes) for row in rows]


def _ordered(rows: list[RibRow]) -> list[RibRow]:
    return sorted(
        rows, key=lambda row: (prefix_key(row.prefix), not row.best, str(row.as_path), row.from_ or "")
    )
