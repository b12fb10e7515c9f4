"""Stand-ins around an agent's site that is the product's own: the speaker, and all machines' kernels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.agent.site import Site
from controller.bgp import Prefix, Route
from controller.machine.routes import KernelRoute
from controller.observe.rib import RibRow
from controller.transport.messages import SiteStatus


class Kernels:
    """The kernels of all machines in one; ``refuses``: what it does not keep."""

    def __init__(self) -> None:
        self.routes: set[KernelRoute] = set()
        self.refuses: set[Prefix] = set()

    async def set(self, want: frozenset[KernelRoute], protocol: int, *, local: bool) -> None:
        self.routes |= {r for r in want if r.prefix not in self.refuses}

    async def read(self, protocol: int, *, local: bool) -> frozenset[KernelRoute]:
        return frozenset(self.routes)


@dataclass
class FakeSpeaker:
    """Announces what it is given."""

    name: str = "exabgp"
    announces: frozenset[Route] = frozenset()
    history: list[frozenset[Prefix]] = field(default_factory=list)

    async def attach(self) -> frozenset[Route]:
        return self.announces

    async def set(self, routes: frozenset[Route]) -> None:
        self.announces = routes
        self.history.append(frozenset(r.prefix for r in routes))

    async def adj_rib_out(self) -> list[RibRow]:
        return []

    async def lost(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""


async def until(here: Site, holds: Callable[[SiteStatus], bool]) -> SiteStatus:
    """Wait for a status that says so."""
    async with asyncio.timeout(30):
        while not holds(here.report.status):
            await here.report.after(here.report.status.version, 5.0)
    return here.report.status
