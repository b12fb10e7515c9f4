"""Sends probes from inside routers' network namespaces (the capture process holds descriptors of them).

A probe *through* a link is a whole packet handed to that link with the next hop's link-layer address: no
route has a say in it. Its reply is read from the same link. One that follows the routes is sent by the
kernel. Both are tried again while nothing comes back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from controller.observe import kernel_ask
from controller.observe.capture_protocol import ProbeResult, Shot, WayAsked, WayTold
from controller.observe.errors import CaptureStartError
from controller.observe.probe_packets import (
    ICMP,
    ICMPV6,
    TCP,
    Reply,
    echo,
    packet,
    read_icmp,
    read_packet,
    syn,
)
from controller.observe.ring import inside_network

AT_ONCE = 16
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_FIRST_PORT = 33000
_RESOLVE_S = 0.5
_Key = tuple[str, str, str, str, bool, bool]


class Prober:
    """``namespaces``: descriptors by node. Blocking; to be called from a thread of its own."""

    def __init__(self, namespaces: Mapping[str, int]) -> None:
        self._namespaces = namespaces

    def probe(self, shots: Sequence[Shot]) -> list[ProbeResult]:
        """Send all at once, and return what became of each, in order. Raises nothing for what fails."""
        groups: dict[_Key, list[int]] = {}
        for at, shot in enumerate(shots):
            key = (
                shot.node,
                shot.interface,
                shot.source,
                shot.next_hop,
                ":" in shot.address,
                shot.port is None,
            )
            groups.setdefault(key, []).append(at)
        results: dict[int, ProbeResult] = {}
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool:
            for found in pool.map(
                lambda members: self._group([(n, shots[n]) for n in members]), groups.values()
            ):
                results |= found
        return [results[at] for at in range(len(shots))]

    def ways(self, asked: Sequence[WayAsked]) -> list[WayTold]:
        """Return where each node's kernel sends packets to an address."""
        return [self._way(one) for one in asked]

    def _way(self, asked: WayAsked) -> WayTold:
        try:
            with inside_network(self._namespace(asked.node)):
                way = kernel_ask.way_to(asked.address)
        except (OSError, CaptureStartError, KeyError) as error:
            return WayTold(why=_text(error))
        if way is None:
            return WayTold(why="no route")
        return WayTold(way.interface, way.gateway, way.local)

    def _namespace(self, node: str) -> int:
        return self._namespaces[node]

    def _group(self, members: list[tuple[int, Shot]]) -> dict[int, ProbeResult]:
        first = members[0][1]
        try:
            with inside_network(self._namespace(first.node)):
                volley: _Volley = _Through(first) if first.interface else _Led(first)
        except (OSError, CaptureStartError, KeyError) as error:
            why = f"{first.node}: {_text(error)}"
            return {at: ProbeResult("unsent", why=why) for at, _ in members}
        with contextlib.closing(volley):
            return volley.fire(members)


class _Volley:
    """Probes that share their sockets."""

    def __init__(self, first: Shot) -> None:
        self.identifier = secrets.randbelow(1 << 16)
        self.six = ":" in first.address
        self.sockets: list[socket.socket] = []

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    def send(self, mark: int, shot: Shot) -> None:
        """Send one; raises OSError."""
        raise NotImplementedError

    def read(self, sock: socket.socket) -> Reply | None:
        """Return what is there to read, if it is about one of ours."""
        raise NotImplementedError

    def fire(self, members: list[tuple[int, Shot]]) -> dict[int, ProbeResult]:
        """Send all, again and again while some are not answered."""
        results: dict[int, ProbeResult] = {}
        first = members[0][1]
        targets = {at: shot.address for at, shot in members}
        for _ in range(max(1, first.attempts)):
            sent_ns = time.monotonic_ns()
            for at, shot in members:
                if at in results:
                    continue
                try:
                    self.send(_FIRST_PORT + at, shot)
                except OSError as error:
                    results[at] = _unsendable(shot, error)
            self._await(results, targets, sent_ns, first.wait_s)
            if len(results) == len(members):
                break
        silent = ProbeResult("timed-out", why=f"no answer to {first.attempts} probes")
        return {at: results.get(at, silent) for at, _ in members}

    def _await(
        self, results: dict[int, ProbeResult], targets: Mapping[int, str], sent_ns: int, wait_s: float
    ) -> None:
        poll = select.poll()
        by_descriptor = {sock.fileno(): sock for sock in self.sockets}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        ends = time.monotonic() + wait_s
        while len(results) < len(targets) and (left := ends - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                reply = self.read(by_descriptor[descriptor])
                at = None if reply is None else reply.mark - _FIRST_PORT
                if reply is None or at is None or targets.get(at) != reply.target or at in results:
                    continue
                microseconds = (time.monotonic_ns() - sent_ns) // 1000
                results[at] = ProbeResult(reply.fate, reply.by, reply.why, microseconds)


class _Through(_Volley):
    """By one link, to one next hop on it, whatever the routes say."""

    def __init__(self, first: Shot) -> None:
        super().__init__(first)
        self._ethertype = _ETHERTYPES[6 if self.six else 4]
        self._interface = first.interface
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        self.sockets.append(sock)
        try:
            sock.bind((first.interface, self._ethertype))
            sock.setblocking(False)
            self._link_address = _resolve(first.next_hop, first.interface)
        except OSError:
            sock.close()
            raise

    def send(self, mark: int, shot: Shot) -> None:
        if shot.port is None:
            body = echo(shot.source, shot.address, self.identifier, mark)
            whole = packet(shot.source, shot.address, ICMPV6 if self.six else ICMP, body, shot.hops)
        else:
            body = syn(shot.source, shot.address, mark, shot.port)
            whole = packet(shot.source, shot.address, TCP, body, shot.hops)
        self.sockets[0].sendto(whole, (self._interface, self._ethertype, 0, 0, self._link_address))

    def read(self, sock: socket.socket) -> Reply | None:
        with contextlib.suppress(BlockingIOError):
            return read_packet(sock.recv(2048), self.identifier)
        return None


class _Led(_Volley):
    """By the node's own routes."""

    def __init__(self, first: Shot) -> None:
        super().__init__(first)
        family = socket.AF_INET6 if self.six else socket.AF_INET
        protocol = ICMPV6 if self.six else ICMP
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        sock = socket.socket(family, flags, protocol)
        self.sockets.append(sock)
        if self.six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, first.hops)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, first.hops)

    def send(self, mark: int, shot: Shot) -> None:
        # The kernel makes the checksum of ICMPv6, whose source only it knows.
        body = echo("::" if self.six else "0.0.0.0", shot.address, self.identifier, mark)
        self.sockets[0].sendto(body, (shot.address, 0))

    def read(self, sock: socket.socket) -> Reply | None:
        try:
            data, (by, *_) = sock.recvfrom(2048)
        except BlockingIOError:
            return None
        return (
            read_icmp(data, by.partition("%")[0], self.identifier)
            if self.six
            else read_packet(data, self.identifier)
        )


def _resolve(next_hop: str, interface: str) -> bytes:
    """Return a neighbour's link-layer address, made known by a datagram to it where it is not yet."""
    ends = time.monotonic() + _RESOLVE_S
    while (found := kernel_ask.link_address(next_hop, interface)) is None:
        if time.monotonic() > ends:
            raise OSError(errno.EHOSTUNREACH, f"nobody on {interface} answers for {next_hop}")
        family = socket.AF_INET6 if ":" in next_hop else socket.AF_INET
        with (
            socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
            contextlib.suppress(OSError),
        ):
            sock.sendto(b"", (next_hop, 9))
        select.select([], [], [], 0.02)
    return found


def _unsendable(shot: Shot, error: OSError) -> ProbeResult:
    """Without a route a packet gets nowhere, which is an answer; anything else says nothing of the target."""
    if not shot.interface and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return ProbeResult("unreachable", why=f"{shot.node} has no route to {shot.address}")
    return ProbeResult("unsent", why=f"{shot.node}: {_text(error)}")


def _text(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "no such node is captured"
    if isinstance(error, OSError):
        return error.strerror or os.strerror(error.errno or 0)
    return str(error)
