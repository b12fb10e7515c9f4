"""The BGP sessions of a node, as its own daemon shows them."""

from __future__ import annotations

from controller.observe.inventory import Inventory
from controller.observe.readers import bird, frr, gobgp, openbgpd
from controller.observe.readers.session import Session
from controller.observe.readers.source import source_of

__all__ = ["Session", "sessions"]

DEADLINE_S = 5.0

_READERS = {
    "bird": bird.sessions,
    "frr": frr.sessions,
    "gobgp": gobgp.sessions,
    "openbgpd": openbgpd.sessions,
}


def sessions(inventory: Inventory, node: str, *, deadline_s: float = DEADLINE_S) -> list[Session]:
    """Return the sessions of ``node``, ordered by the neighbour's address; ``deadline_s`` in seconds.

    ExaBGP and nodes without a daemon give none: their neighbours tell of those sessions. Raises ReaderError,
    InventoryError for an unknown node.
    """
    found = inventory.node(node)
    reader = _READERS.get(found.daemon)
    if reader is None:
        return []
    return sorted(reader(found, source_of(inventory, node), deadline_s), key=lambda s: s.neighbour)
