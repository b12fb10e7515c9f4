"""One direction of a TCP connection, put back in order, and cut into BGP messages (pure).

:class:`TcpStream` takes segments as they were captured at their sender and gives back the bytes in order;
what the capture never saw shows as a :class:`Gap`. :class:`Framer` cuts the bytes at BGP's headers, and
after a gap or a late start goes on at the next marker.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from controller.observe.bgp_message import HEADER, MARKER, USUAL_LIMIT, message_length
from controller.observe.errors import BgpMessageError

BUFFER_LIMIT = 4 << 20
"""Bytes out of order that are kept while a gap may still be filled."""

_WRAP = 1 << 32
_HALF = 1 << 31


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that the capture never saw; ``length`` 0: how many is not known (a late start)."""

    length: int


@dataclass(frozen=True, slots=True)
class End:
    """The stream ends here: by FIN, or by RST."""

    reset: bool


Piece = bytes | Gap | End


class TcpStream:
    """One direction, put in order. The first SYN or segment says where to begin; numbers may wrap."""

    def __init__(self, limit: int = BUFFER_LIMIT) -> None:
        self._limit = limit
        self._isn: int | None = None
        self._start(None)

    def _start(self, begin: int | None) -> None:
        self._next = begin  # counted without wrapping
        self._early: list[tuple[int, bytes]] = []
        self._early_bytes = 0
        self._fin: int | None = None
        self._ended = False

    def begun_otherwise(self, isn: int) -> bool:
        """Whether a SYN with another sequence number began this stream: ``isn`` is a new connection's."""
        return self._isn is not None and self._isn != isn

    def begin(self, isn: int) -> None:
        """Take a SYN's sequence number; the same one again (a retransmission) changes nothing."""
        if isn != self._isn:
            self._isn = isn
            self._start(isn + 1)

    def segment(
        self, seq: int, payload: bytes, *, fin: bool = False, length: int | None = None
    ) -> list[Piece]:
        """Take one segment and return what is now in order.

        ``length`` is the payload's on the wire where the capture kept less; the rest shows as a gap once
        later bytes have been acknowledged.
        """
        if self._ended:
            return []
        out: list[Piece] = []
        if self._next is None:
            if not payload and not fin:
                return []
            self._next = seq
            out.append(Gap(0))
        at = self._absolute(seq)
        end = at + (len(payload) if length is None else length)
        if fin:
            self._fin = end if self._fin is None else min(self._fin, end)
        if payload:
            insort(self._early, (at, payload))
            self._early_bytes += len(payload)
        self._drain(out)
        if self._early_bytes > self._limit:
            self._skip(out)
        return out

    def acked(self, ack: int) -> list[Piece]:
        """Take the receiver's acknowledgement: what it covers will not be sent again.

        A hole is given up only when later bytes are there already. They came from the same ring, so the
        missing ones would have come before them, however the two rings were merged.
        """
        out: list[Piece] = []
        if self._next is not None:
            limit = self._absolute(ack)
            while self._early and self._early[0][0] <= limit and not self._ended:
                self._skip(out)
        return out

    def reset(self) -> list[Piece]:
        """Take a RST."""
        if self._ended:
            return []
        self._ended = True
        self._early.clear()
        return [End(reset=True)]

    def _absolute(self, seq: int) -> int:
        assert self._next is not None
        return self._next + ((seq - self._next + _HALF) % _WRAP) - _HALF

    def _drain(self, out: list[Piece]) -> None:
        assert self._next is not None
        count = 0
        for at, payload in self._early:
            if at > self._next:
                break
            count += 1
            self._early_bytes -= len(payload)
            fresh = payload[self._next - at :]
            if fresh:
                out.append(fresh)
                self._next += len(fresh)
        del self._early[:count]
        if self._fin is not None and self._next >= self._fin:
            self._ended = True
            self._early.clear()
            out.append(End(reset=False))

    def _skip(self, out: list[Piece]) -> None:
        assert self._next is not None
        first = self._early[0][0]
        out.append(Gap(first - self._next))
        self._next = first
        self._drain(out)


class Framer:
    """Cuts a byte stream into BGP messages. ``skipped`` counts bytes that belong to no whole message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searching = False
        self.skipped = 0
        self.limit = USUAL_LIMIT

    def feed(self, data: bytes) -> list[bytes | BgpMessageError]:
        """Return each message that is whole now; an error stands where a header was none.

        After an error, framing goes on at the next marker by itself.
        """
        self._buffer += data
        found: list[bytes | BgpMessageError] = []
        at = 0
        while True:
            if self._searching:
                at = self._seek(at)
            if len(self._buffer) - at < HEADER:
                break
            try:
                length = message_length(bytes(self._buffer[at : at + HEADER]), 0, self.limit)
            except BgpMessageError as error:
                if not self._searching:
                    found.append(error)
                self._searching = True
                self.skipped += 1
                at += 1
                continue
            if len(self._buffer) - at < length:
                break
            self._searching = False
            found.append(bytes(self._buffer[at : at + length]))
            at += length
        del self._buffer[:at]
        return found

    def _seek(self, at: int) -> int:
        """Return where the next marker begins, or may begin with bytes that are still to come."""
        found = self._buffer.find(MARKER, at)
        if found < 0:
            found = max(at, len(self._buffer) - len(MARKER) + 1)
        self.skipped += found - at
        return found

    def gap(self) -> None:
        """Say that bytes are missing here: the message that was under way is lost."""
        self.skipped += len(self._buffer)
        self._buffer.clear()
        self._searching = True
