"""Sends what waits for webhooks: one delivery at a time for each, several webhooks at once.

All that matters is in the database before anything is sent and right after it was answered. A crash in
between sends the same delivery again, with the same ``webhook-id``, by which receivers know it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

import structlog

from controller.store import Store
from controller.timeline.bell import Bell, rung_within
from controller.timeline.deliveries import Due, heads, settle
from controller.timeline.policy import WebhookPolicy
from controller.timeline.sender import Sender
from controller.timeline.signing import signed_headers

LOOK_EVERY_S = 30.0
"""Seconds after which the database is looked at though nobody rang: another process may have written."""

log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Dispatcher:
    """Sends what waits, for ever; :meth:`run` it on an event loop. ``bell`` tells it of something new."""

    def __init__(
        self,
        store: Store,
        policy: WebhookPolicy,
        bell: Bell,
        *,
        now: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._policy = policy
        self._bell = bell
        self._now = now
        self._chance = chance
        self._in_flight: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> NoReturn:
        """Send for ever; cancelling it breaks attempts off, which are made again at the next start."""
        woken = self._bell.listener()
        self._in_flight.clear()
        async with Sender(self._policy) as sender, asyncio.TaskGroup() as group:
            while True:
                woken.clear()
                # One that ends while this is read may be in it as it was before: it is looked at again.
                busy = frozenset(self._in_flight)
                found = await asyncio.to_thread(self._heads)
                due = [head for head in found if head.webhook_id not in busy]
                timeout = self._begin(group, sender, woken, due)
                await rung_within(woken, timeout)
        raise AssertionError("a loop that never ends has ended")

    def _begin(
        self, group: asyncio.TaskGroup, sender: Sender, woken: asyncio.Event, found: list[Due]
    ) -> float:
        """Begin what is due, as far as there is room; return after how many seconds to look again."""
        now, ahead = self._now(), LOOK_EVERY_S
        for due in found:
            wait = (due.next_at - now).total_seconds()
            if wait > 0:
                ahead = min(ahead, wait)
            elif len(self._in_flight) < self._policy.at_once:
                task = group.create_task(self._attempt(sender, due))
                self._in_flight[due.webhook_id] = task
                task.add_done_callback(partial(self._ended, due.webhook_id, woken))
        return ahead

    def _ended(self, webhook_id: str, woken: asyncio.Event, _: asyncio.Task[None]) -> None:
        self._in_flight.pop(webhook_id, None)
        woken.set()

    async def _attempt(self, sender: Sender, due: Due) -> None:
        headers = signed_headers(due.id, self._now(), due.body, due.secrets)
        answer = await sender.post(due.url, headers, due.body)

        def write() -> str:
            with self._store.write() as session:
                return settle(session, due, answer, self._policy, now=self._now(), chance=self._chance())

        state = await asyncio.to_thread(write)
        if state == "delivered":
            return
        log.warning("webhook not delivered", webhook=due.webhook_id, delivery=due.id,
                    state=state, status=answer.status, reason=answer.error)  # fmt: skip
        if state == "failed":  # its webhook was disabled, which others are told
            self._bell.ring()

    def _heads(self) -> list[Due]:
        with self._store.read() as session:
            return heads(session, self._now())
