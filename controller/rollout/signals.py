"""Looks around all sites from day to day, and tells the breaker what it sees (``outlook`` decides)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NoReturn, Protocol

import structlog

from controller.bgp import Prefix
from controller.observe.evidence import Moment, Probed
from controller.rollout.driver import Driver
from controller.rollout.faring import Faring, chosen
from controller.rollout.health_grants import health_grants
from controller.rollout.outlook import Outlook, Trouble
from controller.safety.breaker import Exceeded
from controller.safety.policy import Policy
from controller.safety.windows import Ledger
from controller.transport.errors import TransportError
from controller.transport.messages import HealthGrant, SiteStatus

HEAR_EVERY_S = 5.0
"""Seconds between two looks at what agents say: a quorum of sites is found within a few of them."""
LOOK_EVERY_S = 30.0
"""Seconds between two readings of what peers hold: each reads whole RIBs."""

PROBED_BY = 3
"""Sites whose neighbours probe: each follows its own routes, so that a few tell of all sites."""

log = structlog.get_logger()


class Look(Protocol):
    """Whoever looks around sites; see :class:`controller.observe.looking.Looker`. Blocking."""

    def look(self, sites: Sequence[str], touched: Sequence[Prefix], targets: Mapping[Prefix, str]) -> Moment:
        """Look around sites."""
        ...

    def probe(self, sites: Sequence[str], targets: Mapping[Prefix, str]) -> Sequence[Probed]:
        """Probe addresses from neighbours of these sites."""
        ...


class Breaker(Protocol):
    """The breaker and its ledger, as the store has them. Blocking; called from worker threads."""

    def ledger(self, now: float) -> Ledger:
        """Return the effects of late."""
        ...

    def exceeded(self, signal: Exceeded) -> None:
        """Take a signal in."""
        ...

    def held_scopes(self, now: float) -> frozenset[str]:
        """Return the scopes in which nothing subtractive goes."""
        ...

    def troubled(self, site: str, trouble: Trouble, whose: Mapping[Prefix, str]) -> None:
        """Tell people of routes that too few machines serve."""
        ...


class Signals:
    """``looker`` None: only what agents say is heard. ``announced``: which prefixes are wanted, and whose.

    ``addresses``: an address to probe in each prefix of which something is bound.
    """

    def __init__(
        self,
        driver: Driver,
        breaker: Breaker,
        announced: Callable[[Collection[Prefix]], Mapping[Prefix, str]],
        looker: Look | None = None,
        *,
        addresses: Callable[[Collection[Prefix]], Mapping[Prefix, str]] = lambda _: {},
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._driver = driver
        self._breaker = breaker
        self._announced = announced
        self._looker = looker
        self._addresses = addresses
        self._clock = clock
        self._steady = steady
        self._outlook = Outlook()
        self._faring = Faring()
        self._looked = float("-inf")

    async def run(self) -> NoReturn:
        """Look and hear for ever."""
        while True:
            await self.once()
            await asyncio.sleep(HEAR_EVERY_S)

    async def once(self) -> None:
        """Hear what agents say; look around if it is time."""
        now, steady, policy = self._clock(), self._steady(), self._driver.policy
        views = [f.view for f in self._driver.sites.values()]
        statuses = [v.status for v in views if v.reachable and v.status is not None]
        self._outlook, signal = self._outlook.heard(statuses, len(views), policy, now, steady)
        if signal is not None:
            await self._tell(signal)
        self._outlook, worse = self._outlook.worse(statuses)
        for (site, trouble), prefixes in worse.items():
            whose = await asyncio.to_thread(self._announced, prefixes)
            log.warning(trouble, site=site, prefixes=len(prefixes))
            await asyncio.to_thread(self._breaker.troubled, site, trouble, whose)
        await self._grant(statuses, len(views), policy, steady)
        unknown = {s.site: len(self._driver.conflicts.at(s.site)) for s in statuses}
        held = {s.site: (len(s.accounts), len(s.accounts) - unknown[s.site]) for s in statuses}
        self._outlook, signal = self._outlook.stored(held, policy, now)
        if signal is not None:
            await self._tell(signal)
        if self._looker is not None and now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            await self._look(self._looker, policy)

    async def _grant(
        self, statuses: Collection[SiteStatus], sites: int, policy: Policy, steady: float
    ) -> None:
        """Say to sites which withdrawals for want of bindings may be."""
        wished = {w.prefix for status in statuses for w in status.health if w.wish}
        if not wished:
            return
        held = await asyncio.to_thread(self._breaker.held_scopes, self._clock())
        whose = await asyncio.to_thread(self._announced, wished)
        wishes = self._outlook.wishes
        granted = health_grants(statuses, wishes, sites, whose, held, policy=policy, now=steady)
        for site, names in granted.items():
            try:
                receipt = await self._driver.sites[site].link.grant(
                    HealthGrant(site, names, self._driver.fence)
                )
            except TransportError as error:
                log.warning("health grant not delivered", site=site, reason=str(error))
                continue
            log.info("health grant", site=site, outcome=receipt.outcome, wishes=len(names))

    async def _look(self, looker: Look, policy: Policy) -> None:
        moment = await asyncio.to_thread(looker.look, sorted(self._driver.sites), (), {})
        now = self._clock()
        seen = self._outlook.looked(moment, now)
        ledger = await asyncio.to_thread(self._breaker.ledger, now)
        self._outlook, signal = await asyncio.to_thread(seen.fallen, self._announced, ledger, policy, now)
        if signal is not None:
            await self._tell(signal)
        signal = await asyncio.to_thread(self._fare, looker, ledger, policy)
        if signal is not None:
            await self._tell(signal)

    def _fare(self, looker: Look, ledger: Ledger, policy: Policy) -> Exceeded | None:
        """Probe what others changed lately beside what nobody did; what that opens."""
        picked = chosen(ledger, self._outlook.visibility.known, self._clock())
        if not picked.prefixes:
            return None
        whose = self._announced(picked.prefixes)
        targets = self._addresses(whose)
        probes = looker.probe(sorted(self._driver.sites)[:PROBED_BY], targets) if targets else ()
        self._faring, signal = self._faring.looked(
            probes, whose, picked.changed, ledger, policy=policy, now=self._clock()
        )
        return signal

    async def _tell(self, signal: Exceeded) -> None:
        log.warning("a matter for the breaker", check=signal.check, scope=signal.scope, says=signal.says)
        await asyncio.to_thread(self._breaker.exceeded, signal)
