"""When routes arrived at the neighbours of our sites, by what was captured on the wire (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from controller.bgp import Prefix
from controller.observe.event import Event

Session = tuple[str, str]
"""A site's router, and a neighbour of it."""


def last_arrival_ns(
    events: Iterable[Event], sessions: Collection[Session], prefixes: Collection[Prefix]
) -> int | None:
    """Return when the last of ``prefixes`` was first announced on the last of ``sessions``.

    Nanoseconds since the Unix epoch, the kernel's timestamp; None while one is still missing somewhere.
    """
    missing = {session: set(prefixes) for session in sessions}
    last = 0
    for event in events:
        waits = missing.get((event.sender, event.receiver))
        if not waits or event.kind != "update":
            continue
        arrived = waits.intersection(a.prefix for a in event.announced)
        if arrived:
            waits -= arrived
            last = max(last, event.at_ns)
    return None if any(missing.values()) else last
