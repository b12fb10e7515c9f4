"""ExaBGP's Adj-RIB-Out, as its site's agent reads it back from ExaBGP."""

from __future__ import annotations

import asyncio

import msgspec

from controller.bgp import Prefix
from controller.observe.inventory import Inventory, Node, Site
from controller.observe.readers.errors import ReaderError, ReaderGarbledError, ReaderRefusedError
from controller.observe.readers.errors import ReaderUnreachableError as Unreachable
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow


def site_of(inventory: Inventory, node: Node) -> Site:
    """Return the site whose router ``node`` is; raises ReaderError when it is no site's."""
    for site in inventory.sites:
        if site.router == node.name:
            return site
    raise ReaderError(f"{node.name} ({node.daemon}) is no site's router: there is no agent to ask")


def read_sent(site: Site, source: Source, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    """Return what the site's speaker was given, by ``GET /adj-rib-out`` of its agent.

    The agent knows no names: it gives the neighbour's address, and nothing for the node.
    """
    from controller.transport.errors import (  # noqa: PLC0415 (httpx is slow to import)
        TransportError,
        TransportGarbledError,
        TransportUnreachableError,
    )
    from controller.transport.http import HttpSiteLink  # noqa: PLC0415

    async def ask() -> list[RibRow]:
        link = HttpSiteLink(site.name, site.agent_socket, deadline_s=deadline_s)
        try:
            return await link.adj_rib_out()
        finally:
            await link.close()

    try:
        rows = asyncio.run(ask())
    except TransportUnreachableError as error:
        raise Unreachable(f"{error}; is it running?") from error
    except TransportGarbledError as error:
        raise ReaderGarbledError(str(error)) from error
    except TransportError as error:
        raise ReaderRefusedError(str(error)) from error
    return [
        msgspec.structs.replace(row, node=source.node, from_=source.owners.get(row.from_ or ""))
        for row in rows
        if prefix is None or row.prefix == prefix
    ]
