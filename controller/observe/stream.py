"""Reading the capture's events: a blocking client for tests, commands and gates."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from types import TracebackType
from typing import Self

from controller.bgp import Prefix
from controller.observe.capture_protocol import (
    Answer,
    Events,
    Fib,
    FibAnswer,
    FrameBuffer,
    LetGo,
    Probe,
    ProbeAnswer,
    ProbeResult,
    Refused,
    Request,
    Shot,
    Stats,
    StatsAnswer,
    Subscribe,
    Sync,
    SyncAnswer,
    WayAsked,
    Ways,
    WaysAnswer,
    WayTold,
    decode_answer,
    encode_frame,
)
from controller.observe.errors import (
    CaptureBehindError,
    CaptureGarbledError,
    CaptureGoneError,
    CaptureTimeoutError,
)
from controller.observe.event import CaptureStats, Event, FibChange

ANSWER_S = 30.0
"""Seconds within which the capture must answer a question."""


class CaptureStream:
    """One connection to a capture; use it as a context manager.

    Raises :class:`CaptureGoneError` when nobody listens there, or the capture ends meanwhile,
    :class:`CaptureTimeoutError` when it does not answer, :class:`CaptureBehindError` when this reader was too
    slow. ``let_go``: events that were asked for and are no longer kept.
    """

    def __init__(self, socket_path: str | PathLike[str], *, answer_within: float = ANSWER_S) -> None:
        self._path = fspath(socket_path)
        self._answer_within = answer_within
        self._frames = FrameBuffer()
        self._events: deque[Event] = deque()
        self._answers: deque[Answer] = deque()
        self._subscribed = False
        self.let_go = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(answer_within)
            self._socket.connect(self._path)
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            reason = error.strerror or str(error)
            raise CaptureGoneError(f"no capture at {self._path}: {reason}: is the lab up?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor, for select: readable when :meth:`read_available` will find something.

        A question asked on the same connection may have read events already: after one, call
        :meth:`read_available` before the first select.
        """
        return self._socket.fileno()

    def stats(self) -> CaptureStats:
        """Return the counts as they are now."""
        answer = self._ask(Stats())
        if not isinstance(answer, StatsAnswer):
            raise CaptureGarbledError(f"{self._path} answered stats with {type(answer).__name__}")
        return answer.stats

    def sync(self) -> CaptureStats:
        """Return the counts once everything has been read that was sent before this question.

        On a connection that subscribed, all events up to ``last_seq`` are here by then.
        """
        answer = self._ask(Sync())
        if not isinstance(answer, SyncAnswer):
            raise CaptureGarbledError(f"{self._path} answered sync with {type(answer).__name__}")
        return answer.stats

    def fib(self, prefix: Prefix | None = None, after_ns: int = 0) -> tuple[list[FibChange], int]:
        """Return the changes of kernels' routes after ``after_ns``, and how often changes were lost."""
        answer = self._ask(Fib(prefix, after_ns))
        if not isinstance(answer, FibAnswer):
            raise CaptureGarbledError(f"{self._path} answered fib with {type(answer).__name__}")
        return answer.changes, answer.lost

    def probe(self, shots: Sequence[Shot]) -> tuple[ProbeResult, ...]:
        """Send probes from inside nodes, and return what became of each, in order."""
        answer = self._ask(Probe(tuple(shots)))
        if not isinstance(answer, ProbeAnswer):
            raise CaptureGarbledError(f"{self._path} answered probe with {type(answer).__name__}")
        return answer.results

    def ways(self, asked: Sequence[WayAsked]) -> tuple[WayTold, ...]:
        """Return how nodes' kernels route, in the order of what was asked."""
        answer = self._ask(Ways(tuple(asked)))
        if not isinstance(answer, WaysAnswer):
            raise CaptureGarbledError(f"{self._path} answered ways with {type(answer).__name__}")
        return answer.ways

    def subscribe(self, after: int) -> None:
        """Ask for all events from ``after`` + 1 on, once for a connection."""
        self._subscribed = True
        self._write(Subscribe(after))

    def read_available(self) -> list[Event]:
        """Return the events that are here, without waiting."""
        self._read()
        events = list(self._events)
        self._events.clear()
        return events

    def events(self, after: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """Yield events from ``after`` + 1 on as they come, for ``timeout`` seconds in all (None: for ever).

        A connection that has subscribed already goes on where it is, whatever ``after`` says.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._subscribed:
            self.subscribe(after)
        while True:
            while self._events:
                yield self._events.popleft()
            if not self._wait(deadline):
                return
            self._read()

    def _ask(self, request: Request) -> Answer:
        self._write(request)
        while not self._answers:
            # Anew with whatever comes: before an answer come the events that were asked for, maybe 300,000.
            if not self._wait(time.monotonic() + self._answer_within):
                raise CaptureTimeoutError(f"{self._path} has said nothing for {self._answer_within:g} s")
            self._read()
        return self._answers.popleft()

    def _write(self, request: Request) -> None:
        # A request has some twenty bytes: it fits into the socket's buffer, or the capture does not read.
        frame = encode_frame(request)
        try:
            # Some libraries (mrtparse for one) make SIGPIPE fatal again in the process that imports them.
            sent = self._socket.send(frame, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._read()  # it may have said why, before it went
            raise self._gone() from error
        if sent != len(frame):
            raise CaptureTimeoutError(f"{self._path} takes no more questions: the capture does not read")

    def _wait(self, deadline: float | None) -> bool:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        # poll, not select: a process with more than 1,024 descriptors may read, too.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if left is None else left * 1000))

    def _read(self) -> None:
        """Take everything that is here."""
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._gone() from error
            if not data:
                if self._events or self._answers:
                    return  # told first; the next read finds the end again
                raise self._gone()
            for body in self._frames.feed(data):
                self._take(decode_answer(body))

    def _take(self, answer: Answer) -> None:
        match answer:
            case Events(events=events):
                self._events.extend(events)
            case LetGo(count=count):
                self.let_go += count
            case Refused(reason=reason, behind=True):
                raise CaptureBehindError(f"{self._path}: {reason}: read faster, or from the MRT file")
            case Refused(reason=reason):
                raise CaptureGarbledError(f"{self._path}: {reason}")
            case _:
                self._answers.append(answer)

    def _gone(self) -> CaptureGoneError:
        return CaptureGoneError(f"the capture at {self._path} has ended: look at its log")


def fetch_events(socket_path: str | PathLike[str], after: int = 0) -> tuple[list[Event], CaptureStats]:
    """Return all events from ``after`` + 1 up to what was sent before this call, and the counts then."""
    with CaptureStream(socket_path) as stream:
        stream.subscribe(after)
        stats = stream.sync()
        return [event for event in stream._events if event.seq <= stats.last_seq], stats
