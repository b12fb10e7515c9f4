"""What an UPDATE says (pure): RFC 4271, 4.3, with multiprotocol, four-octet ASNs, ADD-PATH, communities.

Path identifiers are read over, not kept. Families other than IPv4 and IPv6 unicast are read over, too.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from functools import lru_cache

from controller.bgp import AsPath, Family, Prefix
from controller.observe.errors import BgpMessageError
from controller.observe.event import Announcement

_AS_PATH, _NEXT_HOP, _AGGREGATOR, _COMMUNITIES = 2, 3, 7, 8
_MP_REACH, _MP_UNREACH, _AS4_PATH, _LARGE_COMMUNITIES = 14, 15, 17, 32
_EXTENDED_LENGTH = 0x10
_AS_TRANS = 23456
_SETS = (1, 4)
"""Segment types whose members are unordered: AS_SET, AS_CONFED_SET (RFC 5065); 2 and 3 are sequences."""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """How messages of one direction of a session are written, as both OPENs settle it.

    ``add_path``: the (AFI, SAFI) whose NLRI carry a path identifier; ``limit``: the longest message.
    """

    four_octet: bool = True
    add_path: frozenset[tuple[int, int]] = frozenset()
    limit: int = 4096


@dataclass(frozen=True, slots=True)
class Update:
    """An UPDATE: what it withdraws and announces; ``end_of_rib`` names a family (RFC 4724, 2)."""

    announced: tuple[Announcement, ...] = ()
    withdrawn: tuple[Prefix, ...] = ()
    end_of_rib: Family | None = None


@dataclass(frozen=True, slots=True)
class _Attributes:
    as_path: AsPath | None
    next_hop: str | None
    communities: tuple[str, ...]
    reach: tuple[bytes, int] | None
    unreach: tuple[bytes, int] | None
    count: int


@lru_cache(maxsize=65536)
def address_text(packed: bytes) -> str:
    """Return 4 or 16 bytes as an address's canonical text."""
    if len(packed) == 4:
        return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"
    return str(ipaddress.IPv6Address(packed))


@lru_cache(maxsize=65536)
def _prefix(length: int, data: bytes, size: int) -> Prefix:
    # Bits beyond the length are of no meaning on the wire (RFC 4271, 4.3).
    packed = data.ljust(size, b"\0")
    if length & 7:
        at = length >> 3
        packed = packed[:at] + bytes([packed[at] & (0xFF00 >> (length & 7)) & 0xFF]) + packed[at + 1 :]
    return Prefix(f"{address_text(packed)}/{length}")


def parse_update(raw: bytes, at: int, form: MessageForm) -> Update:
    """Return what the UPDATE whose body begins at ``at`` says; raises :class:`BgpMessageError`."""
    withdrawn_end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
    if withdrawn_end + 2 > len(raw):
        raise BgpMessageError("withdrawn routes run over the end of the message", at)
    attributes_end = withdrawn_end + 2 + int.from_bytes(raw[withdrawn_end : withdrawn_end + 2], "big")
    if attributes_end > len(raw):
        raise BgpMessageError("path attributes run over the end of the message", withdrawn_end)
    ipv4_ids = (1, 1) in form.add_path
    withdrawn = _nlri(raw, at + 2, withdrawn_end, 4, ipv4_ids)
    found = _attributes(raw[withdrawn_end + 2 : attributes_end], withdrawn_end + 2, form.four_octet)
    nlri = _nlri(raw, attributes_end, len(raw), 4, ipv4_ids)
    path, communities = found.as_path or (), found.communities
    announced: list[Announcement] = []
    if nlri:
        if found.as_path is None or found.next_hop is None:
            missing = "AS_PATH" if found.as_path is None else "NEXT_HOP"
            raise BgpMessageError(f"routes are announced without {missing}", withdrawn_end + 2)
        announced = [Announcement(p, path, found.next_hop, communities) for p in nlri]
    if found.reach is not None:
        next_hop, prefixes = _reach(*found.reach, form)
        if prefixes and found.as_path is None:
            raise BgpMessageError("routes are announced without AS_PATH", withdrawn_end + 2)
        announced += [Announcement(p, path, next_hop, communities) for p in prefixes]
    end_of_rib = Family.IPV4 if len(raw) == 23 else None
    if found.unreach is not None:
        prefixes, family = _unreach(*found.unreach, form)
        withdrawn += prefixes
        if found.count == 1 and not withdrawn and not announced and len(found.unreach[0]) == 3:
            end_of_rib = family
    return Update(tuple(announced), tuple(withdrawn), end_of_rib)


def _nlri(raw: bytes, at: int, end: int, size: int, path_ids: bool) -> list[Prefix]:
    """Return the prefixes in ``raw[at:end]``; ``size``: bytes of a whole address."""
    found = []
    longest = size * 8
    while at < end:
        if path_ids:
            at += 4
            if at >= end:
                raise BgpMessageError("a path identifier without a prefix", at - 4)
        length = raw[at]
        if length > longest:
            raise BgpMessageError(f"a prefix cannot be {length} bits long", at)
        stop = at + 1 + ((length + 7) >> 3)
        if stop > end:
            raise BgpMessageError(f"a prefix of {length} bits is cut off", at)
        found.append(_prefix(length, raw[at + 1 : stop], size))
        at = stop
    return found


@lru_cache(maxsize=4096)
def _attributes(data: bytes, offset: int, four_octet: bool) -> _Attributes:
    """Read the path attributes; ``offset`` is where they begin in the message, for errors."""
    values = _values(data, offset)
    as_path: AsPath | None = None
    if _AS_PATH in values:
        as_path = _path(*values[_AS_PATH], 4 if four_octet else 2)
        if not four_octet and _AS4_PATH in values:
            as_path = _merged(as_path, _path(*values[_AS4_PATH], 4), values.get(_AGGREGATOR))
    next_hop = None
    if _NEXT_HOP in values:
        packed, at = values[_NEXT_HOP]
        if len(packed) != 4:
            raise BgpMessageError(f"NEXT_HOP is {len(packed)} bytes long", at)
        next_hop = address_text(packed)
    communities = _numbers(values.get(_COMMUNITIES), 2, 2, "COMMUNITIES")
    communities += _numbers(values.get(_LARGE_COMMUNITIES), 3, 4, "LARGE_COMMUNITY")
    return _Attributes(
        as_path, next_hop, communities, values.get(_MP_REACH), values.get(_MP_UNREACH), len(values)
    )


def _values(data: bytes, offset: int) -> dict[int, tuple[bytes, int]]:
    """Return type → (value, offset in the message); of a repeated one the first (RFC 7606, 3 g)."""
    values: dict[int, tuple[bytes, int]] = {}
    at, end = 0, len(data)
    while at < end:
        wide = 2 if data[at] & _EXTENDED_LENGTH else 1
        begin = at + 2 + wide
        if begin > end:
            raise BgpMessageError("a path attribute is cut off", offset + at)
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : begin], "big")
        if begin + length > end:
            raise BgpMessageError(f"path attribute {kind} of {length} bytes is cut off", offset + at)
        if kind in values and kind in (_MP_REACH, _MP_UNREACH):
            raise BgpMessageError(f"path attribute {kind} is there twice", offset + at)
        values.setdefault(kind, (data[begin : begin + length], offset + begin))
        at = begin + length
    return values


def _path(data: bytes, offset: int, width: int) -> AsPath:
    hops: list[int | tuple[int, ...]] = []
    at, end = 0, len(data)
    while at < end:
        if at + 2 > end:
            raise BgpMessageError("an AS_PATH segment is cut off", offset + at)
        kind, count = data[at], data[at + 1]
        if not 1 <= kind <= 4 or count == 0:
            raise BgpMessageError(f"no AS_PATH segment has type {kind} and {count} ASNs", offset + at)
        begin, at = at + 2, at + 2 + count * width
        if at > end:
            raise BgpMessageError(f"an AS_PATH segment of {count} ASNs is cut off", offset + begin)
        asns = struct.unpack_from(f"!{count}{'I' if width == 4 else 'H'}", data, begin)
        if kind in _SETS:
            hops.append(tuple(sorted(asns)))
        else:
            hops += asns
    return tuple(hops)


def _merged(path: AsPath, path4: AsPath, aggregator: tuple[bytes, int] | None) -> AsPath:
    """Put the true ASNs of AS4_PATH into a two-octet AS_PATH (RFC 6793, 4.2.3)."""
    aggregated_by_old = aggregator is not None and int.from_bytes(aggregator[0][:2], "big") != _AS_TRANS
    if aggregated_by_old or len(path4) > len(path):
        return path
    return path[: len(path) - len(path4)] + path4


def _numbers(value: tuple[bytes, int] | None, count: int, width: int, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    data, offset = value
    size = count * width
    if len(data) % size:
        raise BgpMessageError(f"{name} is {len(data)} bytes long, no multiple of {size}", offset)
    return tuple(
        ":".join(str(int.from_bytes(data[at + i : at + i + width], "big")) for i in range(0, size, width))
        for at in range(0, len(data), size)
    )


def _family(data: bytes, offset: int, name: str) -> tuple[int, int]:
    if len(data) < 3:
        raise BgpMessageError(f"{name} is cut off", offset)
    return int.from_bytes(data[:2], "big"), data[2]


def _reach(data: bytes, offset: int, form: MessageForm) -> tuple[str | None, list[Prefix]]:
    family = _family(data, offset, "MP_REACH_NLRI")
    if len(data) < 5 or 5 + data[3] > len(data):
        raise BgpMessageError("the next hop of MP_REACH_NLRI is cut off", offset + 3)
    if family not in ((1, 1), (2, 1)):
        return None, []
    size = 4 if family[0] == 1 else 16
    hop = data[4 : 4 + data[3]]
    if len(hop) not in ((16, 32) if size == 16 else (4, 16, 32)):
        raise BgpMessageError(f"MP_REACH_NLRI has a next hop of {len(hop)} bytes", offset + 3)
    return _next_hop(hop), _nlri_at(data, 5 + data[3], offset, size, family in form.add_path)


def _unreach(data: bytes, offset: int, form: MessageForm) -> tuple[list[Prefix], Family | None]:
    family = _family(data, offset, "MP_UNREACH_NLRI")
    if family not in ((1, 1), (2, 1)):
        return [], None
    size = 4 if family[0] == 1 else 16
    prefixes = _nlri_at(data, 3, offset, size, family in form.add_path)
    return prefixes, Family.IPV4 if size == 4 else Family.IPV6


def _nlri_at(data: bytes, at: int, offset: int, size: int, path_ids: bool) -> list[Prefix]:
    """Read NLRI inside an attribute, with errors that count from the message's first byte."""
    try:
        return _nlri(data, at, len(data), size, path_ids)
    except BgpMessageError as error:
        what = str(error).rpartition(" (byte")[0]
        raise BgpMessageError(what, offset + error.offset) from None


def _next_hop(packed: bytes) -> str:
    """Return the global one of one or two next hops (RFC 2545, 3)."""
    first, second = packed[:16], packed[16:]
    if second and _is_link_local(first) and not _is_link_local(second):
        return address_text(second)
    return address_text(first)


def _is_link_local(packed: bytes) -> bool:
    return packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
