"""Follows the change-sets that take roll-outs back, until these are over (``reverts`` makes them)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import NoReturn

from controller.rollout import reverts
from controller.rollout.acts import reverted_by
from controller.rollout.begin import Begun
from controller.rollout.crash_points import crash_point
from controller.rollout.events import Revert, RevertEnded
from controller.rollout.states import RolloutState
from controller.rollout.stepping import Stepper
from controller.rollout.tracked import Tracked
from controller.rollout.unwritten import Unwritten
from controller.store import Store

REVERTS_LOOKED_AT_S = 2.0
"""Seconds between two looks at the change-sets that take a roll-out back."""


class WaysBack:
    """Which change-sets take which roll-outs back. On the driver's event loop.

    ``queued()``: one of them waits in the queue.
    """

    def __init__(
        self, store: Store, unwritten: Unwritten, stepper: Stepper, *, queued: Callable[[], None]
    ) -> None:
        self._store = store
        self._unwritten = unwritten
        self._stepper = stepper
        self._queued = queued
        self._taken_back_by: dict[str, Tracked] = {}
        self._moved = asyncio.Event()

    def take_up(self, tracked: Tracked) -> None:
        """Go on with a roll-out that is on its way back, as it is on disk."""
        rollout = tracked.rollout
        for change_set in rollout.course.reverted_by:
            self._taken_back_by[change_set] = tracked
        if rollout.state is RolloutState.REVERTING:
            if not rollout.course.reverted_by:
                self._unwritten.wants(tracked, Revert(rollout.reached, rollout.course.why))
            self._moved.set()

    def going_back(self, tracked: Tracked, reverting: reverts.Reverting) -> Begun | None:
        """Follow the way back that is on disk now; return the half of it that has begun."""
        tracked.rollout = reverted_by(tracked.rollout, reverting)
        for change_set in reverting.change_sets:
            self._taken_back_by[change_set] = tracked
        if reverting.waits:
            self._queued()
        if reverting.why or not reverting.change_sets:
            self._stepper.step(tracked, RevertEnded(not reverting.why, reverting.why))
        self._moved.set()
        return reverting.begun

    def written(self, change_set_id: str) -> None:
        """Something about a change-set was written down: it may be one of these."""
        if change_set_id in self._taken_back_by:
            self._moved.set()

    async def run(self) -> NoReturn:
        """Follow them for ever."""
        while True:
            self._moved.clear()
            for tracked in {t.rollout.id: t for t in self._taken_back_by.values()}.values():
                ended = await asyncio.to_thread(self._end_of, tracked.rollout.course.reverted_by)
                if ended is not None:
                    crash_point("revert-over")
                    for change_set in tracked.rollout.course.reverted_by:
                        self._taken_back_by.pop(change_set, None)
                    self._stepper.step(tracked, RevertEnded(*ended))
            with contextlib.suppress(TimeoutError):
                # Somebody may decide about a half that is held without telling us.
                async with asyncio.timeout(REVERTS_LOOKED_AT_S if self._taken_back_by else None):
                    await self._moved.wait()

    def _end_of(self, change_sets: Sequence[str]) -> tuple[bool, str] | None:
        with self._store.read() as session:
            return reverts.end_of(session, change_sets)
