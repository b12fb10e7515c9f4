"""The events that a capture keeps: numbered from 1, encoded once, no more than so many (pure)."""

from __future__ import annotations

import msgspec

from controller.observe.event import Event


class EventLog:
    """Events in order of capture; when there are more than ``limit``, the oldest tenth is let go."""

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 1)
        self._kept: list[msgspec.Raw] = []
        self._encode = msgspec.msgpack.Encoder().encode
        self.let_go = 0

    @property
    def last_seq(self) -> int:
        """The newest event's number; 0 when there is none."""
        return self.let_go + len(self._kept)

    def append(self, event: Event) -> Event:
        """Number an event, keep it, and return it numbered."""
        event = msgspec.structs.replace(event, seq=self.last_seq + 1)
        self._kept.append(msgspec.Raw(self._encode(event)))
        if len(self._kept) > self._limit:
            count = max(1, self._limit // 10)
            del self._kept[:count]
            self.let_go += count
        return event

    def after(self, seq: int, count: int) -> list[msgspec.Raw]:
        """Return at most ``count`` encoded events from ``seq`` + 1 on; ``seq`` is at least ``let_go``."""
        begin = seq - self.let_go
        return self._kept[begin : begin + count]
