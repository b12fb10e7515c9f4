"""The forecast for a network that can be looked at: its routers' RIBs now, and chance from a seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from controller.bgp import Prefix
from controller.forecast.foretell import Forecast, foretell
from controller.forecast.network import NothingAnnouncedError, network
from controller.observe.inventory import Inventory
from controller.observe.readers import read_ribs
from controller.observe.rib import RibRow

SEED = 1
"""Of a forecast's chance, so that two of the same RIBs are equal."""


def forecast_now(inventory: Inventory, prefix: Prefix, sites: Collection[str]) -> Forecast | None:
    """Return what withdrawing ``prefix`` at ``sites`` would do to the network as it is now, or None as below.

    Raises what the readers of RIBs raise.
    """
    return forecast(inventory, [row for row in read_ribs(inventory, prefix) if row.prefix == prefix], sites)


def forecast(inventory: Inventory, rows: Sequence[RibRow], sites: Collection[str]) -> Forecast | None:
    """Return what withdrawing at ``sites`` would do; ``rows``: the routers' Loc-RIBs about the prefix.

    None when no router has a route from any of our sites: then nothing would happen.
    """
    ours = {site.name: site.router for site in inventory.sites}
    names = {node.name for node in inventory.routers()} | set(ours.values())
    speaking = [node for node in inventory.nodes if node.name in names]  # in the order of their identifiers
    try:
        routers = network(
            rows,
            neighbours={
                node.name: [i.peer_node for i in node.interfaces if i.peer_node in names] for node in speaking
            },
            daemons={node.name: node.daemon for node in speaking},
            origins=set(ours.values()),
        )
    except NothingAnnouncedError:
        return None
    return foretell(routers, [ours[site] for site in sites], lambda i: random.Random(f"{SEED}/{i}").random)
