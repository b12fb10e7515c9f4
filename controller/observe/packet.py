"""One captured packet, from its IP header on, as a TCP segment (pure): RFC 791, 8200, 9293."""

from __future__ import annotations

import struct
from typing import NamedTuple

from controller.observe.bgp_update import address_text
from controller.observe.errors import WireError

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
_TCP = struct.Struct("!HHIIBB")
_PROTOCOL_TCP = 6
_IPV6_HEADER = 40


class Segment(NamedTuple):
    """A TCP segment. ``length``: bytes of payload on the wire; ``payload`` is shorter if the snap cut it."""

    source: str
    source_port: int
    target: str
    target_port: int
    seq: int
    ack: int
    flags: int
    payload: bytes
    length: int


def parse_segment(packet: bytes) -> Segment:
    """Return the TCP segment in ``packet``; raises :class:`WireError` when it is something else."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        begin = (packet[0] & 0x0F) * 4
        end, protocol = int.from_bytes(packet[2:4], "big"), packet[9]
        source, target = packet[12:16], packet[16:20]
    elif version == 6 and len(packet) >= _IPV6_HEADER:
        begin = _IPV6_HEADER
        end, protocol = int.from_bytes(packet[4:6], "big"), packet[6]
        end = end + begin if end else 0
        source, target = packet[8:24], packet[24:40]
    else:
        raise WireError(f"no IP header in {len(packet)} bytes")
    # A segment above 64 KiB that the interface is to cut up has the length 0 here.
    end = end or len(packet)
    if protocol != _PROTOCOL_TCP or begin < 20 or len(packet) < begin + 20:
        raise WireError(f"no TCP header in {len(packet)} bytes of IPv{version}")
    source_port, target_port, seq, ack, offset, flags = _TCP.unpack_from(packet, begin)
    data = begin + (offset >> 4) * 4
    if data < begin + 20 or data > end:
        raise WireError(f"TCP's header cannot end at byte {data} of {end}")
    return Segment(
        address_text(source),
        source_port,
        address_text(target),
        target_port,
        seq,
        ack,
        flags,
        packet[data:end],
        end - data,
    )
