"""Looks for what migrations wait for: the same length, seen elsewhere (SAFETY.md, 5, lane "migration").

Level-triggered: which steps wait is in the store. Nobody looks while none does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import NoReturn, Protocol

import structlog

from controller.bgp import Prefix
from controller.guard import elsewhere
from controller.guard.elsewhere import FRESH_S, Sightings
from controller.observe.elsewhere import Held, seen_elsewhere
from controller.safety.policy import Policy
from controller.store import Store

LOOK_EVERY_S = 10.0
"""Seconds between two looks while a step waits: each reads whole RIBs."""

log = structlog.get_logger()


class Look(Protocol):
    """Whoever reads routers of others; see :class:`controller.observe.looking.Looker`. Blocking."""

    def held_elsewhere(self, prefixes: Collection[Prefix]) -> tuple[Held, ...]:
        """Return what each that answers holds."""
        ...


class Migrating:
    """``queued`` is called on the event loop with each change-set that is to be judged again."""

    def __init__(
        self,
        store: Store,
        looker: Look,
        sightings: Sightings,
        queued: Callable[[str], None],
        policy: Callable[[], Policy],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._looker = looker
        self._sightings = sightings
        self._queued = queued
        self._policy = policy
        self._clock = clock
        self._judged: dict[str, float] = {}

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            await self.once()
            await asyncio.sleep(LOOK_EVERY_S)

    async def once(self) -> None:
        """Look, if a step waits; let go on what is seen elsewhere, all of it."""
        for change_set_id in await asyncio.to_thread(self._look):
            log.info("a migration goes on: it is seen elsewhere", change_set=change_set_id)
            self._queued(change_set_id)

    def _look(self) -> list[str]:
        with self._store.read() as session:
            steps = elsewhere.waiting(session)
        if not steps:
            return []
        told = self._looker.held_elsewhere(frozenset[Prefix]().union(*steps.values()))
        now = self._clock()
        seen = seen_elsewhere(told, self._policy().gates.observers)
        self._sightings.note(seen, now)
        # One that is held for something else of this check is not judged at each look.
        self._judged = {id_: at for id_, at in self._judged.items() if 0.0 <= now - at < FRESH_S}
        ready = [id_ for id_, prefixes in steps.items() if prefixes <= seen and id_ not in self._judged]
        if ready:
            self._judged |= dict.fromkeys(ready, now)
            with self._store.write() as session:
                for id_ in ready:
                    elsewhere.go_on(session, id_)
        return ready
