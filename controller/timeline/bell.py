"""Wakes those who wait for something new in the timeline."""

from __future__ import annotations

import asyncio
import contextlib


class Bell:
    """Rung from any thread after a commit; each listener has an event of its own, and clears it."""

    def __init__(self) -> None:
        self._listeners: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def listener(self) -> asyncio.Event:
        """Return an event of the running loop that every ring sets; it is set at first."""
        event = asyncio.Event()
        event.set()
        self._listeners.append((asyncio.get_running_loop(), event))
        return event

    def ring(self) -> None:
        """Wake all listeners whose loops still run."""
        for loop, event in self._listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)


async def rung_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, or so long; tell which.

    Not ``asyncio.wait_for``: before Python 3.12 that loses a cancellation that comes with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
