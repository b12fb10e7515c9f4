"""Changes of a kernel's routes as rtnetlink tells them (rtnetlink(7)): the FIB beside the wire.

Netlink has no timestamps: a change carries the time at which it was read, some 0.1 ms after it was made in
a capture that keeps up.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterator
from typing import Literal

from controller.bgp import Prefix
from controller.observe.bgp_update import address_text
from controller.observe.errors import CaptureStartError
from controller.observe.event import FibChange

# linux/rtnetlink.h, linux/netlink.h
_IPV4_ROUTES, _IPV6_ROUTES = 0x40, 0x400
_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_REPLACE = 0x100
_DESTINATION, _TABLE = 1, 15
_MAIN = 254
_CLONED = 0x200
_UNICAST, _LAST_TYPE = 1, 8
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, protocol, scope, type, flags
_SIZES = {socket.AF_INET: 4, socket.AF_INET6: 16}
_RECEIVE_BUFFER = 8 << 20

Action = Literal["add", "replace", "remove"]


class FibMonitor:
    """Hears of all route changes in the network namespace of the thread that opens it.

    ``lost`` counts how often the kernel had no room for what it had to say. Raises
    :class:`CaptureStartError`.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.lost = 0
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            self._socket = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._socket.bind((0, _IPV4_ROUTES | _IPV6_ROUTES))
        except OSError as error:
            raise CaptureStartError(f"{node}: cannot hear of route changes: {error.strerror}") from error

    def fileno(self) -> int:
        """Return the descriptor; it is readable when there are changes."""
        return self._socket.fileno()

    def read(self) -> list[FibChange]:
        """Return all changes that wait."""
        changes: list[FibChange] = []
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return changes
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            now = time.time_ns()
            changes += [FibChange(now, self.node, prefix, action) for prefix, action in parse_changes(data)]

    def close(self) -> None:
        """Stop hearing."""
        self._socket.close()


def parse_changes(data: bytes) -> Iterator[tuple[Prefix, Action]]:
    """Yield the changes of main tables in one netlink datagram; what is cut off is left out."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        if kind in (_NEW_ROUTE, _DELETE_ROUTE):
            prefix = _prefix(data[at + _HEADER.size : at + length])
            if prefix is not None:
                removed = kind == _DELETE_ROUTE
                yield prefix, "remove" if removed else "replace" if flags & _REPLACE else "add"
        at += (length + 3) & ~3


def _prefix(body: bytes) -> Prefix | None:
    if len(body) < _ROUTE.size:
        return None
    family, length, _, _, table, _, _, kind, flags = _ROUTE.unpack_from(body)
    size = _SIZES.get(family)
    if size is None or flags & _CLONED or not _UNICAST <= kind <= _LAST_TYPE:
        return None
    destination = bytes(size)
    at = _ROUTE.size
    while at + 4 <= len(body):
        extent, attribute = struct.unpack_from("=HH", body, at)
        if extent < 4:
            return None
        if attribute == _DESTINATION:
            destination = body[at + 4 : at + extent]
        elif attribute == _TABLE and extent == 8:
            (table,) = struct.unpack_from("=I", body, at + 4)
        at += (extent + 3) & ~3
    if table != _MAIN or len(destination) != size:
        return None
    return Prefix(f"{address_text(destination)}/{length}")
