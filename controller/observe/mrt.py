"""Events as MRT records (pure): BGP4MP_ET with microseconds (RFC 6396, 3, 4.4; ADD-PATH: RFC 8050, 3).

The record's peer is the sender, its local side the receiver. A session with two-octet ASNs uses the subtypes
without ``_AS4``, so that readers take its AS_PATHs for what they are.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

from controller.observe.event import Event

_BGP4MP_ET = 17
_STATE_CHANGE, _MESSAGE, _MESSAGE_AS4, _STATE_CHANGE_AS4 = 0, 1, 4, 5
_WITH_PATH_IDS = {_MESSAGE: 8, _MESSAGE_AS4: 9}
_IDLE, _OPEN_CONFIRM, _ESTABLISHED = 1, 5, 6
_AS_TRANS = 23456
_HEADER = struct.Struct("!IHHII")
_STATES = {
    "up": struct.pack("!HH", _OPEN_CONFIRM, _ESTABLISHED),
    "down": struct.pack("!HH", _ESTABLISHED, _IDLE),
}


@lru_cache(maxsize=4096)
def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def mrt_record(event: Event) -> bytes:
    """Return one event as one record; empty for an event without bytes (what was no BGP message)."""
    states = _STATES.get(event.kind)
    body = event.raw if states is None else states
    if not body:
        return b""
    if event.four_octet:
        subtype = _MESSAGE_AS4 if states is None else _STATE_CHANGE_AS4
        ases = struct.pack("!II", event.sender_as, event.receiver_as)
    else:
        subtype = _MESSAGE if states is None else _STATE_CHANGE
        ases = struct.pack("!HH", _two_octet(event.sender_as), _two_octet(event.receiver_as))
    if event.add_path:
        subtype = _WITH_PATH_IDS.get(subtype, subtype)
    peer, local = _packed(event.sender_address), _packed(event.receiver_address)
    family = 1 if len(peer) == 4 else 2
    rest = ases + struct.pack("!HH", 0, family) + peer + local + body
    seconds, nanoseconds = divmod(event.at_ns, 1_000_000_000)
    # The length counts the microseconds, which stand after it.
    return _HEADER.pack(seconds, _BGP4MP_ET, subtype, len(rest) + 4, nanoseconds // 1000) + rest


def mrt_records(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield the records of ``events``, in their order."""
    for event in events:
        record = mrt_record(event)
        if record:
            yield record


def _two_octet(asn: int) -> int:
    return asn if asn < 65536 else _AS_TRANS
