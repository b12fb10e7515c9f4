"""uvicorn's HTTP/1.1, with a deadline for a request's headers: who sends none holds no connection."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_DEADLINE_S = 20.0
"""Seconds for a request's line and headers, from the connection or from the answer before."""


class DeadlineProtocol(H11Protocol):
    """Closes a connection on which no whole head of a request has come in time."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the first request's deadline."""
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        """Do what came, and start or end the deadline."""
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._head is None:
            self._head = self.loop.call_later(HEADERS_DEADLINE_S, self.transport.close)

    def _stop(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
