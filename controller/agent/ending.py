"""When an agent's process ends, and when one server of it gives way to another on the same socket.

A server is always ended by its event, never cancelled: one that is cancelled leaves its socket and its kept
connections with nobody who answers, or with an application that is over.
"""

from __future__ import annotations

import asyncio
import signal

ANSWERED_AFTER_S = 0.1
"""Seconds between the answer to a release, or a quarantine, and what follows: it is to be out by then."""


class Ending:
    """SIGTERM and SIGINT end what is served, and whatever would be served after it."""

    def __init__(self) -> None:
        self._asked = False
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(signum, self._end)

    def _end(self) -> None:
        self._asked = True
        self._stop.set()

    def next(self) -> asyncio.Event:
        """Return what ends the next that is served."""
        if not self._asked:
            self._stop = asyncio.Event()
        return self._stop

    def soon(self) -> None:
        """End what is served now, once its last answer is out."""
        self._loop.call_later(ANSWERED_AFTER_S, self._stop.set)
