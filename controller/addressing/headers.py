"""The headers that writes take: names, lengths, what each may hold (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TakenHeader:
    """A header of requests. ``longest``: characters; ``pattern``: what a value is, whole."""

    name: str
    longest: int
    pattern: str
    meaning: str

    def takes(self, value: str) -> bool:
        """Tell whether ``value`` may be sent in it."""
        return len(value) <= self.longest and re.fullmatch(self.pattern, value) is not None


VISIBLE = r"^[!-~]([ -~]*[!-~])?$"
"""Visible ASCII, spaces only between: what every proxy and store passes on as it is."""

KEY = TakenHeader(
    "Idempotency-Key", 255, VISIBLE, "The same key with the same request gives the same answer, done once."
)
REASON = TakenHeader("Herald-Reason", 500, VISIBLE, "Why; kept in the history of what changes.")
MATCH = TakenHeader(
    "If-Match",
    1000,
    r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$',
    "The ETag of a GET: the write is refused (412) if the object was changed since.",
)
INTENT = TakenHeader(
    "Herald-Intent",
    32,
    r"^[A-Za-z0-9_-]+$",
    "The id of an intent that two operators have signed, for what this takes away.",
)
OF_WRITES = (KEY, REASON, MATCH, INTENT)
