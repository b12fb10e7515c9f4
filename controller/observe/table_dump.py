"""What one router held at a moment as an MRT file: TABLE_DUMP_V2 (pure; RFC 6396, 4.3).

The router is the collector, its neighbours are the peers. A route's attributes are those that its neighbour
sent, byte by byte, but for what the format wants otherwise: AS_PATH has four-octet ASNs, and MP_REACH_NLRI
is cut to its next hop (4.3.4).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from controller.bgp import AsPath, Prefix, prefix_key
from controller.observe.bgp_message import HEADER, Open, parse_message
from controller.observe.errors import BgpMessageError, TableDumpError
from controller.observe.event import Event
from controller.observe.history import Direction, History

_TABLE_DUMP_V2 = 13
_PEER_INDEX_TABLE, _RIB_IPV4_UNICAST, _RIB_IPV6_UNICAST = 1, 2, 4
_AS_PATH, _AGGREGATOR, _MP_REACH, _MP_UNREACH, _AS4_PATH, _AS4_AGGREGATOR = 2, 7, 14, 15, 17, 18
_EXTENDED, _SEQUENCE, _SET = 0x10, 2, 1
_FOUR_OCTETS = 2
"""In a peer's type: its ASN is written with four octets."""
_HEADER = struct.Struct("!IHHI")


def table_dump(events: Sequence[Event], router: str, at_ns: int) -> Iterator[bytes]:
    """Yield the records of what ``router`` had been told and might use, at ``at_ns`` since the Unix epoch.

    ``events``: all since the capture began. A looped path is left out, and a stale one is not. Raises
    :class:`TableDumpError` where a session tells several paths of a prefix (ADD-PATH), which events do not
    tell apart.
    """
    past = [e for e in events if e.at_ns <= at_ns]
    told = [e for e in past if e.receiver == router and e.kind == "update" and e.error is None]
    several = next((e for e in told if e.add_path), None)
    if several is not None:
        raise TableDumpError(f"{several.sender} tells {router} several paths of a prefix (ADD-PATH)")
    by_seq = {event.seq: event for event in told}
    peers: dict[Direction, Event] = {}
    for event in told:
        peers.setdefault((event.sender_address, event.receiver_address), event)
    places = {direction: place for place, direction in enumerate(peers)}
    seconds = at_ns // 1_000_000_000
    yield _record(seconds, _PEER_INDEX_TABLE, _peer_table(past, router, list(peers.values())))
    number = 0
    for prefix, history in sorted(_histories(past, router).items(), key=lambda one: prefix_key(one[0])):
        held = [i for i in history.intervals() if i.end_ns is None and i.usable]
        if held:
            yield _rib(seconds, number, prefix, [(by_seq[i.told_seq], i.as_path) for i in held], places)
            number += 1


def _histories(past: Iterable[Event], router: str) -> dict[Prefix, History]:
    """Return the history of each prefix that the router was told of; sessions' events go to all of them."""
    found: dict[Prefix, History] = {}
    sessions: list[Event] = []
    for event in past:
        if router not in (event.sender, event.receiver):
            continue
        if event.kind != "update" or event.error is not None:
            sessions.append(event)
            mentioned = set(found)
        else:
            mentioned = {a.prefix for a in event.announced} | set(event.withdrawn)
            if not mentioned:
                mentioned = set(found)  # an End-of-RIB
        for prefix in mentioned:
            if prefix not in found:
                found[prefix] = History(router, prefix)
                for earlier in sessions:
                    found[prefix].apply(earlier)
            found[prefix].apply(event)
    return found


def _peer_table(past: Iterable[Event], router: str, peers: Sequence[Event]) -> bytes:
    """Return the table of peers, each by the first event that it sent."""
    ids = {(e.sender, e.receiver): e.raw[24:28] for e in past if e.kind == "open" and _is_open(e)}
    own = next((id_ for (sender, _), id_ in ids.items() if sender == router), bytes(4))
    name = router.encode()
    body = own + struct.pack("!H", len(name)) + name + struct.pack("!H", len(peers))
    for event in peers:
        address = ipaddress.ip_address(event.sender_address).packed
        kind = bytes([_FOUR_OCTETS | (len(address) == 16)])
        body += kind + ids.get((event.sender, router), bytes(4)) + address
        body += struct.pack("!I", event.sender_as)
    return body


def _is_open(event: Event) -> bool:
    try:
        return isinstance(parse_message(event.raw), Open)
    except BgpMessageError:
        return False


def _rib(
    seconds: int,
    number: int,
    prefix: Prefix,
    held: Sequence[tuple[Event, AsPath]],
    places: Mapping[Direction, int],
) -> bytes:
    network = ipaddress.ip_network(prefix)
    length = network.prefixlen
    body = struct.pack("!IB", number, length) + network.network_address.packed[: (length + 7) >> 3]
    body += struct.pack("!H", len(held))
    for event, path in held:
        place = places[event.sender_address, event.receiver_address]
        attributes = b"".join(_attributes(event, path))
        body += struct.pack("!HIH", place, event.at_ns // 1_000_000_000, len(attributes)) + attributes
    return _record(seconds, _RIB_IPV4_UNICAST if network.version == 4 else _RIB_IPV6_UNICAST, body)


def _attributes(event: Event, path: AsPath) -> Iterator[bytes]:
    """Yield a message's path attributes as the format wants them."""
    raw = event.raw
    at = HEADER + 2 + int.from_bytes(raw[HEADER : HEADER + 2], "big")
    end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
    at += 2
    while at < end:
        flags, kind = raw[at], raw[at + 1]
        begin = at + (4 if flags & _EXTENDED else 3)
        stop = begin + int.from_bytes(raw[at + 2 : begin], "big")
        value = raw[begin:stop]
        if kind == _MP_REACH:
            yield _attribute(flags, kind, value[3 : 4 + value[3]])
        elif kind == _AS_PATH and not event.four_octet:
            yield _attribute(flags, kind, _wide_path(path))
        elif kind == _AGGREGATOR and not event.four_octet:
            yield _attribute(flags, kind, bytes(2) + value)
        elif kind != _MP_UNREACH and (event.four_octet or kind not in (_AS4_PATH, _AS4_AGGREGATOR)):
            yield raw[at:stop]
        at = stop


def _wide_path(path: AsPath) -> bytes:
    """Return a path with four-octet ASNs; a run of ASes is one segment (RFC 4271, 4.3)."""
    segments: list[tuple[int, list[int]]] = []
    for hop in path:
        if isinstance(hop, tuple):
            segments.append((_SET, list(hop)))
        elif segments and segments[-1][0] == _SEQUENCE and len(segments[-1][1]) < 255:
            segments[-1][1].append(hop)
        else:
            segments.append((_SEQUENCE, [hop]))
    return b"".join(
        bytes([kind, len(asns)]) + struct.pack(f"!{len(asns)}I", *asns) for kind, asns in segments
    )


def _attribute(flags: int, kind: int, value: bytes) -> bytes:
    if len(value) > 255:
        return struct.pack("!BBH", flags | _EXTENDED, kind, len(value)) + value
    return struct.pack("!BBB", flags & ~_EXTENDED, kind, len(value)) + value


def _record(seconds: int, subtype: int, body: bytes) -> bytes:
    return _HEADER.pack(seconds, _TABLE_DUMP_V2, subtype, len(body)) + body
