"""Takes questions about probes in the capture's loop, has them done beside it, and hands back the answers."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from controller.observe.capture_protocol import Answer, Probe, ProbeAnswer, Ways, WaysAnswer
from controller.observe.prober import Prober

AT_ONCE = 4
"""Questions that are worked on at the same time; each waits for its probes, and not for the processor."""


class ProbeDesk:
    """A loop's window to a :class:`Prober`: :meth:`take` a question, :meth:`deliver` when it is readable."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe-desk")
        self._done: deque[tuple[Callable[[Answer], None], Future[Answer]]] = deque()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when an answer waits."""
        return self._bell.fileno()

    def take(self, request: Probe | Ways, answer: Callable[[Answer], None]) -> None:
        """Have a question answered; ``answer`` is called from within :meth:`deliver`."""
        work = self._pool.submit(self._work, request)
        work.add_done_callback(lambda done: self._finished(answer, done))

    def deliver(self) -> None:
        """Hand back the answers that are there; raises what a question raised that should not have."""
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        while self._done:
            answer, done = self._done.popleft()
            answer(done.result())

    def close(self) -> None:
        """Take no more; what is being worked on ends within its probes' deadlines."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._bell.close()
        self._ringer.close()

    def _work(self, request: Probe | Ways) -> Answer:
        if isinstance(request, Probe):
            return ProbeAnswer(tuple(self._prober.probe(request.shots)))
        return WaysAnswer(tuple(self._prober.ways(request.asked)))

    def _finished(self, answer: Callable[[Answer], None], done: Future[Answer]) -> None:
        if done.cancelled():
            return
        self._done.append((answer, done))
        with contextlib.suppress(BlockingIOError):
            self._ringer.send(b"\0")
