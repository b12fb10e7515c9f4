"""The chain of events (pure): each has the hash of all before it, so that none can be changed unseen.

``hash = SHA-256(hash of the one before, a line feed, the event as canonical JSON)``, in hex; the first goes
on from :data:`GENESIS`. Canonical: keys sorted, no spaces, ASCII. Whoever can write to the database could
make all hashes anew, and could cut events off at the end: both are found against a :class:`Head` that was
noted elsewhere before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

GENESIS = "0" * 64
"""What the first event goes on from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, without its hash; ``at``: RFC 3339 UTC with microseconds, as it is kept."""

    seq: int
    at: str
    actor: str
    origin: str
    action: str
    account_id: str | None
    object_kind: str
    object_id: str
    reason: str
    change_set_id: str | None
    detail: Mapping[str, Any]


FIELDS = tuple(f.name for f in fields(Entry))


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event at some time: note it elsewhere, to find later what was cut off or made anew."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``broken_at``: the first event that is not as it was written, None when the chain is whole."""

    events: int
    head: Head | None
    broken_at: int | None = None
    reason: str | None = None

    @property
    def intact(self) -> bool:
        """Whether every event is as it was written, and none is missing."""
        return self.broken_at is None


def canonical(entry: Entry) -> bytes:
    """Return the event as canonical JSON; raises ValueError for NaN, which JSON has not."""
    return json.dumps(
        {name: getattr(entry, name) for name in FIELDS},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    ).encode("ascii")


def hash_of(previous: str, entry: Entry) -> str:
    """Return the hash of an event that comes after the one with the hash ``previous``."""
    return hashlib.sha256(previous.encode("ascii") + b"\n" + canonical(entry)).hexdigest()


def verify(chain: Iterable[tuple[Entry, str]], noted: Head | None = None) -> Verdict:
    """Go through a whole chain, oldest first, and tell where it first breaks.

    ``noted``: the head as it was seen earlier; it must still be in the chain as it was.
    """
    head: Head | None = None
    count = 0
    for entry, found in chain:
        count += 1
        previous = Head(0, GENESIS) if head is None else head
        if entry.seq <= previous.seq:
            why = f"event {entry.seq} comes after event {previous.seq}"
            return Verdict(count, head, entry.seq, why)
        if hash_of(previous.hash, entry) != found:
            why = (
                f"event {entry.seq} does not follow from event {previous.seq}: "
                "it was changed, or events between them were removed or put in"
            )
            return Verdict(count, head, entry.seq, why)
        head = Head(entry.seq, found)
        if noted is not None and noted.seq == entry.seq and noted.hash != found:
            why = f"event {entry.seq} had the hash {noted.hash} when it was noted: the chain was made anew"
            return Verdict(count, head, entry.seq, why)
        if noted is not None and (previous.seq < noted.seq < entry.seq):
            return Verdict(count, head, noted.seq, f"event {noted.seq}, which was noted, is not there")
    if noted is not None and (head is None or head.seq < noted.seq):
        last = 0 if head is None else head.seq
        return Verdict(count, head, last + 1, f"events {last + 1} to {noted.seq} were cut off at the end")
    return Verdict(count, head)
