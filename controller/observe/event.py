"""What the capture tells its readers: one event per BGP message, in the order of capture (pure)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from controller.bgp import Prefix

Kind = Literal["open", "update", "notification", "keepalive", "route-refresh", "up", "down"]


class Announcement(msgspec.Struct, frozen=True):
    """What one UPDATE says of one prefix that it announces; the path as on the wire."""

    prefix: Prefix
    as_path: tuple[int | tuple[int, ...], ...]
    next_hop: str | None
    communities: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True):
    """One BGP message, recorded once, as it left the sender's router.

    ``at_ns``: nanoseconds since the Unix epoch, the kernel's timestamp. ``sender``/``receiver``: node
    names; the addresses and ASNs are the session's (0 when no OPEN was seen). ``raw``: the whole message
    from its marker on. ``up`` and ``down`` are session events: OPENs exchanged both ways, and
    NOTIFICATION, FIN or RST seen (``raw`` empty). ``four_octet``: AS_PATHs on this session have 4-byte ASNs.
    ``error`` is set when the message could not be parsed; it is kept all the same. ``add_path``: its NLRI
    carry path identifiers (RFC 7911), which only ``raw`` keeps.
    """

    seq: int
    at_ns: int
    sender: str
    receiver: str
    sender_address: str
    receiver_address: str
    sender_as: int
    receiver_as: int
    kind: Kind
    announced: tuple[Announcement, ...] = ()
    withdrawn: tuple[Prefix, ...] = ()
    four_octet: bool = True
    raw: bytes = b""
    error: str | None = None
    add_path: bool = False


class CaptureStats(msgspec.Struct, frozen=True):
    """Counts since the capture began. ``dropped`` is the kernel's count of packets that we never saw."""

    packets: int
    dropped: int
    messages: int
    last_seq: int
    sessions: int
    gaps: int
    """TCP streams in which bytes are missing (a drop, or a late start)."""
    let_go: int = 0
    """Events that are no longer kept, because the capture holds no more than it was told to."""


class FibChange(msgspec.Struct, frozen=True):
    """One change of a route in a node's main table; ``at_ns``: nanoseconds since the Unix epoch."""

    at_ns: int
    node: str
    prefix: Prefix
    action: Literal["add", "replace", "remove"]


def utc(at_ns: int) -> str:
    """Return a time in nanoseconds since the Unix epoch as RFC 3339, with microseconds."""
    whole = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_ns % 1_000_000_000 // 1000:06d}Z"
