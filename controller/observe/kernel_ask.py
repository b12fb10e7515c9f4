"""Asks the kernel of the calling thread's network namespace: how it routes, whose link addresses it knows.

One rtnetlink question, one answer (rtnetlink(7)); nothing is changed.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# linux/rtnetlink.h, linux/neighbour.h, linux/netlink.h
_NEW_NEIGHBOUR, _GET_NEIGHBOUR, _NEW_ROUTE, _GET_ROUTE = 28, 30, 24, 26
_REQUEST, _DUMP = 1, 0x300
_ERROR, _DONE = 2, 3
_DESTINATION, _OUT, _GATEWAY, _MULTIPATH, _VIA = 1, 4, 5, 9, 18
_NEIGHBOUR_ADDRESS, _LINK_ADDRESS = 1, 2
_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # reachable, stale, delay, probe, permanent
_UNICAST = 1
_FIB_MATCH = 0x2000  # the whole route, and not the one next hop that this question would take
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEXT_HOP = struct.Struct("=HBBi")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Hop:
    """One next hop: out of ``interface``, to ``gateway``; None: the destination is on that link itself."""

    interface: str
    gateway: str | None


def way_to(address: str) -> tuple[Hop, ...] | None:
    """Return all next hops of the route that packets to ``address`` take here; None: there is none.

    Empty: the namespace keeps the packets itself, or drops them. Raises OSError.
    """
    packed = ipaddress.ip_address(address).packed
    family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
    body = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, _FIB_MATCH)
    for kind, answer in _ask(_GET_ROUTE, 0, body + _attribute(_DESTINATION, packed)):
        if kind == _NEW_ROUTE:
            return tuple(_hops(answer))
    return None


def link_address(address: str, interface: str) -> bytes | None:
    """Return the link-layer address that the kernel knows for a neighbour; None: none. Raises OSError."""
    packed = ipaddress.ip_address(address).packed
    family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
    index = socket.if_nametoindex(interface)
    body = _NEIGHBOUR.pack(family, index, 0, 0, 0)
    found: bytes | None = None
    for kind, answer in _ask(_GET_NEIGHBOUR, _DUMP, body):
        if kind != _NEW_NEIGHBOUR:
            continue
        _, at, state, _, _ = _NEIGHBOUR.unpack_from(answer)
        values = dict(_attributes(answer[_NEIGHBOUR.size :]))
        if at == index and state & _KNOWN and values.get(_NEIGHBOUR_ADDRESS) == packed:
            found = values.get(_LINK_ADDRESS)
    return found


def _hops(answer: bytes) -> Iterator[Hop]:
    if _ROUTE.unpack_from(answer)[7] != _UNICAST:
        return
    values = dict(_attributes(answer[_ROUTE.size :]))
    if _OUT in values:
        yield _hop(struct.unpack("=I", values[_OUT])[0], values)
    several, at = values.get(_MULTIPATH, b""), 0
    while at + _NEXT_HOP.size <= len(several):
        size, _, _, index = _NEXT_HOP.unpack_from(several, at)
        if size < _NEXT_HOP.size:
            return
        yield _hop(index, dict(_attributes(several[at + _NEXT_HOP.size : at + size])))
        at += (size + 3) & ~3


def _hop(index: int, values: dict[int, bytes]) -> Hop:
    gateway = values.get(_GATEWAY) or values.get(_VIA, b"")[2:]
    return Hop(socket.if_indextoname(index), str(ipaddress.ip_address(gateway)) if gateway else None)


def _ask(kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as sock:
        sock.settimeout(_WAIT_S)
        sock.bind((0, 0))
        sock.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
        while True:
            data = sock.recv(1 << 16)
            at = 0
            while at + _HEADER.size <= len(data):
                length, got, _, _, _ = _HEADER.unpack_from(data, at)
                if length < _HEADER.size:
                    return
                answer = data[at + _HEADER.size : at + length]
                if got == _DONE:
                    return
                if got == _ERROR:
                    _raise(answer)
                    return
                yield got, answer
                at += (length + 3) & ~3
            if not flags & _DUMP:
                return


def _raise(answer: bytes) -> None:
    number = -struct.unpack_from("=i", answer)[0]
    if number not in (0, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL):
        raise OSError(number, os.strerror(number))


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3
