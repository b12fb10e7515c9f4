"""Brings drains to the agents, and their end; level-triggered, so that a restart forgets none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

import structlog

from controller.bgp import Prefix
from controller.guard import drains
from controller.rollout.drain_orders import Tell, next_tellings
from controller.rollout.site import SiteFollower
from controller.safety.drain import Standing
from controller.store import Store
from controller.transport.errors import TransportError
from controller.transport.messages import DrainOrder

AGAIN_S = 2.0
"""Seconds after which what was refused, or did not arrive, is tried again."""

log = structlog.get_logger()


class Draining:
    """``standing``: the drains that stand, by site, as last read. ``fence``: the one to order by."""

    def __init__(self, store: Store, sites: Mapping[str, SiteFollower], fence: Callable[[], int]) -> None:
        self._store = store
        self._sites = sites
        self._fence = fence
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen: dict[str, dict[str, str]] = {}
        self.standing: dict[str, Standing] = {}
        self.problems: dict[tuple[str, str], str] = {}
        """Why an agent has not taken up a drain, by the drain's id and the agent's site."""

    def load(self) -> None:
        """Read which drains stand."""
        with self._store.read() as session:
            self.standing = drains.values(drains.standing(session))

    def moved(self) -> None:
        """Look again: a drain was confirmed or lifted; may be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def heard(self) -> None:
        """Look again if agents tell of other drains than before; on the event loop."""
        if self.known_at() != self._seen:
            self._wake.set()

    def drained(self) -> frozenset[str]:
        """Return the sites that are, or are to be, out of use; one that is away still is what it was."""
        told = [f.view.status.drains for f in self._sites.values() if f.view.status is not None]
        return frozenset(self.standing).union(*told)

    def hides(self, site: str, prefixes: Collection[Prefix], *, subtractive: bool) -> bool:
        """Tell whether nobody is to look for a change of ``prefixes`` at a site, since it is drained.

        What only adds shows there where all of them stay; what takes something away is looked at where any
        of them does. A change of bindings alone never shows: all else there comes and goes with the drain.
        """
        if site not in self.drained():
            return False
        drain, follower = self.standing.get(site), self._sites.get(site)
        stays = set() if drain is None else set(drain.stays)
        if follower is not None and follower.view.status is not None:
            stays |= {kept.prefix for kept in follower.view.status.kept}
        shows = not stays.isdisjoint(prefixes) if subtractive else stays.issuperset(prefixes)
        return not (prefixes and shows)

    def known_at(self) -> dict[str, dict[str, str]]:
        """Return the drains that each site which answers knows of, by the site that is drained."""
        return {
            site: dict(f.view.status.drains)
            for site, f in self._sites.items()
            if f.view.reachable and f.view.status is not None
        }

    async def run(self) -> NoReturn:
        """Tell agents for ever."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            again = await self.once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if again else None):
                    await self._wake.wait()

    async def once(self) -> bool:
        """Tell agents what they lack; True: not all of them could be told, or took it up."""
        self._seen = self.known_at()
        ids = {id_ for known in self._seen.values() for id_ in known.values()}

        def read() -> tuple[dict[str, Standing], set[str]]:
            with self._store.read() as session:
                return drains.values(drains.standing(session)), drains.lifted(session, ids)

        self.standing, lifted = await asyncio.to_thread(read)
        wanted = {drain.id for drain in self.standing.values()}
        self.problems = {key: why for key, why in self.problems.items() if key[0] in wanted}
        tellings = next_tellings(self.standing, lifted, self._seen)
        told = await asyncio.gather(*(self._tell(one) for one in tellings))
        return not all(told)

    async def _tell(self, tell: Tell) -> bool:
        text = "" if tell.lift else next(d.text for d in self.standing.values() if d.id == tell.id)
        order = DrainOrder(tell.site, text, tell.id if tell.lift else "", self._fence())
        try:
            receipt = await self._sites[tell.site].link.drain(order)
        except TransportError as error:
            self.problems[tell.id, tell.site] = str(error)
            return False
        done = receipt.outcome in ("accepted", "duplicate") and receipt.site == tell.site
        if done:
            self.problems.pop((tell.id, tell.site), None)
        else:
            self.problems[tell.id, tell.site] = receipt.reason or receipt.outcome
        log.info("drain", agent=tell.site, id=tell.id, lift=tell.lift, outcome=receipt.outcome,
                 reason=receipt.reason)  # fmt: skip
        return done
