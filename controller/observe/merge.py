"""Packets of many rings in one order of time, without guessing how late a ring may be (pure).

The kernel counts a packet when it puts it into a ring, and hands the ring over some milliseconds later. So
each ring is asked now and then how many it has been given: once all those were read, nothing older than the
question can still come from it. A packet leaves once no ring can hold an older one.
"""

from __future__ import annotations

import heapq
from collections import deque

SLACK_NS = 1_000_000
"""How much later than its timestamp the kernel may count a packet, in nanoseconds."""

_ALWAYS = 1 << 63

Packet = tuple[int, str, bytes]
"""When it left (nanoseconds since the epoch), the node's name, the bytes from the IP header on."""


class _Source:
    __slots__ = ("checks", "read", "safe")

    def __init__(self) -> None:
        self.read = 0
        self.checks: deque[tuple[int, int]] = deque()
        self.safe = 0


class Merge:
    """Merges ``count`` sources, each of which gives its own packets nearly in order."""

    def __init__(self, count: int) -> None:
        self._sources = [_Source() for _ in range(count)]
        self._heap: list[tuple[int, int, int, Packet]] = []
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, index: int, packets: list[Packet]) -> None:
        """Take what was read from a source."""
        source = self._sources[index]
        source.read += len(packets)
        for packet in packets:
            self._pushed += 1
            heapq.heappush(self._heap, (packet[0], index, self._pushed, packet))

    def check(self, index: int, at_ns: int, given: int) -> None:
        """Say that a source had been given ``given`` packets in all when it was asked at ``at_ns``."""
        source = self._sources[index]
        if source.checks and source.checks[-1][1] == given:
            source.checks[-1] = (at_ns, given)
        else:
            source.checks.append((at_ns, given))
        while source.checks and source.checks[0][1] <= source.read:
            source.safe = source.checks.popleft()[0]

    def behind(self, index: int) -> bool:
        """Whether a source holds packets that it had been given by the last check, unread."""
        return bool(self._sources[index].checks)

    def safe_until(self) -> int:
        """Return the time (nanoseconds since the epoch) up to which nothing more can come."""
        return min((source.safe for source in self._sources), default=_ALWAYS) - SLACK_NS

    def ready(self) -> list[Packet]:
        """Return, in order, the packets that no older one can follow any more."""
        if not self._heap:
            return []
        safe = self.safe_until()
        out = []
        while self._heap and self._heap[0][0] <= safe:
            out.append(heapq.heappop(self._heap)[3])
        return out

    def rest(self) -> list[Packet]:
        """Return all that is left, in order: nothing more comes."""
        out = [entry[3] for entry in sorted(self._heap)]
        self._heap.clear()
        return out
