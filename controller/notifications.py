"""What ``herald serve`` does to tell accounts: webhooks, the lab's files, and looking at routers' RIBs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

from controller.addressing.sightings import Sightings
from controller.addressing.timeline import entries_after
from controller.rollout.supervise import keep_running
from controller.rollout.view import StoreView
from controller.store import Store
from controller.timeline.bell import Bell, rung_within
from controller.timeline.dispatch import Dispatcher
from controller.timeline.log_file import LogFiles
from controller.timeline.policy import WebhookPolicy

LOOK_EVERY_S = 30.0
"""Seconds between two readings of all RIBs: a route that is lost is told within a minute."""

LET_SETTLE_S = 3.0
"""Seconds from a change at a site to the reading that follows it: routers try stale paths meanwhile."""


class Notifications:
    """The tasks that tell accounts. Make it, :meth:`start` it on an event loop, and :meth:`close` it."""

    def __init__(self, store: Store, view: StoreView, state_dir: Path, *, lab: bool) -> None:
        self.bell = Bell()
        self.policy = WebhookPolicy(private_targets=lab)
        self._view = view
        self._sightings = Sightings(store, self.bell.ring)
        self._moved = asyncio.Event()
        self._work = {"webhooks": Dispatcher(store, self.policy, self.bell).run, "observation": self._observe}
        if lab:
            files = LogFiles(state_dir / "notifications", store, self.bell, entries_after)
            self._work["notification files"] = files.run
        self._tasks: list[asyncio.Task[None]] = []

    def something_moved(self, account_id: str) -> None:
        """Tell what was written down of an account's roll-outs; on the event loop."""
        self._moved.set()
        self.bell.ring()

    def start(self) -> None:
        """Begin on the running loop."""
        self._tasks = [
            asyncio.create_task(keep_running(name, work), name=name) for name, work in self._work.items()
        ]

    async def close(self) -> None:
        """Stop; what was not sent is sent after the next start."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _observe(self) -> NoReturn:
        while True:
            self._moved.clear()
            reading = await asyncio.to_thread(self._view.reading)
            if reading is not None:
                await asyncio.to_thread(self._sightings.take, reading)
            if await rung_within(self._moved, LOOK_EVERY_S):
                await asyncio.sleep(LET_SETTLE_S)
