"""Sends probes from inside routers' network namespaces (the capture process holds descriptors of them).

A probe is a whole packet handed to one link with the next hop's link-layer address: no route has a say in it,
unless whoever asks has had the kernel name link and next hop. Its reply is read from the same link. It is
sent again while nothing comes back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import socket
import struct
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
            return WayTold(why=f"{asked.node} has no route to {asked.address}")
        return WayTold(tuple((hop.interface, hop.gateway) for hop in way))

    def _namespace(self, node: str) -> int:
        return self._namespaces[node]

    def _group(self, members: list[tuple[int, Shot]]) -> dict[int, ProbeResult]:
        first = members[0][1]
        try:
            with inside_network(self._namespace(first.node)):
                volley = _Volley(first)
        except (OSError, CaptureStartError, KeyError) as error:
            why = f"{first.node}: {_text(error)}"
            return {at: ProbeResult("unsent", why=why) for at, _ in members}
        with contextlib.closing(volley):
            return volley.fire(members)


class _Volley:
    """Probes that leave by the same link to the same next hop, and share a socket on it."""

    def __init__(self, first: Shot) -> None:
        self._identifier = secrets.randbelow(1 << 16)
        self._six = ":" in first.address
        self._interface = first.interface
        self._ethertype = _ETHERTYPES[6 if self._six else 4]
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        try:
            self._socket.bind((first.interface, self._ethertype))
            self._socket.setblocking(False)
            self._link_address = _resolve(first.next_hop, first.interface)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def _send(self, mark: int, shot: Shot) -> None:
        if shot.port is None:
            body = echo(shot.source, shot.address, self._identifier, mark)
            protocol = ICMPV6 if self._six else ICMP
        else:
            body, protocol = syn(shot.source, shot.address, mark, shot.port), TCP
        whole = packet(shot.source, shot.address, protocol, body, shot.hops)
        self._socket.sendto(whole, (self._interface, self._ethertype, 0, 0, self._link_address))

    def _read(self) -> Reply | None:
        with contextlib.suppress(BlockingIOError):
            return read_packet(self._socket.recv(2048), self._identifier)
        return None

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
                    self._send(_FIRST_PORT + at, shot)
                except (OSError, ValueError, struct.error) as error:
                    results[at] = ProbeResult("unsent", why=f"{shot.node}: {_text(error)}")
            self._await(results, targets, sent_ns, first.wait_s)
            if len(results) == len(members):
                break
        silent = ProbeResult("timed-out", why=f"no answer to {first.attempts} probes")
        return {at: results.get(at, silent) for at, _ in members}

    def _await(
        self, results: dict[int, ProbeResult], targets: Mapping[int, str], sent_ns: int, wait_s: float
    ) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        ends = time.monotonic() + wait_s
        while len(results) < len(targets) and (left := ends - time.monotonic()) > 0:
            for _ in poll.poll(left * 1000):
                reply = self._read()
                at = None if reply is None else reply.mark - _FIRST_PORT
                if reply is None or at is None or targets.get(at) != reply.target or at in results:
                    continue
                microseconds = (time.monotonic_ns() - sent_ns) // 1000
                results[at] = ProbeResult(reply.fate, reply.by, reply.why, microseconds)


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


def _text(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "no such node is captured"
    if isinstance(error, OSError):
        return error.strerror or os.strerror(error.errno or 0)
    return str(error)
