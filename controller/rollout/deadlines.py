"""Tells roll-outs that the time for which they bake, or wait for a gate, is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from controller.rollout.crash_points import crash_point
from controller.rollout.events import DeadlinePassed
from controller.rollout.followed import Followed
from controller.rollout.states import RolloutState
from controller.rollout.stepping import Stepper
from controller.rollout.unwritten import Unwritten

BAKES_NOTED_S = 5.0
"""Seconds between two notes of what is left of a bake."""


class Deadlines:
    """One loop that sleeps until the earliest of them."""

    def __init__(
        self, followed: Followed, unwritten: Unwritten, stepper: Stepper, clock: Callable[[], float]
    ) -> None:
        self._followed = followed
        self._unwritten = unwritten
        self._stepper = stepper
        self._clock = clock
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """Say that one of them is another now."""
        self._moved.set()

    async def run(self) -> NoReturn:
        """Watch them for ever."""
        while True:
            self._moved.clear()
            self._pass()
            ahead = [t.rollout.deadline for t in self._followed.all() if t.rollout.deadline is not None]
            if self._note_bakes():
                ahead.append(self._clock() + BAKES_NOTED_S)
            timeout = max(0.0, min(ahead) - self._clock()) if ahead else None
            try:
                async with asyncio.timeout(timeout):  # wait_for may swallow a cancellation (CPython 3.11)
                    await self._moved.wait()
            except TimeoutError:
                continue

    def _pass(self) -> None:
        now = self._clock()
        for tracked in self._followed.all():
            deadline = tracked.rollout.deadline
            if deadline is not None and deadline <= now:
                if tracked.rollout.state is RolloutState.BAKING:
                    crash_point("bake-over")
                self._stepper.step(tracked, DeadlinePassed())

    def _note_bakes(self) -> bool:
        """Write down what is left of bakes, so that a crash makes none of them much longer."""
        baking = [t for t in self._followed.all() if t.rollout.state is RolloutState.BAKING]
        for tracked in baking:
            self._unwritten.moved(tracked)
        return bool(baking)
