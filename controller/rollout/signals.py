"""Looks around all sites from day to day, and tells the breaker what it sees (``outlook`` decides)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NoReturn, Protocol

import structlog

from controller.bgp import Prefix
from controller.observe.evidence import Moment
from controller.rollout.driver import Driver
from controller.rollout.outlook import Outlook
from controller.safety.breaker import Exceeded
from controller.safety.policy import Policy
from controller.safety.windows import Ledger

HEAR_EVERY_S = 5.0
"""Seconds between two looks at what agents say: a quorum of sites is found within a few of them."""
LOOK_EVERY_S = 30.0
"""Seconds between two readings of what peers hold: each reads whole RIBs."""

log = structlog.get_logger()


class Look(Protocol):
    """Whoever looks around sites; see :class:`controller.observe.looking.Looker`. Blocking."""

    def look(self, sites: Sequence[str], touched: Sequence[Prefix], targets: Mapping[Prefix, str]) -> Moment:
        """Look around sites."""
        ...


class Breaker(Protocol):
    """The breaker and its ledger, as the store has them. Blocking; called from worker threads."""

    def ledger(self, now: float) -> Ledger:
        """Return the effects of late."""
        ...

    def exceeded(self, signal: Exceeded) -> None:
        """Take a signal in."""
        ...


class Signals:
    """``looker`` None: only what agents say is heard. ``announced``: which prefixes are wanted, and whose."""

    def __init__(
        self,
        driver: Driver,
        breaker: Breaker,
        announced: Callable[[Collection[Prefix]], Mapping[Prefix, str]],
        looker: Look | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._driver = driver
        self._breaker = breaker
        self._announced = announced
        self._looker = looker
        self._clock = clock
        self._outlook = Outlook()
        self._looked = float("-inf")

    async def run(self) -> NoReturn:
        """Look and hear for ever."""
        while True:
            await self.once()
            await asyncio.sleep(HEAR_EVERY_S)

    async def once(self) -> None:
        """Hear what agents say; look around if it is time."""
        now, policy = self._clock(), self._driver.policy
        views = [f.view for f in self._driver.sites.values()]
        statuses = [v.status for v in views if v.reachable and v.status is not None]
        self._outlook, signal = self._outlook.heard(statuses, len(views), policy, now)
        if signal is not None:
            await self._tell(signal)
        if self._looker is not None and now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            await self._look(self._looker, policy)

    async def _look(self, looker: Look, policy: Policy) -> None:
        moment = await asyncio.to_thread(looker.look, sorted(self._driver.sites), (), {})
        now = self._clock()
        seen = self._outlook.looked(moment, now)
        ledger = await asyncio.to_thread(self._breaker.ledger, now)
        self._outlook, signal = await asyncio.to_thread(seen.fallen, self._announced, ledger, policy, now)
        if signal is not None:
            await self._tell(signal)

    async def _tell(self, signal: Exceeded) -> None:
        log.warning("a matter for the breaker", check=signal.check, scope=signal.scope, says=signal.says)
        await asyncio.to_thread(self._breaker.exceeded, signal)
