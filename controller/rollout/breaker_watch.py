"""Follows the breaker: roll-outs are told what opens and closes, and people are reminded on its deadlines.

What opens it is written down where it is judged (``controller.guard``); this looks after each such moment,
and whenever a reminder is due, so that a restart or a second process misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from controller.guard import scopes
from controller.guard.scopes import Moment
from controller.safety.breaker import State, Ticked, next_due
from controller.safety.policy import Policy
from controller.store import Store
from controller.timeline.bell import rung_within

LOOK_EVERY_S = 30.0
"""Seconds after which it looks though nobody said that anything moved."""

MIN_WAIT_S = 0.05


class BreakerWatch:
    """Calls ``opened(scope, reason)`` and ``closed(scope)`` on the event loop that runs it."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        opened: Callable[[str, str], None],
        closed: Callable[[str], None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._policy = policy
        self._opened = opened
        self._closed = closed
        self._clock = clock
        self._known: dict[str, str] = {}
        self._moved = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def moved(self) -> None:
        """Say that a scope may have opened or closed; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._moved.set)

    async def run(self) -> NoReturn:
        """Follow for ever."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._moved.clear()
            state = await asyncio.to_thread(self.look)
            self._tell(state)
            await rung_within(self._moved, self._wait_s(state))

    def look(self) -> State:
        """Return what is open now; whoever is to be reminded of it has been, in the same transaction."""
        now = self._clock()
        with self._store.read() as session:
            state = scopes.load(session)
        due = next_due(state, self._policy)
        if due is None or due > now.timestamp():
            return state
        with self._store.write() as session:
            moment = Moment(session, self._policy, now)
            return scopes.happened(moment, scopes.load(session), Ticked())

    def _tell(self, state: State) -> None:
        for scope in self._known.keys() - state.open.keys():
            self._closed(scope)
        for scope, opening in state.open.items():
            if scope not in self._known:
                self._opened(scope, opening.says)
        self._known = {scope: opening.says for scope, opening in state.open.items()}

    def _wait_s(self, state: State) -> float:
        due = next_due(state, self._policy)
        if due is None:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(MIN_WAIT_S, due - self._clock().timestamp()))
