"""Probes as bytes (pure): ICMP echo (RFC 792, RFC 4443) and TCP SYN (RFC 9293), and what comes back.

Built whole, IP header included, since a probe through a named site must leave by one link whatever the routes
say; the kernel builds the header of one that follows the routes.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from controller.observe.evidence import Fate

ICMP, TCP, ICMPV6 = 1, 6, 58
TOKEN = b"herald probe"
_ECHO_REPLY, _UNREACHABLE, _ECHO, _TIME_EXCEEDED = 0, 3, 8, 11
_UNREACHABLE6, _TIME_EXCEEDED6, _ECHO6, _ECHO_REPLY6 = 1, 3, 128, 129
_SYN, _RST, _SYN_ACK = 0x02, 0x04, 0x12
_WHY4 = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    9: "network prohibited", 10: "host prohibited", 13: "communication prohibited",
}  # fmt: skip
_WHY6 = {
    0: "no route", 1: "prohibited", 2: "beyond scope", 3: "address unreachable", 4: "port unreachable",
    5: "source policy", 6: "reject route",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for the probe with ``mark`` to ``target``; ``by`` the address that sent it."""

    fate: Fate
    by: str
    target: str
    mark: int
    why: str = ""


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def echo(source: str, target: str, identifier: int, sequence: int) -> bytes:
    """Return an ICMP or ICMPv6 echo request, with its checksum."""
    six = ":" in target
    body = struct.pack("!HH", identifier, sequence) + TOKEN
    kind = _ECHO6 if six else _ECHO
    plain = struct.pack("!BBH", kind, 0, 0) + body
    total = checksum(_pseudo(source, target, ICMPV6, len(plain)) + plain if six else plain)
    return struct.pack("!BBH", kind, 0, total) + body


def syn(source: str, target: str, source_port: int, port: int) -> bytes:
    """Return a TCP SYN, with its checksum; the sequence number is the source port's own."""
    plain = struct.pack("!HHIIBBHHH", source_port, port, source_port << 8, 0, 5 << 4, _SYN, 1024, 0, 0)
    total = checksum(_pseudo(source, target, TCP, len(plain)) + plain)
    return plain[:16] + struct.pack("!H", total) + plain[18:]


def packet(source: str, target: str, protocol: int, payload: bytes, hops: int) -> bytes:
    """Return an IP packet around ``payload``; ``hops``: TTL or hop limit."""
    a, b = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    if len(b) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + a + b + payload
    plain = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, hops, protocol, 0) + a + b
    return plain[:10] + struct.pack("!H", checksum(plain)) + plain[12:] + payload


def _pseudo(source: str, target: str, protocol: int, length: int) -> bytes:
    a, b = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    if len(b) == 16:
        return a + b + struct.pack("!IHBB", length, 0, 0, protocol)
    return a + b + struct.pack("!BBH", 0, protocol, length)


def read_packet(data: bytes, identifier: int) -> Reply | None:
    """Return what an IP packet says of a probe of ``identifier``; None: nothing of ours."""
    opened = _open(data)
    if opened is None:
        return None
    protocol, source, _, payload = opened
    if protocol == TCP:
        return _read_tcp(source, payload)
    return read_icmp(payload, source, identifier) if protocol in (ICMP, ICMPV6) else None


def read_icmp(payload: bytes, by: str, identifier: int) -> Reply | None:
    """Return what an ICMP message from ``by`` says of an echo of ``identifier``; None: nothing of ours."""
    if len(payload) < 8:
        return None
    six = ":" in by
    kind, code, _, ident, sequence = struct.unpack_from("!BBHHH", payload)
    if kind == (_ECHO_REPLY6 if six else _ECHO_REPLY):
        ours = ident == identifier and payload[8 : 8 + len(TOKEN)] == TOKEN
        return Reply("answered", by, by, sequence) if ours else None
    inner = _open(payload[8:])
    mark = None if inner is None else _mark_of(inner[0], inner[3], identifier)
    if inner is None or mark is None:
        return None
    if kind == (_TIME_EXCEEDED6 if six else _TIME_EXCEEDED):
        return Reply("looped", by, inner[2], mark, f"hops used up at {by}")
    why = (_WHY6 if six else _WHY4).get(code, f"code {code}")
    unreachable = kind == (_UNREACHABLE6 if six else _UNREACHABLE)
    return Reply("unreachable", by, inner[2], mark, f"{why}, says {by}") if unreachable else None


def _mark_of(protocol: int, original: bytes, identifier: int) -> int | None:
    """Return the mark of the probe that an error quotes; None: it is no probe of ours."""
    if len(original) < 8:
        return None
    if protocol == TCP:
        return int(struct.unpack_from("!H", original)[0])
    if protocol not in (ICMP, ICMPV6) or original[0] not in (_ECHO, _ECHO6):
        return None
    ident, sequence = struct.unpack_from("!HH", original, 4)
    return int(sequence) if ident == identifier else None


def _read_tcp(by: str, payload: bytes) -> Reply | None:
    if len(payload) < 20:
        return None
    _, port = struct.unpack_from("!HH", payload)
    flags = payload[13]
    if flags & _SYN_ACK == _SYN_ACK:
        return Reply("answered", by, by, port)
    return Reply("answered", by, by, port, "refused the connection") if flags & _RST else None


def _open(data: bytes) -> tuple[int, str, str, bytes] | None:
    """Return protocol, source, destination and payload of an IP packet; errors quote cut ones."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        size = (data[0] & 15) * 4
        source, target = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (12, 16))
        return data[9], source, target, data[size:]
    if len(data) >= 40 and data[0] >> 4 == 6:
        source, target = (str(ipaddress.IPv6Address(data[at : at + 16])) for at in (8, 24))
        return data[6], source, target, data[40:]
    return None
