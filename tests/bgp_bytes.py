"""BGP messages, packets and events made by hand, for the tests of what reads them."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

from controller.observe.packet import ACK, Segment

MARKER = b"\xff" * 16
Hop = int | tuple[int, ...]


def message(kind: int, body: bytes = b"") -> bytes:
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def capability(code: int, value: bytes = b"") -> bytes:
    return bytes([code, len(value)]) + value


FOUR_OCTET, GRACEFUL = 65, 64


def opening(
    asn: int,
    *,
    four_octet: bool = True,
    restart_s: int | None = None,
    forwarding: bool = False,
    add_path: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """An OPEN for IPv4 and IPv6 unicast."""
    capabilities = capability(1, b"\0\1\0\1") + capability(1, b"\0\2\0\1") + extra
    if four_octet:
        capabilities += capability(FOUR_OCTET, struct.pack("!I", asn))
    if restart_s is not None:
        flag = 0x80 if forwarding else 0
        families = struct.pack("!HBBHBB", 1, 1, flag, 2, 1, flag)
        capabilities += capability(GRACEFUL, struct.pack("!H", restart_s) + families)
    if add_path is not None:
        capabilities += capability(69, struct.pack("!HBB", 1, 1, add_path))
    parameters = bytes([2, len(capabilities)]) + capabilities
    short = asn if asn < 65536 else 23456
    fixed = struct.pack("!BHH4sB", 4, short, 90, bytes([10, 0, 0, 1]), len(parameters))
    return message(1, fixed + parameters)


def nlri(prefixes: Sequence[str], path_id: int | None = None) -> bytes:
    out = b""
    for prefix in prefixes:
        network = ipaddress.ip_network(prefix)
        if path_id is not None:
            out += struct.pack("!I", path_id)
        out += bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]
    return out


def attribute(kind: int, value: bytes, flags: int = 0x40) -> bytes:
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack("!BBB", flags, kind, len(value)) + value


def path_bytes(path: Sequence[Hop], width: int = 4) -> bytes:
    out = b""
    for hop in path:
        asns = hop if isinstance(hop, tuple) else (hop,)
        out += bytes([1 if isinstance(hop, tuple) else 2, len(asns)])
        out += b"".join(asn.to_bytes(width, "big") for asn in asns)
    return out


def update(
    announced: Sequence[str] = (),
    withdrawn: Sequence[str] = (),
    *,
    path: Sequence[Hop] = (64500,),
    next_hop: str = "10.0.0.1",
    communities: Sequence[tuple[int, int]] = (),
    width: int = 4,
    path_id: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """An IPv4 UPDATE."""
    attributes = b""
    if announced:
        attributes = attribute(1, b"\0") + attribute(2, path_bytes(path, width))
        attributes += attribute(3, ipaddress.ip_address(next_hop).packed)
        if communities:
            value = b"".join(struct.pack("!HH", *pair) for pair in communities)
            attributes += attribute(8, value, 0xC0)
    attributes += extra
    gone = nlri(withdrawn, path_id)
    body = struct.pack("!H", len(gone)) + gone + struct.pack("!H", len(attributes)) + attributes
    return message(2, body + nlri(announced, path_id))


def update6(
    announced: Sequence[str] = (),
    withdrawn: Sequence[str] = (),
    *,
    path: Sequence[Hop] = (64500,),
    next_hops: Sequence[str] = ("fd00::1",),
) -> bytes:
    """An IPv6 UPDATE (RFC 4760); with neither, its End-of-RIB."""
    attributes = b""
    if announced:
        hops = b"".join(ipaddress.ip_address(hop).packed for hop in next_hops)
        value = struct.pack("!HBB", 2, 1, len(hops)) + hops + b"\0" + nlri(announced)
        attributes = attribute(1, b"\0") + attribute(2, path_bytes(path)) + attribute(14, value, 0x80)
    if withdrawn or not announced:
        attributes += attribute(15, struct.pack("!HB", 2, 1) + nlri(withdrawn), 0x80)
    return message(2, struct.pack("!HH", 0, len(attributes)) + attributes)


KEEPALIVE = message(4)
END_OF_RIB = message(2, b"\0\0\0\0")


def notification(code: int = 6, subcode: int = 0, data: bytes = b"") -> bytes:
    return message(3, bytes([code, subcode]) + data)


class Talk:
    """Both ends of one TCP connection: each call gives the segment that left one of them."""

    def __init__(self, left: str = "10.0.0.1", right: str = "10.0.0.2", port: int = 40000) -> None:
        self._ends = {"left": (left, port), "right": (right, 179)}
        self._next = {"left": 1000, "right": 2**32 - 5}

    def send(self, end: str, payload: bytes = b"", flags: int = ACK) -> Segment:
        other = "right" if end == "left" else "left"
        (source, source_port), (target, target_port) = self._ends[end], self._ends[other]
        seq, ack = self._next[end], self._next[other] % 2**32
        self._next[end] += len(payload) + bool(flags & 0x03)
        return Segment(
            source, source_port, target, target_port, seq % 2**32, ack, flags, payload, len(payload)
        )

    def skip(self, end: str, count: int) -> None:
        """Let ``count`` bytes go unseen."""
        self._next[end] += count


def packet(segment: Segment) -> bytes:
    """A segment as an IP packet (checksums 0, as on an interface that fills them in later)."""
    source, target = ipaddress.ip_address(segment.source), ipaddress.ip_address(segment.target)
    tcp = struct.pack(
        "!HHIIBBHHH",
        *(segment.source_port, segment.target_port, segment.seq, segment.ack, 5 << 4, segment.flags, 0, 0, 0),
    )
    if source.version == 4:
        total = 40 + len(segment.payload)
        head = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0, 64, 6, 0)
    else:
        head = struct.pack("!IHBB", 6 << 28, 20 + len(segment.payload), 6, 64)
    return head + source.packed + target.packed + tcp + segment.payload
